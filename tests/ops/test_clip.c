/* Clip: bounds as attributes and as inputs, all types, and as the end of a convolution. */
#include "tests/support/op_run.h"

#include <float.h>
#include <math.h>

START_TEST(clip_with_attributes_keeps_nan)
{
    op_case *c = op_case_new("Clip", 6);
    op_attribute_float(c, "min", -1);
    op_attribute_float(c, "max", 6);
    op_input(c, MARY_FLOAT, DIMS(5), FLOATS(-INFINITY, -0.5f, 7, INFINITY, NAN));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(5), FLOATS(-1, -0.5f, 6, 6, NAN));
    op_case_free(c);
}
END_TEST

START_TEST(clip_bounds_may_be_constant_dynamic_or_absent)
{
    for (int constant = 0; constant < 2; constant++) {
        op_case *c = op_case_new("Clip", 13);
        op_input(c, MARY_FLOAT, DIMS(2, 5, 3, 7), NULL);
        (constant ? op_constant : op_input)(c, MARY_FLOAT, SCALAR, FLOATS(-0.5f));
        op_absent(c);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        const float *x = op_input_tensor(c, 0)->data, *y = op_output(c, 0)->data;
        for (int i = 0; i < 2 * 5 * 3 * 7; i++)
            ck_assert_float_eq(y[i], fmaxf(x[i], -0.5f));
        op_case_free(c);
    }
    op_case *c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(-5, 5));
    op_absent(c);
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(-5, 2));
    op_case_free(c);
}
END_TEST

START_TEST(clip_with_crossed_bounds_gives_the_upper_one)
{
    op_case *c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(-3, 0, 3));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(2));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(1, 1, 1));
    op_case_free(c);
}
END_TEST

START_TEST(clip_takes_integers_up_to_their_limits)
{
    op_case *c = op_case_new("Clip", 12);
    op_input(c, MARY_INT8, DIMS(4), (int8_t[]){-128, -3, 3, 127});
    op_input(c, MARY_INT8, SCALAR, (int8_t[]){-5});
    op_absent(c);
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(4), (int8_t[]){-5, -3, 3, 127});
    op_case_free(c);
    c = op_case_new("Clip", 12);
    op_input(c, MARY_UINT64, DIMS(3), (uint64_t[]){0, 7, UINT64_MAX});
    op_input(c, MARY_UINT64, SCALAR, (uint64_t[]){5});
    op_run(c);
    op_expect(c, 0, MARY_UINT64, DIMS(3), (uint64_t[]){5, 7, UINT64_MAX});
    op_case_free(c);
    c = op_case_new("Clip", 12);
    op_input(c, MARY_INT64, DIMS(3), INTS(INT64_MIN, 0, INT64_MAX));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(3), INTS(INT64_MIN, 0, INT64_MAX));
    op_case_free(c);
    c = op_case_new("Clip", 12);
    op_input(c, MARY_DOUBLE, DIMS(3), DOUBLES(-1e300, 0.1, 1e300));
    op_absent(c);
    op_input(c, MARY_DOUBLE, SCALAR, DOUBLES(0.25));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(3), DOUBLES(-1e300, 0.1, 0.25));
    op_case_free(c);
}
END_TEST

START_TEST(clip_refuses_bounds_that_are_no_scalars_of_its_type)
{
    op_case *c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "lower bound");
    op_case_free(c);
    c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_absent(c);
    op_input(c, MARY_INT32, SCALAR, (int32_t[]){1});
    assert_fails(op_try(c), MARY_ERROR_INVALID, "upper bound");
    op_case_free(c);
    c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(0), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "lower bound");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/clip", clip_with_attributes_keeps_nan, clip_bounds_may_be_constant_dynamic_or_absent,
               clip_with_crossed_bounds_gives_the_upper_one, clip_takes_integers_up_to_their_limits,
               clip_refuses_bounds_that_are_no_scalars_of_its_type)
