/* Slice: bounds are clamped as numpy clamps them, steps may be negative. */
#include "tests/support/op_run.h"

/* data[start:end:step] of 0, 1, ..., 4, in opset 13. */
static void expect_slice(int64_t start, int64_t end, int64_t step, int count, const int64_t *values)
{
    op_case *c = op_case_new("Slice", 13);
    op_input(c, MARY_INT64, DIMS(5), INTS(0, 1, 2, 3, 4));
    op_input(c, MARY_INT64, DIMS(1), &start);
    op_input(c, MARY_INT64, DIMS(1), &end);
    op_input(c, MARY_INT64, DIMS(1), INTS(-1));
    op_input(c, MARY_INT64, DIMS(1), &step);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(count), values);
    op_case_free(c);
}

START_TEST(slices_are_those_of_numpy)
{
    expect_slice(1, 3, 1, 2, INTS(1, 2));
    expect_slice(0, INT64_MAX, 2, 3, INTS(0, 2, 4));
    expect_slice(-2, INT64_MAX, 1, 2, INTS(3, 4));
    expect_slice(INT64_MIN, INT64_MAX, 1, 5, INTS(0, 1, 2, 3, 4));
    expect_slice(-1, INT64_MIN, -1, 5, INTS(4, 3, 2, 1, 0));
    expect_slice(INT64_MAX, 0, -3, 2, INTS(4, 1));
    expect_slice(4, 4, 1, 0, INTS(0));
    expect_slice(3, 1, 1, 0, INTS(0));
    expect_slice(1, 3, -1, 0, INTS(0));
    expect_slice(0, 5, INT64_MAX, 1, INTS(0));
    expect_slice(4, INT64_MIN, INT64_MIN, 1, INTS(4));
    expect_slice(7, 9, 1, 0, INTS(0));
}
END_TEST

START_TEST(slice_reads_attributes_before_opset_10)
{
    op_case *c = op_case_new("Slice", 9);
    op_attribute_ints(c, "starts", DIMS(1, 0));
    op_attribute_ints(c, "ends", DIMS(2, 1000));
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 3, 4));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 2), FLOATS(3, 4));
    op_case_free(c);
}
END_TEST

START_TEST(slice_works_in_many_dimensions_and_layouts)
{
    op_case *c = op_case_new("Slice", 11);
    op_input(c, MARY_FLOAT, DIMS(2, 6, 7, 5), NULL);
    op_input(c, MARY_INT32, DIMS(3), (const int32_t[]){5, 1, 4});
    op_input(c, MARY_INT32, DIMS(3), (const int32_t[]){0, 6, -100});
    op_input(c, MARY_INT32, DIMS(3), (const int32_t[]){1, 2, 3});
    op_input(c, MARY_INT32, DIMS(3), (const int32_t[]){-2, 3, -1});
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    const float *in = op_input_tensor(c, 0)->data, *out = op_output(c, 0)->data;
    ck_assert(mary_shape_equal(&op_output(c, 0)->shape, &(mary_shape){4, {2, 3, 2, 5}}));
    for (int n = 0; n < 2; n++)
        for (int ch = 0; ch < 3; ch++)
            for (int y = 0; y < 2; y++)
                for (int x = 0; x < 5; x++)
                    ck_assert(*out++ == in[((n * 6 + 5 - 2 * ch) * 7 + 1 + 3 * y) * 5 + 4 - x]);
    op_case_free(c);
}
END_TEST

START_TEST(slice_waits_for_bounds_that_are_not_known)
{
    op_case *c = op_case_new("Slice", 13);
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    op_input(c, MARY_INT64, DIMS(1), INTS(1));
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    ck_assert(op_infer_unknown(c, 2) == MARY_DEFERRED);
    ck_assert(op_infer_unknown(c, 0) == MARY_OK);
    op_case_free(c);
}
END_TEST

START_TEST(slice_refuses_bad_bounds)
{
    static const struct {
        int64_t axes[2], steps[2];
        const char *text;
    } wrong[] = {{{0, 0}, {1, 1}, "given twice"},
                 {{0, -2}, {1, 1}, "given twice"},
                 {{0, 2}, {1, 1}, "axis 2"},
                 {{0, 1}, {1, 0}, "is 0"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = op_case_new("Slice", 13);
        op_input(c, MARY_FLOAT, DIMS(4, 4), NULL);
        op_input(c, MARY_INT64, DIMS(2), INTS(0, 0));
        op_input(c, MARY_INT64, DIMS(2), INTS(2, 2));
        op_input(c, MARY_INT64, DIMS(2), wrong[i].axes);
        op_input(c, MARY_INT64, DIMS(2), wrong[i].steps);
        assert_fails(op_try(c), MARY_ERROR_INVALID, wrong[i].text);
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/slice", slices_are_those_of_numpy, slice_reads_attributes_before_opset_10,
               slice_works_in_many_dimensions_and_layouts, slice_waits_for_bounds_that_are_not_known,
               slice_refuses_bad_bounds)
