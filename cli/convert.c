/* mary convert: a float model in, an M-ary model out. */
#include <string.h>

#include "cli/calibration.h"
#include "cli/convert_report.h"
#include "cli/goal.h"
#include "cli/model.h"
#include "cli/verbs.h"

enum { MOST_GLOBS = 256 };

typedef struct list {
    const char *items[MOST_GLOBS];
    int count;
} list;

typedef struct arguments {
    const char *input, *output, *report;
    mary_convert_options convert;
    list include, exclude, op_types;
    mary_data_options calibration;
    mary_cli_goal goal;
    bool quiet;
    mary_progress progress;
} arguments;

enum {
    KEY_BITS = 0x4000,
    KEY_METHOD,
    KEY_PER_CHANNEL,
    KEY_PER_TENSOR,
    KEY_PER_MODEL,
    KEY_IMPORTANCE,
    KEY_ENTROPY,
    KEY_EXCLUDE,
    KEY_INCLUDE,
    KEY_OP_TYPES,
    KEY_CONFIG,
    KEY_FIRST_LAST,
    KEY_NO_FUNCTIONS,
    KEY_SEED,
    KEY_REPORT,
    KEY_NO_FOLD_CONSTANTS,
    KEY_NO_FOLD_BATCHNORM,
    KEY_NO_REMOVE_IDENTITY,
    KEY_NO_DEDUPLICATE,
    KEY_NO_DROP_UNUSED,
    KEY_ACTIVATIONS,
    KEY_CALIBRATION_METHOD,
    KEY_NO_BIAS_CORRECTION,
    KEY_NO_EQUALIZATION
};

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Where to write; the second argument does the same", 1},
    {"levels", 'm', "M", 0, "Levels of every weight, 2 to 256 (default 16)", 1},
    {"bits", KEY_BITS, "B", 0, "The same as --levels 2^B, B from 1 to 8", 1},
    {"first-last", KEY_FIRST_LAST, "M|same", 0,
     "Levels of the first and the last layers (default 256), or 'same' as the others", 1},
    {"method", KEY_METHOD, "NAME", 0,
     "How levels are chosen: magnitude (default: exact k-means in which large weights count more), kmeans (exact, "
     "least squared error), hessian (the same, weights count as the loss curves along them), uniform (equal "
     "thresholds), ecsq (least error and "
     "entropy of the codes), spaced (equal distances), or feedback (least error of each layer's outputs); hessian and "
     "feedback need "
     "--calibration-data, uniform and ecsq count like hessian where it is there",
     1},
    {"per-channel", KEY_PER_CHANNEL, NULL, 0,
     "Levels for every output channel. Without this and the next: whichever costs fewer bytes for the same error", 1},
    {"per-tensor", KEY_PER_TENSOR, NULL, 0, "Levels shared by the whole tensor", 1},
    {"per-model", KEY_PER_MODEL, NULL, 0, "Levels shared by all layers", 1},
    {"importance", KEY_IMPORTANCE, "NAME", 0,
     "How often a weight's squared error counts: hessian (as the loss curves along it, over --calibration-data), "
     "fisher (the same from squared gradients), adam (their root), none, or auto (default): as the method would have "
     "it",
     1},
    {"entropy", KEY_ENTROPY, "BITS", 0,
     "Bits per weight that the codes of --method ecsq may have; without it, only M bounds them", 1},
    {"nodes-to-exclude", KEY_EXCLUDE, "GLOB,...", 0,
     "Nodes that stay float, by their names in the input; may be repeated", 2},
    {"nodes-to-include", KEY_INCLUDE, "GLOB,...", 0, "Quantise only these; may be repeated", 2},
    {"op-types", KEY_OP_TYPES, "TYPE,...", 0, "Quantise only these: Conv, ConvTranspose, Gemm, MatMul", 2},
    {"config", KEY_CONFIG, "FILE.json", 0, "Settings per layer; what the command line says wins", 2},
    {"no-functions", KEY_NO_FUNCTIONS, NULL, 0, "Leave out the function bodies that let any ONNX Runtime run the file",
     3},
    {"no-fold-constants", KEY_NO_FOLD_CONSTANTS, NULL, 0, "Do not evaluate what depends on constants only", 3},
    {"no-fold-batchnorm", KEY_NO_FOLD_BATCHNORM, NULL, 0, "Do not merge BatchNormalization into the layer before it",
     3},
    {"no-remove-identity", KEY_NO_REMOVE_IDENTITY, NULL, 0, "Keep Identity and Dropout nodes", 3},
    {"no-deduplicate", KEY_NO_DEDUPLICATE, NULL, 0, "Keep equal tensors apart", 3},
    {"no-drop-unused", KEY_NO_DROP_UNUSED, NULL, 0, "Keep tensors that nothing uses", 3},
    {"activations", KEY_ACTIVATIONS, "8|float", 0,
     "8: activations are unsigned bytes from input to output, which needs --calibration-data (default: float)", 1},
    {"calibration-method", KEY_CALIBRATION_METHOD, "NAME", 0,
     "How ranges of activations are chosen: min-max, percentile, mse, entropy, or auto (default): whichever makes the "
     "least "
     "error in the outputs",
     9},
    {"no-bias-correction", KEY_NO_BIAS_CORRECTION, NULL, 0,
     "Do not take the mean error that levels cause out of the biases, nor, with float activations and calibration "
     "data, scale levels to keep the outputs' spread. Both are done when the outputs get better by it",
     9},
    {"no-equalization", KEY_NO_EQUALIZATION, NULL, 0, "Do not balance channels between one layer and the next", 9},
    {"threads", 't', "N", 0, "Threads to convert with (0, the default: one per processor); the result is the same", 4},
    {"seed", KEY_SEED, "N", 0, "Seed of methods that draw numbers (default 0)", 4},
    {"report", KEY_REPORT, "FILE.json", 0, "Write the report as JSON, too", 5},
    {"quiet", 'q', NULL, 0, "Print nothing but errors", 5},
    {0},
};

