/* Gradients of operators that only move data, and of sums and means. */
#include "tests/support/gradient_check.h"

START_TEST(gradients_of_moves_agree_with_differences)
{
    op_case *c = op_case_new("Transpose", 13);
    op_attribute_ints(c, "perm", DIMS(2, 0, 1));
    op_input(c, MARY_FLOAT, DIMS(3, 4, 5), NULL);
    gradient_check(c);
    op_case_free(c);

    c = op_case_new("Slice", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 6, 7, 5), NULL);
    op_constant(c, MARY_INT64, DIMS(3), INTS(1, -1, 1));
    op_constant(c, MARY_INT64, DIMS(3), INTS(5, -100, 4));
    op_constant(c, MARY_INT64, DIMS(3), INTS(1, 2, 3));
    op_constant(c, MARY_INT64, DIMS(3), INTS(2, -2, 1));
    gradient_check(c);
    op_case_free(c);

    for (int axis = 0; axis < 3; axis++) {
        c = op_case_new("Concat", 13);
        op_attribute_int(c, "axis", axis);
        op_input(c, MARY_FLOAT, DIMS(axis == 0 ? 1 : 2, axis == 1 ? 1 : 3, axis == 2 ? 1 : 4), NULL);
        op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
        op_input(c, MARY_FLOAT, DIMS(axis == 0 ? 5 : 2, axis == 1 ? 5 : 3, axis == 2 ? 5 : 4), NULL);
        gradient_check(c);
        op_case_free(c);
        c = op_case_new("Split", 13);
        op_attribute_int(c, "axis", axis);
        op_outputs(c, 3);
        op_input(c, MARY_FLOAT, DIMS(axis == 0 ? 6 : 2, axis == 1 ? 6 : 3, axis == 2 ? 6 : 4), NULL);
        op_constant(c, MARY_INT64, DIMS(3), INTS(2, 1, 3));
        gradient_check(c);
        op_case_free(c);
    }

    c = op_case_new("Pad", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4, 5), NULL);
    op_constant(c, MARY_INT64, DIMS(8), INTS(0, 1, 2, -1, 0, 0, -1, 3));
    gradient_check(c);
    op_case_free(c);

    c = op_case_new("Expand", 13);
    op_input(c, MARY_FLOAT, DIMS(3, 1), NULL);
    op_constant(c, MARY_INT64, DIMS(3), INTS(2, 3, 4));
    gradient_check(c);
    op_case_free(c);

    c = op_case_new("Dropout", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
    gradient_check(c);
    op_case_free(c);
}
END_TEST

START_TEST(gradients_of_resize_agree_with_differences)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const float scales[][4] = {{1, 1, 2, 2}, {1, 1, 0.6f, 1.7f}, {1, 2, 1, 1.5f}};
    for (int mode = 0; mode < 3; mode++) {
        for (int i = 0; i < 3; i++) {
            op_case *c = op_case_new("Resize", 13);
            op_attribute_string(c, "mode", modes[mode]);
            op_input(c, MARY_FLOAT, DIMS(2, 3, 5, 4), NULL);
            op_absent(c);
            op_constant(c, MARY_FLOAT, DIMS(4), scales[i]);
            gradient_check(c);
            ck_assert(gradient_checked_channels_last() == (i < 2));
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(gradients_of_clip_agree_with_differences)
{
    op_case *c = op_case_new("Clip", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(-0.5f));
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1));
    gradient_check(c);
    op_case_free(c);
}
END_TEST

START_TEST(gradients_of_sums_agree_with_differences)
{
    static const int64_t sets[][3] = {{1, 2, -1}, {2, 3, 2}, {1, 0, 3}, {2, 0, 1}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        for (int form = 0; form < 4; form++) {
            op_case *c = op_case_new(form & 1 ? "ReduceMean" : "ReduceSum", 11);
            op_attribute_ints(c, "axes", (int)sets[i][0], sets[i] + 1);
            op_attribute_int(c, "keepdims", form >> 1);
            op_input(c, MARY_FLOAT, DIMS(2, 3, 4, 5), NULL);
            gradient_check(c);
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(gradients_of_softmax_agree_with_differences)
{
    for (int axis = 0; axis < 3; axis++) {
        for (int log = 0; log < 2; log++) {
            for (int opset = 11; opset < 14; opset += 2) {
                op_case *c = op_case_new(log ? "LogSoftmax" : "Softmax", opset);
                op_attribute_int(c, "axis", axis);
                op_input(c, MARY_FLOAT, DIMS(3, 4, 5), NULL);
                gradient_check(c);
                op_case_free(c);
            }
        }
    }
}
END_TEST

MARY_TEST_MAIN("ops/copy_backward", gradients_of_moves_agree_with_differences,
               gradients_of_resize_agree_with_differences, gradients_of_clip_agree_with_differences,
               gradients_of_sums_agree_with_differences, gradients_of_softmax_agree_with_differences)
