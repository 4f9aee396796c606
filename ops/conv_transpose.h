/* Attributes and shapes that ConvTranspose and MaryConvTranspose share. */
#ifndef MARY_OPS_CONV_TRANSPOSE_H
#define MARY_OPS_CONV_TRANSPOSE_H

#include "ops/conv.h"

typedef struct mary_conv_transpose_attributes {
    mary_conv_attributes conv;
    int padding_count, shape_count;
    int64_t output_padding[MARY_WINDOW_AXES];
    int64_t output_shape[MARY_WINDOW_AXES + 2]; /* the spatial axes, or all */
} mary_conv_transpose_attributes;

/* node->state of ConvTranspose. */
typedef struct mary_conv_transpose_state {
    mary_conv_transpose_attributes attributes;
    mary_cpu cpu;
    mary_shape w;     /* of the packed weights */
    float *panels;    /* NULL: the weights are not constant */
    float *turned[2]; /* conv_transpose_backward.c: for the gradient of the input; of the squared weights */
} mary_conv_transpose_state;

extern const mary_op_gradient mary_conv_transpose_gradient;

mary_status mary_conv_transpose_parse(const mary_op_node *node, mary_conv_transpose_attributes *attributes);

/* The window of weights of shape `w` ([C, M/group, k...]), as far as it does not depend on the input: kernel, stride,
 * dilation and taps. Checks the weights by themselves. */
mary_status mary_conv_transpose_kernel(const mary_op_node *node, const mary_conv_transpose_attributes *attributes,
                                       const mary_shape *w, mary_window *window);

/* Checks X [N, C, ...] against the weights and B; sets window, batch, groups, depth, filters and transposed. */
mary_status mary_conv_transpose_describe(const mary_op_node *node, const mary_conv_transpose_attributes *attributes,
                                         const mary_op_call *call, const mary_shape *w, int bias_input,
                                         mary_conv_problem *problem);

#endif