/* Cuts at commas, in place: argv is ours to write. */
static error_t add_items(list *to, const struct argp_state *state, const char *option, char *text)
{
    for (char *save = NULL, *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        if (to->count == MOST_GLOBS)
            return mary_cli_usage(state, "%s takes at most %d names", option, MOST_GLOBS);
        to->items[to->count++] = item;
    }
    return 0;
}

static error_t parse_int(const struct argp_state *state, const char *option, const char *text, int64_t least,
                         int64_t most, int *value)
{
    int64_t wide = 0;
    error_t error = mary_cli_parse_int(state, option, text, least, most, &wide);
    if (error == 0)
        *value = (int)wide;
    return error;
}

static error_t parse_settings(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    mary_convert_options *convert = &given->convert;
    switch (key) {
    case 'm':
        return parse_int(state, "--levels", argument, 2, 256, &convert->levels);
    case KEY_BITS: {
        int bits = 0;
        error_t error = parse_int(state, "--bits", argument, 1, 8, &bits);
        if (error == 0)
            convert->levels = 1 << bits;
        return error;
    }
    case KEY_FIRST_LAST:
        if (strcmp(argument, "same") == 0) {
            convert->first_last_levels = MARY_SAME_LEVELS;
            return 0;
        }
        return parse_int(state, "--first-last", argument, 2, 256, &convert->first_last_levels);
    case KEY_METHOD:
        convert->method = argument;
        return 0;
    case KEY_PER_CHANNEL:
    case KEY_PER_TENSOR:
    case KEY_PER_MODEL:
        if (convert->granularity != MARY_GRANULARITY_AUTO)
            return mary_cli_usage(state, "--per-channel, --per-tensor and --per-model exclude each other");
        convert->granularity = key == KEY_PER_CHANNEL  ? MARY_GRANULARITY_CHANNEL
                               : key == KEY_PER_TENSOR ? MARY_GRANULARITY_TENSOR
                                                       : MARY_GRANULARITY_MODEL;
        return 0;
    case KEY_IMPORTANCE:
        convert->importance = argument;
        return 0;
    case KEY_ENTROPY:
        return mary_cli_parse_double(state, "--entropy", argument, 1e-3, 8, &convert->entropy);
    case KEY_EXCLUDE:
        return add_items(&given->exclude, state, "--nodes-to-exclude", argument);
    case KEY_INCLUDE:
        return add_items(&given->include, state, "--nodes-to-include", argument);
    case KEY_OP_TYPES:
        return add_items(&given->op_types, state, "--op-types", argument);
    case KEY_CONFIG:
        convert->config = argument;
        return 0;
    case KEY_SEED: {
        int64_t seed = 0;
        error_t error = mary_cli_parse_int(state, "--seed", argument, 0, INT64_MAX, &seed);
        convert->seed = (uint64_t)seed;
        return error;
    }
    case 't':
        return parse_int(state, "--threads", argument, 0, 1024, &convert->threads);
    case KEY_ACTIVATIONS:
        if (strcmp(argument, "8") != 0 && strcmp(argument, "float") != 0)
            return mary_cli_usage(state, "--activations is 8 or float, not '%s'", argument);
        convert->activations = strcmp(argument, "8") == 0 ? 8 : 0;
        return 0;
    case KEY_CALIBRATION_METHOD:
        convert->calibration_method = argument;
        return 0;
    case KEY_NO_BIAS_CORRECTION:
        convert->no_bias_correction = true;
        return 0;
    case KEY_NO_EQUALIZATION:
        convert->no_equalization = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &given->calibration;
        state->child_inputs[1] = &given->goal;
        return 0;
    case KEY_NO_FUNCTIONS:
        given->convert.no_functions = true;
        return 0;
    case KEY_NO_FOLD_CONSTANTS:
        given->convert.no_fold_constants = true;
        return 0;
    case KEY_NO_FOLD_BATCHNORM:
        given->convert.no_fold_batchnorm = true;
        return 0;
    case KEY_NO_REMOVE_IDENTITY:
        given->convert.no_remove_identity = true;
        return 0;
    case KEY_NO_DEDUPLICATE:
        given->convert.no_deduplicate = true;
        return 0;
    case KEY_NO_DROP_UNUSED:
        given->convert.no_drop_unused = true;
        return 0;
    case KEY_REPORT: {
        size_t length = strlen(argument);
        if (length < 5 || strcmp(argument + length - 5, ".json") != 0)
            return mary_cli_usage(state, "--report writes FILE.json, not '%s' ('mary validate' writes HTML)", argument);
        given->report = argument;
        return 0;
    }
    case 'q':
        given->quiet = true;
        return 0;
    case 'o':
        given->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        return mary_cli_take_path(state, argument, &given->input, &given->output);
    case ARGP_KEY_END:
        if (given->input == NULL || given->output == NULL)
            return mary_cli_usage(state, "which models? mary convert IN.onnx OUT.onnx");
        if (given->convert.activations == 8 && given->calibration.source_count == 0)
            return mary_cli_usage(
                state,
                "--activations 8 needs --calibration-data PATH: some hundred sample inputs (.npz, .npy, IDX, ONNX test "
                "data or a folder of images), from which the range of every activation is measured");
        return mary_cli_goal_check(&given->goal, state, &given->convert, given->calibration.source_count > 0);
    default:
        return parse_settings(key, argument, state);
    }
}

