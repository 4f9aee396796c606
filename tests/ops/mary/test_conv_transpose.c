/* MaryConvTranspose against the definition, scattered in double; op_run repeats each case on every tier and in both
 * layouts. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/memory.h"
#include "tests/support/conv_reference.h"
#include "tests/support/mary_reference.h"

static const mary_epilogue relu = {MARY_ACTIVATION_CLIP, 0, INFINITY, -1};

static void spatial(const conv_shape *s, int64_t a, int64_t b, const int64_t values[3], int64_t *dims)
{
    dims[0] = a;
    dims[1] = b;
    for (int i = 0; i < s->rank; i++)
        dims[2 + i] = values[3 - s->rank + i];
}

static void check_values(const op_case *c, const double *expected, double tolerance)
{
    const mary_tensor *out = op_output(c, 0);
    for (int64_t i = 0; i < mary_shape_count(&out->shape); i++) {
        double got = ((const float *)out->data)[i];
        ck_assert_msg(fabs(got - expected[i]) <= tolerance * (1 + fabs(expected[i])), "element %lld: %g, expected %g",
                      (long long)i, got, expected[i]);
    }
}

static void check(const conv_shape *s, int bits, bool shared)
{
    int64_t x[5], w[5], pads[6], output[3], taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    int64_t rows = s->groups * s->filters, length = s->depth * taps;
    int skip = 3 - s->rank;
    for (int axis = 0; axis < 3; axis++)
        output[axis] = (s->input[axis] - 1) * s->stride[axis] + (s->kernel[axis] - 1) * s->dilation[axis] + 1 -
                       s->pad[axis] - s->pad_end[axis];
    spatial(s, s->batch, s->groups * s->depth, s->input, x);
    spatial(s, s->groups * s->depth, s->filters, s->kernel, w);
    for (int i = 0; i < s->rank; i++) {
        pads[i] = s->pad[skip + i];
        pads[s->rank + i] = s->pad_end[skip + i];
    }
    mary_reference weights;
    mary_reference_make(&weights, rows, length, bits, shared);
    op_case *c = op_case_new_in("ai.mary", "MaryConvTranspose", 1);
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
    op_epilogue(c, relu);
    op_tolerance(c, 1e-4);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    /* rows [group][filter][depth][taps] to ONNX's [group][depth][filter][taps] */
    float *dense = mary_alloc(sizeof(float) * (size_t)(rows * length) + 1);
    for (int64_t i = 0; i < rows * length; i++) {
        int64_t row = i / length, channel = i % length / taps;
        dense[((row / s->filters * s->depth + channel) * s->filters + row % s->filters) * taps + i % taps] =
            weights.dense[i];
    }
    double *expected = mary_alloc(sizeof(double) * (size_t)mary_shape_count(&op_output(c, 0)->shape) + 1);
    conv_transpose_reference(s, output, op_input_tensor(c, 0)->data, dense, op_input_tensor(c, 3)->data, NULL, &relu,
                             expected);
    check_values(c, expected, 1e-5 + 1e-7 * (double)length);
    mary_free(expected);
    mary_free(dense);
    op_case_free(c);
    mary_reference_free(&weights);
}

START_TEST(rows_are_output_channels_group_by_group)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        conv_shape s = {2, 2, 1, 6, 37, {1, 4, 5}, {1, 3, 4}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 0, 1}};
        conv_shape grouped = {2, 1, 3, 5, 7, {1, 4, 5}, {1, 2, 3}, {1, 1, 3}, {1, 2, 1}, {0, 0, 1}, {0, 1, 0}};
        conv_shape depthwise = {2, 1, 9, 1, 1, {1, 4, 5}, {1, 4, 4}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
        check(&s, bits, false);
        check(&grouped, bits, bits == 4);
        check(&depthwise, bits, false);
    }
}
END_TEST

START_TEST(panels_too_long_for_the_scratch_are_summed_in_slices)
{
    conv_shape taps = {2, 1, 1, 700, 9, {1, 2, 3}, {1, 4, 4}, {1, 1, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    conv_shape deep = {1, 1, 1, 8300, 33, {1, 1, 3}, {1, 1, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 1}, {0, 0, 0}};
    check(&taps, 2, false);
    check(&deep, 4, true);
}
END_TEST

MARY_TEST_MAIN("ops/mary/conv_transpose", rows_are_output_channels_group_by_group,
               panels_too_long_for_the_scratch_are_summed_in_slices)
