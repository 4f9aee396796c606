/* mary validate: what a conversion cost in accuracy and what it saved, over real data. */
#include <math.h>
#include <string.h>

#include "cli/validation.h"
#include "cli/verbs.h"

enum { LAYER_SAMPLES = 64, MAX_REPORTS = 4 };

typedef struct arguments {
    mary_compare_options compare;
    double max_drop;
    bool layers;
    int64_t layer_samples;
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
    mary_compare_options *compare = &given->compare;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &compare->data;
        state->child_inputs[1] = &compare->session;
        return 0;
    case KEY_MAX_DROP:
        return mary_cli_parse_double(state, "--max-drop", argument, 0, 100, &given->max_drop);
    case KEY_LAYERS:
        given->layers = true;
        if (argument == NULL)
            return 0;
        return mary_cli_parse_int(state, "--per-layer", argument, 1, INT64_MAX, &given->layer_samples);
    case KEY_REPORT:
        if (!ends_with(argument, ".json") && !ends_with(argument, ".html"))
            return mary_cli_usage(state, "--report takes a name that ends in .json or .html, not '%s'", argument);
        if (given->report_count == MAX_REPORTS)
            return mary_cli_usage(state, "--report was given more than %d times", MAX_REPORTS);
        given->reports[given->report_count++] = argument;
        return 0;
    case KEY_SCORES:
        compare->scores = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (compare->path_count == 2)
            return mary_cli_usage(state, "two models at most: '%s' is too many", argument);
        compare->paths[compare->path_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (compare->path_count == 0)
            return mary_cli_usage(state, "which models? mary validate FLOAT.onnx MARY.onnx --data PATH");
        if (compare->data.source_count == 0)
            return mary_cli_usage(state, "--data PATH is missing");
        if (given->max_drop >= 0 && compare->path_count < 2)
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

static mary_status validate(const arguments *given, const char *verb, mary_validation *validation)
{
    const mary_compare_options *compare = &given->compare;
    bool two = compare->path_count == 2;
    validation->max_drop = given->max_drop;
    validation->threads = compare->session.threads;
    MARY_TRY(mary_compare_models(compare, verb, validation));
    if (!validation->labelled && given->max_drop >= 0)
        return mary_fail(MARY_ERROR_USAGE, "--max-drop needs labels: give --labels PATH");
    if (!validation->labelled)
        mary_cli_warn(verb, "no labels in the data: accuracy needs --labels%s", two ? "; agreement is shown" : "");
    bool layers = given->layers || given->report_count > 0;
    if (layers) {
        MARY_TRY(mary_compared_layers_list(two ? compare->paths[0] : NULL, compare->paths[two ? 1 : 0], validation));
        if (two)
            MARY_TRY(mary_compared_layers_measure(compare, given->layer_samples, validation));
    }
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
    arguments given = {.max_drop = -1, .layer_samples = LAYER_SAMPLES};
    mary_data_options_default(&given.compare.data);
    if (mary_cli_parse(&argp, argc, argv, &given) != MARY_OK)
        return MARY_ERROR_USAGE;
    mary_validation validation = {0};
    mary_status status = validate(&given, argv[0], &validation);
    mary_validation_free(&validation);
    return mary_cli_finish(argv[0], status);
}
