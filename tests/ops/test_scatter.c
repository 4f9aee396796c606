/* Scatter, ScatterElements, ScatterND. */
#include "tests/support/op_run.h"

static void expect_elements(const char *reduction, const float *values)
{
    op_case *c = op_case_new("ScatterElements", 18);
    op_attribute_int(c, "axis", 1);
    op_attribute_string(c, "reduction", reduction);
    op_input(c, MARY_FLOAT, DIMS(1, 4), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_INT64, DIMS(1, 3), INTS(1, -3, 3));
    op_input(c, MARY_FLOAT, DIMS(1, 3), FLOATS(5, -6, 1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 4), values);
    op_case_free(c);
}

START_TEST(repeated_indices_combine_in_order)
{
    expect_elements("none", FLOATS(1, -6, 3, 1));
    expect_elements("add", FLOATS(1, 1, 3, 5));
    expect_elements("mul", FLOATS(1, -60, 3, 4));
    expect_elements("max", FLOATS(1, 5, 3, 4));
    expect_elements("min", FLOATS(1, -6, 3, 1));
}
END_TEST

START_TEST(integers_wrap_when_they_combine)
{
    op_case *c = op_case_new("ScatterND", 18);
    op_attribute_string(c, "reduction", "mul");
    op_input(c, MARY_INT32, DIMS(2), (const int32_t[]){INT32_MAX, 3});
    op_input(c, MARY_INT64, DIMS(1, 1), INTS(0));
    op_input(c, MARY_INT32, DIMS(1), (const int32_t[]){2});
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (const int32_t[]){-2, 3});
    op_case_free(c);
}
END_TEST

START_TEST(scatter_nd_writes_slices)
{
    op_case *c = op_case_new("ScatterND", 11);
    op_input(c, MARY_FLOAT, DIMS(3, 2), FLOATS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT64, DIMS(2, 1), INTS(2, 0));
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(7, 8, 9, 10));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 2), FLOATS(9, 10, 3, 4, 7, 8));
    op_case_free(c);
}
END_TEST

START_TEST(updates_outside_are_refused)
{
    op_case *c = op_case_new("Scatter", 9);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_INT64, DIMS(1, 1), INTS(3));
    op_input(c, MARY_FLOAT, DIMS(1, 1), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "index 3 is outside [-3, 3)");
    op_case_free(c);
    c = op_case_new("ScatterND", 11);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_INT64, DIMS(1, 2), INTS(0, -3));
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "index -3 is outside [-2, 2)");
    op_case_free(c);
    c = op_case_new("ScatterND", 11);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_INT64, DIMS(1, 1), INTS(0));
    op_input(c, MARY_FLOAT, DIMS(1, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "updates [1,3]");
    op_case_free(c);
    c = op_case_new("ScatterElements", 11);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_INT64, DIMS(1, 3), INTS(0, 0, 0));
    op_input(c, MARY_FLOAT, DIMS(1, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "length 3 along axis 1");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/scatter", repeated_indices_combine_in_order, integers_wrap_when_they_combine,
               scatter_nd_writes_slices, updates_outside_are_refused)
