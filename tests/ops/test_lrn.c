/* LRN. */
#include "tests/support/op_run.h"

#include <math.h>

static void check(int64_t size, mary_type type, int rank, const int64_t *dims)
{
    op_case *c = op_case_new("LRN", 13);
    op_attribute_int(c, "size", size);
    op_attribute_float(c, "alpha", 0.5f);
    op_attribute_float(c, "bias", 2);
    op_input(c, type, rank, dims, NULL);
    op_run(c);
    ck_assert_int_eq(op_ran_channels_last(c), rank >= 3 && type == MARY_FLOAT);
    const mary_tensor *x = op_input_tensor(c, 0);
    int64_t channels = dims[1], pixels = mary_shape_count_range(&x->shape, 2, rank);
    for (int64_t i = 0; i < mary_shape_count(&x->shape); i++) {
        int64_t channel = i / pixels % channels;
        double sum = 0;
        for (int64_t k = channel - (size - 1) / 2; k <= channel + size / 2; k++) {
            if (k >= 0 && k < channels)
                sum += pow(mary_tensor_double(x, i + (k - channel) * pixels), 2);
        }
        double want = mary_tensor_double(x, i) / pow(2 + 0.5 / (double)size * sum, 0.75);
        ck_assert_double_eq_tol(mary_tensor_double(op_output(c, 0), i), want, 2e-6);
    }
    op_case_free(c);
}

START_TEST(windows_are_cut_at_the_first_and_last_channel)
{
    for (int64_t size = 1; size < 8; size++) {
        check(size, MARY_FLOAT, DIMS(2, 5, 3, 7));
        check(size, MARY_DOUBLE, DIMS(2, 5, 3, 2));
    }
    check(5, MARY_FLOAT, DIMS(1, 300, 2));
    check(5, MARY_FLOAT, DIMS(2, 6, 33, 21));
    check(3, MARY_FLOAT, DIMS(2, 6));
}
END_TEST

START_TEST(any_size_of_window_is_survived)
{
    op_case *c = op_case_new("LRN", 1);
    op_attribute_int(c, "size", INT64_MAX);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 2), NULL);
    op_run(c);
    op_case_free(c);
    c = op_case_new("LRN", 1);
    op_attribute_int(c, "size", 0);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "size is 0");
    op_case_free(c);
    c = op_case_new("LRN", 1);
    op_attribute_int(c, "size", 3);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 0), NULL);
    op_run(c);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/lrn", windows_are_cut_at_the_first_and_last_channel, any_size_of_window_is_survived)
