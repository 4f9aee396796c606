/* mary tune: prune, train, few levels, train these: a float model in, an M-ary one out that packs small. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/json.h"
#include "cli/samples.h"
#include "cli/verbs.h"

typedef struct arguments {
    const char *input, *output, *report, *teacher;
    mary_data_options data;
    mary_tune_options tune;
    const char *loss;
    bool quiet;
} arguments;

/* What is reported besides mary_tune's own result. */
typedef struct outcome {
    mary_tune_result result;
    uint64_t before, after;    /* bytes of the files */
    size_t huffman, automatic; /* bytes that `mary pack` makes of it */
    json_t *epochs;            /* NULL: no report is wanted */
    bool quiet;
} outcome;

enum {
    KEY_KEEP = 0x4000,
    KEY_PER_LAYER,
    KEY_METHOD,
    KEY_IMPORTANCE,
    KEY_ENTROPY,
    KEY_PER_MODEL,
    KEY_PRECISION,
    KEY_NO_LEVELS,
    KEY_EPOCHS,
    KEY_LEVEL_EPOCHS,
    KEY_CODED_EPOCHS,
    KEY_CODED_RATE,
    KEY_RATE,
    KEY_LEVEL_RATE,
    KEY_RELATIVE,
    KEY_WARMUP,
    KEY_SCHEDULE,
    KEY_DECAY,
    KEY_HOLDOUT,
    KEY_AUGMENT,
    KEY_LOSS,
    KEY_TEACHER,
    KEY_TEMPERATURE,
    KEY_LABEL_SHARE,
    KEY_LOGITS,
    KEY_SEED,
    KEY_CHECKPOINT,
    KEY_RESUME,
    KEY_NO_FUNCTIONS,
    KEY_REPORT
};

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Where to write; the second argument does the same", 1},
    {"keep", KEY_KEEP, "PART", 0, "Part of the weights that is not pruned, such as 0.08 (default 0.1; 1: none is)", 1},
    {"per-layer", KEY_PER_LAYER, NULL, 0,
     "Keep that part of every layer. Without it layers differ: weights of all of them are compared", 1},
    {"levels", 'm', "M", 0, "Values of a layer's kept weights, besides zero: 1 to 255 (default 15)", 1},
    {"method", KEY_METHOD, "NAME", 0,
     "How they are chosen: kmeans (default), hessian, uniform, ecsq, magnitude or spaced, as in 'mary convert'", 1},
    {"importance", KEY_IMPORTANCE, "NAME", 0,
     "What a weight's squared error counts: hessian, fisher, adam (its second moment), none, or auto (default): as the "
     "method would have it. Measured on training data",
     1},
    {"entropy", KEY_ENTROPY, "BITS", 0,
     "Bits per kept weight that the codes of --method ecsq may have, or with --coded-epochs those of the model", 1},
    {"per-model", KEY_PER_MODEL, NULL, 0, "One set of values for all layers", 1},
    {"precision", KEY_PRECISION, "BITS", 0,
     "Significant bits of levels and biases in the end (default 10: to a thousandth; 24: as they are)", 1},
    {"no-levels", KEY_NO_LEVELS, NULL, 0, "Prune and train only: the output is a float model", 1},
    {"epochs", KEY_EPOCHS, "N", 0, "Passes over the training data in all (default 20; 0: only choose levels)", 2},
    {"level-epochs", KEY_LEVEL_EPOCHS, "N", 0,
     "The last of these train the levels (default: a quarter); the first half of the others prunes", 2},
    {"coded-epochs", KEY_CODED_EPOCHS, "N", 0,
     "Before these, so many train weights and levels together: weights may still change theirs (default 0)", 2},
    {"rate", KEY_RATE, "R", 0, "Adam's learning rate (default 0.001)", 2},
    {"level-rate", KEY_LEVEL_RATE, "R", 0, "The same for levels (default: a tenth of it)", 2},
    {"coded-rate", KEY_CODED_RATE, "R", 0, "The same for --coded-epochs (default: a third of it)", 2},
    {"relative-rates", KEY_RELATIVE, NULL, 0,
     "Rates are parts of the weights' own size, layer by layer (default rate then 0.01): for deep networks", 2},
    {"warmup", KEY_WARMUP, "EPOCHS", 0, "So many first ones rise to the rate, and again with the levels (default 0)",
     2},
    {"schedule", KEY_SCHEDULE, "NAME", 0, "Of the rates: cosine (default), constant, steps or exponential", 2},
    {"weight-decay", KEY_DECAY, "R", 0, "Times the weight is added to its gradient (default 0)", 2},
    {"augment", KEY_AUGMENT, "LIST", 0,
     "Of crop=N (shift images by up to N pixels), flip (mirror every other one), cutout=N (blank a square of N pixels) "
     "and mixup=PART (mix that part of the samples with others; with distillation)",
     2},
    {"loss", KEY_LOSS, "NAME", 0,
     "cross-entropy (default where there are labels), or distillation: learn what the model says now", 2},
    {"teacher", KEY_TEACHER, "FILE", 0, "Learn what this model says instead (implies --loss distillation)", 2},
    {"temperature", KEY_TEMPERATURE, "T", 0, "Of the distillation (default 2)", 2},
    {"label-share", KEY_LABEL_SHARE, "PART", 0,
     "Of the distillation: the true class's part of what is learnt (default 0)", 2},
    {"logits", KEY_LOGITS, "NAME", 0, "The output with the logits (default: the first)", 2},
    {"holdout", KEY_HOLDOUT, "PART", 0, "Part of the data that is not trained with but measured on (default 0.1)", 2},
    {"seed", KEY_SEED, "N", 0, "Of the order of samples and of the augmentation (default 0)", 3},
    {"threads", 't', "N", 0, "Threads (0, the default: one per processor); the result is the same", 3},
    {"checkpoint", KEY_CHECKPOINT, "FILE", 0, "Write the state of the training after every epoch", 3},
    {"resume", KEY_RESUME, NULL, 0, "Go on from --checkpoint, if it is there; the result is the same to the last bit",
     3},
    {"no-functions", KEY_NO_FUNCTIONS, NULL, 0, "Leave out the function bodies that let any ONNX Runtime run the file",
     4},
    {"report", KEY_REPORT, "FILE.json", 0, "Write epochs, accuracy and sizes as JSON", 4},
    {"quiet", 'q', NULL, 0, "Print nothing but errors", 4},
    {0},
};

