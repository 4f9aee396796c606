/* Pooling of one output pixel over all channels, channels last: a family of kernels, one a tier. */
#ifndef MARY_OPS_POOL_H
#define MARY_OPS_POOL_H

#include "ops/window.h"

#include "ops/cpu.h"
#include "ops/op.h"

typedef enum mary_pool_kind { MARY_POOL_MAX = 0, MARY_POOL_MEAN, MARY_POOL_L1, MARY_POOL_L2 } mary_pool_kind;

typedef struct mary_pool_call {
    mary_pool_kind kind;
    const float *x;                          /* first tap, first channel */
    int64_t planes, lines, taps;             /* taps in each direction */
    int64_t plane_step, line_step, tap_step; /* floats */
    int64_t channels;
    float scale; /* of the sum, MARY_POOL_MEAN only */
    float *y;
} mary_pool_call;

typedef void mary_pool_function(const mary_pool_call *call);

mary_pool_function mary_pool_scalar;
#if defined(__x86_64__)
mary_pool_function mary_pool_avx2, mary_pool_avx512;
#endif

/* What pool_backward.c has to know of a node and its shapes. */
typedef struct mary_pool_shape {
    mary_window window;
    bool max; /* else the mean */
    bool count_include_pad;
} mary_pool_shape;
mary_status mary_pool_describe(const mary_op_node *node, const mary_op_call *call, mary_pool_shape *shape);

extern const mary_op_gradient mary_pool_gradient;

#endif
