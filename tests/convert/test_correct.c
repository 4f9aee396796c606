/* What calibration makes of means and spreads. */
#include <math.h>
#include <string.h>

#include "convert/calibrate/scores.h"
#include "tests/support/residual_block.h"

/* Standard deviation of every channel of value [N,C,H,W]. */
static void channel_spreads(const mary_model *model, const char *value, int64_t channels, double *spreads)
{
    size_t count;
    double means[16];
    block_channel_means(model, value, channels, means);
    float *values = block_outputs(model, &block_data, value, &count);
    size_t pixels = count / (size_t)(BLOCK_RUNS * BLOCK_BATCH * channels);
    memset(spreads, 0, (size_t)channels * sizeof *spreads);
    for (size_t i = 0; i < count; i++) {
        size_t c = i / pixels % (size_t)channels;
        spreads[c] += pow((double)values[i] - means[c], 2) / (double)(count / (size_t)channels);
    }
    for (int64_t c = 0; c < channels; c++)
        spreads[c] = sqrt(spreads[c]);
    free(values);
}

static void check_means_and_spreads(const char *method)
{
    mary_model *model = block_without_scores();
    double means[3][12], spreads[3][12], got[12];
    block_channel_means(model, "a", 12, means[0]);
    block_channel_means(model, "sum", 12, means[1]);
    block_channel_means(model, "up", 5, means[2]);
    channel_spreads(model, "a", 12, spreads[0]);
    channel_spreads(model, "b", 12, spreads[1]); /* of the sum, only the mean is made up for */
    channel_spreads(model, "up", 5, spreads[2]);
    mary_model_free(&model);
    model = block_without_scores();
    mary_convert_options options = block_nearest_at(3, method);
    assert_ok(mary_convert(model, &options, NULL));
    for (int value = 0; value < 3; value++) {
        static const char *const mean_of[] = {"a", "sum", "up"}, *const spread_of[] = {"a", "b", "up"};
        int channels = value == 2 ? 5 : 12;
        block_channel_means(model, mean_of[value], channels, got);
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
    block_fill(&block_data);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        check_means_and_spreads(methods[i]);
}
END_TEST

/* One set of levels has one factor: the spread of the layer is right, not that of its rows. */
START_TEST(levels_of_a_tensor_have_one_factor)
{
    block_fill(&block_data);
    mary_model *model = block_without_scores();
    double before[12], after[12], wanted = 0, made = 0, most = 0;
    channel_spreads(model, "a", 12, before);
    mary_convert_options options = block_nearest_at(2, "kmeans");
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
    block_fill(&block_data);
    float levels[2][4];
    double before[12], after[12];
    for (int corrected = 0; corrected < 2; corrected++) {
        mary_model *model = block_without_scores();
        block_channel_means(model, "sum", 12, before);
        mary_convert_options options = block_nearest_at(4, "kmeans");
        options.granularity = MARY_GRANULARITY_MODEL;
        options.no_bias_correction = corrected == 0;
        assert_ok(mary_convert(model, &options, NULL));
        block_channel_means(model, "sum", 12, after);
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
    block_fill(&block_data);
    for (int levels = 8; levels <= 16; levels *= 2) { /* with few, squared error rewards outputs that shrink */
        mary_convert_options options = block_nearest_at(levels, "kmeans");
        double corrected = block_loss(options, &block_data);
        options.no_bias_correction = true;
        double plain = block_loss(options, &block_data);
        options.calibration = NULL;
        ck_assert_double_eq(block_loss(options, &block_data), plain); /* data alone changes nothing */
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
    float *expected = block_outputs(model, &block_data, NULL, &count);
    assert_ok(mary_convert(model, &options, &report));
    float *got = block_outputs(model, &block_data, NULL, &count);
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
    block_fill(&block_data);
    for (int levels = 2; levels <= 32; levels++) {
        mary_convert_options options = block_nearest_at(levels, "kmeans");
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
    mary_status status = block_give(context, index, inputs, input_count);
    block_data.array.dims[0] = 1;
    block_data.array.bytes = BLOCK_SAMPLE * sizeof(float);
    return status;
}

START_TEST(too_few_values_correct_nothing)
{
    block_fill(&block_data);
    const mary_calibration one = {&block_data, 1, give_one};
    mary_convert_options options = block_nearest_at(2, "kmeans");
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

MARY_TEST_MAIN("convert/correct", nearest_levels_leave_means_and_spreads_as_they_were,
               levels_of_a_tensor_have_one_factor, levels_of_a_model_are_not_scaled,
               corrected_outputs_are_nearer_to_the_float_ones, corrections_that_make_scores_worse_are_taken_back,
               too_few_values_correct_nothing)
