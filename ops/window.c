/* Padding and output sizes as ONNX defines them for Conv and the pooling operators. */
#include "ops/window.h"

#include <string.h>

mary_status mary_window_list(const mary_op_node *node, const char *name, int64_t least, int most, int64_t *values,
                             int *count)
{
    const int64_t *list;
    size_t length;
    MARY_TRY(mary_attribute_ints(node->proto, name, &list, &length));
    if (length > (size_t)most)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "%s has %zu values, at most %d are supported", name, length,
                            most);
    for (size_t i = 0; i < length; i++) {
        if (list[i] < least || list[i] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "%s has the value %lld", name, (long long)list[i]);
        values[i] = list[i];
    }
    *count = (int)length;
    return MARY_OK;
}

mary_status mary_window_parse(const mary_op_node *node, mary_window_attributes *attributes)
{
    memset(attributes, 0, sizeof *attributes);
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *auto_pad;
    MARY_TRY(mary_attribute_string(node->proto, "auto_pad", "NOTSET", &auto_pad));
    size_t kind = 0;
    while (kind < sizeof names / sizeof names[0] && strcmp(auto_pad, names[kind]) != 0)
        kind++;
    if (kind == sizeof names / sizeof names[0])
        return mary_op_fail(node, MARY_ERROR_INVALID, "auto_pad is '%s'", auto_pad);
    attributes->auto_pad = (mary_auto_pad)kind;
    int64_t ceil_mode;
    MARY_TRY(mary_attribute_int(node->proto, "ceil_mode", 0, &ceil_mode));
    attributes->ceil_mode = ceil_mode != 0;
    MARY_TRY(
        mary_window_list(node, "kernel_shape", 1, MARY_WINDOW_AXES, attributes->kernel, &attributes->kernel_count));
    MARY_TRY(mary_window_list(node, "strides", 1, MARY_WINDOW_AXES, attributes->strides, &attributes->stride_count));
    MARY_TRY(
        mary_window_list(node, "dilations", 1, MARY_WINDOW_AXES, attributes->dilations, &attributes->dilation_count));
    return mary_window_list(node, "pads", 0, 2 * MARY_WINDOW_AXES, attributes->pads, &attributes->pad_count);
}

static mary_status check_count(const mary_op_node *node, const char *name, int count, int expected)
{
    if (count != 0 && count != expected)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s has %d values, the input needs %d", name, count, expected);
    return MARY_OK;
}

/* Output size and padding of one axis; its input, kernel, stride, dilation and explicit pads are set. */
static mary_status resolve_axis(const mary_op_node *node, const mary_window_attributes *attributes, mary_window *window,
                                int axis)
{
    int64_t input = window->input[axis], stride = window->stride[axis];
    int64_t extent = (window->kernel[axis] - 1) * window->dilation[axis] + 1; /* < 2^62 */
    if (attributes->auto_pad == MARY_AUTO_PAD_SAME_UPPER || attributes->auto_pad == MARY_AUTO_PAD_SAME_LOWER) {
        int64_t output = input / stride + (input % stride != 0);
        int64_t total = output == 0 ? 0 : (output - 1) * stride + extent - input;
        if (total < 0)
            total = 0;
        int64_t small = total / 2, large = total - small;
        bool upper = attributes->auto_pad == MARY_AUTO_PAD_SAME_UPPER;
        window->pad[axis] = upper ? small : large;
        window->pad_end[axis] = upper ? large : small;
        window->output[axis] = output;
        return MARY_OK;
    }
    if (attributes->auto_pad == MARY_AUTO_PAD_VALID)
        window->pad[axis] = window->pad_end[axis] = 0;
    int64_t slack = input + window->pad[axis] + window->pad_end[axis] - extent; /* input <= 2^59: no overflow */
    if (slack < 0) {
        if (input > 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel covers %lld elements, the padded input has %lld",
                                (long long)extent, (long long)(slack + extent));
        window->output[axis] = 0;
        return MARY_OK;
    }
    int64_t output = slack / stride + 1;
    if (attributes->ceil_mode && attributes->auto_pad == MARY_AUTO_PAD_NOTSET && slack % stride != 0 &&
        output * stride < input + window->pad[axis])
        output++; /* a window that starts inside the input or its first padding counts, though it ends outside */
    window->output[axis] = output;
    return MARY_OK;
}

