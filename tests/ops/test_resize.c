/* Resize and Upsample: values of ONNX's own examples, limits, and both layouts. */
#include <math.h>

#include "tests/support/op_run.h"

static const float square[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Resize-13 of the 4x4 square, or of its first row when height is 1. */
static op_case *resize(const char *mode, const char *coordinates, int height, const float *scales, const int64_t *sizes)
{
    op_case *c = op_case_new("Resize", 13);
    op_attribute_string(c, "mode", mode);
    if (coordinates != NULL)
        op_attribute_string(c, "coordinate_transformation_mode", coordinates);
    op_input(c, MARY_FLOAT, DIMS(1, 1, height, 4), square);
    op_absent(c);
    if (scales != NULL)
        op_input(c, MARY_FLOAT, DIMS(4), scales);
    else
        op_absent(c);
    if (sizes != NULL)
        op_input(c, MARY_INT64, DIMS(4), sizes);
    return c;
}

static void expect_line(const char *mode, const char *coordinates, float scale, int count, const float *values)
{
    op_case *c = resize(mode, coordinates, 1, FLOATS(1, 1, 1, scale), NULL);
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 1, count), values, 1e-6);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
}

START_TEST(nearest_follows_the_coordinate_transformation)
{
    expect_line("nearest", NULL, 2, 8, FLOATS(1, 1, 2, 2, 3, 3, 4, 4));
    expect_line("nearest", "asymmetric", 1.5f, 6, FLOATS(1, 2, 2, 3, 4, 4));
    expect_line("nearest", "align_corners", 1.5f, 6, FLOATS(1, 2, 2, 3, 3, 4));
    expect_line("nearest", NULL, 0.5f, 2, FLOATS(1, 3));
}
END_TEST

START_TEST(nearest_rounds_as_told)
{
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const float expected[][2] = {{1, 3}, {2, 4}, {1, 3}, {2, 4}}; /* of 0.5 and 2.5 */
    for (int i = 0; i < 4; i++) {
        op_case *c = resize("nearest", "half_pixel", 1, FLOATS(1, 1, 1, 0.5f), NULL);
        op_attribute_string(c, "nearest_mode", roundings[i]);
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(1, 1, 1, 2), expected[i]);
        op_case_free(c);
    }
}
END_TEST

START_TEST(linear_follows_the_coordinate_transformation)
{
    expect_line("linear", NULL, 2, 8, FLOATS(1, 1.25f, 1.75f, 2.25f, 2.75f, 3.25f, 3.75f, 4));
    expect_line("linear", "align_corners", 2, 8,
                FLOATS(1, 1 + 3 / 7.0f, 1 + 6 / 7.0f, 1 + 9 / 7.0f, 1 + 12 / 7.0f, 1 + 15 / 7.0f, 1 + 18 / 7.0f, 4));
    expect_line("linear", "asymmetric", 2, 8, FLOATS(1, 1.5f, 2, 2.5f, 3, 3.5f, 4, 4));
    expect_line("linear", "pytorch_half_pixel", 0.25f, 1, FLOATS(1));
    expect_line("linear", "half_pixel_symmetric", 0.6f, 2, FLOATS(1.6666667f, 3.3333333f));
}
END_TEST

START_TEST(linear_resizes_two_axes_at_once)
{
    op_case *c = resize("linear", NULL, 2, FLOATS(1, 1, 0.6f, 0.6f), NULL);
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 1, 2), FLOATS(2.6666665f, 4.3333331f), 1e-6);
    op_case_free(c);
}
END_TEST

START_TEST(cubic_and_antialias_agree_with_onnx)
{
    /* From onnx.reference: resize_downsample_scales_cubic_antialias, ..._linear_antialias. */
    op_case *c = resize("cubic", NULL, 4, FLOATS(1, 1, 0.8f, 0.8f), NULL);
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 3, 3),
                   FLOATS(1.47119141f, 2.78125f, 4.08251953f, 6.71142578f, 8.02148438f, 9.32275391f, 11.91650391f,
                          13.2265625f, 14.52783203f),
                   1e-5);
    op_case_free(c);
    c = op_case_new("Resize", 19);
    op_attribute_string(c, "mode", "linear");
    op_attribute_int(c, "antialias", 1);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 4, 4), square);
    op_absent(c);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, 1, 0.6f, 0.6f));
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 2, 2), FLOATS(2.875f, 4.5f, 9.375f, 11.0f), 1e-5);
    op_case_free(c);
}
END_TEST

