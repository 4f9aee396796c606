/* ConvTranspose against the definition, scattered in double; op_run repeats each case on every tier and in both
 * layouts. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/memory.h"
#include "tests/support/conv_reference.h"

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

/* `fused` adds bias, residual and Relu. */
static void check(const conv_shape *s, const int64_t output_padding[3], bool dynamic, bool fused)
{
    int skip = 3 - s->rank;
    int64_t x[5], w[5], y[5], pads[6], output[3], channels = s->groups * s->filters;
    for (int axis = 0; axis < 3; axis++)
        output[axis] = (s->input[axis] - 1) * s->stride[axis] + output_padding[axis] +
                       (s->kernel[axis] - 1) * s->dilation[axis] + 1 - s->pad[axis] - s->pad_end[axis];
    spatial(s, s->batch, s->groups * s->depth, s->input, x);
    spatial(s, s->groups * s->depth, s->filters, s->kernel, w);
    spatial(s, s->batch, channels, output, y);
    for (int i = 0; i < s->rank; i++) {
        pads[i] = s->pad[skip + i];
        pads[s->rank + i] = s->pad_end[skip + i];
    }
    op_case *c = op_case_new("ConvTranspose", 11);
    op_attribute_int(c, "group", s->groups);
    op_attribute_ints(c, "strides", s->rank, s->stride + skip);
    op_attribute_ints(c, "dilations", s->rank, s->dilation + skip);
    op_attribute_ints(c, "pads", 2 * s->rank, pads);
    op_attribute_ints(c, "output_padding", s->rank, output_padding + skip);
    op_input(c, MARY_FLOAT, 2 + s->rank, x, NULL);
    (dynamic ? op_input : op_constant)(c, MARY_FLOAT, 2 + s->rank, w, NULL);
    if (fused) {
        op_constant(c, MARY_FLOAT, 1, &channels, NULL);
        op_input(c, MARY_FLOAT, 2 + s->rank, y, NULL);
        op_epilogue(c, (mary_epilogue){MARY_ACTIVATION_CLIP, 0, INFINITY, 3});
    }
    op_tolerance(c, 1e-4);
    op_run(c);
    ck_assert(op_ran_channels_last(c) == !dynamic);
    const mary_tensor *out = op_output(c, 0);
    ck_assert(out->shape.rank == 2 + s->rank && memcmp(out->shape.dims, y, sizeof *y * (size_t)out->shape.rank) == 0);
    double *expected = mary_alloc(sizeof(double) * (size_t)mary_shape_count(&out->shape) + 1);
    conv_transpose_reference(s, output, op_input_tensor(c, 0)->data, op_input_tensor(c, 1)->data,
                             fused ? op_input_tensor(c, 2)->data : NULL, fused ? op_input_tensor(c, 3)->data : NULL,
                             fused ? &relu : NULL, expected);
    check_values(c, expected, 2e-5);
    mary_free(expected);
    op_case_free(c);
}

static const int64_t none[3] = {0, 0, 0};

START_TEST(every_class_of_outputs_meets_its_taps)
{
    for (int stride = 1; stride <= 4; stride++) {
        for (int kernel = 1; kernel <= 5; kernel++) {
            for (int dilation = 1; dilation <= 3; dilation++) {
                conv_shape s = {2,
                                1,
                                1,
                                3,
                                5,
                                {1, 4, 3},
                                {1, kernel, 2},
                                {1, stride, 2},
                                {1, dilation, 3},
                                {0, (kernel - 1) / 2, 1},
                                {0, 0, 1}};
                check(&s, none, false, kernel % 2);
            }
        }
    }
}
END_TEST

START_TEST(panels_tiles_groups_and_batches_are_right)
{
    static const int64_t shapes[][3] = {{1, 17, 33}, {1, 40, 64}, {2, 3, 17}, {3, 5, 1}, {21, 1, 1}, {4, 2, 32}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        conv_shape s = {2,         2,         shapes[i][0], shapes[i][1], shapes[i][2], {1, 3, 15},
                        {1, 4, 4}, {1, 2, 2}, {1, 1, 1},    {0, 1, 1},    {0, 1, 1}};
        check(&s, none, false, true);
        check(&s, none, true, false);
    }
}
END_TEST

START_TEST(one_and_three_axes_and_output_padding_are_right)
{
    conv_shape line = {1, 2, 1, 4, 6, {1, 1, 7}, {1, 1, 3}, {1, 1, 3}, {1, 1, 2}, {0, 0, 2}, {0, 0, 1}};
    check(&line, (int64_t[]){0, 0, 2}, false, true);
    conv_shape volume = {3, 1, 2, 3, 4, {2, 3, 4}, {3, 2, 3}, {2, 3, 1}, {1, 1, 2}, {1, 0, 2}, {0, 1, 1}};
    check(&volume, (int64_t[]){1, 2, 0}, false, true);
}
END_TEST

