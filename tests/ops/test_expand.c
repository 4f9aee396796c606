/* Expand and Tile. */
#include "tests/support/op_run.h"

START_TEST(expand_broadcasts_both_ways)
{
    op_case *c = op_case_new("Expand", 8);
    op_input(c, MARY_FLOAT, DIMS(3, 1), FLOATS(1, 2, 3));
    op_input(c, MARY_INT64, DIMS(3), INTS(2, 1, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3, 2), FLOATS(1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Expand", 13);
    op_input(c, MARY_BOOL, SCALAR, BOOLS(1));
    op_input(c, MARY_INT64, DIMS(2), INTS(0, 3));
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(0, 3), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(expand_refuses_what_does_not_broadcast_or_is_absurd)
{
    static const int64_t wrong[] = {4, -1, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new("Expand", 13);
        op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
        op_input(c, MARY_INT64, DIMS(2), INTS(wrong[i], 1));
        assert_fails(op_try(c), MARY_ERROR_INVALID, "Expand");
        op_case_free(c);
    }
    op_case *c = op_case_new("Expand", 13);
    op_input(c, MARY_FLOAT, SCALAR, NULL);
    op_input(c, MARY_INT64, DIMS(1), INTS(1LL << 33));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "16 GiB");
    op_case_free(c);
}
END_TEST

START_TEST(tile_repeats_along_every_axis)
{
    op_case *c = op_case_new("Tile", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_INT64, DIMS(2), INTS(2, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(4, 4), FLOATS(1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4));
    op_case_free(c);
    c = op_case_new("Tile", 6);
    op_input(c, MARY_UINT8, DIMS(1, 3, 2, 2), NULL);
    op_input(c, MARY_INT64, DIMS(4), INTS(2, 3, 1, 2));
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
    c = op_case_new("Tile", 6);
    op_input(c, MARY_FLOAT, DIMS(2, 0), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(0, 4));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(0, 0), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(tile_refuses_bad_repeats)
{
    static const int64_t wrong[] = {-1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new("Tile", 13);
        op_input(c, MARY_FLOAT, DIMS(2), NULL);
        op_input(c, MARY_INT64, DIMS(1), &wrong[i]);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "repeats");
        op_case_free(c);
    }
    op_case *c = op_case_new("Tile", 13);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(1, 1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "2 values for rank 1");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/expand", expand_broadcasts_both_ways, expand_refuses_what_does_not_broadcast_or_is_absurd,
               tile_repeats_along_every_axis, tile_refuses_bad_repeats)
