/* BatchNormalization: inference in every layout, parameters constant or not, and training mode. */
#include "tests/support/op_run.h"

#include <math.h>

static const int parameter_count = 4;

/* Runs with positive random variances; compares with the definition. */
static void check(mary_type type, int rank, const int64_t *dims, bool constant, int opset)
{
    int64_t channels = rank > 1 ? dims[1] : 1;
    float floats[64];
    double doubles[64];
    op_case *c = op_case_new("BatchNormalization", opset);
    op_attribute_float(c, "epsilon", 0.01f);
    op_input(c, type, rank, dims, NULL);
    for (int p = 0; p < parameter_count; p++) {
        for (int i = 0; i < channels; i++) {
            floats[i] = p == 3 ? 0.5f + (float)(i % 7) : (float)((i * 5 + p * 3) % 11) - 5;
            doubles[i] = (double)floats[i];
        }
        (constant ? op_constant : op_input)(c, type, DIMS(channels),
                                            type == MARY_FLOAT ? (void *)floats : (void *)doubles);
    }
    op_run(c);
    ck_assert_int_eq(op_ran_channels_last(c), rank >= 3 && type == MARY_FLOAT);
    const mary_tensor *x = op_input_tensor(c, 0), *y = op_output(c, 0);
    int64_t pixels = mary_shape_count_range(&x->shape, 2, rank);
    for (int64_t i = 0; i < mary_shape_count(&x->shape); i++) {
        int64_t channel = i / pixels % channels;
        double v[4];
        for (int p = 0; p < parameter_count; p++)
            v[p] = mary_tensor_double(op_input_tensor(c, p + 1), channel);
        double want = (mary_tensor_double(x, i) - v[2]) / sqrt(v[3] + (double)0.01f) * v[0] + v[1];
        ck_assert_double_eq_tol(mary_tensor_double(y, i), want, type == MARY_FLOAT ? 2e-5 : 1e-12);
    }
    op_case_free(c);
}

START_TEST(inference_scales_and_shifts_every_channel)
{
    for (int constant = 0; constant < 2; constant++) {
        check(MARY_FLOAT, DIMS(2, 19, 5, 7), constant, 15);
        check(MARY_FLOAT, DIMS(3, 33), constant, 9);
        check(MARY_FLOAT, DIMS(2, 5, 9), constant, 7);
        check(MARY_FLOAT, DIMS(2, 5, 3, 2, 3), constant, 14);
        check(MARY_FLOAT, DIMS(4), constant, 15);
        check(MARY_FLOAT, DIMS(2, 40, 31, 33), constant, 15);
        check(MARY_DOUBLE, DIMS(2, 3, 4, 5), constant, 15);
        check(MARY_FLOAT, DIMS(0, 3, 4, 5), constant, 15);
    }
}
END_TEST

START_TEST(training_mode_uses_and_tracks_the_statistics_of_the_batch)
{
    op_case *c = op_case_new("BatchNormalization", 15);
    op_attribute_int(c, "training_mode", 1);
    op_attribute_float(c, "epsilon", 0);
    op_input(c, MARY_FLOAT, DIMS(2, 2, 1, 2), FLOATS(1, 3, 0, 0, 5, 7, 0, 4));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(0, 1));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(10, 0));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 1));
    op_outputs(c, 3);
    op_run(c);
    const float s = 2.2360680f, t = 1.7320508f; /* standard deviations: sqrt 5 and sqrt 3 */
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2, 1, 2),
              FLOATS(-3 / s, -1 / s, 1 - 2 / t, 1 - 2 / t, 1 / s, 3 / s, 1 - 2 / t, 1 + 6 / t));
    op_expect(c, 1, MARY_FLOAT, DIMS(2), FLOATS(9.4f, 0.1f));
    op_expect(c, 2, MARY_FLOAT, DIMS(2), FLOATS(1.4f, 1.2f));
    op_case_free(c);
}
END_TEST

START_TEST(parameters_of_the_wrong_size_are_refused)
{
    for (int wrong = 1; wrong < 5; wrong++) {
        for (int constant = 0; constant < 2; constant++) {
            op_case *c = op_case_new("BatchNormalization", 15);
            op_input(c, MARY_FLOAT, DIMS(1, 3, 2, 2), NULL);
            for (int p = 1; p < 5; p++)
                (constant ? op_constant : op_input)(c, MARY_FLOAT, DIMS(p == wrong ? 2 : 3), NULL);
            assert_fails(op_try(c), MARY_ERROR_INVALID, "3 channels");
            op_case_free(c);
        }
    }
    op_case *c = op_case_new("BatchNormalization", 15);
    op_input(c, MARY_FLOAT, DIMS(1, 3), NULL);
    for (int p = 1; p < 5; p++)
        op_input(c, MARY_FLOAT, DIMS(3), NULL);
    op_outputs(c, 2);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "training mode");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/batch_normalization", inference_scales_and_shifts_every_channel,
               training_mode_uses_and_tracks_the_statistics_of_the_batch, parameters_of_the_wrong_size_are_refused)
