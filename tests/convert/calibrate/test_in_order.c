/* Conversions that measure: layers in order, what each is asked to make up for, biases, and odd models and data. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "convert/calibrate/scores.h"
#include "tests/support/model_builder.h"

enum { RUNS = 6, BATCH = 8, CHANNELS = 4, SIDE = 6, SAMPLE = CHANNELS * SIDE * SIDE };

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void random_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape)
{
    static float values[1 << 14];
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = draw();
    build_floats(graph, name, shape, values);
}

/* x [N,4,6,6]: a residual block (grouped and transposed convolutions beside it), then Gemm and MatMul to y: class
 * scores [N,5], or [N,5,1], for which corrections are always kept. */
static mary_model *build_block(bool scores)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 7;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, scores ? SHAPE(-1, 5) : SHAPE(-1, 5, 1));
    random_floats(graph, "a.w", SHAPE(12, CHANNELS, 3, 3));
    random_floats(graph, "a.b", SHAPE(12));
    random_floats(graph, "b.w", SHAPE(12, 3, 3, 3));
    random_floats(graph, "c.w", SHAPE(12, CHANNELS, 1, 1));
    random_floats(graph, "c.b", SHAPE(12));
    random_floats(graph, "up.w", SHAPE(12, 5, 2, 2));
    random_floats(graph, "gemm.w", SHAPE(20, 5 * 4 * SIDE * SIDE));
    random_floats(graph, "gemm.b", SHAPE(20));
    random_floats(graph, "last.w", SHAPE(20, 5));
    const int64_t pads[4] = {1, 1, 1, 1}, strides[2] = {2, 2};
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "x,a.w,a.b", "a"), "pads", pads, 4));
    build_node(graph, "Relu", "a", "a.relu");
    Onnx__NodeProto *b = build_node(graph, "Conv", "a.relu,b.w", "b");
    assert_ok(mary_node_set_ints(b, "pads", pads, 4));
    assert_ok(mary_node_set_int(b, "group", 4));
    build_node(graph, "Conv", "x,c.w,c.b", "c");
    build_node(graph, "Add", "b,c", "sum");
    build_node(graph, "Relu", "sum", "sum.relu");
    Onnx__NodeProto *up = build_node(graph, "ConvTranspose", "sum.relu,up.w", "up");
    assert_ok(mary_node_set_ints(up, "strides", strides, 2));
    build_node(graph, "Flatten", "up", "flat");
    Onnx__NodeProto *gemm = build_node(graph, "Gemm", "flat,gemm.w,gemm.b", "gemm");
    assert_ok(mary_node_set_int(gemm, "transB", 1));
    assert_ok(mary_node_set_float(gemm, "alpha", 0.125f));
    build_node(graph, "MatMul", "gemm,last.w", scores ? "y" : "matmul");
    if (!scores) {
        build_ints(graph, "axes", SHAPE(1), &(int64_t){2});
        build_node(graph, "Unsqueeze", "matmul,axes", "y");
    }
    return model;
}

static mary_model *block(void)
{
    return build_block(true);
}

static mary_model *block_without_scores(void)
{
    return build_block(false);
}

typedef struct samples {
    float values[RUNS * BATCH * SAMPLE];
    mary_array array;
    int64_t asked;
} samples;

static mary_status give(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    samples *s = context;
    ck_assert_int_lt(index, RUNS);
    s->asked++;
    s->array = (mary_array){.name = "x",
                            .type = MARY_FLOAT,
                            .rank = 4,
                            .dims = {BATCH, CHANNELS, SIDE, SIDE},
                            .data = s->values + index * BATCH * SAMPLE,
                            .bytes = BATCH * SAMPLE * sizeof(float)};
    *inputs = &s->array;
    *input_count = 1;
    return MARY_OK;
}

/* Images in which neighbours are alike, so that there is something to make up for. */
static void fill(samples *s)
{
    state = 4321;
    s->asked = 0;
    for (int i = 0; i < RUNS * BATCH; i++) {
        float level = draw();
        for (int k = 0; k < SAMPLE; k++)
            s->values[i * SAMPLE + k] = level + 0.3f * draw();
    }
}

