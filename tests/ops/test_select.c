/* NonZero and Compress: shapes that follow from data. */
#include "tests/support/op_run.h"

START_TEST(nonzero_lists_coordinates)
{
    op_case *c = op_case_new("NonZero", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(0, 1, -0.0f, 2, 0, 3));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 3), INTS(0, 1, 1, 1, 0, 2));
    ck_assert(op_infer_unknown(c, 0) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("NonZero", 9);
    op_input(c, MARY_BOOL, SCALAR, BOOLS(1));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(0, 1), NULL);
    op_case_free(c);
    c = op_case_new("NonZero", 9);
    op_input(c, MARY_INT32, DIMS(0, 3), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 0), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(compress_keeps_what_the_condition_says)
{
    op_case *c = op_case_new("Compress", 11);
    op_attribute_int(c, "axis", -1);
    op_input(c, MARY_INT64, DIMS(2, 3), INTS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_BOOL, DIMS(2), BOOLS(0, 1));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 1), INTS(2, 5));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Compress", 9);
    op_input(c, MARY_INT64, DIMS(2, 3), INTS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_BOOL, DIMS(5), BOOLS(1, 0, 0, 1, 1));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(3), INTS(1, 4, 5));
    op_case_free(c);
    c = op_case_new("Compress", 11);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_INT64, DIMS(2, 3), NULL);
    op_input(c, MARY_BOOL, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "at most 2");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/select", nonzero_lists_coordinates, compress_keeps_what_the_condition_says)
