/* Goals end to end, on a model whose layers matter differently. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "search/samples.h"
#include "tests/support/model_builder.h"

enum { INPUTS = 24, HIDDEN = 96, CLASSES = 24, RUNS = 12, ROWS = 8 };

static uint32_t state = 1;

static float draw(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        state = state * 1664525u + 1013904223u;
        sum += (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return sum;
}

static void random_weight(Onnx__GraphProto *graph, const char *name, int64_t rows, int64_t columns, float factor)
{
    static float values[INPUTS * HIDDEN * 4];
    for (int64_t i = 0; i < rows * columns; i++)
        values[i] = draw() * factor;
    build_floats(graph, name, SHAPE(rows, columns), values);
}

/* y = h W2 + 0.02 (h W3 + h W4), h = Relu(x W1): what becomes of W3 and W4 hardly matters. */
static mary_model *one_that_matters(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    const float small = 0.02f;
    state = 5;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, INPUTS));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    random_weight(graph, "w1", INPUTS, HIDDEN, 0.3f);
    random_weight(graph, "w2", HIDDEN, CLASSES, 0.3f);
    random_weight(graph, "w3", HIDDEN, CLASSES, 0.3f);
    random_weight(graph, "w4", HIDDEN, CLASSES, 0.3f);
    build_constant(graph, "small", MARY_FLOAT, SHAPE(), &small);
    build_node(graph, "Gemm", "x,w1", "hidden");
    build_node(graph, "Relu", "hidden", "h");
    build_node(graph, "Gemm", "h,w2", "a");
    build_node(graph, "MatMul", "h,w3", "b");
    build_node(graph, "Gemm", "h,w4", "c");
    build_node(graph, "Add", "b,c", "d");
    build_node(graph, "Mul", "d,small", "e");
    build_node(graph, "Add", "a,e", "y");
    return build_reload(model);
}

/* ---- samples ---- */

typedef struct source {
    float values[ROWS * INPUTS];
    mary_array input;
    int64_t labels[RUNS][ROWS]; /* what the float model says */
    int64_t index;
    int64_t reads;
} source;

static mary_status sample(void *context, int64_t index, const mary_array **inputs, int *count)
{
    source *s = context;
    state = 1000 + (uint32_t)index;
    for (int i = 0; i < ROWS * INPUTS; i++)
        s->values[i] = draw();
    s->input = (mary_array){"x", MARY_FLOAT, 2, {ROWS, INPUTS}, s->values, sizeof s->values};
    s->index = index;
    s->reads++;
    *inputs = &s->input;
    *count = 1;
    return MARY_OK;
}

static mary_status labels(void *context, const int64_t **values, int64_t *count)
{
    source *s = context;
    *values = s->labels[s->index];
    *count = ROWS;
    return MARY_OK;
}

static source data;
static const mary_calibration calibration = {&data, RUNS, sample};

static void label(const mary_model *model)
{
    mary_model *copy;
    mary_session *session;
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, NULL, &session));
    for (int64_t run = 0; run < RUNS; run++) {
        const mary_array *inputs;
        int count;
        mary_array output = {0};
        sample(&data, run, &inputs, &count);
        assert_ok(mary_session_run(session, inputs, count, &output, 1));
        for (int row = 0; row < ROWS; row++) {
            const float *scores = (const float *)output.data + row * CLASSES;
            data.labels[run][row] = 0;
            for (int i = 1; i < CLASSES; i++)
                data.labels[run][row] = scores[i] > scores[data.labels[run][row]] ? i : data.labels[run][row];
        }
        mary_array_free(&output);
    }
    mary_session_free(&session);
}

static int levels_of(const mary_goal_result *result, const char *weight)
{
    for (size_t i = 0; mary_convert_layer(mary_goal_report(result), i) != NULL; i++) {
        if (strcmp(mary_convert_layer(mary_goal_report(result), i)->weight, weight) == 0)
            return mary_convert_layer(mary_goal_report(result), i)->levels;
    }
    ck_abort_msg("there is no layer with the weight %s", weight);
    return 0;
}

static const mary_convert_options usual = {
    .calibration = &calibration, .granularity = MARY_GRANULARITY_TENSOR, .no_functions = true, .threads = 1};

static void check_loads(const mary_goal_result *result)
{
    size_t size;
    mary_model *model;
    const void *bytes = mary_goal_file(result, &size);
    const mary_goal_summary *summary = mary_goal_summary_of(result);
    ck_assert_uint_eq(size, summary->took_uniform ? summary->uniform.bytes : summary->mixed.bytes);
    assert_ok(mary_model_load_memory(bytes, size, &model));
    mary_model_free(&model);
}

