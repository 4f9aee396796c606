/* mary validate: what a conversion cost in accuracy and what it saved, over real data. */
#include <math.h>
#include <string.h>

#include "cli/data/data.h"
#include "cli/peak.h"
#include "cli/validation.h"
#include "cli/verbs.h"

enum { MAX_REPORTS = 4 };

typedef struct arguments {
    mary_model_source models[2];
    int model_count;
    mary_validate_options validate;
    mary_data_options data;
    double max_drop;
    bool layers;
    const char *reports[MAX_REPORTS];
    int report_count;
} arguments;

enum { KEY_MAX_DROP = 0x5000, KEY_REPORT, KEY_LAYERS, KEY_SCORES };

static const struct argp_option options[] = {
    {"max-drop", KEY_MAX_DROP, "POINTS", 0,
     "Fail (exit status 5) when top-1 falls by more than this many percentage points; needs labels", 1},
    {"per-layer", KEY_LAYERS, "N", OPTION_ARG_OPTIONAL,
     "Compare the output of every layer, both models fed the first N samples (default 64)", 1},
    {"report", KEY_REPORT, "FILE", 0, "Write a report to FILE.json or FILE.html (with --per-layer); may be repeated",
     1},
    {"scores", KEY_SCORES, "OUTPUT", 0, "Output with the class scores (default: the first of shape [N, classes])", 1},
    {0},
};

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), wanted = strlen(ending);
    return length >= wanted && strcmp(text + length - wanted, ending) == 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &given->data;
        state->child_inputs[1] = &given->validate.session;
        return 0;
    case KEY_MAX_DROP:
        return mary_cli_parse_double(state, "--max-drop", argument, 0, 100, &given->max_drop);
    case KEY_LAYERS:
        given->layers = true;
        if (argument == NULL)
            return 0;
        return mary_cli_parse_int(state, "--per-layer", argument, 1, INT64_MAX, &given->validate.layer_samples);
    case KEY_REPORT:
        if (!ends_with(argument, ".json") && !ends_with(argument, ".html"))
            return mary_cli_usage(state, "--report takes a name that ends in .json or .html, not '%s'", argument);
        if (given->report_count == MAX_REPORTS)
            return mary_cli_usage(state, "--report was given more than %d times", MAX_REPORTS);
        given->reports[given->report_count++] = argument;
        return 0;
    case KEY_SCORES:
        given->validate.scores = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (given->model_count == 2)
            return mary_cli_usage(state, "two models at most: '%s' is too many", argument);
        given->models[given->model_count++].path = argument;
        return 0;
    case ARGP_KEY_END:
        if (given->model_count == 0)
            return mary_cli_usage(state, "which models? mary validate FLOAT.onnx MARY.onnx --data PATH");
        if (given->data.source_count == 0)
            return mary_cli_usage(state, "--data PATH is missing");
        if (given->max_drop >= 0 && given->model_count < 2)
            return mary_cli_usage(state, "--max-drop needs two models");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {
    {&mary_data_argp, 0, NULL, 0}, {&mary_cli_session_argp, 0, "Running:", 20}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FLOAT.onnx [MARY.onnx]",
    .doc =
        "Run two models over a data set: top-1 and top-5 of each, agreement, how close their outputs are, time, bytes, "
        "memory. "
        "With one model: its accuracy."
        "\vExample: mary validate lenet5.onnx lenet5-m4.onnx --data mnist.npz --scale 1/255 --mean 0.1307 --std 0.3081 "
        "--max-drop 0.3 --report report.html",
    .children = children,
};

/* ---- the data set, as mary_validate asks for it ---- */

typedef struct feed {
    const arguments *given;
    const char *verb;
    mary_data *data;
    int passes;
    char *description;
    mary_array *shapes; /* of the first batch, names owned: for measuring memory afterwards */
    int shape_count;
    uint64_t fed;
    mary_progress progress;
} feed;

