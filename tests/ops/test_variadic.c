/* Min, Max, Sum, Mean; Where; Pow. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(variadic_operators_chain_their_inputs)
{
    static const struct {
        const char *type;
        float expected[6];
    } cases[] = {
        {"Min", {1, 1, 1, 2, 1, 3}},
        {"Max", {5, 8, 5, 8, 5, 8}},
        {"Sum", {7, 14, 8, 15, 9, 16}},
        {"Mean", {7 / 3.0f, 14 / 3.0f, 8 / 3.0f, 5, 3, 16 / 3.0f}},
    };
    for (size_t i = 0; i < 4; i++) {
        op_case *c = op_case_new(cases[i].type, 13);
        op_input(c, MARY_FLOAT, DIMS(3, 1), FLOATS(1, 2, 3));
        op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 8));
        op_input(c, MARY_FLOAT, SCALAR, FLOATS(5));
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(3, 2), cases[i].expected);
        op_case_free(c);
        c = op_case_new(cases[i].type, 8);
        op_input(c, MARY_DOUBLE, DIMS(2), DOUBLES(1, -2));
        op_run(c);
        op_expect(c, 0, MARY_DOUBLE, DIMS(2), DOUBLES(1, -2));
        op_case_free(c);
        c = op_case_new(cases[i].type, 13);
        for (int k = 0; k < 3; k++)
            op_input(c, MARY_FLOAT, DIMS(2, 5, 33, 65), NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

START_TEST(extremes_let_nan_win_and_take_integers)
{
    op_case *c = op_case_new("Max", 13);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(NAN, 1, INFINITY, -1));
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, NAN, 3, -INFINITY));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(4), FLOATS(NAN, NAN, INFINITY, -1));
    op_case_free(c);
    c = op_case_new("Min", 12);
    op_input(c, MARY_UINT64, DIMS(2), (uint64_t[]){UINT64_MAX, 3});
    op_input(c, MARY_UINT64, DIMS(2), (uint64_t[]){5, 2});
    op_run(c);
    op_expect(c, 0, MARY_UINT64, DIMS(2), (uint64_t[]){5, 2});
    op_case_free(c);
    c = op_case_new("Max", 13);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "no inputs");
    op_case_free(c);
    c = op_case_new("Sum", 13);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    op_absent(c);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "input 1 is missing");
    op_case_free(c);
}
END_TEST

START_TEST(where_picks_values_of_any_size)
{
    op_case *c = op_case_new("Where", 16);
    op_input(c, MARY_BOOL, DIMS(2, 1), BOOLS(1, 0));
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 3, NAN));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(9, 8));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 9, 8));
    op_case_free(c);
    static const mary_type types[] = {MARY_INT8, MARY_BOOL, MARY_FLOAT16, MARY_INT32, MARY_INT64, MARY_DOUBLE};
    for (size_t i = 0; i < 6; i++) {
        c = op_case_new("Where", 16);
        op_input(c, MARY_BOOL, DIMS(1, 5, 3), NULL);
        op_input(c, types[i], DIMS(2, 5, 3), NULL);
        op_constant(c, types[i], SCALAR, NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
    c = op_case_new("Where", 16);
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "must be bool");
    op_case_free(c);
}
END_TEST

START_TEST(pow_mixes_types)
{
    op_case *c = op_case_new("Pow", 15);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(2, -2, 9, 0));
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(3, 3, 0.5f, 0));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(4), FLOATS(8, -8, 3, 1));
    op_case_free(c);
    c = op_case_new("Pow", 15);
    op_input(c, MARY_INT64, DIMS(5), INTS(2, -3, 2, -1, 0));
    op_input(c, MARY_INT32, DIMS(5), (int32_t[]){62, 3, -1, -3, 0});
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(5), INTS(INT64_C(1) << 62, -27, 0, -1, 1));
    op_case_free(c);
    c = op_case_new("Pow", 15);
    op_input(c, MARY_INT32, DIMS(3), (int32_t[]){4, 10, -8});
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(0.5f, 100, 0.5f));
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(3), (int32_t[]){2, INT32_MAX, 0});
    op_case_free(c);
    c = op_case_new("Pow", 15);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(3, 2));
    op_input(c, MARY_UINT64, DIMS(2), (uint64_t[]){2, 10});
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(9, 1024));
    op_case_free(c);
}
END_TEST

START_TEST(pow_by_one_exponent_has_short_cuts)
{
    static const float exponents[] = {2, 3, 1, -1, 0.5f, -0.5f, 0};
    for (size_t i = 0; i < 7; i++) {
        op_case *c = op_case_new("Pow", 13);
        op_input(c, MARY_FLOAT, DIMS(2, 3, 5), NULL);
        op_constant(c, MARY_FLOAT, SCALAR, &exponents[i]);
        op_run(c);
        const float *x = op_input_tensor(c, 0)->data, *y = op_output(c, 0)->data;
        for (int k = 0; k < 30; k++) {
            float expected = powf(x[k], exponents[i]);
            ck_assert((isnan(expected) && isnan(y[k])) || fabsf(y[k] - expected) <= 1e-6f * fabsf(expected));
        }
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/variadic", variadic_operators_chain_their_inputs, extremes_let_nan_win_and_take_integers,
               where_picks_values_of_any_size, pow_mixes_types, pow_by_one_exponent_has_short_cuts)
