/* Mathematical functions, rounding, signs, tests of single elements. */
#include "tests/support/op_run.h"

#include <math.h>

static double sign(double x)
{
    return (x > 0) - (x < 0);
}
static double reciprocal(double x)
{
    return 1 / x;
}
static double negative(double x)
{
    return -x;
}

static const struct {
    const char *type;
    int opset;
    double (*compute)(double);
    float low, high; /* where it is defined */
} functions[] = {
    {"Sin", 7, sin, -9, 9},           {"Cos", 7, cos, -9, 9},
    {"Tan", 7, tan, -1.5f, 1.5f},     {"Asin", 7, asin, -1, 1},
    {"Acos", 7, acos, -1, 1},         {"Atan", 7, atan, -9, 9},
    {"Sinh", 9, sinh, -5, 5},         {"Cosh", 9, cosh, -5, 5},
    {"Asinh", 9, asinh, -9, 9},       {"Acosh", 9, acosh, 1, 9},
    {"Atanh", 9, atanh, -0.9f, 0.9f}, {"Exp", 13, exp, -9, 9},
    {"Log", 13, log, 0.001f, 9},      {"Erf", 13, erf, -5, 5},
    {"Sqrt", 13, sqrt, 0, 9},         {"Reciprocal", 13, reciprocal, 0.1f, 9},
    {"Floor", 13, floor, -9, 9},      {"Ceil", 13, ceil, -9, 9},
    {"Round", 11, rint, -9, 9},       {"Abs", 13, fabs, -9, 9},
    {"Neg", 13, negative, -9, 9},     {"Sign", 13, sign, -9, 9},
};
enum { FUNCTION_COUNT = sizeof functions / sizeof functions[0] };

