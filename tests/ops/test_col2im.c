/* Col2Im: overlapping blocks add up. */
#include "tests/support/op_run.h"

START_TEST(blocks_add_up_where_they_overlap)
{
    op_case *c = op_case_new("Col2Im", 18);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 2), FLOATS(1, 2, 10, 20)); /* blocks of 2 at 0 and 1 */
    op_input(c, MARY_INT64, DIMS(1), INTS(3));
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 1, 3), FLOATS(1, 12, 20));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Col2Im", 18);
    op_attribute_ints(c, "pads", DIMS(1, 0));
    op_attribute_ints(c, "strides", DIMS(2));
    op_attribute_ints(c, "dilations", DIMS(2));
    op_input(c, MARY_DOUBLE, DIMS(1, 2, 2), DOUBLES(1, 2, 10, 20)); /* taps at -1, 1 and 1, 3 */
    op_input(c, MARY_INT64, DIMS(1), INTS(4));
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(1, 1, 4), DOUBLES(0, 12, 0, 20));
    op_case_free(c);
}
END_TEST

START_TEST(blocks_that_do_not_fit_are_refused)
{
    static const int64_t wrong[][2] = {{3, 3}, {4, 2}, {0, 1}, {3, 0}, {INT64_MAX, 2}};
    for (int i = 0; i < 5; i++) {
        op_case *c = op_case_new("Col2Im", 18);
        op_input(c, MARY_FLOAT, DIMS(1, 2, 2), NULL);
        op_input(c, MARY_INT64, DIMS(1), &wrong[i][0]);
        op_input(c, MARY_INT64, DIMS(1), &wrong[i][1]);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "Col2Im");
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/col2im", blocks_add_up_where_they_overlap, blocks_that_do_not_fit_are_refused)
