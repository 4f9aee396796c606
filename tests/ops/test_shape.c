/* Shape and Size. */
#include "tests/support/op_run.h"

static void expect_range(int64_t start, int64_t end, int count, const int64_t *values)
{
    op_case *c = op_case_new("Shape", 15);
    op_attribute_int(c, "start", start);
    op_attribute_int(c, "end", end);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(count), values);
    ck_assert(op_infer_unknown(c, -1) == MARY_OK);
    op_case_free(c);
}

START_TEST(shape_clamps_its_range)
{
    expect_range(0, 3, 3, INTS(2, 3, 4));
    expect_range(-2, -1, 1, INTS(3));
    expect_range(-100, INT64_MAX, 3, INTS(2, 3, 4));
    expect_range(2, 1, 0, INTS(0));
    expect_range(INT64_MAX, INT64_MIN, 0, INTS(0));
}
END_TEST

START_TEST(shape_and_size_of_scalars_and_empty_tensors)
{
    op_case *c = op_case_new("Shape", 1);
    op_input(c, MARY_BOOL, SCALAR, NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(0), NULL);
    op_case_free(c);
    c = op_case_new("Size", 13);
    op_input(c, MARY_BOOL, SCALAR, NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, SCALAR, INTS(1));
    op_case_free(c);
    c = op_case_new("Size", 1);
    op_input(c, MARY_BOOL, DIMS(3, 0, 2), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, SCALAR, INTS(0));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/shape", shape_clamps_its_range, shape_and_size_of_scalars_and_empty_tensors)
