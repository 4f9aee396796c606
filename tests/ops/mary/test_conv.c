/* MaryConv against the definition of Conv on the floats that its codes stand for. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/memory.h"
#include "tests/support/conv_reference.h"
#include "tests/support/mary_reference.h"

static void spatial(const conv_shape *s, int64_t a, int64_t b, const int64_t values[3], int64_t *dims)
{
    dims[0] = a;
    dims[1] = b;
    for (int i = 0; i < s->rank; i++)
        dims[2 + i] = values[3 - s->rank + i];
}

static const mary_epilogue relu = {MARY_ACTIVATION_CLIP, 0, INFINITY, -1};

static void check_mary_conv(const conv_shape *s, int bits, bool shared, bool fused)
{
    int skip = 3 - s->rank;
    int64_t x[5], w[5], y[5], pads[6], output[3];
    int64_t rows = s->groups * s->filters, length = s->depth * s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int axis = 0; axis < 3; axis++)
        output[axis] = conv_output(s, axis);
    spatial(s, s->batch, s->groups * s->depth, s->input, x);
    spatial(s, rows, s->depth, s->kernel, w);
    spatial(s, s->batch, rows, output, y);
    for (int i = 0; i < s->rank; i++) {
        pads[i] = s->pad[skip + i];
        pads[s->rank + i] = s->pad_end[skip + i];
    }
    mary_reference weights;
    mary_reference_make(&weights, rows, length, bits, shared);
    op_case *c = op_case_new_in("ai.mary", "MaryConv", 1);
    op_attribute_int(c, "group", s->groups);
    op_attribute_ints(c, "strides", s->rank, s->stride + skip);
    op_attribute_ints(c, "dilations", s->rank, s->dilation + skip);
    op_attribute_ints(c, "pads", 2 * s->rank, pads);
    op_attribute_ints(c, "weight_shape", 2 + s->rank, w);
    op_attribute_int(c, "row_length", length);
    op_attribute_int(c, "bits", bits);
    op_input(c, MARY_FLOAT, 2 + s->rank, x, NULL);
    op_constant(c, MARY_UINT8, 2, weights.code_dims, weights.codes);
    op_constant(c, MARY_FLOAT, 2, weights.level_dims, weights.levels);
    op_constant(c, MARY_FLOAT, 1, &rows, NULL);
    if (fused) {
        op_input(c, MARY_FLOAT, 2 + s->rank, y, NULL);
        mary_epilogue epilogue = relu;
        epilogue.residual = 4;
        op_epilogue(c, epilogue);
    }
    op_tolerance(c, 1e-4);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    const mary_tensor *out = op_output(c, 0);
    int64_t count = mary_shape_count(&out->shape);
    double *expected = mary_alloc(sizeof(double) * (size_t)count + 1);
    conv_reference(s, op_input_tensor(c, 0)->data, weights.dense, op_input_tensor(c, 3)->data,
                   fused ? op_input_tensor(c, 4)->data : NULL, fused ? &relu : NULL, expected);
    double tolerance = 1e-5 + 1e-7 * (double)length;
    for (int64_t i = 0; i < count; i++) {
        double got = ((const float *)out->data)[i];
        ck_assert_msg(fabs(got - expected[i]) <= tolerance * (1 + fabs(expected[i])),
                      "%d bits, element %lld: %g, expected %g", bits, (long long)i, got, expected[i]);
    }
    mary_free(expected);
    op_case_free(c);
    mary_reference_free(&weights);
}

static conv_shape plane(int64_t n, int64_t groups, int64_t depth, int64_t filters, int64_t h, int64_t w, int64_t k,
                        int64_t stride, int64_t pad)
{
    return (conv_shape){2,
                        n,
                        groups,
                        depth,
                        filters,
                        {1, h, w},
                        {1, k, k},
                        {1, stride, stride},
                        {1, 1, 1},
                        {0, pad, pad},
                        {0, pad, pad}};
}

START_TEST(every_code_width_decodes_to_its_levels)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int shared = 0; shared < 2; shared++) {
            conv_shape s = plane(1, 1, 7, 37, 6, 5, 3, 1, 1), one = plane(2, 1, 33, 16, 3, 5, 1, 1, 0);
            check_mary_conv(&s, bits, shared, true);
            check_mary_conv(&one, bits, shared, false);
        }
    }
}
END_TEST

START_TEST(a_few_pixels_are_multiplied_without_panels)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int64_t pixels = 1; pixels <= 5; pixels++) {
            conv_shape wide = plane(pixels, 1, 40, 150, 1, 1, 1, 1, 0), deep = plane(1, 1, 517, 65, 1, pixels, 1, 1, 0);
            check_mary_conv(&wide, bits, false, pixels % 2);
            check_mary_conv(&deep, bits, pixels == 2, true);
        }
    }
    conv_shape strided = plane(1, 1, 9, 20, 4, 4, 1, 3, 0); /* as many outputs, but other pixels */
    check_mary_conv(&strided, 2, false, true);
}
END_TEST