static const struct argp_child children[] = {
    {&mary_data_calibration_argp, 0, NULL, 0}, {&mary_cli_goal_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "IN.onnx OUT.onnx",
    .doc = "Give every weight of Conv, ConvTranspose, Gemm and MatMul one of M levels, chosen to lose as little as "
           "possible, and write an ONNX file that is smaller by as much."
           "\vThe layers that stay float, and why, are in the table. A glob that matches no node is an error.\n"
           "Example: mary convert resnet50.onnx resnet50-m4.onnx --levels 4 --nodes-to-exclude '*downsample*'",
    .children = children,
};

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    mary_progress *progress = context;
    if (progress->total == 0)
        mary_progress_start(progress, "converting", total);
    mary_progress_update(progress, done);
}

/* What --pack and goals write. */
static mary_status write_file(const arguments *given, const void *bytes, size_t size, uint64_t *after)
{
    *after = size;
    return mary_output_write(given->output, bytes, size);
}

static mary_status write_packed(const arguments *given, const mary_model *model, uint64_t *after)
{
    const mary_pack_options packing = {.threads = given->convert.threads};
    void *bytes = NULL, *packed = NULL;
    size_t size, packed_size;
    MARY_TRY(mary_model_save_memory(model, &bytes, &size));
    mary_status status = mary_pack(bytes, size, &packing, &packed, &packed_size, NULL);
    if (status == MARY_OK)
        status = write_file(given, packed, packed_size, after);
    mary_bytes_free(packed);
    mary_bytes_free(bytes);
    return status;
}

