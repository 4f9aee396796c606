/* What Gemm and MaryGemm share: alpha and beta, a transposed left operand, and C in every form that broadcasts. */
#ifndef MARY_OPS_GEMM_H
#define MARY_OPS_GEMM_H

#include "ops/product.h"

typedef struct mary_gemm_attributes {
    float alpha, beta;
    bool trans_a, trans_b;
} mary_gemm_attributes;

/* node->state of Gemm. */
typedef struct mary_gemm_state {
    mary_gemm_attributes attributes;
    mary_cpu cpu;
    mary_shape b;     /* of the packed right operand */
    float *panels;    /* alpha * B'; NULL: B is not constant */
    float *turned[2]; /* gemm_backward.c: panels of alpha * B' transposed, and of its squares; NULL: not made */
} mary_gemm_state;

extern const mary_op_gradient mary_gemm_gradient;

mary_status mary_gemm_parse(const mary_op_node *node, mary_gemm_attributes *attributes);
/* Checks that C (may be NULL) broadcasts to [rows, columns]. */
mary_status mary_gemm_check_c(const mary_op_node *node, const mary_tensor *c, mary_type type, int64_t rows,
                              int64_t columns);
/* Elements of C from one row (column) of the result to the next: 0 where it broadcasts. */
void mary_gemm_c_strides(const mary_tensor *c, int64_t rows, int64_t columns, int64_t *row, int64_t *column);
/* The tensor at `index`, NULL when it is absent or is there only as a fused residual. */
const mary_tensor *mary_gemm_input(const mary_op_node *node, const mary_op_call *call, int index);

/* Sizes, left operand, output, residual and epilogue of the product; the right operand is the caller's. */
void mary_gemm_describe(const mary_op_node *node, const mary_op_call *call, const mary_gemm_attributes *attributes,
                        int64_t columns, mary_cpu cpu, mary_product *product);
/* beta * C becomes the product's bias (copied to `row`, `columns` floats, when beta is not 1) or the output's first
 * value. */
void mary_gemm_add_c(const mary_gemm_attributes *attributes, const mary_tensor *c, mary_product *product, float *row);
/* Bytes of `row`, aligned. */
size_t mary_gemm_row_bytes(int64_t columns);

#endif