/* "crop=4,flip", in place: argv is ours to write. */
static error_t parse_augment(const struct argp_state *state, char *text, mary_augmentation *augment)
{
    for (char *save = NULL, *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        error_t error = 0;
        if (strcmp(item, "flip") == 0)
            augment->flip = true;
        else if (strncmp(item, "crop=", 5) == 0)
            error = mary_cli_parse_int(state, "--augment crop", item + 5, 0, 1 << 16, &augment->crop);
        else if (strncmp(item, "cutout=", 7) == 0)
            error = mary_cli_parse_int(state, "--augment cutout", item + 7, 0, 1 << 16, &augment->cutout);
        else if (strncmp(item, "mixup=", 6) == 0)
            error = mary_cli_parse_double(state, "--augment mixup", item + 6, 0, 1, &augment->mixup);
        else
            return mary_cli_usage(state, "--augment takes crop=N, flip, cutout=N and mixup=PART, not '%s'", item);
        if (error != 0)
            return error;
    }
    return 0;
}

static error_t parse_epochs(const struct argp_state *state, const char *option, const char *text, int64_t *epochs)
{
    error_t error = mary_cli_parse_int(state, option, text, 0, 1 << 20, epochs);
    if (error == 0 && *epochs == 0)
        *epochs = MARY_NO_EPOCHS;
    return error;
}

