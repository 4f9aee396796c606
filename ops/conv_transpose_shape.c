/* Padding and output sizes of transposed convolutions. */
#include "ops/conv_transpose.h"

#include <string.h>

enum { LARGEST_KERNEL = 4096 }; /* taps are sorted into classes one by one */

mary_status mary_conv_transpose_parse(const mary_op_node *node, mary_conv_transpose_attributes *attributes)
{
    MARY_TRY(mary_conv_parse(node, &attributes->conv));
    MARY_TRY(mary_window_list(node, "output_padding", 0, MARY_WINDOW_AXES, attributes->output_padding,
                              &attributes->padding_count));
    return mary_window_list(node, "output_shape", 0, MARY_WINDOW_AXES + 2, attributes->output_shape,
                            &attributes->shape_count);
}

mary_status mary_conv_transpose_kernel(const mary_op_node *node, const mary_conv_transpose_attributes *attributes,
                                       const mary_shape *w, mary_window *window)
{
    const mary_window_attributes *a = &attributes->conv.window;
    int rank = w->rank - 2;
    if (rank < 1 || rank > MARY_WINDOW_AXES)
        return mary_op_fail(node, rank < 1 ? MARY_ERROR_INVALID : MARY_ERROR_UNSUPPORTED, "weights of rank %d",
                            w->rank);
    if (w->dims[0] % attributes->conv.group != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld input channels in %lld groups", (long long)w->dims[0],
                            (long long)attributes->conv.group);
    const struct {
        const char *name;
        int count, expected;
    } lists[] = {{"kernel_shape", a->kernel_count, rank},
                 {"strides", a->stride_count, rank},
                 {"dilations", a->dilation_count, rank},
                 {"pads", a->pad_count, 2 * rank},
                 {"output_padding", attributes->padding_count, rank}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i].count != 0 && lists[i].count != lists[i].expected)
            return mary_op_fail(node, MARY_ERROR_INVALID, "%s has %d values, the weights need %d", lists[i].name,
                                lists[i].count, lists[i].expected);
    }
    if (attributes->shape_count != 0 && attributes->shape_count != rank && attributes->shape_count != rank + 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "output_shape has %d values", attributes->shape_count);
    memset(window, 0, sizeof *window);
    window->rank = rank;
    window->taps = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int i = axis - (MARY_WINDOW_AXES - rank);
        window->kernel[axis] = i < 0 ? 1 : w->dims[2 + i];
        window->stride[axis] = i < 0 || a->stride_count == 0 ? 1 : a->strides[i];
        window->dilation[axis] = i < 0 || a->dilation_count == 0 ? 1 : a->dilations[i];
        if (window->kernel[axis] < 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel has size %lld", (long long)window->kernel[axis]);
        if (window->kernel[axis] > LARGEST_KERNEL)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the kernel has size %lld, at most %d is supported",
                                (long long)window->kernel[axis], LARGEST_KERNEL);
        if (i >= 0 && a->kernel_count != 0 && a->kernel[i] != window->kernel[axis])
            return mary_op_fail(node, MARY_ERROR_INVALID, "kernel_shape says %lld, the weights have %lld",
                                (long long)a->kernel[i], (long long)window->kernel[axis]);
        window->taps *= window->kernel[axis];
    }
    return MARY_OK;
}

