/* The convolution drivers that Conv and MaryConv share. Activations are channels last, float.
 *
 * Weights come as panels of the tile kernel: nr output channels side by side, [taps][depth][nr], zero in columns that
 * do not exist; or as packed codes that are decoded to such panels, a cache-sized part at a time.
 */
#ifndef MARY_OPS_CONV_H
#define MARY_OPS_CONV_H

#include "ops/mary/weights.h"
#include "ops/tile.h"
#include "ops/window.h"

typedef struct mary_conv_problem {
    mary_window window;
    int64_t batch, groups;
    int64_t depth;   /* input channels of a group */
    int64_t filters; /* output channels of a group */
    bool transposed; /* the window slides over the output: input i meets output i*stride - pad + tap*dilation */
    mary_cpu cpu;
    const float *panels;       /* [groups][panels of a group][taps * depth][nr]; NULL: use codes */
    const mary_weights *codes; /* groups * filters rows of taps * depth */
    const float *bias;         /* groups * filters; NULL: zero */
    const float *x;            /* pixel (n, d, h, w) at ((n*D + d)*H + h)*W + w times x_stride */
    int64_t x_stride;
    float *y;
    int64_t y_stride;
    const float *residual; /* like y; NULL: none */
    int64_t residual_stride;
    const mary_epilogue *epilogue; /* NULL: none */
    const mary_parallel *parallel;
} mary_conv_problem;

static inline int64_t mary_conv_panels(int64_t filters, int nr)
{
    return (filters + nr - 1) / nr;
}

/* One channel in, one out, per group: there is nothing to sum over channels, so vectors run along them. */
static inline bool mary_conv_is_depthwise(int64_t groups, int64_t depth, int64_t filters)
{
    return groups > 1 && depth == 1 && filters == 1;
}

/* Implicit matrix product through the tile kernel; any convolution. Data pointers may be NULL in _scratch. */
mary_status mary_conv_tiles_scratch(const mary_conv_problem *problem, size_t *bytes);
void mary_conv_tiles_run(const mary_conv_problem *problem, void *scratch);

/* mary_conv_is_depthwise only. Panels are those of one group with `groups` filters and depth 1. */
mary_status mary_conv_depthwise_scratch(const mary_conv_problem *problem, size_t *bytes);
void mary_conv_depthwise_run(const mary_conv_problem *problem, void *scratch);

/* A 1 x 1 convolution of a few pixels with codes: no scratch. */
bool mary_conv_is_pixels(const mary_conv_problem *problem);
void mary_conv_pixels_run(const mary_conv_problem *problem);

/* problem->transposed only. Panels are ordered by mary_conv_transpose_pack. */
mary_status mary_conv_transpose_scratch(const mary_conv_problem *problem, size_t *bytes);
void mary_conv_transpose_run(const mary_conv_problem *problem, void *scratch);
/* w [groups * depth][filters][taps] to panels [groups][panels of a group][taps by class][depth][nr]. Uses
 * window->kernel, stride and dilation only. The size as mary_conv_panels_size; false: too large. */
bool mary_conv_transpose_panels_size(int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr,
                                     size_t *floats);
void mary_conv_transpose_pack(const float *w, int64_t groups, int64_t filters, int64_t depth, const mary_window *window,
                              int nr, float *panels);

/* Whichever of them the problem needs. */
const char *mary_conv_kernel_name(mary_cpu cpu, int64_t groups, int64_t depth, int64_t filters);
mary_status mary_conv_scratch(const mary_conv_problem *problem, size_t *bytes);
void mary_conv_run(const mary_conv_problem *problem, void *scratch);

/* conv_backward.c. The gradient of the weights, [groups * filters][depth][taps], written or added to dw: of the
 * convolution `problem` of `x`, with `dy` the gradient of its output; both channels last and dense. `squared`: x counts
 * by its squares. */
size_t mary_conv_weights_scratch(const mary_conv_problem *problem);
void mary_conv_weights_run(const mary_conv_problem *problem, const float *x, const float *dy, bool squared, float *dw,
                           bool accumulate, void *scratch);

/* conv_depthwise_backward.c, mary_conv_is_depthwise only. The same, with scratch of its own; and the gradient of the
 * input of `problem`, whose panels are the weights (of one group), for strides that have no forward form. */
size_t mary_conv_depthwise_weights_scratch(const mary_conv_problem *problem);
void mary_conv_depthwise_weights_run(const mary_conv_problem *problem, const float *x, const float *dy, bool squared,
                                     float *dw, bool accumulate, void *scratch);
void mary_conv_depthwise_input_run(const mary_conv_problem *problem, const float *dy, float *dx, bool accumulate);

/* Floats of the panels of a layer, and filling them from w [groups * filters][depth][taps]. false: too large. */
bool mary_conv_panels_size(int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr, size_t *floats);
void mary_conv_panels_pack(const float *w, int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr,
                           float *panels);

/* ---- what both operators do around the drivers ---- */

/* Filled by mary_conv_describe from attributes and shapes; x, y, residual and bias are the call's. */
typedef struct mary_conv_attributes {
    mary_window_attributes window;
    int64_t group;
} mary_conv_attributes;

/* node->state of Conv. */
typedef struct mary_conv_state {
    mary_conv_attributes attributes;
    mary_cpu cpu;
    mary_shape w;     /* of the packed weights */
    float *panels;    /* NULL: the weights are not constant */
    float *turned[2]; /* conv_backward.c: for the gradient of the input; of the squared weights; NULL: not made */
} mary_conv_state;

extern const mary_op_gradient mary_conv_gradient;

mary_status mary_conv_parse(const mary_op_node *node, mary_conv_attributes *attributes);
/* Checks X [N, C, ...] against weights of shape `w` ([M, C/group, k...]) and B, sets window, batch, groups, depth and
 * filters. */
mary_status mary_conv_describe(const mary_op_node *node, const mary_conv_attributes *attributes,
                               const mary_op_call *call, const mary_shape *w, int bias_input,
                               mary_conv_problem *problem);
/* Runs with the call's tensors in whichever layout they are: plain ones go through channels last in scratch. */
mary_status mary_conv_call_scratch(const mary_op_node *node, const mary_op_call *call, const mary_conv_problem *problem,
                                   size_t *bytes);
mary_status mary_conv_call_run(const mary_op_node *node, mary_op_call *call, mary_conv_problem *problem, void *scratch);

#endif
