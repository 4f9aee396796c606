/* Split: lengths from the attribute, the input, or the number of outputs. */
#include "tests/support/op_run.h"

START_TEST(split_takes_lengths_from_its_attribute)
{
    op_case *c = op_case_new("Split", 11);
    op_attribute_int(c, "axis", -1);
    op_attribute_ints(c, "split", DIMS(1, 3));
    op_outputs(c, 2);
    op_input(c, MARY_INT64, DIMS(2, 4), INTS(1, 2, 3, 4, 5, 6, 7, 8));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 1), INTS(1, 5));
    op_expect(c, 1, MARY_INT64, DIMS(2, 3), INTS(2, 3, 4, 6, 7, 8));
    op_case_free(c);
}
END_TEST

START_TEST(split_takes_lengths_from_its_input)
{
    op_case *c = op_case_new("Split", 13);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_INT64, DIMS(3), INTS(2, 0, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_expect(c, 1, MARY_FLOAT, DIMS(0), NULL);
    op_expect(c, 2, MARY_FLOAT, DIMS(2), FLOATS(3, 4));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
}
END_TEST

START_TEST(an_uneven_split_leaves_the_last_part_smaller)
{
    op_case *c = op_case_new("Split", 18);
    op_attribute_int(c, "num_outputs", 3);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(7), FLOATS(1, 2, 3, 4, 5, 6, 7));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(1, 2, 3));
    op_expect(c, 2, MARY_FLOAT, DIMS(1), FLOATS(7));
    op_case_free(c);
    c = op_case_new("Split", 13);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(7), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "3 equal parts");
    op_case_free(c);
}
END_TEST

START_TEST(split_runs_channels_last)
{
    op_case *c = op_case_new("Split", 18);
    op_attribute_int(c, "axis", 1);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(2, 10, 3, 5), NULL);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
}
END_TEST

START_TEST(split_refuses_lengths_that_do_not_add_up)
{
    static const int64_t wrong[][2] = {{1, 1}, {3, 3}, {-1, 5}, {INT64_MAX, INT64_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = op_case_new("Split", 13);
        op_outputs(c, 2);
        op_input(c, MARY_FLOAT, DIMS(4), NULL);
        op_input(c, MARY_INT64, DIMS(2), wrong[i]);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "node");
        op_case_free(c);
    }
    op_case *c = op_case_new("Split", 13);
    op_outputs(c, 2);
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    op_input(c, MARY_INT64, DIMS(3), INTS(2, 1, 1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "3 values for 2 outputs");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/split", split_takes_lengths_from_its_attribute, split_takes_lengths_from_its_input,
               an_uneven_split_leaves_the_last_part_smaller, split_runs_channels_last,
               split_refuses_lengths_that_do_not_add_up)
