/* Comparisons, logic, bitwise operators and shifts. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(comparisons_treat_nan_as_unordered)
{
    static const struct {
        const char *type;
        int opset;
        uint8_t expected[5];
    } cases[] = {
        {"Equal", 11, {0, 1, 0, 0, 1}}, {"Greater", 9, {0, 0, 1, 0, 0}},      {"GreaterOrEqual", 12, {0, 1, 1, 0, 1}},
        {"Less", 9, {1, 0, 0, 0, 0}},   {"LessOrEqual", 16, {1, 1, 0, 0, 1}},
    };
    for (size_t i = 0; i < 5; i++) {
        op_case *c = op_case_new(cases[i].type, cases[i].opset);
        op_input(c, MARY_FLOAT, DIMS(5), FLOATS(1, 2, 3, NAN, 0.0f));
        op_input(c, MARY_FLOAT, DIMS(5), FLOATS(2, 2, 2, NAN, -0.0f));
        op_run(c);
        op_expect(c, 0, MARY_BOOL, DIMS(5), cases[i].expected);
        op_case_free(c);
    }
}
END_TEST

START_TEST(comparisons_know_the_sign_of_integers)
{
    op_case *c = op_case_new("Less", 13);
    op_input(c, MARY_UINT8, DIMS(2), (uint8_t[]){255, 1});
    op_input(c, MARY_UINT8, DIMS(1), (uint8_t[]){2});
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(2), BOOLS(0, 1));
    op_case_free(c);
    c = op_case_new("Less", 13);
    op_input(c, MARY_INT64, DIMS(2, 3, 4), NULL);
    op_input(c, MARY_INT64, DIMS(3, 1), NULL);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
    c = op_case_new("Equal", 13);
    op_input(c, MARY_INT64, DIMS(2), INTS(INT64_MAX, INT64_MAX - 1));
    op_input(c, MARY_INT64, DIMS(1), INTS(INT64_MAX));
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(2), BOOLS(1, 0));
    op_case_free(c);
}
END_TEST

START_TEST(logic_works_on_bools_only)
{
    static const struct {
        const char *type;
        uint8_t expected[4];
    } cases[] = {{"And", {0, 0, 0, 1}}, {"Or", {0, 1, 1, 1}}, {"Xor", {0, 1, 1, 0}}, {"Equal", {1, 0, 0, 1}}};
    for (size_t i = 0; i < 4; i++) {
        op_case *c = op_case_new(cases[i].type, 13);
        op_input(c, MARY_BOOL, DIMS(2, 2), BOOLS(0, 0, 1, 1));
        op_input(c, MARY_BOOL, DIMS(2), BOOLS(0, 1));
        op_run(c);
        op_expect(c, 0, MARY_BOOL, DIMS(2, 2), cases[i].expected);
        op_case_free(c);
    }
    op_case *c = op_case_new("And", 7);
    op_input(c, MARY_UINT8, DIMS(1), BOOLS(1));
    op_input(c, MARY_UINT8, DIMS(1), BOOLS(1));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "uint8");
    op_case_free(c);
}
END_TEST

START_TEST(bitwise_operators_keep_every_bit)
{
    static const struct {
        const char *type;
        int32_t expected[2];
    } cases[] = {{"BitwiseAnd", {0x0f, -16}}, {"BitwiseOr", {0xff, -1}}, {"BitwiseXor", {0xf0, 15}}};
    for (size_t i = 0; i < 3; i++) {
        op_case *c = op_case_new(cases[i].type, 18);
        op_input(c, MARY_INT32, DIMS(2), (int32_t[]){0xff, -1});
        op_input(c, MARY_INT32, DIMS(2), (int32_t[]){0x0f, -16});
        op_run(c);
        op_expect(c, 0, MARY_INT32, DIMS(2), cases[i].expected);
        op_case_free(c);
    }
}
END_TEST

START_TEST(shifts_by_too_much_give_zeros_or_signs)
{
    op_case *c = op_case_new("BitShift", 11);
    op_attribute_string(c, "direction", "LEFT");
    op_input(c, MARY_UINT8, DIMS(4), (uint8_t[]){16, 4, 255, 1});
    op_input(c, MARY_UINT8, DIMS(4), (uint8_t[]){1, 2, 8, 255});
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(4), (uint8_t[]){32, 16, 0, 0});
    op_case_free(c);
    c = op_case_new("BitShift", 28);
    op_attribute_string(c, "direction", "RIGHT");
    op_input(c, MARY_INT64, DIMS(4), INTS(-8, -8, 8, -8));
    op_input(c, MARY_INT64, DIMS(4), INTS(1, 64, -1, -1));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(4), INTS(-4, -1, 0, -1));
    op_case_free(c);
    c = op_case_new("BitShift", 11);
    op_input(c, MARY_UINT8, DIMS(1), (uint8_t[]){1});
    op_input(c, MARY_UINT8, DIMS(1), (uint8_t[]){1});
    assert_fails(op_try(c), MARY_ERROR_INVALID, "direction");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/compare", comparisons_treat_nan_as_unordered, comparisons_know_the_sign_of_integers,
               logic_works_on_bools_only, bitwise_operators_keep_every_bit, shifts_by_too_much_give_zeros_or_signs)
