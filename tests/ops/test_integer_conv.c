/* ConvInteger and QLinearConv against the definition, integer for integer. */
#include "tests/support/op_run.h"

#include <math.h>

typedef struct problem {
    int spatial; /* axes */
    int64_t batch, channels, filters, group;
    int64_t input[3], kernel[3], stride[3], dilation[3], pad[6];
} problem;

/* What DESIGN.md and ONNX say, one element at a time; the missing axes come last with size 1. */
static int32_t sum_at(const problem *p, const uint8_t *x, int x_zero, const int8_t *w, const int8_t *w_zero, int64_t n,
                      int64_t f, const int64_t *at)
{
    int64_t depth = p->channels / p->group, group = f / (p->filters / p->group), size[3] = {1, 1, 1}, k[3] = {1, 1, 1};
    int64_t i[3], j[3];
    int32_t sum = 0;
    for (int d = 0; d < p->spatial; d++) {
        size[d] = p->input[d];
        k[d] = p->kernel[d];
    }
    for (int64_t c = 0; c < depth; c++)
        for (i[0] = 0; i[0] < k[0]; i[0]++)
            for (i[1] = 0; i[1] < k[1]; i[1]++)
                for (i[2] = 0; i[2] < k[2]; i[2]++) {
                    bool inside = true;
                    for (int d = 0; d < 3; d++) {
                        j[d] = d < p->spatial ? at[d] * p->stride[d] - p->pad[d] + i[d] * p->dilation[d] : 0;
                        inside = inside && j[d] >= 0 && j[d] < size[d];
                    }
                    int64_t weight = ((f * depth + c) * k[0] + i[0]) * k[1] * k[2] + i[1] * k[2] + i[2];
                    int64_t pixel = ((n * p->channels + group * depth + c) * size[0] + j[0]) * size[1] * size[2] +
                                    j[1] * size[2] + j[2];
                    sum += ((inside ? x[pixel] : x_zero) - x_zero) * (w[weight] - w_zero[f]);
                }
    return sum;
}