static mary_status begin(void *context, const mary_array *inputs, int input_count, int64_t samples)
{
    feed *to = context;
    const arguments *given = to->given;
    mary_data_options settings = given->data;
    if (samples > 0 && (settings.first == 0 || settings.first > samples))
        settings.first = samples;
    mary_progress_finish(&to->progress);
    mary_data_close(&to->data);
    MARY_TRY(mary_data_open(&settings, inputs, input_count, &to->data));
    to->fed = 0;
    mary_progress_start(&to->progress, to->passes == 0 ? "validating" : "comparing layers",
                        (uint64_t)mary_data_count(to->data));
    if (to->passes++ > 0)
        return MARY_OK;
    to->description = mary_strdup(mary_data_description(to->data));
    if (to->description == NULL)
        return mary_fail_memory(64);
    if (mary_data_unscaled(to->data))
        mary_cli_warn(to->verb, "8-bit data is fed as 0..255; --scale, --mean and --std would change that");
    return MARY_OK;
}

static mary_status remember_shapes(feed *to, const mary_batch *batch)
{
    to->shapes = mary_calloc((size_t)batch->input_count, sizeof *to->shapes);
    if (to->shapes == NULL)
        return mary_fail_memory((size_t)batch->input_count * sizeof *to->shapes);
    for (; to->shape_count < batch->input_count; to->shape_count++) {
        mary_array *shape = &to->shapes[to->shape_count];
        *shape = batch->inputs[to->shape_count];
        shape->name = mary_strdup(shape->name);
        if (shape->name == NULL)
            return mary_fail_memory(64);
    }
    return MARY_OK;
}

static mary_status next(void *context, mary_validation_batch *result)
{
    feed *to = context;
    mary_batch batch;
    mary_progress_update(&to->progress, to->fed);
    MARY_TRY(mary_data_next(to->data, &batch));
    if (batch.size == 0 && to->fed == 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: no samples", to->description);
    if (batch.size == 0)
        mary_progress_finish(&to->progress);
    else if (to->shapes == NULL)
        MARY_TRY(remember_shapes(to, &batch));
    to->fed += (uint64_t)batch.size;
    *result = (mary_validation_batch){.inputs = batch.inputs,
                                      .input_count = batch.input_count,
                                      .rows = batch.rows,
                                      .size = batch.size,
                                      .labels = batch.labels};
    return MARY_OK;
}

static void feed_close(feed *to)
{
    mary_progress_finish(&to->progress);
    mary_data_close(&to->data);
    for (int i = 0; i < to->shape_count; i++)
        mary_free((void *)(uintptr_t)to->shapes[i].name);
    mary_free(to->shapes);
    mary_free(to->description);
}

static mary_status validate(const arguments *given, const char *verb, feed *from, mary_validation **result)
{
    const mary_validation_data data = {from, begin, next};
    bool two = given->model_count == 2;
    mary_validate_options settings = given->validate;
    settings.layers = given->layers || given->report_count > 0;
    MARY_TRY(mary_validate(given->models, given->model_count, &data, &settings, result));
    mary_progress_finish(&from->progress);
    mary_validation *validation = *result;
    validation->max_drop = given->max_drop;
    validation->data = from->description;
    from->description = NULL;
    if (!validation->labelled && given->max_drop >= 0)
        return mary_fail(MARY_ERROR_USAGE, "--max-drop needs labels: give --labels PATH");
    if (!validation->labelled)
        mary_cli_warn(verb, "no labels in the data: accuracy needs --labels%s", two ? "; agreement is shown" : "");
    for (int m = 0; m < given->model_count; m++)
        validation->models[m].peak =
            mary_cli_model_peak(given->models[m].path, &settings.session, from->shapes, from->shape_count);
    MARY_TRY(mary_validation_print(validation, given->layers));
    for (int i = 0; i < given->report_count; i++) {
        MARY_TRY(ends_with(given->reports[i], ".json") ? mary_validation_write_json(validation, given->reports[i])
                                                       : mary_validation_write_html(validation, given->reports[i]));
    }
    if (mary_validation_missed(validation))
        return mary_fail(MARY_ERROR_BUDGET, "top-1 falls by %.2f points, more than --max-drop %g",
                         mary_validation_drop(validation), validation->max_drop);
    return MARY_OK;
}

int mary_cli_validate(int argc, char **argv)
{
    arguments given = {.max_drop = -1};
    mary_data_options_default(&given.data);
    if (mary_cli_parse(&argp, argc, argv, &given) != MARY_OK)
        return MARY_ERROR_USAGE;
    mary_validation *validation = NULL;
    feed from = {.given = &given, .verb = argv[0]};
    mary_status status = validate(&given, argv[0], &from, &validation);
    feed_close(&from);
    mary_validation_free(&validation);
    return mary_cli_finish(argv[0], status);
}
