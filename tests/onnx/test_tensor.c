/* Shapes, types and half-precision conversion. */
#include "tests/support/suite.h"

#include <math.h>
#include <string.h>

#include "onnx/tensor.h"

START_TEST(every_half_survives_a_round_trip)
{
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = mary_half_to_float((uint16_t)half);
        if (isnan(value))
            ck_assert(isnan(mary_half_to_float(mary_float_to_half(value))));
        else
            ck_assert_uint_eq(mary_float_to_half(value), half);
    }
}
END_TEST

START_TEST(half_rounds_to_nearest_even)
{
    ck_assert_uint_eq(mary_float_to_half(1.0f + 0x1p-11f), 0x3c00);     /* tie, down to even */
    ck_assert_uint_eq(mary_float_to_half(1.0f + 3 * 0x1p-11f), 0x3c02); /* tie, up to even */
    ck_assert_uint_eq(mary_float_to_half(65519.0f), 0x7bff);
    ck_assert_uint_eq(mary_float_to_half(65520.0f), 0x7c00);
    ck_assert_uint_eq(mary_float_to_half(-0x1p-25f), 0x8000);
    ck_assert_uint_eq(mary_float_to_half(0x1.8p-24f), 2);
}
END_TEST

START_TEST(broadcast_follows_numpy)
{
    mary_shape a = {3, {2, 1, 4}}, b = {2, {3, 1}}, result;
    assert_ok(mary_shape_broadcast(&a, &b, &result));
    ck_assert(mary_shape_equal(&result, &(mary_shape){3, {2, 3, 4}}));
    mary_shape c = {1, {5}};
    assert_fails(mary_shape_broadcast(&a, &c, &result), MARY_ERROR_INVALID, "[2,1,4] and [5]");
}
END_TEST

START_TEST(shapes_that_overflow_are_refused)
{
    mary_shape big = {3, {1LL << 40, 1LL << 40, 1}}, negative = {1, {-1}}, hidden = {3, {0, 1LL << 40, 1LL << 40}};
    assert_fails(mary_shape_check(&big, "tensor 'w'"), MARY_ERROR_INVALID, "tensor 'w' is too large");
    assert_fails(mary_shape_check(&negative, "x"), MARY_ERROR_INVALID, "negative");
    assert_fails(mary_shape_check(&hidden, "x"), MARY_ERROR_INVALID, "too large");
}
END_TEST

MARY_TEST_MAIN("onnx/tensor", every_half_survives_a_round_trip, half_rounds_to_nearest_even, broadcast_follows_numpy,
               shapes_that_overflow_are_refused)
