/* The sliding window that convolutions and pooling share: attributes, padding, output sizes. */
#ifndef MARY_OPS_WINDOW_H
#define MARY_OPS_WINDOW_H

#include "ops/op.h"

enum { MARY_WINDOW_AXES = 3 }; /* depth, height, width */

typedef enum mary_auto_pad {
    MARY_AUTO_PAD_NOTSET = 0,
    MARY_AUTO_PAD_SAME_UPPER,
    MARY_AUTO_PAD_SAME_LOWER,
    MARY_AUTO_PAD_VALID
} mary_auto_pad;

/* As the node has them; a count of 0 means that the attribute is absent. Values are in [1, 2^31) and pads in [0, 2^31).
 */
typedef struct mary_window_attributes {
    mary_auto_pad auto_pad;
    bool ceil_mode;
    int kernel_count, stride_count, dilation_count, pad_count;
    int64_t kernel[MARY_WINDOW_AXES], strides[MARY_WINDOW_AXES], dilations[MARY_WINDOW_AXES];
    int64_t pads[2 * MARY_WINDOW_AXES]; /* all beginnings, then all ends */
} mary_window_attributes;

/* Resolved for one input shape. Always three axes: those that the tensor lacks come first, with size 1. */
typedef struct mary_window {
    int rank; /* axes that the tensor has, 1..3; they are the last ones */
    int64_t input[MARY_WINDOW_AXES], output[MARY_WINDOW_AXES];
    int64_t kernel[MARY_WINDOW_AXES], stride[MARY_WINDOW_AXES], dilation[MARY_WINDOW_AXES];
    int64_t pad[MARY_WINDOW_AXES], pad_end[MARY_WINDOW_AXES];
    int64_t taps, input_pixels, output_pixels; /* products over the axes */
} mary_window;

/* An attribute of up to `most` ints, each in [least, 2^31); *count is 0 when it is absent. */
mary_status mary_window_list(const mary_op_node *node, const char *name, int64_t least, int most, int64_t *values,
                             int *count);

/* Reads auto_pad, kernel_shape, strides, dilations, pads and ceil_mode. */
mary_status mary_window_parse(const mary_op_node *node, mary_window_attributes *attributes);

/* `kernel` has the sizes of the weights' spatial axes, NULL: the kernel_shape attribute is required. Both present must
 * agree. The input has rank 3 to 5, [N, C, spatial...]. Fills everything; output sizes are >= 0. */
mary_status mary_window_resolve(const mary_op_node *node, const mary_window_attributes *attributes,
                                const mary_shape *input, const int64_t *kernel, mary_window *window);

/* The window of a global pool: one tap for every pixel of the image. */
mary_status mary_window_of_image(const mary_op_node *node, const mary_shape *input, mary_window *window);

/* Refuses padding of a whole window or more: pooling would meet windows without any element. */
mary_status mary_window_expect_small_pads(const mary_op_node *node, const mary_window *window);

/* [batch, channels, output...] with the axes that the tensor has. */
mary_shape mary_window_output_shape(const mary_window *window, int64_t batch, int64_t channels);

/* The part of a window at output index `o` of `axis` that lies inside the input: taps [*begin, *end). */
static inline void mary_window_clip(const mary_window *window, int axis, int64_t o, int64_t *begin, int64_t *end)
{
    int64_t first = o * window->stride[axis] - window->pad[axis], step = window->dilation[axis];
    int64_t inside = window->input[axis] - first; /* taps at first + t*step < input */
    *begin = first >= 0 ? 0 : (-first + step - 1) / step;
    *end = inside <= 0 ? 0 : (inside + step - 1) / step;
    if (*end > window->kernel[axis])
        *end = window->kernel[axis];
    if (*begin > *end)
        *begin = *end;
}

/* Taps of a window that an average divides by: those in the image, or in its padding too, but never behind that. */
static inline double mary_window_count(const mary_window *window, const int64_t *output, bool include_pad)
{
    double count = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int64_t begin, end;
        mary_window_clip(window, axis, output[axis], &begin, &end);
        if (include_pad) {
            int64_t room =
                window->input[axis] + window->pad_end[axis] + window->pad[axis] - output[axis] * window->stride[axis];
            int64_t taps = (room + window->dilation[axis] - 1) / window->dilation[axis];
            count *= (double)(taps < window->kernel[axis] ? taps : window->kernel[axis]);
        } else {
            count *= (double)(end - begin);
        }
    }
    return count;
}

#endif
