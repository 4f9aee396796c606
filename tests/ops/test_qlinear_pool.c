/* QLinearAveragePool, QLinearGlobalAveragePool, and MaxPool of u8. */
#include "ops/qlinear.h"
#include "tests/support/op_run.h"

static void parameters(op_case *c, float x_scale, uint8_t x_zero, float y_scale, uint8_t y_zero)
{
    op_constant(c, MARY_FLOAT, SCALAR, &x_scale);
    op_constant(c, MARY_UINT8, SCALAR, &x_zero);
    op_constant(c, MARY_FLOAT, SCALAR, &y_scale);
    op_constant(c, MARY_UINT8, SCALAR, &y_zero);
}

START_TEST(average_pool_counts_padding_when_asked)
{
    for (int include = 0; include < 2; include++) {
        op_case *c = op_case_new_in("com.microsoft", "QLinearAveragePool", 1);
        op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
        op_attribute_ints(c, "pads", DIMS(1, 1, 0, 0));
        op_attribute_int(c, "count_include_pad", include);
        op_input(c, MARY_UINT8, DIMS(1, 1, 2, 2), (const uint8_t[]){18, 26, 30, 50});
        parameters(c, 0.5f, 10, 0.25f, 3);
        op_run(c);
        /* Sums of x - 10: 8, 24, 28, 84; twice their mean, plus 3. */
        if (include)
            op_expect(c, 0, MARY_UINT8, DIMS(1, 1, 2, 2), (const uint8_t[]){7, 15, 17, 45});
        else
            op_expect(c, 0, MARY_UINT8, DIMS(1, 1, 2, 2), (const uint8_t[]){19, 27, 31, 45});
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

START_TEST(average_pool_agrees_in_both_layouts)
{
    static const int64_t shapes[][4] = {{2, 5, 9, 7}, {1, 64, 8, 8}, {1, 100, 5, 6}};
    for (int i = 0; i < 6; i++) {
        op_case *c = op_case_new_in("com.microsoft", "QLinearAveragePool", 1);
        op_attribute_ints(c, "kernel_shape", DIMS(3, 2));
        op_attribute_ints(c, "strides", DIMS(2, 1));
        op_attribute_ints(c, "pads", DIMS(1, 1, 1, 0));
        op_attribute_int(c, "ceil_mode", i / 3);
        op_input(c, MARY_UINT8, 4, shapes[i % 3], NULL);
        parameters(c, 0.5f, 3, 0.1f, 9);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
    op_case *c = op_case_new_in("com.microsoft", "QLinearAveragePool", 1);
    op_attribute_ints(c, "kernel_shape", DIMS(3));
    op_input(c, MARY_UINT8, DIMS(2, 3, 9), NULL);
    parameters(c, 0.5f, 3, 0.1f, 9);
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(global_average_pool_is_one_mean_a_channel)
{
    static const int64_t shapes[][4] = {{2, 5, 9, 7}, {1, 700, 7, 7}, {3, 1, 1, 1}};
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new_in("com.microsoft", "QLinearGlobalAveragePool", 1);
        op_input(c, MARY_UINT8, 4, shapes[i], NULL);
        parameters(c, 0.5f, 3, 0.1f, 9);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        const mary_requantisation to = mary_requantisation_to(9);
        const uint8_t *x = op_input_tensor(c, 0)->data, *y = op_output(c, 0)->data;
        int pixels = (int)(shapes[i][2] * shapes[i][3]);
        for (int row = 0; row < shapes[i][0] * shapes[i][1]; row++) {
            int sum = 0;
            for (int p = 0; p < pixels; p++)
                sum += x[row * pixels + p] - 3;
            ck_assert_int_eq(y[row], mary_requantise((float)sum * (0.5f / 0.1f / (float)pixels), &to));
        }
        op_case_free(c);
    }
}
END_TEST

START_TEST(max_pool_of_u8_agrees_in_both_layouts)
{
    static const int64_t shapes[][4] = {{2, 5, 9, 7}, {1, 64, 8, 8}, {1, 300, 5, 6}, {1, 0, 5, 6}};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new("MaxPool", 13);
        op_attribute_ints(c, "kernel_shape", DIMS(3, 3));
        op_attribute_ints(c, "strides", DIMS(2, 2));
        op_attribute_ints(c, "pads", DIMS(1, 1, 1, 1));
        op_input(c, MARY_UINT8, 4, shapes[i], NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
    op_case *c = op_case_new("MaxPool", 13); /* indices are made of plain tensors only */
    op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
    op_outputs(c, 2);
    op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
    op_run(c);
    ck_assert(!op_ran_channels_last(c));
    op_case_free(c);
}
END_TEST

START_TEST(pools_refuse_hostile_attributes)
{
    op_case *c = op_case_new_in("com.microsoft", "QLinearAveragePool", 1);
    op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
    parameters(c, 1, 0, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "kernel_shape is missing");
    op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
    op_attribute_ints(c, "pads", DIMS(2, 0, 0, 0));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "padding of 2");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearGlobalAveragePool", 1);
    op_attribute_int(c, "channels_last", 1);
    op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
    parameters(c, 1, 0, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "channels_last is 1");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearGlobalAveragePool", 1);
    op_input(c, MARY_UINT8, DIMS(1, 0, 4096, 4096), NULL); /* no element, but a sum that could leave 32 bits */
    parameters(c, 1, 0, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "a mean of 16777216");
    op_case_free(c);
    c = op_case_new_in("com.microsoft", "QLinearGlobalAveragePool", 1);
    op_input(c, MARY_UINT8, DIMS(4), NULL);
    parameters(c, 1, 0, 1, 0);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "rank 1");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/qlinear_pool", average_pool_counts_padding_when_asked, average_pool_agrees_in_both_layouts,
               global_average_pool_is_one_mean_a_channel, max_pool_of_u8_agrees_in_both_layouts,
               pools_refuse_hostile_attributes)
