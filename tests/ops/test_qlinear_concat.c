/* QLinearConcat: copied where the quantisation is the output's, else requantised. */
#include "ops/qlinear.h"
#include "tests/support/op_run.h"

static op_case *concat_case(int axis)
{
    op_case *c = op_case_new_in("com.microsoft", "QLinearConcat", 1);
    op_attribute_int(c, "axis", axis);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){10});
    return c;
}

static void add(op_case *c, int rank, const int64_t *dims, const void *values, float scale, uint8_t zero)
{
    op_input(c, MARY_UINT8, rank, dims, values);
    op_constant(c, MARY_FLOAT, SCALAR, &scale);
    op_constant(c, MARY_UINT8, SCALAR, &zero);
}

START_TEST(qlinear_concat_requantises_each_input)
{
    op_case *c = concat_case(-1);
    add(c, DIMS(2, 2), (const uint8_t[]){1, 2, 3, 255}, 0.5f, 10);
    add(c, DIMS(2, 1), (const uint8_t[]){8, 255}, 1.0f, 6);
    add(c, DIMS(2, 0), NULL, 2.0f, 0);
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2, 3), (const uint8_t[]){1, 2, 14, 3, 255, 255});
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_concat_runs_on_every_axis_and_in_both_layouts)
{
    for (int axis = 0; axis < 4; axis++) {
        op_case *c = concat_case(axis);
        add(c, DIMS(2, 5, 9, 4), NULL, 0.5f, 10);
        add(c, DIMS(2, 5, 9, 4), NULL, 0.7f, 3);
        op_run(c);
        ck_assert_int_eq(op_ran_channels_last(c), axis == 1);
        op_case_free(c);
    }
}
END_TEST

START_TEST(qlinear_concat_refuses_what_does_not_fit)
{
    op_case *c = concat_case(0);
    add(c, DIMS(2, 2), NULL, 1, 0);
    add(c, DIMS(2, 3), NULL, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[2,3]");
    op_case_free(c);
    c = concat_case(0);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "has 2 inputs");
    op_case_free(c);
    c = concat_case(0);
    add(c, DIMS(2, 2), NULL, 1, 0);
    op_input(c, MARY_UINT8, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "has 6 inputs");
    op_case_free(c);
    c = concat_case(4);
    add(c, DIMS(2, 2), NULL, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 4");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearConcat", 1);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "'axis' is missing");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/qlinear_concat", qlinear_concat_requantises_each_input,
               qlinear_concat_runs_on_every_axis_and_in_both_layouts, qlinear_concat_refuses_what_does_not_fit)
