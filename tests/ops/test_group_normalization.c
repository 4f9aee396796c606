/* InstanceNormalization and GroupNormalization. */
#include "tests/support/op_run.h"

#include <math.h>

static void check(int64_t groups, int opset, mary_type type, int rank, const int64_t *dims)
{
    int64_t channels = dims[1], count = groups == 0 ? channels : opset < 21 ? groups : channels;
    op_case *c = op_case_new(groups == 0 ? "InstanceNormalization" : "GroupNormalization", opset);
    op_attribute_float(c, "epsilon", 0.01f);
    if (groups > 0)
        op_attribute_int(c, "num_groups", groups);
    op_input(c, type, rank, dims, NULL);
    op_input(c, type, DIMS(count), NULL);
    op_input(c, type, DIMS(count), NULL);
    op_run(c);
    const mary_tensor *x = op_input_tensor(c, 0);
    int64_t pixels = mary_shape_count_range(&x->shape, 2, rank), number = groups == 0 ? channels : groups;
    int64_t length = channels / number * pixels;
    for (int64_t g = 0; g < dims[0] * number; g++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < length; i++)
            mean += mary_tensor_double(x, g * length + i) / (double)length;
        for (int64_t i = 0; i < length; i++)
            square += pow(mary_tensor_double(x, g * length + i) - mean, 2) / (double)length;
        for (int64_t i = 0; i < length; i++) {
            int64_t p = count == number ? g % number : (g * length + i) / pixels % channels;
            double want = (mary_tensor_double(x, g * length + i) - mean) / sqrt(square + (double)0.01f) *
                              mary_tensor_double(op_input_tensor(c, 1), p) +
                          mary_tensor_double(op_input_tensor(c, 2), p);
            ck_assert_double_eq_tol(mary_tensor_double(op_output(c, 0), g * length + i), want, 2e-5);
        }
    }
    op_case_free(c);
}

START_TEST(groups_are_normalised_by_themselves)
{
    for (int wide = 0; wide < 2; wide++) {
        mary_type type = wide ? MARY_DOUBLE : MARY_FLOAT;
        check(0, 6, type, DIMS(2, 3, 4, 5));
        check(0, 22, type, DIMS(2, 3, 37));
        check(2, 18, type, DIMS(2, 6, 3, 3));
        check(2, 21, type, DIMS(2, 6, 3, 3));
        check(6, 21, type, DIMS(1, 6, 40, 41));
        check(1, 21, type, DIMS(3, 4, 2));
    }
}
END_TEST

START_TEST(groups_that_do_not_divide_and_wrong_parameters_are_refused)
{
    op_case *c = op_case_new("GroupNormalization", 21);
    op_attribute_int(c, "num_groups", 4);
    op_input(c, MARY_FLOAT, DIMS(1, 6, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(6), NULL);
    op_input(c, MARY_FLOAT, DIMS(6), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "no multiple of 4");
    op_case_free(c);
    c = op_case_new("GroupNormalization", 21);
    op_input(c, MARY_FLOAT, DIMS(1, 6, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "num_groups is 0");
    op_case_free(c);
    c = op_case_new("InstanceNormalization", 6);
    op_input(c, MARY_FLOAT, DIMS(1, 6, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(5), NULL);
    op_input(c, MARY_FLOAT, DIMS(6), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "input 1 must have 6 values");
    op_case_free(c);
    c = op_case_new("InstanceNormalization", 6);
    op_input(c, MARY_FLOAT, DIMS(1, 0, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(0), NULL);
    op_input(c, MARY_FLOAT, DIMS(0), NULL);
    op_run(c);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/group_normalization", groups_are_normalised_by_themselves,
               groups_that_do_not_divide_and_wrong_parameters_are_refused)