START_TEST(crop_and_resize_fills_what_lies_outside)
{
    op_case *c = op_case_new("Resize", 13);
    op_attribute_string(c, "mode", "linear");
    op_attribute_string(c, "coordinate_transformation_mode", "tf_crop_and_resize");
    op_attribute_float(c, "extrapolation_value", 10);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 1, 4), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_FLOAT, DIMS(8), FLOATS(0, 0, 0, 0.5f, 1, 1, 1, 1.5f));
    op_absent(c);
    op_input(c, MARY_INT64, DIMS(4), INTS(1, 1, 1, 4));
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 1, 4), FLOATS(2.5f, 3.5f, 10, 10), 1e-6);
    op_case_free(c);
    c = op_case_new("Resize", 13); /* a region that is no number */
    op_attribute_string(c, "coordinate_transformation_mode", "tf_crop_and_resize");
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(NAN, INFINITY));
    op_absent(c);
    op_input(c, MARY_INT64, DIMS(1), INTS(3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(0, 0, 0));
    op_case_free(c);
}
END_TEST

START_TEST(sizes_may_keep_the_aspect_ratio)
{
    static const char *const policies[] = {"not_larger", "not_smaller"};
    static const int64_t expected[][2] = {{4, 6}, {5, 8}};
    for (int i = 0; i < 2; i++) {
        op_case *c = op_case_new("Resize", 18);
        op_attribute_string(c, "keep_aspect_ratio_policy", policies[i]);
        op_attribute_ints(c, "axes", DIMS(-1, 2));
        op_input(c, MARY_FLOAT, DIMS(1, 2, 2, 3), NULL);
        op_absent(c);
        op_absent(c);
        op_input(c, MARY_INT64, DIMS(2), INTS(8, 4)); /* width 8 (x2.67), height 4 (x2) */
        op_run(c);
        ck_assert(mary_shape_equal(&op_output(c, 0)->shape, &(mary_shape){4, {1, 2, expected[i][0], expected[i][1]}}));
        op_case_free(c);
    }
}
END_TEST

START_TEST(every_mode_runs_in_every_layout_and_type)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const mary_type types[] = {MARY_FLOAT, MARY_UINT8, MARY_DOUBLE, MARY_INT32};
    static const float scales[][5] = {{1, 1, 2, 2, 1}, {1, 1, 1.7f, 0.6f, 1.3f}, {1, 1, 1, 2, 1},
                                      {1, 1, 1, 1, 1}, {2, 1, 1, 1, 2},          {1, 2, 1, 1, 1}};
    for (int mode = 0; mode < 3; mode++) {
        for (int type = 0; type < 4; type++) {
            for (int s = 0; s < 6; s++) {
                op_case *c = op_case_new("Resize", 19);
                op_attribute_string(c, "mode", modes[mode]);
                op_attribute_int(c, "antialias", s & 1);
                op_input(c, types[type], DIMS(2, 3, 4, 5, 3), NULL);
                op_absent(c);
                op_input(c, MARY_FLOAT, DIMS(5), scales[s]);
                op_run(c);
                ck_assert(op_ran_channels_last(c) == (s != 5));
                op_case_free(c);
            }
        }
    }
}
END_TEST

START_TEST(integers_round_to_even_and_saturate)
{
    op_case *c = op_case_new("Resize", 13);
    op_attribute_string(c, "mode", "linear");
    op_attribute_string(c, "coordinate_transformation_mode", "asymmetric");
    op_input(c, MARY_UINT8, DIMS(1, 3), BOOLS(0, 1, 4));
    op_absent(c);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(1, 6), BOOLS(0, 0, 1, 2, 4, 4));
    op_case_free(c);
}
END_TEST