static float *outputs_of(const mary_model *model, samples *s, const char *name, size_t *count)
{
    mary_model *copy;
    mary_session *session;
    mary_array y;
    assert_ok(mary_model_copy(model, &copy));
    if (name != NULL)
        assert_ok(mary_edit_string(&copy->proto->graph->output[0]->name, name));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    mary_array x = {.name = "x",
                    .type = MARY_FLOAT,
                    .rank = 4,
                    .dims = {RUNS * BATCH, CHANNELS, SIDE, SIDE},
                    .data = s->values,
                    .bytes = sizeof s->values};
    assert_ok(mary_session_run(session, &x, 1, &y, 1));
    mary_session_free(&session);
    *count = y.bytes / sizeof(float);
    return y.data;
}

/* Squared error of y relative to its energy, after a conversion with these options. */
static double loss(mary_convert_options options, samples *s)
{
    mary_model *model = block_without_scores();
    size_t count;
    float *expected = outputs_of(model, s, NULL, &count);
    assert_ok(mary_convert(model, &options, NULL));
    float *got = outputs_of(model, s, NULL, &count);
    double error = 0, energy = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - (double)expected[i], 2);
        energy += pow((double)expected[i], 2);
    }
    free(got);
    free(expected);
    mary_model_free(&model);
    return error / energy;
}

static mary_convert_options feedback_at(int levels, const mary_calibration *calibration)
{
    return (mary_convert_options){.levels = levels,
                                  .first_last_levels = MARY_SAME_LEVELS,
                                  .granularity = MARY_GRANULARITY_CHANNEL,
                                  .method = "feedback",
                                  .calibration = calibration,
                                  .threads = 1};
}

static samples data;
static const mary_calibration calibration = {&data, RUNS, give};

START_TEST(outputs_are_nearer_to_the_float_ones_than_with_nearest_levels)
{
    fill(&data);
    for (int levels = 2; levels <= 16; levels *= 2) {
        mary_convert_options options = feedback_at(levels, &calibration);
        double measured = loss(options, &data);
        options.method = "magnitude";
        double nearest = loss(options, &data);
        ck_assert_msg(measured < 0.25 * nearest, "M = %d: %g, nearest levels %g", levels, measured, nearest);
    }
    ck_assert_double_lt(loss(feedback_at(256, &calibration), &data), 1e-4);
    mary_convert_options shared = feedback_at(8, &calibration);
    shared.granularity = MARY_GRANULARITY_TENSOR;
    double measured = loss(shared, &data);
    shared.method = "magnitude";
    ck_assert_double_lt(measured, 0.5 * loss(shared, &data));
}
END_TEST

/* Mean of every channel of value [N,C,H,W]. */
static void channel_means(const mary_model *model, const char *value, int64_t channels, double *means)
{
    size_t count;
    float *values = outputs_of(model, &data, value, &count);
    size_t pixels = count / (size_t)(RUNS * BATCH * channels);
    memset(means, 0, (size_t)channels * sizeof *means);
    for (size_t i = 0; i < count; i++)
        means[i / pixels % (size_t)channels] += (double)values[i] / (double)(count / (size_t)channels);
    free(values);
}

START_TEST(biases_make_up_for_means_and_appear_where_there_was_none)
{
    fill(&data);
    mary_model *model = block();
    double before[12], after[12];
    channel_means(model, "sum", 12, before);
    mary_convert_options options = feedback_at(2, &calibration);
    assert_ok(mary_convert(model, &options, NULL));
    channel_means(model, "sum", 12, after); /* b is asked to make up for c */
    for (int c = 0; c < 12; c++)
        ck_assert_double_eq_tol(before[c], after[c], 1e-4);
    for (size_t i = 0; i < model->proto->graph->n_node; i++) {
        const Onnx__NodeProto *node = model->proto->graph->node[i];
        if (strcmp(node->op_type, "MaryConv") == 0 || strcmp(node->op_type, "MaryConvTranspose") == 0)
            ck_assert_uint_eq(node->n_input, 4);
    }
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) /* the old biases are gone */
        ck_assert_str_ne(model->proto->graph->initializer[i]->name, "a.b");
    mary_model_free(&model);
}
END_TEST