START_TEST(the_layer_that_matters_gets_more_levels_within_the_bytes)
{
    mary_model *model = one_that_matters();
    for (int pack = 0; pack < 2; pack++) {
        mary_goal_result *result;
        const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = pack ? 2500 : 4200, .pack = pack == 1};
        assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
        const mary_goal_summary *summary = mary_goal_summary_of(result);
        ck_assert_int_eq(summary->samples, RUNS * ROWS);
        ck_assert_int_eq(summary->measured, RUNS * ROWS / 2);
        ck_assert_int_eq(summary->judging, RUNS * ROWS / 2);
        ck_assert(summary->scored && !summary->labelled && summary->float_accuracy < 0);
        ck_assert_double_le((double)summary->mixed.bytes, goal.value);
        ck_assert_double_ge((double)summary->mixed.bytes, 0.8 * goal.value);
        ck_assert(summary->has_uniform && !summary->took_uniform);
        ck_assert_double_le((double)summary->uniform.bytes, goal.value);
        ck_assert_msg(summary->mixed.divergence < 0.8 * summary->uniform.divergence, "%g is not less than %g",
                      summary->mixed.divergence, summary->uniform.divergence);
        ck_assert_int_gt(levels_of(result, "w2"), levels_of(result, "w3"));
        ck_assert_int_gt(levels_of(result, "w1"), levels_of(result, "w4"));
        check_loads(result);
        mary_goal_result_free(&result);
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(ratio_is_float_file_by_written_file)
{
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    mary_goal goal = {.kind = MARY_GOAL_RATIO, .value = 9, .float_bytes = 36000, .frontier = 3};
    assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
    ck_assert_uint_eq(mary_goal_summary_of(result)->target_bytes, 4000);
    ck_assert_uint_le(mary_goal_summary_of(result)->mixed.bytes, 4000);
    size_t points = 0, uniform = 0;
    for (const mary_goal_point *point, *last = NULL; (point = mary_goal_frontier(result, points)) != NULL; points++) {
        ck_assert(last == NULL || last->bytes <= point->bytes);
        uniform += point->levels > 0 && !point->ends_finer;
        last = point;
    }
    ck_assert_uint_ge(points, 8);
    ck_assert_uint_ge(uniform, 4); /* every M of a plain file */
    mary_goal_result_free(&result);
    goal.value = 1e-3; /* larger than any candidate: the finest there is */
    assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
    ck_assert_int_eq(levels_of(result, "w2"), 256);
    mary_goal_result_free(&result);
    mary_model_free(&model);
}
END_TEST

START_TEST(the_smallest_file_keeps_to_the_drop)
{
    mary_model *model = one_that_matters();
    label(model);
    uint64_t bytes[2];
    for (int strict = 0; strict < 2; strict++) {
        for (int labelled = 0; labelled < 2; labelled++) {
            mary_goal_result *result;
            const mary_goal goal = {
                .kind = MARY_GOAL_DROP, .value = strict ? 2 : 20, .labels = labelled ? labels : NULL};
            assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
            const mary_goal_summary *summary = mary_goal_summary_of(result);
            ck_assert_int_eq(summary->judging, RUNS * ROWS);
            ck_assert_int_eq(summary->labelled, labelled);
            ck_assert_double_eq(summary->float_accuracy, labelled ? 1 : -1);
            ck_assert_double_le(summary->mixed.drop, goal.value + 1e-6);
            ck_assert_double_gt(summary->mixed.drop_deviation, 0);
            /* Labels are what the float model says, so that both kinds of drop are the same. */
            ck_assert_double_eq_tol(summary->mixed.drop, 100 * (1 - summary->mixed.agreement), 1e-9);
            ck_assert(summary->has_uniform);
            ck_assert_double_le(summary->uniform.drop, goal.value + 1e-6);
            ck_assert_int_eq(summary->took_uniform, summary->uniform.bytes < summary->mixed.bytes);
            ck_assert(labelled == 0 || summary->mixed.bytes == bytes[strict]);
            bytes[strict] = summary->mixed.bytes;
            check_loads(result);
            mary_goal_result_free(&result);
        }
    }
    ck_assert_uint_lt(bytes[0], bytes[1]);
    mary_model_free(&model);
}
END_TEST

START_TEST(what_cannot_be_had_says_what_can)
{
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 100, .pack = true};
    assert_fails(mary_convert_to_goal(model, &usual, &goal, &result), MARY_ERROR_BUDGET,
                 "no file of at most 100 bytes");
    ck_assert_ptr_null(result);
    const char *smallest = strstr(mary_error_message(), "smallest one has ");
    ck_assert_ptr_nonnull(smallest);
    const double bytes = strtod(smallest + strlen("smallest one has "), NULL);
    goal.value = bytes - 1;
    assert_fails(mary_convert_to_goal(model, &usual, &goal, &result), MARY_ERROR_BUDGET, "smallest one has");
    goal.value = bytes;
    assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
    ck_assert_double_eq((double)mary_goal_summary_of(result)->mixed.bytes, bytes);
    mary_goal_result_free(&result);
    mary_model_free(&model);
}
END_TEST

