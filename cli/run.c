/* mary run: one run of a model, its outputs summarised and written. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/data/data.h"
#include "validate/metrics.h"
#include "cli/model.h"
#include "cli/verbs.h"
#include "cli/write.h"

typedef struct arguments {
    const char *model, *output;
    mary_session_options session;
    mary_data_options data;
    mary_cli_shapes shapes;
    bool random, pb;
    int64_t seed;
} arguments;

enum { KEY_RANDOM = 0x3000, KEY_SHAPE, KEY_SEED, KEY_FORMAT };

static const struct argp_option options[] = {
    {"input", 'i', "[INPUT=]PATH[:ARRAY]", 0,
     "What to feed: .npz, .npy, IDX, or a folder of ONNX test data (then outputs are compared with output_N.pb). All "
     "samples go "
     "into one run; see --first. Repeat it for several inputs",
     1},
    {"random", KEY_RANDOM, NULL, 0, "Feed normal random numbers (integers: 0 or 1)", 1},
    {"input-shape", KEY_SHAPE, "NAME:D1,D2,...", 0, "Shape of a random input whose dimensions are symbolic", 1},
    {"seed", KEY_SEED, "N", 0, "Seed of --random (default 0)", 1},
    {"output", 'o', "PATH", 0, "Write the outputs: to FILE.npz, FILE.npy (one output), or into a folder, a file each",
     2},
    {"format", KEY_FORMAT, "npy|pb", 0, "What a folder gets: NAME.npy (default), or output_N.pb as in ONNX test data",
     2},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &given->data;
        state->child_inputs[1] = &given->session;
        return 0;
    case 'i':
        if (given->data.source_count == MARY_DATA_SOURCES)
            return mary_cli_usage(state, "--input was given more than %d times", MARY_DATA_SOURCES);
        given->data.sources[given->data.source_count++] = argument;
        return 0;
    case KEY_RANDOM:
        given->random = true;
        return 0;
    case KEY_SHAPE:
        return mary_cli_shapes_add(&given->shapes, state, argument);
    case KEY_SEED:
        return mary_cli_parse_int(state, "--seed", argument, 0, INT64_MAX, &given->seed);
    case 'o':
        given->output = argument;
        return 0;
    case KEY_FORMAT:
        given->pb = strcmp(argument, "pb") == 0;
        if (!given->pb && strcmp(argument, "npy") != 0)
            return mary_cli_usage(state, "--format takes npy or pb, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (given->model != NULL)
            return mary_cli_usage(state, "one model only: '%s' is too many", argument);
        given->model = argument;
        return 0;
    case ARGP_KEY_END:
        if (given->model == NULL)
            return mary_cli_usage(state, "which model? mary run MODEL.onnx --input PATH (or --random)");
        if (!given->random && given->data.source_count == 0)
            return mary_cli_usage(state, "nothing to feed: give --input PATH or --random");
        if (given->random && given->data.source_count > 0)
            return mary_cli_usage(state, "--input and --random exclude each other");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {
    {&mary_data_fit_argp, 0, NULL, 0}, {&mary_cli_session_argp, 0, "Running:", 20}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "MODEL.onnx",
    .doc = "Run a model once and show its outputs: name, type, shape, smallest, largest and mean value, best classes."
           "\vExample: mary run lenet5.onnx -i mnist.npz:x_test --first 3 --scale 1/255 --mean 0.1307 --std 0.3081",
    .children = children,
};

static mary_shape shape_of(const mary_array *array)
{
    mary_shape shape = {.rank = array->rank};
    memcpy(shape.dims, array->dims, sizeof shape.dims);
    return shape;
}

/* The five best classes of the first rows. */
static void print_classes(const mary_array *output)
{
    enum { ROWS = 5, BEST = 5 };
    mary_scores scores;
    if (output->rank < 1 || !mary_scores_view(output, output->dims[0], &scores))
        return;
    for (int64_t row = 0; row < scores.rows && row < ROWS; row++) {
        if (mary_scores_best(&scores, row) < 0) {
            printf("  row %lld: NaN among the scores\n", (long long)row);
            continue;
        }
        printf("  row %lld:", (long long)row);
        int64_t shown = scores.classes < BEST ? scores.classes : BEST;
        for (int64_t wanted = 0; wanted < shown; wanted++) {
            for (int64_t c = 0; c < scores.classes; c++) {
                if (mary_scores_rank(&scores, row, c) == wanted) {
                    printf("%s class %lld (%.4g)", wanted == 0 ? "" : ",", (long long)c,
                           (double)scores.values[row * scores.classes + c]);
                    break;
                }
            }
        }
        printf("\n");
    }
    if (scores.rows > ROWS)
        printf("  ... and %lld more rows\n", (long long)(scores.rows - ROWS));
}

