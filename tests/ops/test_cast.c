/* Cast and CastLike: every pair of types, and what happens out of range. */
#include "tests/support/op_run.h"

#include <math.h>

static const mary_type types[] = {MARY_FLOAT, MARY_DOUBLE, MARY_FLOAT16, MARY_BFLOAT16, MARY_INT8,
                                  MARY_UINT8, MARY_INT16,  MARY_UINT16,  MARY_INT32,    MARY_UINT32,
                                  MARY_INT64, MARY_UINT64, MARY_BOOL};
enum { TYPES = sizeof types / sizeof types[0] };

START_TEST(small_numbers_survive_every_pair_of_types)
{
    for (int from = 0; from < TYPES; from++) {
        for (int to = 0; to < TYPES; to++) {
            op_case *c = op_case_new("Cast", 13);
            op_attribute_int(c, "to", types[to]);
            op_input(c, types[from], DIMS(40), NULL);
            op_run(c);
            for (int i = 0; i < 40; i++) {
                double in = mary_tensor_double(op_input_tensor(c, 0), i), out = mary_tensor_double(op_output(c, 0), i);
                bool is_signed = types[to] == MARY_INT8 || types[to] == MARY_INT16 || types[to] == MARY_INT32 ||
                                 types[to] == MARY_INT64 || mary_type_is_float(types[to]);
                if (types[to] == MARY_BOOL)
                    ck_assert(out == (in != 0));
                else if (in < 0 && !is_signed && !mary_type_is_float(types[from]))
                    ck_assert(out == in + ldexp(1, 8 * (int)mary_type_size(types[to])));
                else if (in < 0 && !is_signed)
                    ck_assert(out == 0);
                else if (mary_type_is_float(types[to]))
                    ck_assert(fabs(in - out) <= 0.004 * fabs(in));
                else
                    ck_assert(out == trunc(in));
            }
            op_case_free(c);
        }
    }
}
END_TEST

static void expect_cast(mary_type from, mary_type to, int count, const void *in, const void *out)
{
    op_case *c = op_case_new("Cast", 13);
    op_attribute_int(c, "to", to);
    op_input(c, from, DIMS(count), in);
    op_run(c);
    op_expect_near(c, 0, to, DIMS(count), out, 0);
    op_case_free(c);
}

START_TEST(floats_out_of_range_become_the_nearest_integer)
{
    expect_cast(MARY_FLOAT, MARY_UINT8, 7, FLOATS(-1, 255.9f, 256, 1e30f, -INFINITY, NAN, -0.9f),
                BOOLS(0, 255, 255, 255, 0, 0, 0));
    expect_cast(MARY_FLOAT, MARY_INT64, 4, FLOATS(0x1p63f, -0x1p63f, NAN, INFINITY),
                INTS(INT64_MAX, INT64_MIN, 0, INT64_MAX));
    expect_cast(MARY_DOUBLE, MARY_INT8, 4, DOUBLES(-128.9, -129, 127.9, 128), (const int8_t[]){-128, -128, 127, 127});
    expect_cast(MARY_DOUBLE, MARY_UINT64, 2, DOUBLES(1.8446744073709552e19, -5), (const uint64_t[]){UINT64_MAX, 0});
}
END_TEST

START_TEST(integers_keep_their_low_bits)
{
    expect_cast(MARY_INT64, MARY_UINT8, 3, INTS(257, -1, INT64_MIN), BOOLS(1, 255, 0));
    expect_cast(MARY_INT64, MARY_INT32, 2, INTS(1LL << 31, (1LL << 32) + 5), (const int32_t[]){INT32_MIN, 5});
}
END_TEST

START_TEST(bool_is_everything_but_zero)
{
    expect_cast(MARY_FLOAT, MARY_BOOL, 4, FLOATS(0, -0.0f, NAN, 0.1f), BOOLS(0, 0, 1, 1));
    expect_cast(MARY_BOOL, MARY_FLOAT, 2, BOOLS(1, 0), FLOATS(1, 0));
}
END_TEST

START_TEST(halves_are_rounded_once)
{
    /* Just above a tie of float16 by less than a float can tell: rounding to float first would lose it. */
    expect_cast(MARY_DOUBLE, MARY_FLOAT16, 3, DOUBLES(1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11, -(1 + 0x1p-11 + 0x1p-40)),
                (const uint16_t[]){0x3c01, 0x3c00, 0xbc01});
    expect_cast(MARY_DOUBLE, MARY_FLOAT16, 3, DOUBLES(1 + 3 * 0x1p-11 - 0x1p-40, 65520, 1e300),
                (const uint16_t[]){0x3c01, 0x7c00, 0x7c00});
    expect_cast(MARY_INT64, MARY_BFLOAT16, 2, INTS((1LL << 62) + (1LL << 54) + 1, (1LL << 62) + (1LL << 54)),
                (const uint16_t[]){0x5e81, 0x5e80});
    expect_cast(MARY_UINT64, MARY_BFLOAT16, 1, (const uint64_t[]){UINT64_MAX}, (const uint16_t[]){0x5f80});
}
END_TEST

START_TEST(cast_like_takes_the_type_of_its_second_input)
{
    op_case *c = op_case_new("CastLike", 15);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1.5f, -2.5f));
    op_input(c, MARY_INT32, DIMS(0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (const int32_t[]){1, -2});
    op_case_free(c);
}
END_TEST

START_TEST(casts_to_types_without_arithmetic_are_refused)
{
    static const int64_t wrong[] = {MARY_STRING, 17, 22, 0, -1, INT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = op_case_new("Cast", 19);
        op_attribute_int(c, "to", wrong[i]);
        op_input(c, MARY_FLOAT, DIMS(2), NULL);
        assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "not supported");
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/cast", small_numbers_survive_every_pair_of_types, floats_out_of_range_become_the_nearest_integer,
               integers_keep_their_low_bits, bool_is_everything_but_zero, halves_are_rounded_once,
               cast_like_takes_the_type_of_its_second_input, casts_to_types_without_arithmetic_are_refused)
