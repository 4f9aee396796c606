/* Trilu and ReverseSequence. */
#include "tests/support/op_run.h"

static void expect_trilu(bool upper, int64_t k, const int64_t *values)
{
    op_case *c = op_case_new("Trilu", 14);
    op_attribute_int(c, "upper", upper);
    op_input(c, MARY_INT64, DIMS(1, 2, 3), INTS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT64, SCALAR, &k);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(1, 2, 3), values);
    op_case_free(c);
}

START_TEST(trilu_keeps_one_side_of_a_diagonal)
{
    expect_trilu(true, 0, INTS(1, 2, 3, 0, 5, 6));
    expect_trilu(true, 1, INTS(0, 2, 3, 0, 0, 6));
    expect_trilu(true, INT64_MAX, INTS(0, 0, 0, 0, 0, 0));
    expect_trilu(true, INT64_MIN, INTS(1, 2, 3, 4, 5, 6));
    expect_trilu(false, 0, INTS(1, 0, 0, 4, 5, 0));
    expect_trilu(false, -1, INTS(0, 0, 0, 4, 0, 0));
    expect_trilu(false, INT64_MAX, INTS(1, 2, 3, 4, 5, 6));
    expect_trilu(false, INT64_MIN, INTS(0, 0, 0, 0, 0, 0));
}
END_TEST

START_TEST(sequences_are_reversed_up_to_their_length)
{
    op_case *c = op_case_new("ReverseSequence", 10);
    op_input(c, MARY_INT64, DIMS(3, 2), INTS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT64, DIMS(2), INTS(2, 3));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(3, 2), INTS(3, 6, 1, 4, 5, 2));
    op_case_free(c);
    c = op_case_new("ReverseSequence", 10);
    op_attribute_int(c, "time_axis", 1);
    op_attribute_int(c, "batch_axis", 0);
    op_input(c, MARY_INT64, DIMS(2, 3), INTS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT64, DIMS(2), INTS(0, 4));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "length 4 of 3");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/trilu", trilu_keeps_one_side_of_a_diagonal, sequences_are_reversed_up_to_their_length)