static double smallest_of(const mary_model *model, const mary_convert_options *options)
{
    mary_goal_result *result;
    const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 1};
    assert_fails(mary_convert_to_goal(model, options, &goal, &result), MARY_ERROR_BUDGET, "smallest one has ");
    return strtod(strstr(mary_error_message(), "smallest one has ") + strlen("smallest one has "), NULL);
}

/* What levels of rows and tensors cannot do, levels of the model may, unless the caller states what he wants. */
START_TEST(sizes_too_small_for_levels_of_layers_are_met_with_levels_of_the_model)
{
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    mary_convert_options options = usual;
    const double of_tensors = smallest_of(model, &options);
    options.granularity = MARY_GRANULARITY_AUTO;
    const double least = smallest_of(model, &options);
    ck_assert_double_lt(least, of_tensors);
    const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = least};
    assert_fails(mary_convert_to_goal(model, &usual, &goal, &result), MARY_ERROR_BUDGET, "smallest one has ");
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    ck_assert_double_le((double)mary_goal_summary_of(result)->mixed.bytes, least);
    check_loads(result);
    mary_goal_result_free(&result);
    options.method = "feedback"; /* it has none */
    ck_assert_double_ge(smallest_of(model, &options), least);
    mary_model_free(&model);
}
END_TEST

START_TEST(goals_that_make_no_sense_are_refused)
{
    static const struct {
        mary_goal_kind kind;
        double value;
    } bad[] = {{MARY_GOAL_BYTES, 0},     {MARY_GOAL_BYTES, -5},   {MARY_GOAL_BYTES, NAN}, {MARY_GOAL_BYTES, 1e300},
               {MARY_GOAL_RATIO, 0},     {MARY_GOAL_RATIO, -1},   {MARY_GOAL_RATIO, NAN}, {MARY_GOAL_RATIO, INFINITY},
               {MARY_GOAL_DROP, -0.001}, {MARY_GOAL_DROP, 100.5}, {MARY_GOAL_DROP, NAN},  {MARY_GOAL_DROP, INFINITY}};
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const mary_goal goal = {.kind = bad[i].kind, .value = bad[i].value};
        assert_fails(mary_convert_to_goal(model, &usual, &goal, &result), MARY_ERROR_USAGE, "is no goal");
        ck_assert_ptr_null(result);
    }
    const mary_goal far = {.kind = MARY_GOAL_RATIO, .value = 1e300};
    assert_fails(mary_convert_to_goal(model, &usual, &far, &result), MARY_ERROR_BUDGET, "at most 0 bytes");
    const mary_goal fine = {.kind = MARY_GOAL_BYTES, .value = 4200};
    mary_convert_options options = usual;
    options.levels = 4;
    assert_fails(mary_convert_to_goal(model, &options, &fine, &result), MARY_ERROR_USAGE, "exclude each other");
    options = usual;
    options.calibration = NULL;
    assert_fails(mary_convert_to_goal(model, &options, &fine, &result), MARY_ERROR_USAGE, "needs calibration data");
    assert_fails(mary_convert_to_goal(model, NULL, &fine, &result), MARY_ERROR_USAGE, "needs calibration data");
    const mary_calibration single = {&data, 1, sample};
    options.calibration = &single;
    assert_fails(mary_convert_to_goal(model, &options, &fine, &result), MARY_ERROR_USAGE, "two runs or more");
    const char *const all[] = {"nowhere"};
    options = usual;
    options.exclude = all;
    options.exclude_count = 1;
    assert_fails(mary_convert_to_goal(model, &options, &fine, &result), MARY_ERROR_USAGE, "no node matches");
    mary_model_free(&model);
}
END_TEST

START_TEST(what_the_caller_states_stays)
{
    mary_model *model = one_that_matters();
    const char *const excluded[] = {"c"};
    mary_convert_options options = usual;
    mary_goal_result *result;
    mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 14000};
    options.exclude = excluded;
    options.exclude_count = 1;
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    ck_assert_int_eq(levels_of(result, "w4"), 0);
    ck_assert_uint_le(mary_goal_summary_of(result)->mixed.bytes, 14000);
    mary_goal_result_free(&result);

    options = usual; /* w1 is first, the others are last */
    options.first_last_levels = 16;
    goal.value = 9000;
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    ck_assert_int_eq(levels_of(result, "w1"), 16);
    ck_assert_int_eq(levels_of(result, "w2"), 16);
    mary_goal_result_free(&result);

    char path[] = "/tmp/mary-goal-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    fputs("{\"levels\": 3, \"layers\": {\"b\": {\"levels\": 5}}}", file);
    fclose(file);
    options = usual;
    options.config = path;
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    ck_assert_int_eq(levels_of(result, "w3"), 5);
    ck_assert_int_ne(levels_of(result, "w2"), 3);
    mary_goal_result_free(&result);
    remove(path);
    mary_model_free(&model);
}
END_TEST

