/* mary bench: how long a model takes and what memory it needs; two models run in turns, so that a busy machine disturbs
 * both alike. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/peak.h"
#include "cli/report/json.h"
#include "cli/report/table.h"
#include "cli/verbs.h"

enum { MODELS = 2, MIN_RUNS = 10, MAX_RUNS = 1000 };
static const double automatic_seconds = 1.5; /* how long to measure a model when --runs does not say */

typedef struct arguments {
    const char *models[MODELS], *json_path;
    int model_count;
    mary_session_options session;
    mary_cli_shapes shapes;
    int64_t runs, warmup, batch, seed;
    bool profile, json;
} arguments;

/* One model being measured. */
typedef struct bench_subject {
    mary_cli_model model;
    mary_array *inputs, *outputs;
    double *seconds; /* [runs], sorted when all are done */
    int64_t runs;
    uint64_t peak;
    json_t *profile; /* rows in execution order; NULL without --profile */
} bench_subject;

enum { KEY_RUNS = 0x4000, KEY_WARMUP, KEY_BATCH, KEY_SHAPE, KEY_SEED, KEY_PROFILE, KEY_JSON };

static const struct argp_option options[] = {
    {"runs", KEY_RUNS, "N", 0, "Runs to measure (default: as many as fit in 1.5 s, at least 10)", 1},
    {"warmup", KEY_WARMUP, "N", 0, "Runs before measuring (default 2)", 1},
    {"batch", KEY_BATCH, "N", 0, "First dimension of inputs where the model leaves it open (default 1)", 1},
    {"input-shape", KEY_SHAPE, "NAME:D1,D2,...", 0, "Shape of an input with other open dimensions", 1},
    {"seed", KEY_SEED, "N", 0, "Seed of the random inputs (default 0)", 1},
    {"profile", KEY_PROFILE, NULL, 0, "Show where the time goes: by operator, and the slowest nodes", 2},
    {"json", KEY_JSON, "FILE", OPTION_ARG_OPTIONAL,
     "Write everything as JSON to FILE, or to stdout instead of the table", 2},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        state->child_inputs[0] = &given->session;
        return 0;
    case KEY_RUNS:
        return mary_cli_parse_int(state, "--runs", argument, 1, 10000000, &given->runs);
    case KEY_WARMUP:
        return mary_cli_parse_int(state, "--warmup", argument, 0, 10000000, &given->warmup);
    case KEY_BATCH:
        return mary_cli_parse_int(state, "--batch", argument, 1, 1 << 20, &given->batch);
    case KEY_SHAPE:
        return mary_cli_shapes_add(&given->shapes, state, argument);
    case KEY_SEED:
        return mary_cli_parse_int(state, "--seed", argument, 0, INT64_MAX, &given->seed);
    case KEY_PROFILE:
        given->profile = true;
        return 0;
    case KEY_JSON:
        given->json = true;
        given->json_path = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (given->model_count == MODELS)
            return mary_cli_usage(state, "two models at most: '%s' is too many", argument);
        given->models[given->model_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (given->model_count == 0)
            return mary_cli_usage(state, "which model? mary bench MODEL.onnx [OTHER.onnx]");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&mary_cli_session_argp, 0, "Running:", 20}, {0}};
static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "MODEL.onnx [OTHER.onnx]",
    .doc = "Measure latency, throughput, start-up time and peak memory with random inputs. Two models are run in turns "
           "and "
           "compared.",
    .children = children,
};

static mary_status make_inputs(bench_subject *subject, const arguments *given)
{
    const mary_cli_model *model = &subject->model;
    MARY_TRY(mary_cli_shapes_check(&given->shapes, model->inputs, model->input_count));
    subject->inputs = mary_calloc((size_t)model->input_count, sizeof *subject->inputs);
    subject->outputs = mary_calloc((size_t)model->output_count, sizeof *subject->outputs);
    if (subject->inputs == NULL || subject->outputs == NULL)
        return mary_fail_memory(sizeof *subject->inputs);
    for (int i = 0; i < model->input_count; i++) {
        MARY_TRY(mary_cli_shapes_apply(&given->shapes, &model->inputs[i], given->batch, &subject->inputs[i]));
        MARY_TRY(mary_random_array(&subject->inputs[i], (uint64_t)given->seed, i));
    }
    return MARY_OK;
}

