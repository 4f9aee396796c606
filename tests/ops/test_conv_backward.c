/* Gradients of Conv: every loop bound of the weight product, and both ways of the input's. */
#include "ops/conv.h"
#include "tests/support/gradient_check.h"

typedef struct conv_shape {
    int rank;
    int64_t batch, groups, depth, filters, input[3], kernel[3], stride[3], dilation[3], pads[6];
} conv_shape;

static void check(const conv_shape *s, bool bias)
{
    int64_t x[5] = {s->batch, s->groups * s->depth}, w[5] = {s->groups * s->filters, s->depth};
    for (int i = 0; i < s->rank; i++) {
        x[2 + i] = s->input[i];
        w[2 + i] = s->kernel[i];
    }
    op_case *c = op_case_new("Conv", 11);
    op_attribute_int(c, "group", s->groups);
    op_attribute_ints(c, "strides", s->rank, s->stride);
    op_attribute_ints(c, "dilations", s->rank, s->dilation);
    op_attribute_ints(c, "pads", 2 * s->rank, s->pads);
    op_input(c, MARY_FLOAT, 2 + s->rank, x, NULL);
    op_constant(c, MARY_FLOAT, 2 + s->rank, w, NULL);
    if (bias)
        op_constant(c, MARY_FLOAT, 1, w, NULL);
    gradient_check(c);
    ck_assert(gradient_checked_channels_last());
    op_case_free(c);
}

START_TEST(gradients_agree_with_differences_on_chosen_shapes)
{
    /* channels around a vector and a panel; strides, dilations, padding that no window ends in; padding wider than the
     * window; a stride wider than the window; one pixel */
    static const conv_shape shapes[] = {
        {2, 2, 1, 3, 16, {7, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
        {2, 3, 1, 5, 33, {5, 5}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
        {2, 2, 1, 9, 32, {4, 4}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
        {2, 1, 1, 8, 40, {6, 9}, {5, 2}, {3, 2}, {1, 2}, {2, 0, 1, 3}},
        {2, 2, 3, 4, 2, {6, 6}, {3, 3}, {1, 2}, {2, 1}, {2, 1, 2, 1}},
        {2, 2, 6, 1, 1, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
        {2, 2, 35, 1, 1, {5, 6}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
        {2, 1, 64, 1, 1, {5, 4}, {3, 2}, {1, 1}, {2, 1}, {1, 0, 1, 0}},
        {2, 2, 5, 1, 1, {4, 4}, {2, 2}, {1, 1}, {1, 1}, {3, 3, 2, 2}},
        {3, 1, 5, 1, 1, {3, 4, 5}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {1, 1, 0, 0, 1, 1}},
        {2, 2, 4, 1, 2, {7, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 0, 0}},
        {2, 1, 1, 2, 3, {4, 4}, {2, 2}, {1, 1}, {1, 1}, {3, 3, 2, 2}},
        {2, 2, 1, 2, 3, {9, 9}, {2, 2}, {4, 3}, {1, 1}, {0, 0, 0, 0}},
        {1, 3, 1, 4, 5, {11}, {4}, {2}, {2}, {1, 2}},
        {3, 2, 1, 2, 3, {4, 3, 5}, {2, 3, 2}, {1, 2, 1}, {1, 1, 2}, {1, 1, 0, 0, 1, 1}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check(&shapes[i], i % 2 == 0);
}
END_TEST

START_TEST(gradients_agree_with_differences_on_random_shapes)
{
    uint32_t seed = 100;
    for (int round = 0; round < 25; round++) {
        conv_shape s = {.rank = (int)gradient_random(&seed, 1, 3),
                        .batch = gradient_random(&seed, 1, 3),
                        .groups = gradient_random(&seed, 1, 3),
                        .depth = gradient_random(&seed, 1, 5),
                        .filters = gradient_random(&seed, 1, 19)};
        for (int i = 0; i < s.rank; i++) {
            s.kernel[i] = gradient_random(&seed, 1, 3);
            s.stride[i] = gradient_random(&seed, 1, 3);
            s.dilation[i] = gradient_random(&seed, 1, 2);
            s.pads[i] = gradient_random(&seed, 0, 2);
            s.pads[s.rank + i] = gradient_random(&seed, 0, 2);
            s.input[i] = (s.kernel[i] - 1) * s.dilation[i] + gradient_random(&seed, 1, 4);
        }
        check(&s, true);
    }
}
END_TEST

static void check_transposed(int groups, int64_t in, int64_t out, int stride, int dilation, int pad, int extra)
{
    op_case *c = op_case_new("ConvTranspose", 11);
    op_attribute_int(c, "group", groups);
    op_attribute_ints(c, "strides", DIMS(stride, stride));
    op_attribute_ints(c, "dilations", DIMS(1, dilation));
    op_attribute_ints(c, "pads", DIMS(pad, pad, pad, 0));
    op_attribute_ints(c, "output_padding", DIMS(0, extra));
    op_input(c, MARY_FLOAT, DIMS(2, groups * in, 4, 3), NULL);
    op_constant(c, MARY_FLOAT, DIMS(groups * in, out, 3, 2), NULL);
    op_constant(c, MARY_FLOAT, DIMS(groups * out), NULL);
    gradient_check(c);
    ck_assert(gradient_checked_channels_last());
    op_case_free(c);
}

START_TEST(gradients_of_the_transposed_agree_with_differences)
{
    check_transposed(1, 3, 5, 1, 1, 0, 0);
    check_transposed(1, 17, 2, 2, 1, 1, 1);
    check_transposed(2, 2, 3, 3, 2, 1, 0);
    check_transposed(4, 1, 1, 2, 1, 0, 1);
    check_transposed(1, 4, 33, 1, 1, 2, 0);
}
END_TEST

static mary_status one_percent_off(const mary_op_node *node, const mary_gradient_call *call)
{
    MARY_TRY(mary_conv_gradient.backward(node, call));
    float *dw = mary_gradient_of(call, 1);
    if (dw != NULL)
        dw[0] *= 1.01f;
    return MARY_OK;
}

/* The harness itself: a gradient that is wrong in one element by one in a hundred is seen. */
START_TEST(a_broken_gradient_is_rejected)
{
    mary_op_gradient broken = mary_conv_gradient;
    op_case *c = op_case_new("Conv", 11);
    broken.backward = one_percent_off;
    op_input(c, MARY_FLOAT, DIMS(2, 2, 5, 5), NULL);
    op_constant(c, MARY_FLOAT, DIMS(3, 2, 3, 3), NULL);
    ck_assert(gradient_error(c, NULL) < 1e-4);
    ck_assert(gradient_error(c, &broken) > 1e-4);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/conv_backward", gradients_agree_with_differences_on_chosen_shapes,
               gradients_agree_with_differences_on_random_shapes, gradients_of_the_transposed_agree_with_differences,
               a_broken_gradient_is_rejected)