/* Output size and first padding of one axis; its input, kernel, stride and dilation are set. */
static mary_status resolve_axis(const mary_op_node *node, const mary_conv_transpose_attributes *attributes,
                                mary_window *window, int axis)
{
    const mary_window_attributes *a = &attributes->conv.window;
    int i = axis - (MARY_WINDOW_AXES - window->rank);
    int64_t padding = attributes->padding_count != 0 ? attributes->output_padding[i] : 0, span, output;
    int64_t extent = (window->kernel[axis] - 1) * window->dilation[axis] + 1;
    if (__builtin_mul_overflow(window->input[axis] - 1, window->stride[axis], &span) || span > INT64_MAX / 4)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the output is too large");
    int64_t natural = span + padding + extent;
    bool same = a->auto_pad == MARY_AUTO_PAD_SAME_UPPER || a->auto_pad == MARY_AUTO_PAD_SAME_LOWER;
    if (attributes->shape_count != 0 || same) {
        output = attributes->shape_count != 0 ? attributes->output_shape[attributes->shape_count - window->rank + i]
                                              : window->input[axis] * window->stride[axis];
        int64_t total = natural > output ? natural - output : 0;
        window->pad[axis] = a->auto_pad == MARY_AUTO_PAD_SAME_UPPER ? total / 2 : total - total / 2;
        window->pad_end[axis] = total - window->pad[axis];
    } else {
        bool given = a->auto_pad == MARY_AUTO_PAD_NOTSET && a->pad_count != 0;
        window->pad[axis] = given ? a->pads[i] : 0;
        window->pad_end[axis] = given ? a->pads[window->rank + i] : 0;
        output = natural - window->pad[axis] - window->pad_end[axis];
        if (output < 0 && window->input[axis] > 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "padding of %lld and %lld leaves nothing of %lld outputs",
                                (long long)window->pad[axis], (long long)window->pad_end[axis], (long long)natural);
    }
    window->output[axis] = window->input[axis] > 0 && output > 0 ? output : 0;
    return MARY_OK;
}

mary_status mary_conv_transpose_describe(const mary_op_node *node, const mary_conv_transpose_attributes *attributes,
                                         const mary_op_call *call, const mary_shape *w, int bias_input,
                                         mary_conv_problem *problem)
{
    const mary_tensor *x = call->inputs[0];
    memset(problem, 0, sizeof *problem);
    mary_window *window = &problem->window;
    MARY_TRY(mary_conv_transpose_kernel(node, attributes, w, window));
    if (x->shape.rank != w->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input of rank %d with weights of rank %d", x->shape.rank,
                            w->rank);
    if (x->shape.dims[1] != w->dims[0])
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld input channels, the weights have %lld",
                            (long long)x->shape.dims[1], (long long)w->dims[0]);
    problem->transposed = true;
    problem->batch = x->shape.dims[0];
    problem->groups = attributes->conv.group;
    problem->depth = w->dims[0] / problem->groups;
    problem->filters = w->dims[1];
    int64_t channels;
    if (__builtin_mul_overflow(problem->groups, problem->filters, &channels))
        return mary_op_fail(node, MARY_ERROR_INVALID, "too many output channels");
    const mary_tensor *bias = bias_input < call->input_count ? call->inputs[bias_input] : NULL;
    if (bias != NULL && (bias->type != x->type || bias->shape.rank != 1 || bias->shape.dims[0] != channels))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the bias does not have one %s for each of %lld output channels",
                            mary_type_name(x->type), (long long)channels);
    window->input_pixels = window->output_pixels = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int i = axis - (MARY_WINDOW_AXES - window->rank);
        window->input[axis] = window->output[axis] = 1;
        if (i < 0)
            continue;
        window->input[axis] = x->shape.dims[2 + i];
        MARY_TRY(resolve_axis(node, attributes, window, axis));
        window->input_pixels *= window->input[axis];
        if (__builtin_mul_overflow(window->output_pixels, window->output[axis], &window->output_pixels))
            return mary_op_fail(node, MARY_ERROR_INVALID, "the output is too large");
    }
    mary_shape y = mary_window_output_shape(window, problem->batch, channels);
    int residual = node->epilogue.residual;
    if (residual > bias_input && residual < call->input_count && call->inputs[residual] != NULL &&
        (!mary_shape_equal(&call->inputs[residual]->shape, &y) || call->inputs[residual]->type != x->type))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the residual is not like the output");
    return MARY_OK;
}
