/* Conversions that measure: layers in order, what each is asked to make up for, biases, and odd models and data. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/residual_block.h"

START_TEST(outputs_are_nearer_to_the_float_ones_than_with_nearest_levels)
{
    block_fill(&block_data);
    for (int levels = 2; levels <= 16; levels *= 2) {
        mary_convert_options options = block_feedback_at(levels, &block_calibration);
        double measured = block_loss(options, &block_data);
        options.method = "magnitude";
        double nearest = block_loss(options, &block_data);
        ck_assert_msg(measured < 0.25 * nearest, "M = %d: %g, nearest levels %g", levels, measured, nearest);
    }
    ck_assert_double_lt(block_loss(block_feedback_at(256, &block_calibration), &block_data), 1e-4);
    mary_convert_options shared = block_feedback_at(8, &block_calibration);
    shared.granularity = MARY_GRANULARITY_TENSOR;
    double measured = block_loss(shared, &block_data);
    shared.method = "magnitude";
    ck_assert_double_lt(measured, 0.5 * block_loss(shared, &block_data));
}
END_TEST

START_TEST(biases_make_up_for_means_and_appear_where_there_was_none)
{
    block_fill(&block_data);
    mary_model *model = block();
    double before[12], after[12];
    block_channel_means(model, "sum", 12, before);
    mary_convert_options options = block_feedback_at(2, &block_calibration);
    assert_ok(mary_convert(model, &options, NULL));
    block_channel_means(model, "sum", 12, after); /* b is asked to make up for c */
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
    block_fill(&block_data);
    compare_threads(block_feedback_at(3, &block_calibration));
    compare_threads(block_nearest_at(3, "hessian"));
}
END_TEST

START_TEST(without_calibration_data_it_says_what_is_missing)
{
    mary_model *model = block();
    mary_convert_options options = block_feedback_at(4, NULL);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "--calibration-data");
    mary_model_free(&model);
}
END_TEST

START_TEST(values_that_are_not_finite_are_refused_by_name)
{
    block_fill(&block_data);
    block_data.values[3 * BLOCK_BATCH * BLOCK_SAMPLE + 17] = NAN;
    mary_model *model = block();
    mary_convert_options options = block_feedback_at(4, &block_calibration);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "calibration run 3");
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "node 'a'"));
    mary_model_free(&model);
    block_fill(&block_data);
    block_data.values[0] = INFINITY;
    model = block();
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "calibration run 0");
    mary_model_free(&model);
}
END_TEST

START_TEST(integer_layers_are_measured_too)
{
    block_fill(&block_data);
    for (int levels = 2; levels <= 16; levels *= 2) {
        mary_convert_options options = block_feedback_at(levels, &block_calibration);
        options.activations = 8;
        double measured = block_loss(options, &block_data);
        options.method = "magnitude";
        double nearest = block_loss(options, &block_data);
        ck_assert_msg(measured < 0.5 * nearest, "M = %d: %g, nearest levels %g", levels, measured, nearest);
    }
    mary_convert_options options = block_feedback_at(256, &block_calibration);
    options.granularity = MARY_GRANULARITY_AUTO; /* an int8 grid, coded by feedback */
    options.activations = 8;
    double measured = block_loss(options, &block_data);
    options.method = "magnitude";
    double nearest = block_loss(options, &block_data);
    ck_assert_msg(measured < 1.05 * nearest && measured < 2e-3, "int8: %g, nearest levels %g", measured, nearest);
}
END_TEST

static mary_status give_wrong_name(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    mary_status status = block_give(context, index, inputs, input_count);
    block_data.array.name = "other";
    return status;
}

static mary_status give_up(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    (void)context, (void)index, (void)inputs, (void)input_count;
    return mary_fail(MARY_ERROR_INVALID, "the disk is gone");
}

START_TEST(failures_of_the_callback_come_back)
{
    block_fill(&block_data);
    mary_model *model = block();
    const mary_calibration gone = {NULL, BLOCK_RUNS, give_up}, wrong = {&block_data, BLOCK_RUNS, give_wrong_name};
    mary_convert_options options = block_feedback_at(4, &gone);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "the disk is gone");
    mary_model_free(&model);
    model = block();
    options = block_feedback_at(4, &wrong);
    ck_assert_int_ne(mary_convert(model, &options, NULL), MARY_OK);
    mary_model_free(&model);
}
END_TEST

START_TEST(layers_of_other_methods_and_float_ones_stand_beside_measured_ones)
{
    block_fill(&block_data);
    char path[] = "/tmp/mary-config-XXXXXX";
    int file = mkstemp(path);
    static const char text[] = "{\"layers\": {\"a\": {\"method\": \"kmeans\", \"levels\": 16}, \"up\": {\"exclude\": "
                               "true}, \"gemm\": {\"levels\": 2}}}";
    ck_assert_int_eq(write(file, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(file);
    mary_model *model = block();
    mary_convert_report *report;
    mary_convert_options options = block_feedback_at(3, &block_calibration);
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
    block_fill(&block_data);
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, BLOCK_CHANNELS, BLOCK_SIDE, BLOCK_SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, BLOCK_CHANNELS, BLOCK_SIDE, BLOCK_SIDE));
    block_floats(graph, "w", SHAPE(BLOCK_CHANNELS, BLOCK_CHANNELS, 3, 3));
    const int64_t pads[4] = {1, 1, 1, 1};
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "x,w", "a"), "pads", pads, 4));
    build_node(graph, "Tanh", "a", "t");
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "t,w", "y"), "pads", pads, 4));
    mary_convert_report *report;
    mary_convert_options options = block_feedback_at(4, &block_calibration);
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_int_eq(block_data.asked, BLOCK_RUNS); /* one pass for both */
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
    block_fill(&block_data);
    run_out_of_memory(block_feedback_at(3, &block_calibration));
    run_out_of_memory(block_nearest_at(3, "kmeans"));
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/in_order", outputs_are_nearer_to_the_float_ones_than_with_nearest_levels,
               biases_make_up_for_means_and_appear_where_there_was_none,
               the_bytes_do_not_depend_on_the_number_of_threads, without_calibration_data_it_says_what_is_missing,
               values_that_are_not_finite_are_refused_by_name, integer_layers_are_measured_too,
               failures_of_the_callback_come_back, layers_of_other_methods_and_float_ones_stand_beside_measured_ones,
               a_weight_that_two_layers_share_is_measured_in_both, memory_that_runs_out_is_a_status)
