/* MaryQLinearConv with one channel a group: every way of laying channels, lines and rows into vectors, against the
 * definition. */
#include <stdlib.h>

#include "tests/support/qlinear_reference.h"

typedef struct window {
    int64_t kernel[2], stride, dilation, pad;
} window;

static void check(int64_t batch, int64_t channels, int64_t height, int64_t width, window v, qlinear_options options)
{
    static uint32_t seed;
    conv_shape s = {2,
                    batch,
                    channels,
                    1,
                    1,
                    {1, height, width},
                    {1, v.kernel[0], v.kernel[1]},
                    {1, v.stride, v.stride},
                    {1, v.dilation, v.dilation},
                    {0, v.pad, v.pad},
                    {0, v.pad, v.pad}};
    int64_t x[4] = {batch, channels, height, width}, w[4] = {channels, 1, v.kernel[0], v.kernel[1]};
    int64_t y[4] = {batch, channels, conv_output(&s, 1), conv_output(&s, 2)}, y_count = y[0] * y[1] * y[2] * y[3];
    int64_t length = v.kernel[0] * v.kernel[1];
    qlinear q;
    options.seed = ++seed;
    qlinear_make(&q, &options, channels, length, batch * channels * height * width, y_count);
    op_case *c = op_case_new_in("ai.mary", "MaryQLinearConv", 1);
    op_attribute_int(c, "group", channels);
    op_attribute_ints(c, "strides", DIMS(v.stride, v.stride));
    op_attribute_ints(c, "dilations", DIMS(v.dilation, v.dilation));
    op_attribute_ints(c, "pads", DIMS(v.pad, v.pad, v.pad, v.pad));
    op_attribute_ints(c, "weight_shape", 4, w);
    op_attribute_int(c, "row_length", length);
    op_attribute_int(c, "bits", options.bits);
    qlinear_inputs(&q, c, 4, x, y);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    uint8_t *expected = malloc((size_t)y_count + 1);
    qlinear_conv(&q, &s, expected);
    op_expect(c, 0, MARY_UINT8, 4, y, expected);
    free(expected);
    op_case_free(c);
    qlinear_free(&q);
}

static qlinear_options options_of(int64_t i)
{
    static const int bits[] = {1, 2, 4, 8};
    return (qlinear_options){.bits = bits[i % 4],
                             .bias = i % 3 != 0,
                             .shared_levels = i % 5 == 0,
                             .table = i % 4 == 1,
                             .x_zero = (int)(i * 37 % 256),
                             .y_zero = (int)(i * 91 % 256)};
}

START_TEST(channels_of_every_remainder_are_right)
{
    static const int64_t channels[] = {1, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 96, 97, 128, 144, 160};
    for (int64_t i = 0; i < 17; i++) {
        check(1 + i % 2, channels[i], 7, 9, (window){{3, 3}, 1, 1, 1}, options_of(i));
        check(1, channels[i], 9, 8, (window){{3, 3}, 2, 1, 1}, options_of(i + 1));
        check(2 - i % 2, channels[i], 6, 7, (window){{5, 5}, 1 + i % 2, 1, 2}, options_of(i + 2));
    }
}
END_TEST

START_TEST(windows_of_every_kind_are_right)
{
    static const window windows[] = {{{1, 1}, 1, 1, 0}, {{3, 3}, 3, 1, 1}, {{3, 3}, 1, 2, 2}, {{5, 5}, 2, 2, 4},
                                     {{7, 7}, 1, 1, 3}, {{1, 5}, 1, 1, 0}, {{5, 1}, 2, 1, 0}, {{4, 2}, 1, 1, 1},
                                     {{3, 3}, 1, 9, 9}, {{9, 3}, 1, 1, 4}, {{3, 3}, 2, 1, 0}, {{2, 3}, 2, 1, 1}};
    for (int64_t i = 0; i < 12; i++) {
        check(1, 20, 11, 13, windows[i], options_of(i));
        check(2, 70, 12, 11, windows[i], options_of(i + 3));
    }
}
END_TEST

START_TEST(lines_longer_than_a_block_of_columns_are_right)
{
    check(1, 33, 3, 400, (window){{3, 3}, 1, 1, 1}, options_of(1));
    check(1, 70, 5, 333, (window){{5, 5}, 1, 1, 2}, options_of(2));
    check(1, 3, 9, 1000, (window){{3, 3}, 2, 3, 0}, options_of(3));
}
END_TEST

START_TEST(residuals_are_added)
{
    qlinear_options o = options_of(1);
    o.residual = true;
    check(2, 40, 5, 6, (window){{3, 3}, 1, 1, 1}, o);
}
END_TEST

MARY_TEST_MAIN("ops/mary/qdepthwise", channels_of_every_remainder_are_right, windows_of_every_kind_are_right,
               lines_longer_than_a_block_of_columns_are_right, residuals_are_added)