mary_status mary_window_resolve(const mary_op_node *node, const mary_window_attributes *attributes,
                                const mary_shape *input, const int64_t *kernel, mary_window *window)
{
    int rank = input->rank - 2;
    if (rank < 1 || rank > MARY_WINDOW_AXES)
        return mary_op_fail(node, rank < 1 ? MARY_ERROR_INVALID : MARY_ERROR_UNSUPPORTED,
                            "the input has rank %d, 3 to 5 are supported", input->rank);
    if (kernel == NULL && attributes->kernel_count == 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "kernel_shape is missing");
    MARY_TRY(check_count(node, "kernel_shape", attributes->kernel_count, rank));
    MARY_TRY(check_count(node, "strides", attributes->stride_count, rank));
    MARY_TRY(check_count(node, "dilations", attributes->dilation_count, rank));
    MARY_TRY(check_count(node, "pads", attributes->pad_count, 2 * rank));
    window->rank = rank;
    window->taps = window->input_pixels = window->output_pixels = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int i = axis - (MARY_WINDOW_AXES - rank); /* index into the tensor's spatial axes */
        window->input[axis] = window->output[axis] = window->kernel[axis] = 1;
        window->stride[axis] = window->dilation[axis] = 1;
        window->pad[axis] = window->pad_end[axis] = 0;
        if (i < 0)
            continue;
        window->input[axis] = input->dims[2 + i];
        window->kernel[axis] = kernel != NULL ? kernel[i] : attributes->kernel[i];
        if (window->kernel[axis] < 1 || window->kernel[axis] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel has size %lld", (long long)window->kernel[axis]);
        if (attributes->kernel_count != 0 && attributes->kernel[i] != window->kernel[axis])
            return mary_op_fail(node, MARY_ERROR_INVALID, "kernel_shape says %lld, the weights have %lld",
                                (long long)attributes->kernel[i], (long long)window->kernel[axis]);
        if (attributes->stride_count != 0)
            window->stride[axis] = attributes->strides[i];
        if (attributes->dilation_count != 0)
            window->dilation[axis] = attributes->dilations[i];
        if (attributes->pad_count != 0) {
            window->pad[axis] = attributes->pads[i];
            window->pad_end[axis] = attributes->pads[rank + i];
        }
        MARY_TRY(resolve_axis(node, attributes, window, axis));
        if (__builtin_mul_overflow(window->taps, window->kernel[axis], &window->taps) ||
            window->taps > PTRDIFF_MAX / 64 ||
            __builtin_mul_overflow(window->output_pixels, window->output[axis], &window->output_pixels))
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel or the output is too large");
        window->input_pixels *= window->input[axis];
    }
    return MARY_OK;
}

mary_shape mary_window_output_shape(const mary_window *window, int64_t batch, int64_t channels)
{
    mary_shape shape = {.rank = 2 + window->rank, .dims = {batch, channels}};
    for (int i = 0; i < window->rank; i++)
        shape.dims[2 + i] = window->output[MARY_WINDOW_AXES - window->rank + i];
    return shape;
}

mary_status mary_window_of_image(const mary_op_node *node, const mary_shape *input, mary_window *window)
{
    if (input->rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the input has rank %d", input->rank);
    *window = (mary_window){.rank = 1,
                            .stride = {1, 1, 1},
                            .dilation = {1, 1, 1},
                            .output = {1, 1, 1},
                            .input = {1, 1, 1},
                            .kernel = {1, 1, 1},
                            .output_pixels = 1};
    window->input[2] = window->kernel[2] = mary_shape_count_range(input, 2, input->rank);
    window->taps = window->input_pixels = window->input[2];
    return MARY_OK;
}

mary_status mary_window_expect_small_pads(const mary_op_node *node, const mary_window *window)
{
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int64_t extent = window->kernel[axis] * window->dilation[axis];
        if (window->pad[axis] >= extent || window->pad_end[axis] >= extent)
            return mary_op_fail(node, MARY_ERROR_INVALID, "padding of %lld and %lld around a kernel of %lld",
                                (long long)window->pad[axis], (long long)window->pad_end[axis],
                                (long long)window->kernel[axis]);
    }
    return MARY_OK;
}