START_TEST(bytes_are_interpolated_as_floats_are)
{
    static const float scales[][4] = {{1, 1, 2, 2}, {1, 1, 1.7f, 0.6f}, {1, 1, 3, 0.4f}};
    for (int s = 0; s < 3; s++) {
        uint8_t bytes[2 * 3 * 7 * 5];
        float floats[2 * 3 * 7 * 5];
        for (int i = 0; i < 2 * 3 * 7 * 5; i++)
            floats[i] = bytes[i] = (uint8_t)(i * 89 + i / 7);
        op_case *both[2];
        for (int type = 0; type < 2; type++) {
            op_case *c = both[type] = op_case_new("Resize", 13);
            op_attribute_string(c, "mode", "linear");
            op_input(c, type ? MARY_UINT8 : MARY_FLOAT, DIMS(2, 3, 7, 5), type ? (void *)bytes : (void *)floats);
            op_absent(c);
            op_input(c, MARY_FLOAT, DIMS(4), scales[s]);
            op_run(c);
        }
        const mary_tensor *y = op_output(both[0], 0);
        for (int64_t i = 0; i < mary_shape_count(&y->shape); i++)
            ck_assert_float_le(
                fabsf(((const float *)y->data)[i] - (float)((const uint8_t *)op_output(both[1], 0)->data)[i]), 0.5001f);
        op_case_free(both[0]);
        op_case_free(both[1]);
    }
}
END_TEST

START_TEST(an_extrapolation_value_that_is_no_number_becomes_zero_in_integers)
{
    op_case *c = op_case_new("Resize", 13);
    op_attribute_string(c, "mode", "linear");
    op_attribute_string(c, "coordinate_transformation_mode", "tf_crop_and_resize");
    op_attribute_float(c, "extrapolation_value", NAN);
    op_input(c, MARY_INT32, DIMS(2), (const int32_t[]){1, 2});
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(2, 3));
    op_absent(c);
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (const int32_t[]){0, 0});
    op_case_free(c);
}
END_TEST

START_TEST(upsample_scales_by_attribute_or_input)
{
    op_case *c = op_case_new("Upsample", 7);
    op_attribute_floats(c, "scales", 2, FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(1, 2), FLOATS(1, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 4), FLOATS(1, 1, 2, 2));
    op_case_free(c);
    c = op_case_new("Upsample", 9);
    op_attribute_string(c, "mode", "linear");
    op_input(c, MARY_FLOAT, DIMS(1, 2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 4), FLOATS(1, 1.5f, 2, 2));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Resize", 10);
    op_input(c, MARY_FLOAT, DIMS(1, 4), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 0.6f));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 2), FLOATS(1, 3));
    op_case_free(c);
}
END_TEST

START_TEST(resize_refuses_what_has_no_size)
{
    static const float wrong[] = {0, -1, NAN, INFINITY, 1e30f};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = resize("linear", NULL, 1, FLOATS(1, 1, 1, wrong[i]), NULL);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "scale");
        op_case_free(c);
    }
    op_case *c = resize("linear", NULL, 1, NULL, INTS(1, 1, 1, -2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "-2 at 3");
    op_case_free(c);
    c = resize("linear", NULL, 1, FLOATS(1, 1, 1, 2), INTS(1, 1, 1, 2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "both");
    op_case_free(c);
    c = resize("linear", "tf_crop_and_resize", 1, NULL, INTS(1, 1, 1, 2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "'roi'");
    op_case_free(c);
    c = resize("linear", NULL, 1, NULL, NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "neither");
    op_case_free(c);
    c = resize("lanczos", NULL, 1, NULL, INTS(1, 1, 1, 2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "lanczos");
    op_case_free(c);
    c = resize("nearest", NULL, 0, NULL, INTS(1, 1, 2, 2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "is empty");
    op_case_free(c);
    c = resize("nearest", NULL, 1, NULL, INTS(1, 1, 0, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 1, 0, 2), NULL);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/resize", nearest_follows_the_coordinate_transformation, nearest_rounds_as_told,
               linear_follows_the_coordinate_transformation, linear_resizes_two_axes_at_once,
               cubic_and_antialias_agree_with_onnx, crop_and_resize_fills_what_lies_outside,
               sizes_may_keep_the_aspect_ratio, every_mode_runs_in_every_layout_and_type,
               integers_round_to_even_and_saturate, bytes_are_interpolated_as_floats_are,
               an_extrapolation_value_that_is_no_number_becomes_zero_in_integers, upsample_scales_by_attribute_or_input,
               resize_refuses_what_has_no_size)
