/* Unique. */
#include "tests/support/op_run.h"

START_TEST(unique_sorts_or_keeps_the_order)
{
    op_case *c = op_case_new("Unique", 11);
    op_outputs(c, 4);
    op_input(c, MARY_FLOAT, DIMS(6), FLOATS(2, 1, 1, 3, 4, 3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(4), FLOATS(1, 2, 3, 4));
    op_expect(c, 1, MARY_INT64, DIMS(4), INTS(1, 0, 3, 4));
    op_expect(c, 2, MARY_INT64, DIMS(6), INTS(1, 0, 0, 2, 3, 2));
    op_expect(c, 3, MARY_INT64, DIMS(4), INTS(2, 1, 2, 1));
    ck_assert(op_infer_unknown(c, 0) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Unique", 11);
    op_attribute_int(c, "sorted", 0);
    op_outputs(c, 4);
    op_input(c, MARY_FLOAT, DIMS(6), FLOATS(2, 1, 1, 3, 4, 3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(4), FLOATS(2, 1, 3, 4));
    op_expect(c, 1, MARY_INT64, DIMS(4), INTS(0, 1, 3, 4));
    op_expect(c, 2, MARY_INT64, DIMS(6), INTS(0, 1, 1, 2, 3, 2));
    op_expect(c, 3, MARY_INT64, DIMS(4), INTS(1, 2, 2, 1));
    op_case_free(c);
}
END_TEST

START_TEST(unique_slices_along_an_axis)
{
    op_case *c = op_case_new("Unique", 11);
    op_attribute_int(c, "axis", -1);
    op_outputs(c, 2);
    op_input(c, MARY_INT64, DIMS(2, 4), INTS(1, 0, 1, 0, 5, 6, 5, 4));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 3), INTS(0, 0, 1, 4, 6, 5));
    op_expect(c, 1, MARY_INT64, DIMS(3), INTS(3, 1, 0));
    op_case_free(c);
    c = op_case_new("Unique", 11);
    op_input(c, MARY_INT64, DIMS(0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(0), NULL);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/unique", unique_sorts_or_keeps_the_order, unique_slices_along_an_axis)