static const problem problems[] = {
    {2, 2, 3, 4, 1, {6, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 1, 4, 6, 2, {9, 8}, {3, 2}, {2, 3}, {1, 2}, {0, 2, 1, 3}},
    {2, 1, 5, 5, 5, {5, 300}, {3, 3}, {1, 1}, {2, 1}, {2, 1, 2, 1}},
    {1, 2, 3, 2, 1, {20}, {4}, {3}, {2}, {5, 0}},
    {3, 1, 2, 3, 1, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {2, 1, 1}, {1, 0, 2, 0, 1, 0}},
    {2, 1, 8, 3, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 1, 1, 1, 1, {2, 2}, {3, 3}, {4, 4}, {1, 1}, {4, 4, 4, 4}},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static op_case *make(const problem *p, bool linear, const int64_t *w_dims)
{
    op_case *c = op_case_new(linear ? "QLinearConv" : "ConvInteger", 10);
    int64_t x_dims[5] = {p->batch, p->channels, p->input[0], p->input[1], p->input[2]};
    int rank = 2 + p->spatial;
    op_attribute_ints(c, "strides", p->spatial, p->stride);
    op_attribute_ints(c, "dilations", p->spatial, p->dilation);
    op_attribute_ints(c, "pads", 2 * p->spatial, p->pad);
    op_attribute_int(c, "group", p->group);
    op_input(c, MARY_UINT8, rank, x_dims, NULL);
    if (linear) {
        op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
        op_input(c, MARY_UINT8, SCALAR, BOOLS(3));
    }
    op_input(c, MARY_INT8, rank, w_dims, NULL);
    if (!linear)
        op_input(c, MARY_UINT8, SCALAR, BOOLS(3));
    return c;
}

START_TEST(conv_integer_is_exact)
{
    for (int i = 0; i < PROBLEMS; i++) {
        const problem *p = &problems[i];
        int64_t w_dims[5] = {p->filters, p->channels / p->group, p->kernel[0], p->kernel[1], p->kernel[2]};
        op_case *c = make(p, false, w_dims);
        op_input(c, MARY_INT8, DIMS(p->filters), NULL);
        op_run(c);
        const mary_tensor *y = op_output(c, 0);
        int64_t out[3] = {1, 1, 1}, at[3], next = 0;
        for (int d = 0; d < p->spatial; d++)
            out[d] = y->shape.dims[2 + d];
        for (int64_t n = 0; n < p->batch; n++)
            for (int64_t f = 0; f < p->filters; f++)
                for (at[0] = 0; at[0] < out[0]; at[0]++)
                    for (at[1] = 0; at[1] < out[1]; at[1]++)
                        for (at[2] = 0; at[2] < out[2]; at[2]++)
                            ck_assert_int_eq(((const int32_t *)y->data)[next++],
                                             sum_at(p, op_input_tensor(c, 0)->data, 3, op_input_tensor(c, 1)->data,
                                                    op_input_tensor(c, 3)->data, n, f, at));
        ck_assert_int_eq(next, mary_shape_count(&y->shape));
        op_case_free(c);
    }
}
END_TEST

START_TEST(qlinear_conv_scales_rounds_and_saturates)
{
    for (int i = 0; i < PROBLEMS; i++) {
        const problem *p = &problems[i];
        int64_t w_dims[5] = {p->filters, p->channels / p->group, p->kernel[0], p->kernel[1], p->kernel[2]};
        op_case *c = make(p, true, w_dims);
        op_input(c, MARY_FLOAT, DIMS(p->filters), FLOATS(0.5f, 0.25f, 1, 2, 0.125f, 0.3f));
        op_input(c, MARY_INT8, DIMS(p->filters), NULL);
        op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
        op_input(c, MARY_INT8, SCALAR, (const int8_t[]){-7});
        op_input(c, MARY_INT32, DIMS(p->filters), NULL);
        op_run(c);
        const mary_tensor *y = op_output(c, 0);
        const float *scales = op_input_tensor(c, 4)->data;
        int64_t out[3] = {1, 1, 1}, at[3], next = 0;
        for (int d = 0; d < p->spatial; d++)
            out[d] = y->shape.dims[2 + d];
        for (int64_t n = 0; n < p->batch; n++)
            for (int64_t f = 0; f < p->filters; f++)
                for (at[0] = 0; at[0] < out[0]; at[0]++)
                    for (at[1] = 0; at[1] < out[1]; at[1]++)
                        for (at[2] = 0; at[2] < out[2]; at[2]++) {
                            int32_t sum = sum_at(p, op_input_tensor(c, 0)->data, 3, op_input_tensor(c, 3)->data,
                                                 op_input_tensor(c, 5)->data, n, f, at) +
                                          (int32_t)mary_tensor_int(op_input_tensor(c, 8), f);
                            float value = rintf((float)sum * scales[f]) - 7;
                            ck_assert_int_eq(((const int8_t *)y->data)[next++], (int)fminf(fmaxf(value, -128), 127));
                        }
        op_case_free(c);
    }
}
END_TEST

START_TEST(large_sums_do_not_saturate)
{
    enum { CHANNELS = 40000 }; /* 255 * 255 * 40000 > 2^31: wraps */
    int64_t dims[] = {1, CHANNELS, 1};
    uint8_t *ones = malloc(CHANNELS);
    memset(ones, 255, CHANNELS);
    op_case *c = op_case_new("ConvInteger", 10);
    op_input(c, MARY_UINT8, 3, dims, ones);
    op_input(c, MARY_UINT8, 3, dims, ones);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(1, 1, 1), (const int32_t[]){(int32_t)(255u * 255u * CHANNELS)});
    op_case_free(c);
    free(ones);
}
END_TEST

START_TEST(convolutions_that_do_not_fit_are_refused)
{
    op_case *c = op_case_new("ConvInteger", 10);
    op_input(c, MARY_UINT8, DIMS(1, 3, 4, 4), NULL);
    op_input(c, MARY_UINT8, DIMS(2, 2, 3, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "3 channels");
    op_case_free(c);
    c = op_case_new("ConvInteger", 10);
    op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
    op_input(c, MARY_UINT8, DIMS(2, 2, 3, 3), NULL);
    op_absent(c);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "2 output channels");
    op_case_free(c);
    c = op_case_new("ConvInteger", 10);
    op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
    op_input(c, MARY_UINT8, DIMS(2, 2, 5, 5), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "kernel");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/integer_conv", conv_integer_is_exact, qlinear_conv_scales_rounds_and_saturates,
               large_sums_do_not_saturate, convolutions_that_do_not_fit_are_refused)