/* Standard deviation of every channel of value [N,C,H,W]. */
static void channel_spreads(const mary_model *model, const char *value, int64_t channels, double *spreads)
{
    size_t count;
    double means[16];
    channel_means(model, value, channels, means);
    float *values = outputs_of(model, &data, value, &count);
    size_t pixels = count / (size_t)(RUNS * BATCH * channels);
    memset(spreads, 0, (size_t)channels * sizeof *spreads);
    for (size_t i = 0; i < count; i++) {
        size_t c = i / pixels % (size_t)channels;
        spreads[c] += pow((double)values[i] - means[c], 2) / (double)(count / (size_t)channels);
    }
    for (int64_t c = 0; c < channels; c++)
        spreads[c] = sqrt(spreads[c]);
    free(values);
}

static mary_convert_options nearest_at(int levels, const char *method)
{
    mary_convert_options options = feedback_at(levels, &calibration);
    options.method = method;
    return options;
}

static void check_means_and_spreads(const char *method)
{
    mary_model *model = block_without_scores();
    double means[3][12], spreads[3][12], got[12];
    channel_means(model, "a", 12, means[0]);
    channel_means(model, "sum", 12, means[1]);
    channel_means(model, "up", 5, means[2]);
    channel_spreads(model, "a", 12, spreads[0]);
    channel_spreads(model, "b", 12, spreads[1]); /* of the sum, only the mean is made up for */
    channel_spreads(model, "up", 5, spreads[2]);
    mary_model_free(&model);
    model = block_without_scores();
    mary_convert_options options = nearest_at(3, method);
    assert_ok(mary_convert(model, &options, NULL));
    for (int value = 0; value < 3; value++) {
        static const char *const mean_of[] = {"a", "sum", "up"}, *const spread_of[] = {"a", "b", "up"};
        int channels = value == 2 ? 5 : 12;
        channel_means(model, mean_of[value], channels, got);
        for (int c = 0; c < channels; c++)
            ck_assert_double_eq_tol(means[value][c], got[c], 1e-4);
        channel_spreads(model, spread_of[value], channels, got);
        for (int c = 0; c < channels; c++)
            ck_assert_double_eq_tol(got[c] / spreads[value][c], 1, 1e-4);
    }
    mary_model_free(&model);
}

START_TEST(nearest_levels_leave_means_and_spreads_as_they_were)
{
    static const char *const methods[] = {"magnitude", "kmeans", "hessian", "ecsq", "uniform", "spaced"};
    fill(&data);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        check_means_and_spreads(methods[i]);
}
END_TEST

/* One set of levels has one factor: the spread of the layer is right, not that of its rows. */
START_TEST(levels_of_a_tensor_have_one_factor)
{
    fill(&data);
    mary_model *model = block_without_scores();
    double before[12], after[12], wanted = 0, made = 0, most = 0;
    channel_spreads(model, "a", 12, before);
    mary_convert_options options = nearest_at(2, "kmeans");
    options.granularity = MARY_GRANULARITY_TENSOR;
    assert_ok(mary_convert(model, &options, NULL));
    channel_spreads(model, "a", 12, after);
    for (int c = 0; c < 12; c++) {
        wanted += before[c] * before[c];
        made += after[c] * after[c];
        most = fmax(most, fabs(after[c] / before[c] - 1));
    }
    ck_assert_double_eq_tol(made / wanted, 1, 1e-4);
    ck_assert_double_gt(most, 0.01);
    mary_model_free(&model);
}
END_TEST

