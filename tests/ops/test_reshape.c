/* Reshape, Flatten, Squeeze, Unsqueeze: shapes that views may take. */
#include "tests/support/op_run.h"

static op_case *view(const char *type, int opset, int rank, const int64_t *dims, int count, const int64_t *values)
{
    op_case *c = op_case_new(type, opset);
    op_input(c, MARY_FLOAT, rank, dims, NULL);
    if (values != NULL)
        op_input(c, MARY_INT64, DIMS(count), values);
    return c;
}

static void expect_view(op_case *c, int rank, const int64_t *dims)
{
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, rank, dims, op_input_tensor(c, 0)->data);
    op_case_free(c);
}

static void expect_refusal(op_case *c, const char *text)
{
    assert_fails(op_try(c), MARY_ERROR_INVALID, text);
    op_case_free(c);
}

START_TEST(reshape_copies_zero_and_works_out_minus_one)
{
    expect_view(view("Reshape", 5, DIMS(2, 3, 4), DIMS(0, -1)), DIMS(2, 12));
    expect_view(view("Reshape", 14, DIMS(2, 3, 4), DIMS(4, 6)), DIMS(4, 6));
    expect_view(view("Reshape", 14, DIMS(1), 0, INTS(0)), SCALAR);
    expect_view(view("Reshape", 13, DIMS(0, 3), DIMS(0, -1)), DIMS(0, 0));
    expect_view(view("Reshape", 13, DIMS(0, 3), DIMS(3, -1)), DIMS(3, 0));
    op_case *c = view("Reshape", 14, DIMS(0, 3), DIMS(3, 0));
    op_attribute_int(c, "allowzero", 1);
    expect_view(c, DIMS(3, 0));
    c = view("Reshape", 1, DIMS(2, 3), 0, NULL);
    op_attribute_ints(c, "shape", DIMS(-1));
    expect_view(c, DIMS(6));
}
END_TEST

START_TEST(reshape_refuses_what_does_not_fit)
{
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(4)), "[2,3] does not fit shape [4]");
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(-1, 4)), "[-1,4]");
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(-1, -1)), "-1 at 1");
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(-2, 3)), "-2 at 0");
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(2, 3, 0)), "dimension 2 of an input of rank 2");
    expect_refusal(view("Reshape", 13, DIMS(2, 3), DIMS(INT64_MAX, INT64_MAX)), "too large");
    expect_refusal(view("Reshape", 13, DIMS(2), DIMS(1, 1, 1, 1, 1, 1, 1, 1, 2)), "9 values");
    op_case *c = view("Reshape", 14, DIMS(0, 3), DIMS(0, -1));
    op_attribute_int(c, "allowzero", 1);
    expect_refusal(c, "both 0 and -1");
    c = view("Reshape", 13, DIMS(2, 3), DIMS(6));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
}
END_TEST

START_TEST(flatten_makes_a_matrix)
{
    static const int64_t axes[] = {0, 1, 3, -1};
    static const int64_t expected[][2] = {{1, 24}, {2, 12}, {24, 1}, {6, 4}};
    for (int i = 0; i < 4; i++) {
        op_case *c = view("Flatten", 11, DIMS(2, 3, 4), 0, NULL);
        op_attribute_int(c, "axis", axes[i]);
        expect_view(c, 2, expected[i]);
    }
    op_case *c = view("Flatten", 11, DIMS(2, 3), 0, NULL);
    op_attribute_int(c, "axis", 3);
    expect_refusal(c, "axis 3");
    c = view("Flatten", 13, SCALAR, 0, NULL);
    op_attribute_int(c, "axis", 0);
    expect_view(c, DIMS(1, 1));
}
END_TEST

START_TEST(squeeze_removes_ones_only)
{
    expect_view(view("Squeeze", 13, DIMS(1, 2, 1, 3), 0, NULL), DIMS(2, 3));
    expect_view(view("Squeeze", 13, DIMS(1, 2, 1, 3), DIMS(-2)), DIMS(1, 2, 3));
    op_case *c = view("Squeeze", 11, DIMS(1, 2, 1), 0, NULL);
    op_attribute_ints(c, "axes", DIMS(0, 2));
    expect_view(c, DIMS(2));
    expect_refusal(view("Squeeze", 13, DIMS(1, 2), DIMS(1)), "axis 1 has length 2");
    expect_refusal(view("Squeeze", 13, DIMS(1, 2), DIMS(-3)), "axis -3");
}
END_TEST

START_TEST(unsqueeze_counts_axes_in_the_output)
{
    expect_view(view("Unsqueeze", 13, DIMS(2, 3), DIMS(0, -1)), DIMS(1, 2, 3, 1));
    expect_view(view("Unsqueeze", 13, SCALAR, DIMS(0)), DIMS(1));
    op_case *c = view("Unsqueeze", 11, DIMS(2, 3), 0, NULL);
    op_attribute_ints(c, "axes", DIMS(3, 1));
    expect_view(c, DIMS(2, 1, 3, 1));
    expect_refusal(view("Unsqueeze", 13, DIMS(2, 3), DIMS(0, -4)), "given twice");
    expect_refusal(view("Unsqueeze", 13, DIMS(2, 3), DIMS(4, 0)), "axis 4");
    expect_refusal(view("Unsqueeze", 11, DIMS(2, 3), 0, NULL), "'axes' is missing");
    c = view("Unsqueeze", 13, DIMS(1, 1, 1, 1, 1, 1, 1, 1), DIMS(0));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "rank 9");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/reshape", reshape_copies_zero_and_works_out_minus_one, reshape_refuses_what_does_not_fit,
               flatten_makes_a_matrix, squeeze_removes_ones_only, unsqueeze_counts_axes_in_the_output)