START_TEST(groups_depthwise_and_first_layers_are_right)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        conv_shape grouped = plane(2, 3, 4, 11, 6, 5, 3, 2, 1), depthwise = plane(1, 45, 1, 1, 9, 8, 3, 1, 1);
        conv_shape wide = plane(1, 70, 1, 1, 9, 8, 5, 2, 2), first = plane(1, 1, 3, 20, 15, 16, 7, 2, 3);
        check_mary_conv(&grouped, bits, false, true);
        check_mary_conv(&depthwise, bits, bits == 2, true);
        check_mary_conv(&wide, bits, false, false);
        check_mary_conv(&first, bits, false, true);
    }
}
END_TEST

START_TEST(panels_too_long_for_the_scratch_are_summed_in_slices)
{
    conv_shape taps = plane(1, 1, 600, 35, 3, 4, 3, 1, 1);  /* slices of whole taps */
    conv_shape deep = plane(1, 1, 9000, 33, 2, 3, 1, 1, 0); /* slices of one tap */
    conv_shape both = plane(1, 1, 8200, 5, 2, 3, 2, 1, 1);
    check_mary_conv(&taps, 2, false, true);
    check_mary_conv(&deep, 4, true, true);
    check_mary_conv(&both, 1, false, true);
}
END_TEST

START_TEST(one_and_three_axes_are_right)
{
    conv_shape line = {1, 2, 1, 7, 9, {1, 1, 31}, {1, 1, 4}, {1, 1, 2}, {1, 1, 3}, {0, 0, 2}, {0, 0, 5}};
    conv_shape volume = {3, 1, 2, 3, 5, {5, 4, 6}, {2, 3, 3}, {2, 1, 2}, {1, 2, 1}, {1, 2, 0}, {0, 1, 2}};
    check_mary_conv(&line, 4, false, true);
    check_mary_conv(&volume, 2, false, true);
}
END_TEST

static mary_status try_mary_conv(const int64_t *shape, int rank, int64_t row_length, int64_t bits, int64_t code_bytes,
                                 int64_t level_count)
{
    op_case *c = op_case_new_in("ai.mary", "MaryConv", 1);
    op_attribute_ints(c, "weight_shape", rank, shape);
    op_attribute_int(c, "row_length", row_length);
    op_attribute_int(c, "bits", bits);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 4, 4), NULL);
    op_constant(c, MARY_UINT8, DIMS(3, code_bytes), NULL);
    op_constant(c, MARY_FLOAT, DIMS(3, level_count), NULL);
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(hostile_weight_attributes_are_refused)
{
    static const int64_t good[] = {3, 2, 3, 3}, negative[] = {3, -2, 3, 3}, empty[] = {3, 2, 0, 3},
                         other[] = {3, 1, 3, 3};
    static const int64_t huge[] = {INT64_MAX, 2, 3, 3};
    assert_ok(try_mary_conv(good, 4, 18, 2, 5, 4));
    assert_fails(try_mary_conv(good, 2, 18, 2, 5, 4), MARY_ERROR_INVALID, "weight_shape has 2 values");
    assert_fails(try_mary_conv(good, 4, 17, 2, 5, 4), MARY_ERROR_INVALID, "row_length is 17");
    assert_fails(try_mary_conv(good, 4, 18, 3, 5, 4), MARY_ERROR_INVALID, "bits is 3");
    assert_fails(try_mary_conv(good, 4, 18, 2, 4, 4), MARY_ERROR_INVALID, "codes are");
    assert_fails(try_mary_conv(good, 4, 18, 2, 5, 3), MARY_ERROR_INVALID, "levels are");
    assert_fails(try_mary_conv(negative, 4, 18, 2, 5, 4), MARY_ERROR_INVALID, "negative");
    assert_fails(try_mary_conv(huge, 4, 18, 2, 5, 4), MARY_ERROR_INVALID, "too large");
    assert_fails(try_mary_conv(empty, 4, 0, 2, 0, 4), MARY_ERROR_INVALID, "size 0");
    assert_fails(try_mary_conv(other, 4, 9, 2, 3, 4), MARY_ERROR_INVALID, "the weights have 1");
}
END_TEST

MARY_TEST_MAIN("ops/mary/conv", every_code_width_decodes_to_its_levels, a_few_pixels_are_multiplied_without_panels,
               groups_depthwise_and_first_layers_are_right, panels_too_long_for_the_scratch_are_summed_in_slices,
               one_and_three_axes_are_right, hostile_weight_attributes_are_refused)