/* Levels that all layers share stay what they are; means are made up for. */
START_TEST(levels_of_a_model_are_not_scaled)
{
    fill(&data);
    float levels[2][4];
    double before[12], after[12];
    for (int corrected = 0; corrected < 2; corrected++) {
        mary_model *model = block_without_scores();
        channel_means(model, "sum", 12, before);
        mary_convert_options options = nearest_at(4, "kmeans");
        options.granularity = MARY_GRANULARITY_MODEL;
        options.no_bias_correction = corrected == 0;
        assert_ok(mary_convert(model, &options, NULL));
        channel_means(model, "sum", 12, after);
        for (int c = 0; corrected && c < 12; c++)
            ck_assert_double_eq_tol(before[c], after[c], 1e-4);
        mary_graph_index *index;
        float *values;
        mary_shape shape;
        assert_ok(mary_graph_index_create(model->proto->graph, &index));
        ptrdiff_t at = mary_graph_initializer(index, "levels");
        ck_assert_int_ge(at, 0);
        assert_ok(mary_constant_floats(model, model->proto->graph->initializer[at], &values, &shape));
        memcpy(levels[corrected], values, sizeof levels[corrected]);
        mary_free(values);
        mary_graph_index_free(&index);
        mary_model_free(&model);
    }
    ck_assert_mem_eq(levels[0], levels[1], sizeof levels[0]);
}
END_TEST

START_TEST(corrected_outputs_are_nearer_to_the_float_ones)
{
    fill(&data);
    for (int levels = 8; levels <= 16; levels *= 2) { /* with few, squared error rewards outputs that shrink */
        mary_convert_options options = nearest_at(levels, "kmeans");
        double corrected = loss(options, &data);
        options.no_bias_correction = true;
        double plain = loss(options, &data);
        options.calibration = NULL;
        ck_assert_double_eq(loss(options, &data), plain); /* data alone changes nothing */
        ck_assert_msg(corrected < plain, "M = %d: %g, not corrected %g", levels, corrected, plain);
    }
}
END_TEST

/* Mean divergence of the class probabilities from the float model's; *notes: layers that say they are not corrected. */
static double divergence(mary_convert_options options, size_t *notes)
{
    mary_model *model = block();
    mary_convert_report *report;
    size_t count;
    double sum = 0;
    float *expected = outputs_of(model, &data, NULL, &count);
    assert_ok(mary_convert(model, &options, &report));
    float *got = outputs_of(model, &data, NULL, &count);
    for (size_t row = 0; row < count / 5; row++)
        sum += mary_score_divergence(got + row * 5, expected + row * 5, 5);
    *notes = 0;
    for (size_t i = 0; i < mary_convert_layer_count(report); i++)
        *notes += strstr(mary_convert_layer(report, i)->note, "not corrected") != NULL;
    mary_convert_report_free(&report);
    mary_model_free(&model);
    free(got);
    free(expected);
    return sum / ((double)count / 5);
}

START_TEST(corrections_that_make_scores_worse_are_taken_back)
{
    int kept = 0, taken_back = 0;
    size_t notes;
    fill(&data);
    for (int levels = 2; levels <= 32; levels++) {
        mary_convert_options options = nearest_at(levels, "kmeans");
        options.granularity = levels % 2 == 0 ? MARY_GRANULARITY_CHANNEL : MARY_GRANULARITY_MODEL;
        options.no_bias_correction = true;
        double plain = divergence(options, &notes);
        ck_assert_uint_eq(notes, 0);
        options.no_bias_correction = false;
        double found = divergence(options, &notes);
        ck_assert_msg(notes == 0 ? found < plain * (1 + 1e-5) : found == plain, "M = %d: %g, not corrected %g", levels,
                      found, plain);
        kept += notes == 0;
        taken_back += notes > 0;
    }
    ck_assert_int_gt(kept, 5);
    ck_assert_int_gt(taken_back, 5);
}
END_TEST

/* A run of one image gives Gemm one value a row. */
static mary_status give_one(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    mary_status status = give(context, index, inputs, input_count);
    data.array.dims[0] = 1;
    data.array.bytes = SAMPLE * sizeof(float);
    return status;
}