START_TEST(functions_agree_with_the_math_library)
{
    for (size_t f = 0; f < FUNCTION_COUNT; f++) {
        for (int wide = 0; wide < 2; wide++) {
            float values[337];
            double doubles[337];
            for (int i = 0; i < 337; i++) {
                values[i] = functions[f].low + (functions[f].high - functions[f].low) * (float)i / 336.0f;
                doubles[i] = (double)values[i];
            }
            op_case *c = op_case_new(functions[f].type, functions[f].opset);
            op_input(c, wide ? MARY_DOUBLE : MARY_FLOAT, DIMS(337), wide ? (void *)doubles : (void *)values);
            op_run(c);
            for (int i = 0; i < 337; i++) {
                double expected = functions[f].compute(doubles[i]), got = mary_tensor_double(op_output(c, 0), i);
                ck_assert_msg(fabs(got - expected) <= (wide ? 1e-15 : 5e-7) * fmax(1, fabs(expected)),
                              "%s(%g) is %.9g, expected %.9g", functions[f].type, doubles[i], got, expected);
            }
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(functions_are_the_same_channels_last)
{
    for (size_t f = 0; f < FUNCTION_COUNT; f++) {
        op_case *c = op_case_new(functions[f].type, functions[f].opset);
        op_input(c, MARY_FLOAT, DIMS(2, 5, 3, 4), NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

/* One operator on a vector of floats. */
static void check_floats(const char *type, int64_t count, const float *x, const float *expected)
{
    op_case *c = op_case_new(type, 20);
    op_input(c, MARY_FLOAT, DIMS(count), x);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(count), expected);
    op_case_free(c);
}

START_TEST(edges_of_the_range_come_out_right)
{
    check_floats("Exp", 6, FLOATS(INFINITY, -INFINITY, NAN, 89, -104, 0), FLOATS(INFINITY, 0, NAN, INFINITY, 0, 1));
    check_floats("Log", 6, FLOATS(INFINITY, -INFINITY, NAN, 0, -1, 1e-45f),
                 FLOATS(INFINITY, NAN, NAN, -INFINITY, NAN, -103.27893f));
    check_floats("Erf", 4, FLOATS(INFINITY, -INFINITY, NAN, 1e-30f), FLOATS(1, -1, NAN, 1.1283792e-30f));
    check_floats("Sqrt", 3, FLOATS(-1, INFINITY, 4), FLOATS(NAN, INFINITY, 2));
    check_floats("Reciprocal", 3, FLOATS(0, -0.0f, INFINITY), FLOATS(INFINITY, -INFINITY, 0));
    check_floats("Sign", 4, FLOATS(-0.0f, NAN, INFINITY, -2), FLOATS(0, NAN, 1, -1));
}
END_TEST

START_TEST(rounding_is_half_to_even_and_keeps_large_values)
{
    const float x[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0.1f, 8388609, 1e30f, INFINITY, NAN, -0.3f};
    check_floats("Round", 12, x, FLOATS(0, 2, 2, -0.0f, -2, -2, 0, 8388609, 1e30f, INFINITY, NAN, -0.0f));
    check_floats("Floor", 12, x, FLOATS(0, 1, 2, -1, -2, -3, 0, 8388609, 1e30f, INFINITY, NAN, -1));
    check_floats("Ceil", 12, x, FLOATS(1, 2, 3, -0.0f, -1, -2, 1, 8388609, 1e30f, INFINITY, NAN, -0.0f));
    op_case *c = op_case_new("Ceil", 13);
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(-0.5f));
    op_run(c);
    ck_assert(signbit(*(const float *)op_output(c, 0)->data));
    op_case_free(c);
}
END_TEST

START_TEST(integers_at_their_limits_wrap)
{
    op_case *c = op_case_new("Abs", 13);
    op_input(c, MARY_INT8, DIMS(3), (int8_t[]){-128, -5, 127});
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(3), (int8_t[]){-128, 5, 127});
    op_case_free(c);
    c = op_case_new("Neg", 13);
    op_input(c, MARY_INT64, DIMS(2), INTS(INT64_MIN, 7));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2), INTS(INT64_MIN, -7));
    op_case_free(c);
    c = op_case_new("Sign", 13);
    op_input(c, MARY_UINT32, DIMS(2), (uint32_t[]){0, UINT32_MAX});
    op_run(c);
    op_expect(c, 0, MARY_UINT32, DIMS(2), (uint32_t[]){0, 1});
    op_case_free(c);
    c = op_case_new("BitwiseNot", 18);
    op_input(c, MARY_UINT8, DIMS(2), (uint8_t[]){0, 0xf0});
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2), (uint8_t[]){0xff, 0x0f});
    op_case_free(c);
}
END_TEST

START_TEST(tests_give_bools)
{
    op_case *c = op_case_new("IsNaN", 13);
    op_input(c, MARY_DOUBLE, DIMS(3), DOUBLES(NAN, INFINITY, 0));
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(3), BOOLS(1, 0, 0));
    op_case_free(c);
    static const uint8_t expected[3][4] = {{1, 1, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}};
    for (int i = 0; i < 3; i++) {
        c = op_case_new("IsInf", 10);
        if (i == 1)
            op_attribute_int(c, "detect_negative", 0);
        if (i == 2)
            op_attribute_int(c, "detect_positive", 0);
        op_input(c, MARY_FLOAT, DIMS(4), FLOATS(INFINITY, -INFINITY, NAN, 1));
        op_run(c);
        op_expect(c, 0, MARY_BOOL, DIMS(4), expected[i]);
        op_case_free(c);
    }
    c = op_case_new("IsNaN", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4, 5), NULL);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
    c = op_case_new("Not", 1);
    op_input(c, MARY_BOOL, DIMS(3), BOOLS(1, 0, 1));
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(3), BOOLS(0, 1, 0));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/functions", functions_agree_with_the_math_library, functions_are_the_same_channels_last,
               edges_of_the_range_come_out_right, rounding_is_half_to_even_and_keeps_large_values,
               integers_at_their_limits_wrap, tests_give_bools)