static void print_output(const mary_array *output)
{
    mary_shape shape = shape_of(output);
    char text[160];
    int64_t count = mary_shape_count(&shape), infinite = 0, nan = 0;
    printf("%s %s %s", output->name, mary_type_name(output->type), mary_shape_format(&shape, text, sizeof text));
    if (mary_type_size(output->type) == 0 || count == 0) {
        printf("\n");
        return;
    }
    mary_tensor tensor = {.type = output->type, .shape = shape, .data = output->data};
    double least = INFINITY, most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = mary_tensor_double(&tensor, i);
        if (isnan(value)) {
            nan++;
        } else {
            infinite += isinf(value) != 0;
            least = fmin(least, value);
            most = fmax(most, value);
            sum += value;
        }
    }
    if (nan < count)
        printf("  min %.6g  max %.6g  mean %.6g", least, most, sum / (double)(count - nan));
    if (nan > 0)
        printf("  NaN %lld", (long long)nan);
    if (infinite > 0)
        printf("  infinite %lld", (long long)infinite);
    printf("\n");
    print_classes(output);
}

/* Recorded outputs of ONNX test data against ours. */
static mary_status compare(const mary_batch *batch, const mary_array *outputs, int output_count)
{
    for (int i = 0; i < batch->expected_count && i < output_count; i++) {
        mary_array expected = batch->expected[i];
        expected.name = outputs[i].name;
        mary_similarity similarity = {0};
        MARY_TRY(mary_similarity_add(&similarity, &expected, &outputs[i]));
        printf("%s against output_%d.pb: cosine %.8f, SQNR %.1f dB, largest difference %.3g", outputs[i].name, i,
               mary_similarity_cosine(&similarity), mary_similarity_sqnr(&similarity), similarity.max_abs);
        if (similarity.not_finite > 0)
            printf(", %llu elements are finite in only one", (unsigned long long)similarity.not_finite);
        printf("\n");
    }
    return MARY_OK;
}

static mary_status run_batch(const arguments *given, mary_cli_model *model, const mary_batch *batch, const char *output)
{
    mary_array *outputs = mary_calloc((size_t)model->output_count, sizeof *outputs);
    if (outputs == NULL)
        return mary_fail_memory((size_t)model->output_count * sizeof *outputs);
    double begin = mary_cli_now();
    mary_status status =
        mary_session_run(model->session, batch->inputs, batch->input_count, outputs, model->output_count);
    double seconds = mary_cli_now() - begin;
    if (status == MARY_OK) {
        for (int i = 0; i < model->output_count; i++)
            print_output(&outputs[i]);
        printf("ran in %.3f ms\n", seconds * 1e3);
        status = compare(batch, outputs, model->output_count);
    }
    if (status == MARY_OK && output != NULL)
        status = mary_write_outputs(output, given->pb, outputs, model->output_count);
    for (int i = 0; i < model->output_count; i++)
        mary_array_free(&outputs[i]);
    mary_free(outputs);
    return status;
}

static mary_status run_random(const arguments *given, mary_cli_model *model)
{
    MARY_TRY(mary_cli_shapes_check(&given->shapes, model->inputs, model->input_count));
    mary_array *inputs = mary_calloc((size_t)model->input_count, sizeof *inputs);
    if (inputs == NULL)
        return mary_fail_memory((size_t)model->input_count * sizeof *inputs);
    mary_status status = MARY_OK;
    int64_t batch = given->data.batch > 0 ? given->data.batch : 1;
    for (int i = 0; i < model->input_count && status == MARY_OK; i++) {
        status = mary_cli_shapes_apply(&given->shapes, &model->inputs[i], batch, &inputs[i]);
        if (status == MARY_OK)
            status = mary_random_array(&inputs[i], (uint64_t)given->seed, i);
    }
    if (status == MARY_OK) {
        mary_batch made = {.inputs = inputs, .input_count = model->input_count};
        status = run_batch(given, model, &made, given->output);
    }
    for (int i = 0; i < model->input_count; i++)
        mary_free(inputs[i].data);
    mary_free(inputs);
    return status;
}

static mary_status run_data(const arguments *given, mary_cli_model *model)
{
    mary_data_options how = given->data;
    how.whole = how.batch == 0;
    mary_data *data = NULL;
    MARY_TRY(mary_data_open(&how, model->inputs, model->input_count, &data));
    if (mary_data_unscaled(data))
        mary_cli_warn("mary run", "8-bit data is fed as 0..255; --scale, --mean and --std would change that");
    mary_status status = MARY_OK;
    int64_t left = mary_data_count(data);
    int folders = 0;
    for (mary_batch batch; status == MARY_OK;) {
        status = mary_data_next(data, &batch);
        if (status != MARY_OK || batch.size == 0)
            break;
        status = run_batch(given, model, &batch, folders == 0 ? given->output : NULL);
        left -= batch.size;
        folders++;
        if (left > 0 && status == MARY_OK) {
            mary_cli_warn("mary run",
                          "the model takes %lld samples at a time: the first ones were run, %lld more are left",
                          (long long)batch.rows, (long long)left);
            break;
        }
    }
    mary_data_close(&data);
    return status;
}

int mary_cli_run(int argc, char **argv)
{
    arguments given = {0};
    mary_data_options_default(&given.data);
    if (mary_cli_parse(&argp, argc, argv, &given) != MARY_OK)
        return MARY_ERROR_USAGE;
    mary_cli_model model;
    mary_status status = mary_cli_model_open(&model, given.model, &given.session);
    if (status != MARY_OK)
        return mary_cli_finish(argv[0], status);
    status = given.random ? run_random(&given, &model) : run_data(&given, &model);
    mary_cli_model_close(&model);
    return mary_cli_finish(argv[0], status);
}