/* The report and the file, by the options as they are. */
static mary_status convert_plainly(arguments *given, mary_model *model, mary_convert_report **report, uint64_t *after)
{
    mary_status status = mary_convert(model, &given->convert, report);
    mary_progress_finish(&given->progress);
    MARY_TRY(status);
    if (given->goal.goal.pack)
        return write_packed(given, model, after);
    MARY_TRY(mary_model_save(model, given->output));
    *after = mary_convert_totals_of(*report)->file_after;
    return MARY_OK;
}

static mary_status convert_to_goal(arguments *given, const mary_model *model, mary_goal_result **found, uint64_t *after)
{
    size_t size;
    mary_status status = mary_convert_to_goal(model, &given->convert, &given->goal.goal, found);
    mary_cli_goal_progress_finish(&given->goal);
    MARY_TRY(status);
    const void *bytes = mary_goal_file(*found, &size);
    return write_file(given, bytes, size, after);
}

static mary_status print(const arguments *given, const mary_convert_report *report, const mary_goal_result *found,
                         uint64_t before, uint64_t after)
{
    if (given->report != NULL) {
        json_t *root = mary_convert_report_json(report, given->input, given->output, before, after);
        if (root != NULL && found != NULL)
            json_object_set_new(root, "goal", mary_cli_goal_json(&given->goal, found));
        MARY_TRY(mary_json_write(root, given->report));
    }
    if (given->quiet)
        return MARY_OK;
    MARY_TRY(mary_convert_report_print(report, given->input, given->output, before, after));
    return found == NULL ? MARY_OK : mary_cli_goal_print(&given->goal, found);
}

static mary_status convert(arguments *given)
{
    mary_model *model = NULL;
    mary_convert_report *made = NULL;
    mary_goal_result *found = NULL;
    mary_cli_calibration calibration = {0};
    uint64_t before = 0, after = 0;
    mary_status status = mary_model_load(given->input, &model);
    if (status != MARY_OK)
        return status;
    if (given->calibration.source_count > 0) {
        MARY_TRY_GOTO(mary_cli_calibration_open(&calibration, &given->calibration, model), done);
        given->convert.calibration = &calibration.callback;
        if (mary_data_unscaled(calibration.data))
            mary_cli_warn("mary convert",
                          "8-bit calibration data goes into the model unscaled: is --scale 1/255 missing?");
    }
    MARY_TRY_GOTO(mary_cli_model_bytes(model, given->input, &before), done);
    if (!given->quiet) {
        given->convert.progress = show_progress;
        given->convert.progress_context = &given->progress;
    }
    mary_cli_goal_prepare(&given->goal, before, given->quiet, given->report != NULL);
    if (given->goal.option != NULL)
        MARY_TRY_GOTO(convert_to_goal(given, model, &found, &after), done);
    else
        MARY_TRY_GOTO(convert_plainly(given, model, &made, &after), done);
    const mary_convert_report *report = found != NULL ? mary_goal_report(found) : made;
    for (size_t i = 0; !given->quiet && mary_convert_warning(report, i) != NULL; i++)
        mary_cli_warn("mary convert", "%s", mary_convert_warning(report, i));
    status = print(given, report, found, before, after);
done:
    mary_cli_calibration_close(&calibration);
    mary_goal_result_free(&found);
    mary_convert_report_free(&made);
    mary_model_free(&model);
    return status;
}

int mary_cli_convert(int argc, char **argv)
{
    arguments given = {0};
    mary_data_options_default(&given.calibration);
    given.calibration.training = true;
    given.calibration.spread = true;
    given.calibration.usual_batch = MARY_CALIBRATION_BATCH;
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    if (given.calibration.first == 0)
        given.calibration.first = given.goal.option != NULL ? MARY_GOAL_SAMPLES : MARY_CALIBRATION_SAMPLES;
    given.convert.include = given.include.items;
    given.convert.include_count = given.include.count;
    given.convert.exclude = given.exclude.items;
    given.convert.exclude_count = given.exclude.count;
    given.convert.op_types = given.op_types.items;
    given.convert.op_type_count = given.op_types.count;
    return mary_cli_finish("mary convert", convert(&given));
}
