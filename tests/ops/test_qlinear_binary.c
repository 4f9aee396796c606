/* QLinearAdd and QLinearMul: numbers, broadcasting, layouts, and what is refused. */
#include <math.h>

#include "ops/qlinear.h"
#include "tests/support/op_run.h"

static op_case *pair_case(const char *type, int a_rank, const int64_t *a, int b_rank, const int64_t *b)
{
    op_case *c = op_case_new_in("com.microsoft", type, 1);
    op_input(c, MARY_UINT8, a_rank, a, NULL);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){3});
    op_input(c, MARY_UINT8, b_rank, b, NULL);
    op_constant(c, MARY_FLOAT, DIMS(1), FLOATS(0.3f));
    op_constant(c, MARY_UINT8, DIMS(1), (const uint8_t[]){2});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.2f));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){7});
    return c;
}

START_TEST(qlinear_add_rounds_half_to_even_and_saturates)
{
    op_case *c = op_case_new_in("com.microsoft", "QLinearAdd", 1);
    op_input(c, MARY_UINT8, DIMS(6), (const uint8_t[]){0, 1, 3, 5, 255, 100});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){0});
    op_input(c, MARY_UINT8, DIMS(1), (const uint8_t[]){10});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){20});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(2));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){4});
    op_run(c);
    /* (x - 10) / 2 + 4: -5, -4.5, -3.5, -2.5, 122.5, 45 */
    op_expect(c, 0, MARY_UINT8, DIMS(6), (const uint8_t[]){0, 0, 0, 2, 126, 49});
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearAdd", 1);
    op_input(c, MARY_UINT8, DIMS(2), (const uint8_t[]){0, 255});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_absent(c);
    op_input(c, MARY_UINT8, DIMS(2), (const uint8_t[]){0, 255});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_absent(c);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2), (const uint8_t[]){0, 255});
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_mul_multiplies_integers_first)
{
    op_case *c = pair_case("QLinearMul", DIMS(1, 5, 3, 4), DIMS(1, 5, 3, 4));
    op_run(c);
    const mary_requantisation to = mary_requantisation_to(7);
    const uint8_t *a = op_input_tensor(c, 0)->data, *b = op_input_tensor(c, 3)->data, *y = op_output(c, 0)->data;
    for (int i = 0; i < 60; i++) {
        uint8_t expected = mary_requantise((float)((a[i] - 3) * (b[i] - 2)) * (0.5f * 0.3f / 0.2f), &to);
        ck_assert_int_eq(y[i], expected);
    }
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_pairs_broadcast_in_both_layouts)
{
    static const char *const types[] = {"QLinearAdd", "QLinearMul"};
    static const int64_t shapes[][4] = {{2, 19, 3, 5}, {2, 19, 1, 1}, {1, 19, 1, 1}, {2, 1, 3, 5}, {1, 1, 1, 1}};
    for (int i = 0; i < 20; i++) {
        op_case *c = pair_case(types[i % 2], 4, shapes[i / 2 % 2 ? i / 4 : 0], 4, shapes[i / 2 % 2 ? 0 : i / 4]);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
    op_case *c = pair_case("QLinearAdd", DIMS(3, 1), DIMS(4));
    op_run(c);
    ck_assert_int_eq(mary_shape_count(&op_output(c, 0)->shape), 12);
    op_case_free(c);
    c = pair_case("QLinearAdd", DIMS(0, 4), DIMS(4));
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_pairs_refuse_what_is_not_u8_with_one_scale)
{
    op_case *c = pair_case("QLinearAdd", DIMS(3), DIMS(4));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[3]");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearAdd", 1);
    op_input(c, MARY_INT8, DIMS(3), NULL);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "A is int8");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearMul", 1);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_absent(c);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    op_constant(c, MARY_FLOAT, DIMS(2), FLOATS(1, 1));
    op_absent(c);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "scale of B must be one float");
    op_case_free(c);
    for (int i = 0; i < 3; i++) {
        c = op_case_new_in("com.microsoft", "QLinearMul", 1);
        op_input(c, MARY_UINT8, DIMS(3), NULL);
        op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
        op_absent(c);
        op_input(c, MARY_UINT8, DIMS(3), NULL);
        op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
        op_absent(c);
        op_constant(c, MARY_FLOAT, SCALAR, (const float[]){i == 0 ? 0 : i == 1 ? NAN : -1});
        assert_fails(op_try(c), MARY_ERROR_INVALID, "scale of C is");
        op_case_free(c);
    }
    c = op_case_new_in("com.microsoft", "QLinearMul", 1);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "input 1 is missing");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/qlinear_binary", qlinear_add_rounds_half_to_even_and_saturates,
               qlinear_mul_multiplies_integers_first, qlinear_pairs_broadcast_in_both_layouts,
               qlinear_pairs_refuse_what_is_not_u8_with_one_scale)
