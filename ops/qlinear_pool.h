/* Pooling of u8 tensors, in either layout. */
#ifndef MARY_OPS_QLINEAR_POOL_H
#define MARY_OPS_QLINEAR_POOL_H

#include "ops/qlinear_kernels.h"
#include "ops/window.h"

typedef struct mary_qpool {
    const mary_qlinear_kernels *kernels;
    mary_window window;
    bool mean, count_include_pad;
    mary_quantisation from; /* of x; mean only */
    mary_requantisation to;
    float ratio; /* x_scale / y_scale; mean only */
} mary_qpool;

/* A mean of so many taps is refused with a message. */
mary_status mary_qpool_check(const mary_op_node *node, const mary_window *window);
void mary_qpool_run(const mary_qpool *pool, const mary_tensor *x, const mary_tensor *y, const mary_parallel *parallel);

#endif