START_TEST(too_few_values_correct_nothing)
{
    fill(&data);
    const mary_calibration one = {&data, 1, give_one};
    mary_convert_options options = nearest_at(2, "kmeans");
    options.calibration = &one;
    mary_model *model = block();
    assert_ok(mary_convert(model, &options, NULL));
    bool kept = false;
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++)
        kept = kept || strcmp(model->proto->graph->initializer[i]->name, "gemm.b") == 0;
    ck_assert(kept);
    mary_model_free(&model);
}
END_TEST

static void compare_threads(mary_convert_options options)
{
    uint8_t *bytes[2];
    size_t sizes[2];
    for (int run = 0; run < 2; run++) {
        mary_model *model = block();
        options.threads = run == 0 ? 1 : 4;
        assert_ok(mary_convert(model, &options, NULL));
        bytes[run] = build_bytes(model, &sizes[run]);
        mary_model_free(&model);
    }
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert(memcmp(bytes[0], bytes[1], sizes[0]) == 0);
    mary_free(bytes[0]);
    mary_free(bytes[1]);
}

START_TEST(the_bytes_do_not_depend_on_the_number_of_threads)
{
    fill(&data);
    compare_threads(feedback_at(3, &calibration));
    compare_threads(nearest_at(3, "hessian"));
}
END_TEST

START_TEST(without_calibration_data_it_says_what_is_missing)
{
    mary_model *model = block();
    mary_convert_options options = feedback_at(4, NULL);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "--calibration-data");
    mary_model_free(&model);
}
END_TEST

START_TEST(values_that_are_not_finite_are_refused_by_name)
{
    fill(&data);
    data.values[3 * BATCH * SAMPLE + 17] = NAN;
    mary_model *model = block();
    mary_convert_options options = feedback_at(4, &calibration);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "calibration run 3");
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "node 'a'"));
    mary_model_free(&model);
    fill(&data);
    data.values[0] = INFINITY;
    model = block();
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "calibration run 0");
    mary_model_free(&model);
}
END_TEST

START_TEST(integer_layers_are_measured_too)
{
    fill(&data);
    for (int levels = 2; levels <= 16; levels *= 2) {
        mary_convert_options options = feedback_at(levels, &calibration);
        options.activations = 8;
        double measured = loss(options, &data);
        options.method = "magnitude";
        double nearest = loss(options, &data);
        ck_assert_msg(measured < 0.5 * nearest, "M = %d: %g, nearest levels %g", levels, measured, nearest);
    }
    mary_convert_options options = feedback_at(256, &calibration);
    options.granularity = MARY_GRANULARITY_AUTO; /* an int8 grid, coded by feedback */
    options.activations = 8;
    double measured = loss(options, &data);
    options.method = "magnitude";
    double nearest = loss(options, &data);
    ck_assert_msg(measured < 1.05 * nearest && measured < 2e-3, "int8: %g, nearest levels %g", measured, nearest);
}
END_TEST

static mary_status give_wrong_name(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    mary_status status = give(context, index, inputs, input_count);
    data.array.name = "other";
    return status;
}

static mary_status give_up(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    (void)context, (void)index, (void)inputs, (void)input_count;
    return mary_fail(MARY_ERROR_INVALID, "the disk is gone");
}

START_TEST(failures_of_the_callback_come_back)
{
    fill(&data);
    mary_model *model = block();
    const mary_calibration gone = {NULL, RUNS, give_up}, wrong = {&data, RUNS, give_wrong_name};
    mary_convert_options options = feedback_at(4, &gone);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "the disk is gone");
    mary_model_free(&model);
    model = block();
    options = feedback_at(4, &wrong);
    ck_assert_int_ne(mary_convert(model, &options, NULL), MARY_OK);
    mary_model_free(&model);
}
END_TEST

