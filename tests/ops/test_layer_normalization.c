/* LayerNormalization and RMSNormalization. */
#include "tests/support/op_run.h"

#include <math.h>

/* Rows of `length`; the parameters of `scale_count` and `shift_count` (0: absent) values repeat over a row. */
static void check(const char *op, mary_type type, int rank, const int64_t *dims, int64_t axis, int64_t length,
                  int scale_rank, const int64_t *scale_dims, bool shift)
{
    bool centred = strcmp(op, "LayerNormalization") == 0;
    op_case *c = op_case_new(op, centred ? 17 : 23);
    op_attribute_int(c, "axis", axis);
    op_attribute_float(c, "epsilon", 0.001f);
    op_input(c, type, rank, dims, NULL);
    op_input(c, type, scale_rank, scale_dims, NULL);
    if (shift)
        op_input(c, type, scale_rank, scale_dims, NULL);
    op_outputs(c, centred ? 3 : 1);
    op_run(c);
    const mary_tensor *x = op_input_tensor(c, 0), *scale = op_input_tensor(c, 1);
    int64_t repeat = mary_shape_count(&scale->shape);
    for (int64_t row = 0; row < mary_shape_count(&x->shape) / length; row++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < length && centred; i++)
            mean += mary_tensor_double(x, row * length + i) / (double)length;
        for (int64_t i = 0; i < length; i++)
            square += pow(mary_tensor_double(x, row * length + i) - mean, 2) / (double)length;
        double inverse = 1 / sqrt(square + (double)0.001f);
        for (int64_t i = 0; i < length; i++) {
            double want =
                (mary_tensor_double(x, row * length + i) - mean) * inverse * mary_tensor_double(scale, i % repeat);
            if (shift)
                want += mary_tensor_double(op_input_tensor(c, 2), i % repeat);
            ck_assert_double_eq_tol(mary_tensor_double(op_output(c, 0), row * length + i), want, 1e-5);
        }
        if (centred) {
            ck_assert_double_eq_tol(mary_tensor_double(op_output(c, 1), row), mean, 1e-6);
            ck_assert_double_eq_tol(mary_tensor_double(op_output(c, 2), row), inverse, 1e-5);
        }
    }
    op_case_free(c);
}

START_TEST(rows_are_normalised_scaled_and_shifted)
{
    for (int wide = 0; wide < 2; wide++) {
        mary_type type = wide ? MARY_DOUBLE : MARY_FLOAT;
        for (int shift = 0; shift < 2; shift++) {
            check("LayerNormalization", type, DIMS(2, 3, 37), -1, 37, DIMS(37), shift);
            check("LayerNormalization", type, DIMS(2, 3, 4, 5), 2, 20, DIMS(4, 5), shift);
            check("LayerNormalization", type, DIMS(2, 3, 4, 5), 2, 20, DIMS(1, 1, 5), shift);
            check("LayerNormalization", type, DIMS(2, 3, 4), 0, 24, DIMS(2, 3, 4), shift);
            check("LayerNormalization", type, DIMS(2, 6), 1, 6, DIMS(1), shift);
            check("LayerNormalization", type, DIMS(90, 768), 1, 768, DIMS(768), shift);
        }
        check("RMSNormalization", type, DIMS(2, 3, 37), -1, 37, DIMS(37), false);
        check("RMSNormalization", type, DIMS(2, 3, 4, 5), -3, 60, DIMS(3, 4, 5), false);
    }
}
END_TEST

START_TEST(an_offset_much_larger_than_the_spread_keeps_its_digits)
{
    op_case *c = op_case_new("LayerNormalization", 17);
    op_attribute_float(c, "epsilon", 0);
    op_input(c, MARY_FLOAT, DIMS(1, 4), FLOATS(10000, 10001, 10002, 10003));
    op_constant(c, MARY_FLOAT, DIMS(4), FLOATS(1, 1, 1, 1));
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 4), FLOATS(-1.3416408f, -0.4472136f, 0.4472136f, 1.3416408f), 1e-5);
    op_case_free(c);
}
END_TEST

START_TEST(parameters_that_do_not_fit_are_refused)
{
    op_case *c = op_case_new("LayerNormalization", 17);
    op_input(c, MARY_FLOAT, DIMS(2, 4), NULL);
    op_input(c, MARY_FLOAT, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not broadcast");
    op_case_free(c);
    c = op_case_new("LayerNormalization", 17);
    op_input(c, MARY_FLOAT, DIMS(2, 4), NULL);
    op_input(c, MARY_FLOAT, DIMS(2, 4), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not broadcast");
    op_case_free(c);
    c = op_case_new("LayerNormalization", 17);
    op_input(c, MARY_FLOAT, DIMS(2, 1), NULL);
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not broadcast");
    op_case_free(c);
    c = op_case_new("LayerNormalization", 17);
    op_attribute_int(c, "axis", 3);
    op_input(c, MARY_FLOAT, DIMS(2, 4), NULL);
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 3");
    op_case_free(c);
    c = op_case_new("LayerNormalization", 17);
    op_input(c, MARY_FLOAT, DIMS(2, 0), NULL);
    op_input(c, MARY_FLOAT, DIMS(0), NULL);
    op_run(c);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/layer_normalization", rows_are_normalised_scaled_and_shifted,
               an_offset_much_larger_than_the_spread_keeps_its_digits, parameters_that_do_not_fit_are_refused)
