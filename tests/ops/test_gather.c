/* Gather, GatherElements, GatherND: indices may be negative, never outside. */
#include "tests/support/op_run.h"

START_TEST(gather_picks_along_an_axis)
{
    op_case *c = op_case_new("Gather", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_INT32, DIMS(2, 1), (const int32_t[]){-1, 0});
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2, 1), FLOATS(3, 1, 6, 4));
    op_case_free(c);
}
END_TEST

START_TEST(a_scalar_index_removes_the_axis)
{
    op_case *c = op_case_new("Gather", 1);
    op_input(c, MARY_INT64, DIMS(4), INTS(1, 3, 224, 224));
    op_input(c, MARY_INT64, SCALAR, INTS(2));
    op_run(c);
    op_expect(c, 0, MARY_INT64, SCALAR, INTS(224));
    op_case_free(c);
}
END_TEST

START_TEST(gather_refuses_indices_outside)
{
    static const int64_t wrong[] = {3, -4, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = op_case_new("Gather", 13);
        op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
        op_input(c, MARY_INT64, DIMS(2), INTS(0, wrong[i]));
        assert_fails(op_try(c), MARY_ERROR_INVALID, "is outside [-3, 3)");
        op_case_free(c);
    }
    op_case *c = op_case_new("Gather", 13);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "int32 or int64");
    op_case_free(c);
    c = op_case_new("Gather", 13);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 1, 1, 1), NULL);
    op_input(c, MARY_INT64, DIMS(1, 1, 1, 1, 1), INTS(0));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "rank 9");
    op_case_free(c);
}
END_TEST

START_TEST(nothing_gathered_from_nothing_is_empty)
{
    op_case *c = op_case_new("Gather", 13);
    op_input(c, MARY_FLOAT, DIMS(0, 2), NULL);
    op_input(c, MARY_INT64, DIMS(0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(0, 2), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(gather_elements_picks_each_by_its_own_index)
{
    op_case *c = op_case_new("GatherElements", 11);
    op_attribute_int(c, "axis", -2);
    op_input(c, MARY_UINT8, DIMS(3, 3), BOOLS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    op_input(c, MARY_INT64, DIMS(2, 3), INTS(1, 2, 0, 2, 0, -3));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2, 3), BOOLS(4, 8, 3, 7, 2, 3));
    op_case_free(c);
    c = op_case_new("GatherElements", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 4), FLOATS(1, 2, 3, 4, 5, 6, 7, 8));
    op_input(c, MARY_INT32, DIMS(2, 6), (const int32_t[]){0, 3, 1, 1, 2, 0, 3, 3, 0, -1, -4, 2});
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 6), FLOATS(1, 4, 2, 2, 3, 1, 8, 8, 5, 8, 5, 7));
    op_case_free(c);
    c = op_case_new("GatherElements", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 4), NULL);
    op_input(c, MARY_INT64, DIMS(3, 1), INTS(0, 0, 0));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "length 3 along axis 0");
    op_case_free(c);
}
END_TEST

START_TEST(gather_nd_addresses_slices_within_batches)
{
    op_case *c = op_case_new("GatherND", 12);
    op_attribute_int(c, "batch_dims", 1);
    op_input(c, MARY_INT64, DIMS(2, 2, 2), INTS(0, 1, 2, 3, 4, 5, 6, 7));
    op_input(c, MARY_INT64, DIMS(2, 1), INTS(1, 0));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 2), INTS(2, 3, 4, 5));
    op_case_free(c);
    c = op_case_new("GatherND", 11);
    op_input(c, MARY_INT64, DIMS(2, 2), INTS(0, 1, 2, 3));
    op_input(c, MARY_INT64, DIMS(2, 2), INTS(0, 2, 1, 1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "index 2 is outside [-2, 2)");
    op_case_free(c);
    c = op_case_new("GatherND", 12);
    op_attribute_int(c, "batch_dims", 2);
    op_input(c, MARY_INT64, DIMS(2, 2), NULL);
    op_input(c, MARY_INT64, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "batch_dims 2");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/gather", gather_picks_along_an_axis, a_scalar_index_removes_the_axis,
               gather_refuses_indices_outside, nothing_gathered_from_nothing_is_empty,
               gather_elements_picks_each_by_its_own_index, gather_nd_addresses_slices_within_batches)