START_TEST(layers_of_other_methods_and_float_ones_stand_beside_measured_ones)
{
    fill(&data);
    char path[] = "/tmp/mary-config-XXXXXX";
    int file = mkstemp(path);
    static const char text[] = "{\"layers\": {\"a\": {\"method\": \"kmeans\", \"levels\": 16}, \"up\": {\"exclude\": "
                               "true}, \"gemm\": {\"levels\": 2}}}";
    ck_assert_int_eq(write(file, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(file);
    mary_model *model = block();
    mary_convert_report *report;
    mary_convert_options options = feedback_at(3, &calibration);
    options.config = path;
    options.method = NULL;
    assert_ok(mary_convert(model, &options, &report));
    mary_convert_report_free(&report);
    mary_model_free(&model);
    options.method = "feedback"; /* of the command line, for all but the rules */
    model = block();
    assert_ok(mary_convert(model, &options, &report));
    static const char *const methods[] = {"kmeans", "feedback", "", "", "feedback", "feedback"};
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(strcmp(mary_convert_layer(report, i)->method, methods[i]) == 0, "%s: method '%s', note '%s'",
                      mary_convert_layer(report, i)->name, mary_convert_layer(report, i)->method,
                      mary_convert_layer(report, i)->note);
    ck_assert_int_eq(mary_convert_layer(report, 4)->levels, 2);
    mary_convert_report_free(&report);
    mary_model_free(&model);
    unlink(path);
}
END_TEST

START_TEST(a_weight_that_two_layers_share_is_measured_in_both)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    fill(&data);
    state = 3;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    random_floats(graph, "w", SHAPE(CHANNELS, CHANNELS, 3, 3));
    const int64_t pads[4] = {1, 1, 1, 1};
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "x,w", "a"), "pads", pads, 4));
    build_node(graph, "Tanh", "a", "t");
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "t,w", "y"), "pads", pads, 4));
    mary_convert_report *report;
    mary_convert_options options = feedback_at(4, &calibration);
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_int_eq(data.asked, RUNS); /* one pass for both */
    ck_assert(mary_convert_layer(report, 1)->repeated);
    for (size_t i = 0; i < graph->n_node; i++)
        ck_assert_uint_le(graph->node[i]->n_input, 3); /* no bias: it would have to serve both */
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

static void run_out_of_memory(mary_convert_options options)
{
    mary_model *model = block();
    int64_t before = mary_memory_count();
    assert_ok(mary_convert(model, &options, NULL));
    int64_t all = mary_memory_count() - before;
    mary_model_free(&model);
    for (int64_t countdown = 0; countdown < all; countdown += 1 + countdown / 6) {
        model = block();
        mary_memory_fail_after(countdown);
        mary_status status = mary_convert(model, &options, NULL);
        mary_memory_fail_after(-1);
        ck_assert_msg(status == MARY_ERROR_INTERNAL || status == MARY_OK, "allocation %d: %d %s", (int)countdown,
                      (int)status, mary_error_message());
        mary_model_free(&model);
    }
}

START_TEST(memory_that_runs_out_is_a_status)
{
    fill(&data);
    run_out_of_memory(feedback_at(3, &calibration));
    run_out_of_memory(nearest_at(3, "kmeans"));
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/in_order", outputs_are_nearer_to_the_float_ones_than_with_nearest_levels,
               biases_make_up_for_means_and_appear_where_there_was_none,
               nearest_levels_leave_means_and_spreads_as_they_were, levels_of_a_tensor_have_one_factor,
               levels_of_a_model_are_not_scaled, corrected_outputs_are_nearer_to_the_float_ones,
               corrections_that_make_scores_worse_are_taken_back, too_few_values_correct_nothing,
               the_bytes_do_not_depend_on_the_number_of_threads, without_calibration_data_it_says_what_is_missing,
               values_that_are_not_finite_are_refused_by_name, integer_layers_are_measured_too,
               failures_of_the_callback_come_back, layers_of_other_methods_and_float_ones_stand_beside_measured_ones,
               a_weight_that_two_layers_share_is_measured_in_both, memory_that_runs_out_is_a_status)
