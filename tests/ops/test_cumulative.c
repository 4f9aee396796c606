/* CumSum and CumProd. */
#include "tests/support/op_run.h"

static void check(const char *type, int64_t exclusive, int64_t reverse, int64_t axis, const float *expected)
{
    op_case *c = op_case_new(type, 26);
    op_attribute_int(c, "exclusive", exclusive);
    op_attribute_int(c, "reverse", reverse);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT64, SCALAR, &axis);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), expected);
    op_case_free(c);
}

START_TEST(sums_run_either_way_with_or_without_the_element)
{
    check("CumSum", 0, 0, 1, FLOATS(1, 3, 6, 4, 9, 15));
    check("CumSum", 1, 0, 1, FLOATS(0, 1, 3, 0, 4, 9));
    check("CumSum", 0, 1, -1, FLOATS(6, 5, 3, 15, 11, 6));
    check("CumSum", 1, 1, 1, FLOATS(5, 3, 0, 11, 6, 0));
    check("CumSum", 0, 0, 0, FLOATS(1, 2, 3, 5, 7, 9));
    check("CumProd", 0, 0, 1, FLOATS(1, 2, 6, 4, 20, 120));
    check("CumProd", 1, 1, 1, FLOATS(6, 3, 1, 30, 6, 1));
}
END_TEST

START_TEST(integers_wrap_and_large_tensors_work)
{
    op_case *c = op_case_new("CumSum", 14);
    op_input(c, MARY_INT32, DIMS(2), (int32_t[]){INT32_MAX, 1});
    op_input(c, MARY_INT32, DIMS(1), (int32_t[]){0});
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (int32_t[]){INT32_MAX, INT32_MIN});
    op_case_free(c);
    c = op_case_new("CumSum", 14);
    op_input(c, MARY_INT64, DIMS(50, 20, 51), NULL);
    op_input(c, MARY_INT64, SCALAR, INTS(1));
    op_run(c);
    op_case_free(c);
    c = op_case_new("CumSum", 14);
    op_input(c, MARY_UINT32, DIMS(2, 0), NULL);
    op_input(c, MARY_INT64, SCALAR, INTS(1));
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(the_axis_may_be_unknown_but_not_wrong)
{
    op_case *c = op_case_new("CumSum", 14);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_INT64, SCALAR, INTS(2));
    ck_assert_int_eq(op_infer_unknown(c, 1), MARY_OK);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 2");
    op_case_free(c);
    c = op_case_new("CumSum", 14);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_INT64, DIMS(0), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "no value");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/cumulative", sums_run_either_way_with_or_without_the_element, integers_wrap_and_large_tensors_work,
               the_axis_may_be_unknown_but_not_wrong)
