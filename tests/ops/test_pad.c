/* Pad and CenterCropPad. */
#include "tests/support/op_run.h"

static void expect_pad(const char *mode, int64_t before, int64_t after, int count, const float *values)
{
    op_case *c = op_case_new("Pad", 19);
    op_attribute_string(c, "mode", mode);
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(1, 2, 3));
    op_input(c, MARY_INT64, DIMS(2), INTS(before, after));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(9));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(count), values);
    op_case_free(c);
}

START_TEST(pad_fills_in_every_mode)
{
    expect_pad("constant", 1, 2, 6, FLOATS(9, 1, 2, 3, 9, 9));
    expect_pad("edge", 2, 1, 6, FLOATS(1, 1, 1, 2, 3, 3));
    expect_pad("reflect", 2, 1, 6, FLOATS(3, 2, 1, 2, 3, 2));
    expect_pad("reflect", 5, 0, 8, FLOATS(2, 1, 2, 3, 2, 1, 2, 3));
    expect_pad("wrap", 2, 4, 9, FLOATS(2, 3, 1, 2, 3, 1, 2, 3, 1));
}
END_TEST

START_TEST(negative_pads_crop)
{
    expect_pad("constant", -1, 0, 2, FLOATS(2, 3));
    expect_pad("constant", -2, 1, 2, FLOATS(3, 9));
    expect_pad("constant", -4, 3, 2, FLOATS(9, 9));
    expect_pad("constant", 2, -4, 1, FLOATS(9));
    expect_pad("constant", -1, -2, 0, FLOATS(0));
    expect_pad("edge", 1, -2, 2, FLOATS(1, 1));
    expect_pad("reflect", -1, 1, 3, FLOATS(2, 3, 2));
}
END_TEST

START_TEST(pad_runs_channels_last_in_every_mode)
{
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new("Pad", 19);
        op_attribute_string(c, "mode", modes[i]);
        op_input(c, MARY_FLOAT, DIMS(2, 5, 6, 7), NULL);
        op_input(c, MARY_INT64, DIMS(8), INTS(0, 1, 2, 3, 1, 0, 3, -2));
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        const float *in = op_input_tensor(c, 0)->data, *out = op_output(c, 0)->data;
        ck_assert(mary_shape_equal(&op_output(c, 0)->shape, &(mary_shape){4, {3, 6, 11, 8}}));
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < 5; x++)
                ck_assert(out[((1 * 6 + 3) * 11 + y + 2) * 8 + x + 3] == in[((1 * 5 + 2) * 6 + y) * 7 + x]);
        op_case_free(c);
    }
}
END_TEST

START_TEST(pad_reads_attributes_before_opset_11)
{
    op_case *c = op_case_new("Pad", 2);
    op_attribute_ints(c, "pads", DIMS(0, 1, 1, 0));
    op_attribute_float(c, "value", -1);
    op_input(c, MARY_FLOAT, DIMS(1, 2), FLOATS(1, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), FLOATS(-1, 1, 2, -1, -1, -1));
    op_case_free(c);
}
END_TEST

START_TEST(pad_takes_axes_since_opset_18)
{
    op_case *c = op_case_new("Pad", 18);
    op_input(c, MARY_INT32, DIMS(1, 2), (const int32_t[]){5, 6});
    op_input(c, MARY_INT64, DIMS(2), INTS(1, 0));
    op_absent(c);
    op_input(c, MARY_INT64, DIMS(1), INTS(-1));
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(1, 3), (const int32_t[]){0, 5, 6});
    op_case_free(c);
}
END_TEST

START_TEST(pad_refuses_what_cannot_be)
{
    static const int64_t wrong[][2] = {{-4, 0}, {-2, -2}, {INT64_MAX, 1}, {INT64_MIN, INT64_MAX}};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new("Pad", 13);
        op_input(c, MARY_FLOAT, DIMS(3), NULL);
        op_input(c, MARY_INT64, DIMS(2), wrong[i]);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "do not fit");
        op_case_free(c);
    }
    op_case *c = op_case_new("Pad", 13);
    op_attribute_string(c, "mode", "edge");
    op_input(c, MARY_FLOAT, DIMS(0), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(1, 0));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "nothing is left");
    op_case_free(c);
    c = op_case_new("Pad", 13);
    op_attribute_string(c, "mode", "wrap");
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(1, 0));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "'wrap'");
    op_case_free(c);
    c = op_case_new("Pad", 13);
    op_input(c, MARY_FLOAT, DIMS(1), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(1LL << 40, 0));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "16 GiB");
    op_case_free(c);
}
END_TEST

START_TEST(centre_crop_pad_rounds_to_the_left)
{
    op_case *c = op_case_new("CenterCropPad", 18);
    op_input(c, MARY_FLOAT, DIMS(2, 5), FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    op_input(c, MARY_INT64, DIMS(2), INTS(3, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 2), FLOATS(2, 3, 7, 8, 0, 0));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/pad", pad_fills_in_every_mode, negative_pads_crop, pad_runs_channels_last_in_every_mode,
               pad_reads_attributes_before_opset_11, pad_takes_axes_since_opset_18, pad_refuses_what_cannot_be,
               centre_crop_pad_rounds_to_the_left)
