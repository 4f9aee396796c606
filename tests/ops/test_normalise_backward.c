/* Gradients of BatchNormalization and LayerNormalization. */
#include "tests/support/gradient_check.h"

static void check_batch(int training, int rank, const int64_t *dims)
{
    static const float variance[5] = {0.5f, 1, 2, 0.25f, 4};
    op_case *c = op_case_new("BatchNormalization", 15);
    op_attribute_int(c, "training_mode", training);
    op_attribute_float(c, "epsilon", 0.1f);
    op_input(c, MARY_FLOAT, rank, dims, NULL);
    for (int i = 0; i < 3; i++)
        op_input(c, MARY_FLOAT, DIMS(dims[1]), NULL);
    op_input(c, MARY_FLOAT, DIMS(dims[1]), variance);
    gradient_check(c);
    ck_assert(gradient_checked_channels_last() == (!training && rank > 2));
    op_case_free(c);
}

START_TEST(gradients_of_batch_normalization_agree_with_differences)
{
    for (int training = 0; training < 2; training++) {
        check_batch(training, DIMS(3, 5, 2, 3));
        check_batch(training, DIMS(7, 4));
        check_batch(training, DIMS(2, 3, 5));
    }
}
END_TEST

static void check_layer(const char *type, int opset, int axis, bool shift)
{
    op_case *c = op_case_new(type, opset);
    op_attribute_int(c, "axis", axis);
    op_attribute_float(c, "epsilon", 0.05f);
    op_input(c, MARY_FLOAT, DIMS(3, 4, 5), NULL);
    op_input(c, MARY_FLOAT, axis == -1 ? 1 : 2, axis == -1 ? (const int64_t[]){5} : (const int64_t[]){4, 5}, NULL);
    if (shift)
        op_input(c, MARY_FLOAT, axis == -1 ? 1 : 2, axis == -1 ? (const int64_t[]){5} : (const int64_t[]){4, 5}, NULL);
    gradient_check(c);
    op_case_free(c);
}

START_TEST(gradients_of_layer_normalization_agree_with_differences)
{
    check_layer("LayerNormalization", 17, -1, true);
    check_layer("LayerNormalization", 17, 1, true);
    check_layer("LayerNormalization", 17, -1, false);
    check_layer("RMSNormalization", 23, -1, false);
    check_layer("RMSNormalization", 23, 1, false);
}
END_TEST

MARY_TEST_MAIN("ops/normalise_backward", gradients_of_batch_normalization_agree_with_differences,
               gradients_of_layer_normalization_agree_with_differences)