static error_t parse_levels(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    mary_tune_options *tune = &given->tune;
    int64_t number = 0;
    switch (key) {
    case 'm':
        if (mary_cli_parse_int(state, "--levels", argument, 1, 255, &number) != 0)
            return EINVAL;
        tune->levels = (int)number;
        return 0;
    case KEY_METHOD:
        tune->method = argument;
        return 0;
    case KEY_IMPORTANCE:
        tune->importance = argument;
        return 0;
    case KEY_ENTROPY:
        return mary_cli_parse_double(state, "--entropy", argument, 1e-3, 8, &tune->entropy);
    case KEY_PER_MODEL:
        tune->per_model = true;
        return 0;
    case KEY_PRECISION:
        if (mary_cli_parse_int(state, "--precision", argument, 2, 24, &number) != 0)
            return EINVAL;
        tune->precision = (int)number;
        return 0;
    case KEY_NO_LEVELS:
        tune->no_levels = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_training(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    mary_tune_options *tune = &given->tune;
    int64_t number = 0;
    switch (key) {
    case KEY_EPOCHS:
        return parse_epochs(state, "--epochs", argument, &tune->epochs);
    case KEY_LEVEL_EPOCHS:
        return parse_epochs(state, "--level-epochs", argument, &tune->level_epochs);
    case KEY_CODED_EPOCHS:
        return mary_cli_parse_int(state, "--coded-epochs", argument, 0, 1 << 20, &tune->coded_epochs);
    case KEY_CODED_RATE:
        return mary_cli_parse_double(state, "--coded-rate", argument, 1e-12, 1e3, &tune->coded_rate);
    case KEY_RATE:
        return mary_cli_parse_double(state, "--rate", argument, 1e-12, 1e3, &tune->rate);
    case KEY_LEVEL_RATE:
        return mary_cli_parse_double(state, "--level-rate", argument, 1e-12, 1e3, &tune->level_rate);
    case KEY_RELATIVE:
        tune->relative = true;
        return 0;
    case KEY_WARMUP:
        return mary_cli_parse_double(state, "--warmup", argument, 0, 1e6, &tune->warmup);
    case KEY_SCHEDULE:
        tune->schedule = argument;
        return 0;
    case KEY_DECAY:
        return mary_cli_parse_double(state, "--weight-decay", argument, 0, 1, &tune->weight_decay);
    case KEY_AUGMENT:
        return parse_augment(state, argument, &tune->augment);
    case KEY_LOSS:
        if (strcmp(argument, "cross-entropy") != 0 && strcmp(argument, "distillation") != 0)
            return mary_cli_usage(state, "--loss is cross-entropy or distillation, not '%s'", argument);
        given->loss = argument;
        return 0;
    case KEY_TEACHER:
        given->teacher = argument;
        return 0;
    case KEY_TEMPERATURE:
        return mary_cli_parse_double(state, "--temperature", argument, 0.01, 1e3, &tune->temperature);
    case KEY_LABEL_SHARE:
        return mary_cli_parse_double(state, "--label-share", argument, 0, 1, &tune->label_share);
    case KEY_LOGITS:
        tune->output = argument;
        return 0;
    case KEY_HOLDOUT:
        return mary_cli_parse_double(state, "--holdout", argument, 0, 0.9, &tune->holdout);
    case KEY_SEED:
        if (mary_cli_parse_int(state, "--seed", argument, 0, INT64_MAX, &number) != 0)
            return EINVAL;
        tune->seed = (uint64_t)number;
        return 0;
    case 't':
        if (mary_cli_parse_int(state, "--threads", argument, 0, 1024, &number) != 0)
            return EINVAL;
        tune->threads = (int)number;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t check(const arguments *given, const struct argp_state *state)
{
    if (given->input == NULL || given->output == NULL)
        return mary_cli_usage(state, "which models? mary tune IN.onnx OUT.onnx --data TRAIN");
    if (given->data.source_count == 0)
        return mary_cli_usage(state, "--data PATH is missing: what is the model to be trained with?");
    if (given->tune.resume && given->tune.checkpoint == NULL)
        return mary_cli_usage(state, "--resume goes with --checkpoint FILE");
    if (given->teacher != NULL && given->loss != NULL && strcmp(given->loss, "distillation") != 0)
        return mary_cli_usage(state, "--teacher goes with --loss distillation");
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &given->data;
        return 0;
    case KEY_KEEP:
        return mary_cli_parse_double(state, "--keep", argument, 1e-9, 1, &given->tune.keep);
    case KEY_PER_LAYER:
        given->tune.per_layer = true;
        return 0;
    case KEY_CHECKPOINT:
        given->tune.checkpoint = argument;
        return 0;
    case KEY_RESUME:
        given->tune.resume = true;
        return 0;
    case KEY_NO_FUNCTIONS:
        given->tune.no_functions = true;
        return 0;
    case KEY_REPORT:
        given->report = argument;
        return 0;
    case 'q':
        given->quiet = true;
        return 0;
    case 'o':
        given->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        return mary_cli_take_path(state, argument, &given->input, &given->output);
    case ARGP_KEY_END:
        return check(given, state);
    default: {
        error_t error = parse_levels(key, argument, state);
        return error == ARGP_ERR_UNKNOWN ? parse_training(key, argument, state) : error;
    }
    }
}

static const struct argp_child children[] = {{&mary_data_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "IN.onnx OUT.onnx",
    .doc = "Prune a float model and train it on, give what is left of each layer a few values, and train these. The "
           "result is an M-ary model like those of 'mary convert', and 'mary pack' makes it very small."
           "\vExample: mary tune lenet5.onnx small.onnx --data mnist.npz --scale 1/255 --keep 0.05 --augment crop=2",
    .children = children,
};

/* ---- output ---- */

static void add_real(json_t *object, const char *name, double value)
{
    if (value >= 0)
        json_object_set_new(object, name, mary_json_real(value));
}

static void on_epoch(void *context, const mary_tune_epoch *e)
{
    outcome *out = context;
    char accuracy[64] = "";
    if (e->accuracy >= 0)
        snprintf(accuracy, sizeof accuracy, ", %.2f %% of the held-out samples right", 100 * e->accuracy);
    if (!out->quiet)
        fprintf(stderr, "epoch %" PRId64 "/%" PRId64 " (%s): loss %.5f, %.2f %% of the weights kept%s\n", e->epoch + 1,
                e->epochs, e->phase, e->loss, 100 * e->kept, accuracy);
    if (out->epochs == NULL)
        return;
    json_t *object = json_object();
    json_object_set_new(object, "epoch", json_integer(e->epoch));
    json_object_set_new(object, "phase", json_string(e->phase));
    json_object_set_new(object, "rate", mary_json_real(e->rate));
    json_object_set_new(object, "loss", mary_json_real(e->loss));
    json_object_set_new(object, "kept", mary_json_real(e->kept));
    add_real(object, "accuracy", e->accuracy);
    json_array_append_new(out->epochs, object);
}

static json_t *report(const arguments *given, const outcome *out)
{
    const mary_tune_result *r = &out->result;
    json_t *root = json_object();
    json_object_set_new(root, "mary", mary_json_text(mary_version()));
    json_object_set_new(root, "input", mary_json_text(given->input));
    json_object_set_new(root, "output", mary_json_text(given->output));
    json_object_set_new(root, "samples", json_integer(r->samples));
    json_object_set_new(root, "held_out", json_integer(r->held_out));
    json_object_set_new(root, "layers", json_integer(r->layers));
    json_object_set_new(root, "weights", json_integer((json_int_t)r->weights));
    json_object_set_new(root, "kept", json_integer((json_int_t)r->kept));
    add_real(root, "accuracy_before", r->before);
    add_real(root, "accuracy_trained", r->trained);
    add_real(root, "accuracy_chosen", r->chosen);
    add_real(root, "accuracy_after", r->after);
    json_object_set_new(root, "file_bytes_before", json_integer((json_int_t)out->before));
    json_object_set_new(root, "file_bytes_after", json_integer((json_int_t)out->after));
    json_object_set_new(root, "packed_bytes", json_integer((json_int_t)out->automatic));
    json_object_set_new(root, "packed_bytes_huffman", json_integer((json_int_t)out->huffman));
    json_object_set(root, "epochs", out->epochs);
    return root;
}

/* What `mary pack` would make of the model. */
static mary_status measure(const mary_model *model, outcome *out)
{
    void *bytes = NULL, *packed = NULL;
    size_t size;
    MARY_TRY(mary_model_save_memory(model, &bytes, &size));
    out->after = size;
    mary_status status = mary_pack(bytes, size, &(mary_pack_options){.coder = "huffman"}, &packed, &out->huffman, NULL);
    mary_bytes_free(packed);
    packed = NULL;
    if (status == MARY_OK)
        status = mary_pack(bytes, size, NULL, &packed, &out->automatic, NULL);
    mary_bytes_free(packed);
    mary_bytes_free(bytes);
    return status;
}

static void print(const arguments *given, const outcome *out)
{
    const mary_tune_result *r = &out->result;
    char before[32], after[32], packed[32];
    printf("weights   %" PRIu64 " of %d layers, %" PRIu64 " kept (%.2f %%)\n", r->weights, r->layers, r->kept,
           r->weights > 0 ? 100 * (double)r->kept / (double)r->weights : 0);
    printf("samples   %" PRId64 " trained with, %" PRId64 " held out\n", r->samples, r->held_out);
    if (r->after >= 0 && r->before >= 0)
        printf("right     %.2f %% of those held out, %.2f %% before\n", 100 * r->after, 100 * r->before);
    printf("file      %s (%s) -> %s (%s); packed %s (%.2f times smaller), by Huffman codes %.2f times\n",
           mary_cli_format_bytes((double)out->before, before, sizeof before), mary_cli_base_name(given->input),
           mary_cli_format_bytes((double)out->after, after, sizeof after), mary_cli_base_name(given->output),
           mary_cli_format_bytes((double)out->automatic, packed, sizeof packed),
           (double)out->before / (double)out->automatic, (double)out->before / (double)out->huffman);
}

static mary_status tune(arguments *given)
{
    mary_model *model = NULL, *teacher = NULL;
    mary_cli_samples samples = {0};
    mary_output place;
    outcome out = {.quiet = given->quiet};
    mary_status status = MARY_OK;
    MARY_TRY(mary_cli_file_bytes(given->input, &out.before));
    MARY_TRY(mary_output_open(&place, given->output)); /* so that hours of training are not for nothing */
    mary_output_discard(&place);
    MARY_TRY(mary_model_load(given->input, &model));
    if (given->teacher != NULL)
        MARY_TRY_GOTO(mary_model_load(given->teacher, &teacher), done);
    MARY_TRY_GOTO(mary_cli_samples_open(&samples, &given->data, model), done);
    if (samples.unscaled)
        mary_cli_warn("mary tune", "8-bit data goes into the model unscaled: is --scale 1/255 missing?");
    if (given->loss != NULL && strcmp(given->loss, "cross-entropy") == 0 && !samples.labelled) {
        status = mary_fail(MARY_ERROR_USAGE, "--loss cross-entropy needs labels (--labels PATH)");
        goto done;
    }
    if (given->report != NULL)
        out.epochs = json_array();
    given->tune.labels = samples.labelled;
    given->tune.distil = teacher != NULL || (given->loss != NULL && strcmp(given->loss, "distillation") == 0);
    given->tune.teacher = teacher;
    given->tune.batch = given->data.batch;
    given->tune.progress = on_epoch;
    given->tune.progress_context = &out;
    MARY_TRY_GOTO(mary_tune(&model, &samples.callback, &given->tune, &out.result), done);
    MARY_TRY_GOTO(mary_model_save(model, given->output), done);
    MARY_TRY_GOTO(measure(model, &out), done);
    if (given->report != NULL)
        MARY_TRY_GOTO(mary_json_write(report(given, &out), given->report), done);
    if (!given->quiet)
        print(given, &out);
done:
    json_decref(out.epochs);
    mary_cli_samples_close(&samples);
    mary_model_free(&model);
    mary_model_free(&teacher);
    return status;
}

int mary_cli_tune(int argc, char **argv)
{
    arguments given = {.tune.holdout = 0.1};
    mary_data_options_default(&given.data);
    given.data.training = true;
    given.data.spread = true;
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary tune", tune(&given));
}