static void subject_close(bench_subject *subject)
{
    for (int i = 0; i < subject->model.input_count && subject->inputs != NULL; i++)
        mary_free(subject->inputs[i].data);
    mary_free(subject->inputs);
    mary_free(subject->outputs);
    mary_free(subject->seconds);
    json_decref(subject->profile);
    mary_cli_model_close(&subject->model);
}

static mary_status run_once(bench_subject *subject, double *seconds)
{
    const mary_cli_model *model = &subject->model;
    double begin = mary_cli_now();
    mary_status status =
        mary_session_run(model->session, subject->inputs, model->input_count, subject->outputs, model->output_count);
    *seconds = mary_cli_now() - begin;
    if (status != MARY_OK)
        return mary_fail_context(status, "%s", model->path);
    for (int i = 0; i < model->output_count; i++)
        mary_array_free(&subject->outputs[i]);
    return MARY_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The value that `part` of the sorted runs do not exceed, between neighbours in proportion. */
static double quantile(const bench_subject *subject, double part)
{
    double position = part * (double)(subject->runs - 1);
    int64_t below = (int64_t)position;
    int64_t above = below + 1 < subject->runs ? below + 1 : below;
    double share = position - (double)below;
    return subject->seconds[below] * (1 - share) + subject->seconds[above] * share;
}

/* All models in turns: warm-up, then as many rounds as asked for or as fit into the time. */
static mary_status measure(bench_subject *subjects, const arguments *given)
{
    double ignored;
    int64_t rounds = given->runs > 0 ? given->runs : MAX_RUNS;
    for (int m = 0; m < given->model_count; m++) {
        for (int64_t i = 0; i < given->warmup; i++)
            MARY_TRY(run_once(&subjects[m], &ignored));
        subjects[m].seconds = mary_calloc((size_t)rounds, sizeof *subjects[m].seconds);
        if (subjects[m].seconds == NULL)
            return mary_fail_memory((size_t)rounds * sizeof *subjects[m].seconds);
    }
    mary_progress progress;
    mary_progress_start(&progress, "measuring", given->runs > 0 ? (uint64_t)rounds : 0);
    double begin = mary_cli_now();
    mary_status status = MARY_OK;
    for (int64_t i = 0; i < rounds && status == MARY_OK; i++) {
        if (given->runs == 0 && i >= MIN_RUNS && mary_cli_now() - begin > automatic_seconds * given->model_count)
            break;
        for (int m = 0; m < given->model_count && status == MARY_OK; m++) {
            status = run_once(&subjects[m], &subjects[m].seconds[i]);
            subjects[m].runs = i + 1;
        }
        mary_progress_update(&progress, (uint64_t)i + 1);
    }
    mary_progress_finish(&progress);
    for (int m = 0; m < given->model_count && status == MARY_OK; m++)
        qsort(subjects[m].seconds, (size_t)subjects[m].runs, sizeof *subjects[m].seconds, compare_doubles);
    return status;
}

static mary_status collect_profile(bench_subject *subject, mary_session *session)
{
    const mary_cli_model *model = &subject->model;
    for (int64_t i = 0; i < subject->runs; i++) {
        MARY_TRY(mary_session_run(session, subject->inputs, model->input_count, subject->outputs, model->output_count));
        for (int k = 0; k < model->output_count; k++)
            mary_array_free(&subject->outputs[k]);
    }
    const mary_profile_row *rows;
    int count;
    MARY_TRY(mary_session_profile(session, &rows, &count));
    subject->profile = json_array();
    for (int i = 0; i < count && subject->profile != NULL; i++) {
        double ms = rows[i].calls > 0 ? rows[i].seconds * 1e3 / (double)rows[i].calls : 0;
        json_array_append_new(subject->profile,
                              json_pack("{s:o, s:o, s:o, s:I, s:f}", "node", mary_json_text(rows[i].node), "operator",
                                        mary_json_text(rows[i].op_type), "kernel", mary_json_text(rows[i].kernel),
                                        "calls", (json_int_t)rows[i].calls, "milliseconds", ms));
    }
    return subject->profile != NULL ? MARY_OK : mary_fail_memory(64);
}

/* In a session of its own, after measuring, so that taking the times of nodes does not count. */
static mary_status profile(bench_subject *subject, const arguments *given)
{
    mary_session_options with_profile = given->session;
    with_profile.profile = true;
    mary_model *loaded = NULL;
    mary_session *session = NULL;
    MARY_TRY(mary_model_load(subject->model.path, &loaded));
    MARY_TRY(mary_session_create(&loaded, &with_profile, &session));
    mary_status status = collect_profile(subject, session);
    mary_session_free(&session);
    return status;
}

/* ---- showing it ---- */

static int64_t batch_of(const bench_subject *subject)
{
    return subject->model.input_count > 0 && subject->inputs[0].rank > 0 ? subject->inputs[0].dims[0] : 1;
}

static json_t *subject_json(const bench_subject *subject)
{
    double median = quantile(subject, 0.5);
    json_t *object = json_pack(
        "{s:o, s:I, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I}", "model", mary_json_text(subject->model.path),
        "file_bytes", (json_int_t)subject->model.bytes, "create_milliseconds", subject->model.create_seconds * 1e3,
        "batch", (json_int_t)batch_of(subject), "runs", (json_int_t)subject->runs, "min_milliseconds",
        subject->seconds[0] * 1e3, "median_milliseconds", median * 1e3, "p90_milliseconds",
        quantile(subject, 0.9) * 1e3, "p99_milliseconds", quantile(subject, 0.99) * 1e3, "samples_per_second",
        (double)batch_of(subject) / median, "peak_memory_bytes", (json_int_t)subject->peak);
    if (object != NULL && subject->profile != NULL)
        json_object_set(object, "profile", subject->profile);
    return object;
}

static json_t *to_json(const bench_subject *subjects, int count)
{
    json_t *models = json_array();
    for (int m = 0; m < count; m++)
        json_array_append_new(models, subject_json(&subjects[m]));
    json_t *report = json_pack("{s:s, s:o}", "mary", mary_version(), "models", models);
    if (report != NULL && count == MODELS)
        json_object_set_new(report, "median_ratio",
                            json_real(quantile(&subjects[0], 0.5) / quantile(&subjects[1], 0.5)));
    return report;
}

static mary_status print_summary(const bench_subject *subjects, int count)
{
    mary_table table;
    mary_table_begin(&table, "<model|>file|>create ms|>batch|>runs|>min ms|>median|>p90|>p99|>samples/s|>peak memory");
    for (int m = 0; m < count; m++) {
        const bench_subject *subject = &subjects[m];
        char bytes[32];
        mary_table_cell(&table, "%s", mary_cli_base_name(subject->model.path));
        mary_table_cell(&table, "%s", mary_cli_format_bytes((double)subject->model.bytes, bytes, sizeof bytes));
        mary_table_cell(&table, "%.1f", subject->model.create_seconds * 1e3);
        mary_table_cell(&table, "%lld", (long long)batch_of(subject));
        mary_table_cell(&table, "%lld", (long long)subject->runs);
        mary_table_cell(&table, "%.3f", subject->seconds[0] * 1e3);
        mary_table_cell(&table, "%.3f", quantile(subject, 0.5) * 1e3);
        mary_table_cell(&table, "%.3f", quantile(subject, 0.9) * 1e3);
        mary_table_cell(&table, "%.3f", quantile(subject, 0.99) * 1e3);
        mary_table_cell(&table, "%.1f", (double)batch_of(subject) / quantile(subject, 0.5));
        mary_table_cell(&table, "%s",
                        subject->peak > 0 ? mary_cli_format_bytes((double)subject->peak, bytes, sizeof bytes) : "-");
    }
    MARY_TRY(mary_table_end(&table, stdout));
    if (count == MODELS) {
        double ratio = quantile(&subjects[0], 0.5) / quantile(&subjects[1], 0.5);
        printf("the second takes %.3f of the first's median time (%.2f times as fast) and %.3f of its bytes\n",
               1 / ratio, ratio, (double)subjects[1].model.bytes / (double)subjects[0].model.bytes);
    }
    return MARY_OK;
}

typedef struct profile_line {
    const char *node, *op, *kernel;
    double ms;
    int count;
} profile_line;

static int compare_lines(const void *a, const void *b)
{
    double left = ((const profile_line *)a)->ms, right = ((const profile_line *)b)->ms;
    return (left < right) - (left > right);
}

static mary_status print_profile(const bench_subject *subject)
{
    enum { SLOWEST = 15 };
    size_t count = json_array_size(subject->profile), kinds = 0;
    profile_line *nodes = mary_calloc(count, sizeof *nodes), *operators = mary_calloc(count, sizeof *operators);
    double total = 0;
    mary_status status = MARY_OK;
    if (nodes == NULL || operators == NULL) {
        status = mary_fail_memory(count * sizeof *nodes);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(subject->profile, i);
        nodes[i] = (profile_line){json_string_value(json_object_get(row, "node")),
                                  json_string_value(json_object_get(row, "operator")),
                                  json_string_value(json_object_get(row, "kernel")),
                                  json_real_value(json_object_get(row, "milliseconds")), 1};
        total += nodes[i].ms;
        size_t k = 0;
        while (k < kinds &&
               (strcmp(operators[k].op, nodes[i].op) != 0 || strcmp(operators[k].kernel, nodes[i].kernel) != 0))
            k++;
        if (k == kinds)
            operators[kinds++] = (profile_line){"", nodes[i].op, nodes[i].kernel, 0, 0};
        operators[k].ms += nodes[i].ms;
        operators[k].count++;
    }
    qsort(nodes, count, sizeof *nodes, compare_lines);
    qsort(operators, kinds, sizeof *operators, compare_lines);
    mary_table table;
    printf("\n%s: time by operator (nodes add up to %.3f ms)\n", mary_cli_base_name(subject->model.path), total);
    mary_table_begin(&table, "<operator|<kernel|>nodes|>ms|>%");
    for (size_t k = 0; k < kinds; k++) {
        mary_table_cell(&table, "%s", operators[k].op);
        mary_table_cell(&table, "%s", operators[k].kernel);
        mary_table_cell(&table, "%d", operators[k].count);
        mary_table_cell(&table, "%.3f", operators[k].ms);
        mary_table_cell(&table, "%.1f", total > 0 ? operators[k].ms / total * 100 : 0);
    }
    MARY_TRY_GOTO(mary_table_end(&table, stdout), done);
    printf("\nslowest nodes\n");
    mary_table_begin(&table, "<node|<operator|<kernel|>ms|>%");
    for (size_t i = 0; i < count && i < SLOWEST; i++) {
        mary_table_cell(&table, "%s", nodes[i].node);
        mary_table_cell(&table, "%s", nodes[i].op);
        mary_table_cell(&table, "%s", nodes[i].kernel);
        mary_table_cell(&table, "%.3f", nodes[i].ms);
        mary_table_cell(&table, "%.1f", total > 0 ? nodes[i].ms / total * 100 : 0);
    }
    status = mary_table_end(&table, stdout);
done:
    mary_free(nodes);
    mary_free(operators);
    return status;
}

static mary_status bench(const arguments *given, bench_subject *subjects)
{
    for (int m = 0; m < given->model_count; m++) {
        MARY_TRY(mary_cli_model_open(&subjects[m].model, given->models[m], &given->session));
        MARY_TRY(make_inputs(&subjects[m], given));
    }
    MARY_TRY(measure(subjects, given));
    for (int m = 0; m < given->model_count; m++) {
        bench_subject *subject = &subjects[m];
        /* With two models in this process neither's memory can be told from the other's. */
        subject->peak = given->model_count == 1 ? mary_cli_peak_memory()
                                                : mary_cli_model_peak(subject->model.path, &given->session,
                                                                      subject->inputs, subject->model.input_count);
        if (given->profile)
            MARY_TRY(profile(subject, given));
    }
    if (given->json)
        MARY_TRY(mary_json_write(to_json(subjects, given->model_count), given->json_path));
    if (given->json && given->json_path == NULL)
        return MARY_OK;
    MARY_TRY(print_summary(subjects, given->model_count));
    for (int m = 0; m < given->model_count && given->profile; m++)
        MARY_TRY(print_profile(&subjects[m]));
    return MARY_OK;
}

int mary_cli_bench(int argc, char **argv)
{
    arguments given = {.warmup = 2, .batch = 1};
    if (mary_cli_parse(&argp, argc, argv, &given) != MARY_OK)
        return MARY_ERROR_USAGE;
    bench_subject subjects[MODELS] = {0};
    mary_status status = bench(&given, subjects);
    for (int m = 0; m < MODELS; m++)
        subject_close(&subjects[m]);
    return mary_cli_finish(argv[0], status);
}
