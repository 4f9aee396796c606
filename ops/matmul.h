/* What MatMul's two halves share. */
#ifndef MARY_OPS_MATMUL_H
#define MARY_OPS_MATMUL_H

#include "ops/product.h"

/* node->state of MatMul. */
typedef struct mary_matmul_state {
    mary_cpu cpu;
    mary_shape b;     /* of the packed right operand */
    float *panels;    /* NULL: B is not constant */
    float *turned[2]; /* gemm_backward.c: panels of one B transposed, and of its squares; NULL: not made */
} mary_matmul_state;

/* Both operands as stacks of matrices, and the shape of the result. */
typedef struct mary_matmul_shapes {
    int64_t rows, columns, depth;
    int batch_rank;
    int64_t batch_dims[MARY_MAX_RANK], a_steps[MARY_MAX_RANK], b_steps[MARY_MAX_RANK]; /* steps in whole matrices */
    mary_shape result;
} mary_matmul_shapes;

extern const mary_op_gradient mary_matmul_gradient;

mary_status mary_matmul_describe(const mary_op_node *node, const mary_op_call *call, mary_matmul_shapes *shapes);

#endif
