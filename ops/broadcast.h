/* Element-wise operators of several inputs with numpy's broadcasting, in any mixture of layouts. */
#ifndef MARY_OPS_BROADCAST_H
#define MARY_OPS_BROADCAST_H

#include "ops/op.h"

enum { MARY_BROADCAST_MOST = 3 };

/* y[i] = f(x[0][i * step[0]], x[1][i * step[1]], ...) for i < count; every step is 0 or 1. y may be x[0]. */
typedef void mary_broadcast_loop(const void *context, const void *const *x, const int64_t *step, void *y,
                                 int64_t count);

/* The common shape of the call's inputs [0, count). */
mary_status mary_broadcast_shape(const mary_op_node *node, const mary_op_call *call, int count, mary_shape *shape);

/* Before opset 7 numpy's rules did not hold: with the attribute `broadcast` the second input was laid along the first
 * one from `axis` on (PRelu: along the channels), or along its last dims. *view becomes the second input in a shape
 * that numpy's rules put there; from opset 7 on it is the input as it is. */
mary_status mary_broadcast_align(const mary_op_node *node, const mary_op_call *call, mary_tensor *view);

/* Runs `loop` over all elements of y, in pieces on all threads. The shapes must broadcast to that of y. */
void mary_broadcast_run(const mary_parallel *parallel, mary_broadcast_loop *loop, const void *context,
                        const mary_tensor *const *x, int count, const mary_tensor *y);

/* Any mixture works; it is slow only when a plain constant varies with the pixel. */
bool mary_broadcast_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants);

#endif
