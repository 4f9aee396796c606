/* Depthwise convolution of one output row, channels last: a family of kernels, one a tier. */
#ifndef MARY_OPS_DEPTHWISE_H
#define MARY_OPS_DEPTHWISE_H

#include "ops/conv.h"

/* Output pixels of one row. Either (width == 0) a run whose windows all have the same taps inside the image; or a whole
 * row with every tap of its lines: those that are outside are skipped. The latter only with mary_depthwise_has_rows. */
typedef struct mary_depthwise_call {
    int64_t width, pad; /* of the input line; padding in front of it */
    const float *x;     /* first tap of the first pixel, first channel; with a width: first pixel of the first line */
    int64_t pixel_step; /* floats from one output pixel's window to the next one's */
    int64_t planes, lines, taps;             /* taps in each direction */
    int64_t plane_step, line_step, tap_step; /* floats in x */
    const float *panel;                      /* weight of the first tap */
    int64_t panel_plane, panel_line;         /* floats from one plane or line to the next; a tap is nr */
    const float *bias;                       /* NULL: zero */
    const float *residual;                   /* NULL: none */
    int64_t residual_stride;
    float *y;
    int64_t y_stride;
    int64_t pixels;
    int channels; /* 1..nr */
    const mary_epilogue *epilogue;
} mary_depthwise_call;

/* Kernels wide enough that an activation loaded once serves several outputs, narrow enough for their weights to stay in
 * registers. */
static inline bool mary_depthwise_has_rows(int64_t taps, int64_t stride, int64_t dilation, int64_t pixels)
{
    return (taps == 3 || taps == 5) && stride <= 2 && dilation == 1 && pixels < INT32_MAX;
}

typedef void mary_depthwise_function(const mary_depthwise_call *call);

/* Panels are as wide as those of the tier's tile kernel. */
mary_depthwise_function mary_depthwise_scalar;
#if defined(__x86_64__)
mary_depthwise_function mary_depthwise_avx2, mary_depthwise_avx512;
#endif

#endif