START_TEST(the_file_does_not_depend_on_threads_and_the_model_stays)
{
    mary_model *model = one_that_matters();
    size_t size, other_size, before, after;
    uint8_t *then = build_bytes(model, &before);
    mary_goal_result *result, *other;
    const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 2500, .pack = true};
    mary_convert_options options = usual;
    options.method = "feedback";
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    options.threads = 3;
    assert_ok(mary_convert_to_goal(model, &options, &goal, &other));
    const void *bytes = mary_goal_file(result, &size), *other_bytes = mary_goal_file(other, &other_size);
    ck_assert_uint_eq(size, other_size);
    ck_assert(memcmp(bytes, other_bytes, size) == 0);
    uint8_t *now = build_bytes(model, &after);
    ck_assert(before == after && memcmp(then, now, before) == 0);
    mary_free(then);
    mary_free(now);
    mary_goal_result_free(&result);
    mary_goal_result_free(&other);
    mary_model_free(&model);
}
END_TEST

START_TEST(integer_activations_keep_to_the_goal_too)
{
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 7000};
    mary_convert_options options = usual;
    options.activations = 8;
    options.calibration_method = "min-max";
    assert_ok(mary_convert_to_goal(model, &options, &goal, &result));
    ck_assert_uint_le(mary_goal_summary_of(result)->mixed.bytes, 7000);
    ck_assert_int_gt(mary_convert_calibration(mary_goal_report(result))->runs, 0);
    check_loads(result);
    mary_goal_result_free(&result);
    mary_model_free(&model);
}
END_TEST

/* Samples that are too many to be kept are read again, and are the same. */
START_TEST(samples_are_kept_or_read_again)
{
    for (int limited = 0; limited < 2; limited++) {
        const mary_goal goal = {.labels = labels};
        mary_search_samples samples;
        assert_ok(mary_search_samples_create(&calibration, &goal, &samples));
        if (limited)
            samples.limit = 3 * ROWS * INPUTS * sizeof(float);
        data.reads = 0;
        for (int pass = 0; pass < 3; pass++) {
            const mary_sample_part part = pass == 0 ? MARY_SAMPLES_ALL : (mary_sample_part)(pass - 1);
            for (int64_t i = 0; i < mary_search_samples_count(&samples, part); i++) {
                const int64_t index = mary_search_samples_index(part, i);
                const mary_sample_run *run;
                assert_ok(mary_search_samples_read(&samples, index, &run));
                state = 1000 + (uint32_t)index;
                ck_assert_float_eq(((const float *)run->inputs[0].data)[0], draw());
                ck_assert_int_eq(run->count, ROWS);
                ck_assert_mem_eq(run->labels, data.labels[index], sizeof data.labels[index]);
            }
        }
        if (limited)
            ck_assert_int_gt(data.reads, 2 * RUNS);
        else
            ck_assert_int_eq(data.reads, RUNS);
        mary_search_samples_free(&samples);
    }
}
END_TEST

START_TEST(memory_that_runs_out_leaks_nothing)
{
    mary_model *model = one_that_matters();
    mary_goal_result *result;
    const mary_goal goal = {.kind = MARY_GOAL_BYTES, .value = 4200};
    const int64_t before = mary_memory_count();
    assert_ok(mary_convert_to_goal(model, &usual, &goal, &result));
    const int64_t all = mary_memory_count() - before;
    mary_goal_result_free(&result);
    for (int64_t n = 0; n < all; n += n < 60 ? 1 : all / 40) {
        mary_memory_fail_after(n);
        const mary_status status = mary_convert_to_goal(model, &usual, &goal, &result);
        mary_memory_fail_after(-1);
        ck_assert_msg(status != MARY_OK || result != NULL, "allocation %lld", (long long)n);
        mary_goal_result_free(&result);
    }
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("search/goal", the_layer_that_matters_gets_more_levels_within_the_bytes,
               ratio_is_float_file_by_written_file, the_smallest_file_keeps_to_the_drop,
               what_cannot_be_had_says_what_can, sizes_too_small_for_levels_of_layers_are_met_with_levels_of_the_model,
               goals_that_make_no_sense_are_refused, what_the_caller_states_stays,
               the_file_does_not_depend_on_threads_and_the_model_stays, integer_activations_keep_to_the_goal_too,
               samples_are_kept_or_read_again, memory_that_runs_out_leaks_nothing)