static void check_shape(const char *auto_pad, int count, const int64_t *output_shape, const int64_t *stride,
                        const int64_t pad[2], const int64_t expected_size[2])
{
    conv_shape s = {2,  1, 1, 2, 3, {1, 3, 3}, {1, 3, 3}, {1, stride[0], stride[1]}, {1, 1, 1}, {0, pad[0], pad[1]},
                    {0}};
    op_case *c = op_case_new("ConvTranspose", 11);
    op_attribute_string(c, "auto_pad", auto_pad);
    op_attribute_ints(c, "strides", 2, stride);
    op_attribute_ints(c, "output_shape", count, output_shape);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 3, 3), NULL);
    op_constant(c, MARY_FLOAT, DIMS(2, 3, 3, 3), NULL);
    op_run(c);
    const mary_tensor *out = op_output(c, 0);
    ck_assert(out->shape.dims[2] == expected_size[0] && out->shape.dims[3] == expected_size[1]);
    double expected[3 * 12 * 12];
    conv_transpose_reference(&s, (int64_t[]){1, expected_size[0], expected_size[1]}, op_input_tensor(c, 0)->data,
                             op_input_tensor(c, 1)->data, NULL, NULL, NULL, expected);
    check_values(c, expected, 1e-5);
    op_case_free(c);
}

START_TEST(output_shape_and_automatic_padding_follow_onnx)
{
    static const int64_t stride[] = {3, 2}, two[] = {2, 2}, shape[] = {10, 8}, whole[] = {1, 3, 10, 8},
                         small[] = {6, 4};
    static const int64_t zero[] = {0, 0}, same[] = {6, 6}, one[] = {2, 2};
    check_shape("NOTSET", 2, shape, stride, zero, shape); /* larger than what the taps reach: zeros at the end */
    check_shape("NOTSET", 4, whole, stride, zero, shape);
    check_shape("NOTSET", 2, small, stride, one, small); /* natural 9 x 7: 3 cut off, 2 in front */
    check_shape("SAME_UPPER", 0, NULL, two, zero, same); /* natural 7: the odd one is cut off at the end */
    check_shape("SAME_LOWER", 0, NULL, two, (int64_t[]){1, 1}, same);
    check_shape("VALID", 0, NULL, two, zero, (int64_t[]){7, 7});
}
END_TEST

START_TEST(double_follows_the_definition)
{
    op_case *c = op_case_new("ConvTranspose", 11);
    op_attribute_ints(c, "strides", DIMS(2));
    op_attribute_int(c, "group", 2);
    op_input(c, MARY_DOUBLE, DIMS(1, 2, 2), DOUBLES(1, 2, 3, 4));
    op_constant(c, MARY_DOUBLE, DIMS(2, 1, 3), DOUBLES(1, 10, 100, 1, 1, 1));
    op_input(c, MARY_DOUBLE, DIMS(2), DOUBLES(0.5, 0));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(1, 2, 5), DOUBLES(1.5, 10.5, 102.5, 20.5, 200.5, 3, 3, 7, 4, 4));
    op_case_free(c);
}
END_TEST

static mary_status try_it(const char *attribute, int count, const int64_t *values, const int64_t *x, const int64_t *w)
{
    op_case *c = op_case_new("ConvTranspose", 11);
    op_attribute_ints(c, attribute, count, values);
    op_input(c, MARY_FLOAT, DIMS(x[0], x[1], x[2], x[3]), NULL);
    op_constant(c, MARY_FLOAT, DIMS(w[0], w[1], w[2], w[3]), NULL);
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(hostile_attributes_and_shapes_are_refused)
{
    static const int64_t x[] = {1, 2, 3, 3}, w[] = {2, 3, 3, 3}, thin[] = {1, 1, 5000, 1};
    assert_ok(try_it("strides", DIMS(2, 2), x, w));
    assert_fails(try_it("strides", DIMS(0, 1), x, w), MARY_ERROR_INVALID, "strides has the value 0");
    assert_fails(try_it("output_padding", DIMS(-1, 1), x, w), MARY_ERROR_INVALID, "output_padding has the value -1");
    assert_fails(try_it("output_padding", DIMS(1), x, w), MARY_ERROR_INVALID, "output_padding has 1 values");
    assert_fails(try_it("output_shape", DIMS(1, 2, 3), x, w), MARY_ERROR_INVALID, "output_shape has 3 values");
    assert_fails(try_it("output_shape", DIMS(-1, 3), x, w), MARY_ERROR_INVALID, "output_shape has the value -1");
    assert_fails(try_it("pads", DIMS(9, 9, 9, 9), x, w), MARY_ERROR_INVALID, "leaves nothing");
    assert_fails(try_it("pads", DIMS(1, 1), x, w), MARY_ERROR_INVALID, "pads has 2 values");
    assert_fails(try_it("kernel_shape", DIMS(3, 2), x, w), MARY_ERROR_INVALID, "the weights have 3");
    assert_fails(try_it("strides", DIMS(1, 1), x, (int64_t[]){3, 3, 3, 3}), MARY_ERROR_INVALID, "2 input channels");
    assert_fails(try_it("strides", DIMS(1, 1), x, (int64_t[]){2, 3, 0, 3}), MARY_ERROR_INVALID, "size 0");
    assert_fails(try_it("strides", DIMS(1, 1), (int64_t[]){1, 1, 3, 3}, thin), MARY_ERROR_UNSUPPORTED, "size 5000");
    assert_fails(try_it("strides", DIMS(INT32_MAX, INT32_MAX), (int64_t[]){1, 1, 2000, 2000}, (int64_t[]){1, 1, 1, 1}),
                 MARY_ERROR_INVALID, "too large");
}
END_TEST

MARY_TEST_MAIN("ops/conv_transpose", every_class_of_outputs_meets_its_taps, panels_tiles_groups_and_batches_are_right,
               one_and_three_axes_and_output_padding_are_right, output_shape_and_automatic_padding_follow_onnx,
               double_follows_the_definition, hostile_attributes_and_shapes_are_refused)
