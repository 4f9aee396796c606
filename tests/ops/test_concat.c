/* Concat: any axis, any type, either layout. */
#include "tests/support/op_run.h"

START_TEST(concat_joins_along_any_axis)
{
    op_case *c = op_case_new("Concat", 13);
    op_attribute_int(c, "axis", -1);
    op_input(c, MARY_INT64, DIMS(2, 2), INTS(1, 2, 3, 4));
    op_input(c, MARY_INT64, DIMS(2, 1), INTS(5, 6));
    op_input(c, MARY_INT64, DIMS(2, 0), INTS(0));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 3), INTS(1, 2, 5, 3, 4, 6));
    op_case_free(c);
}
END_TEST

START_TEST(concat_defaults_to_axis_1_before_opset_4)
{
    op_case *c = op_case_new("Concat", 1);
    op_input(c, MARY_FLOAT, DIMS(1, 1), FLOATS(1));
    op_input(c, MARY_FLOAT, DIMS(1, 2), FLOATS(2, 3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 3), FLOATS(1, 2, 3));
    op_case_free(c);
    c = op_case_new("Concat", 13);
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "'axis' is missing");
    op_case_free(c);
}
END_TEST

START_TEST(concat_runs_channels_last_on_every_axis)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_FLOAT16, MARY_UINT8, MARY_DOUBLE};
    for (int axis = 0; axis < 4; axis++) {
        op_case *c = op_case_new("Concat", 13);
        op_attribute_int(c, "axis", axis);
        op_input(c, types[axis], DIMS(2, 5, 9, 4), NULL);
        op_input(c, types[axis], DIMS(2, 5, 9, 4), NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

START_TEST(concat_refuses_what_does_not_fit)
{
    op_case *c = op_case_new("Concat", 13);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[2,3]");
    op_case_free(c);
    c = op_case_new("Concat", 13);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    op_input(c, MARY_INT64, DIMS(2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "int64");
    op_case_free(c);
    c = op_case_new("Concat", 13);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_FLOAT, SCALAR, NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 0");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/concat", concat_joins_along_any_axis, concat_defaults_to_axis_1_before_opset_4,
               concat_runs_channels_last_on_every_axis, concat_refuses_what_does_not_fit)
