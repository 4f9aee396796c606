/* The float matrix product that Gemm, MatMul and their M-ary forms share, on the tile kernels.
 *
 *   out[n][i][j] = epilogue(bias[j] + sum over k of a[n][i][k] * b[n][k][j] (+ residual[n][i][j]))
 */
#ifndef MARY_OPS_PRODUCT_H
#define MARY_OPS_PRODUCT_H

#include "ops/mary/weights.h"
#include "ops/tile.h"

typedef struct mary_product {
    int64_t rows, columns, depth;
    /* How many products there are: dims of a batch, and the elements from one to the next in a and in b (or panels), 0
     * where they repeat. batch_rank 0: one. */
    int batch_rank;
    int64_t batch_dims[MARY_MAX_RANK], a_steps[MARY_MAX_RANK], b_steps[MARY_MAX_RANK];
    const float *a; /* element (i, k) at i*a_row + k*a_column */
    int64_t a_row, a_column;
    /* The right operand, one of: */
    const float *panels;       /* [panels][depth][nr] of this tier's tile kernel, columns past the last one zero */
    const mary_weights *codes; /* `columns` rows of `depth` */
    const float *b;            /* element (k, j) at k*b_row + j*b_column, times b_scale */
    int64_t b_row, b_column;
    float b_scale;
    const float *bias;             /* `columns`; NULL: zero */
    bool accumulate;               /* start from what `out` holds instead of from bias */
    const float *residual;         /* like out; NULL: none */
    float *out;                    /* dense [batch...][rows][columns] */
    const mary_epilogue *epilogue; /* NULL: none */
    mary_cpu cpu;
    const mary_parallel *parallel;
} mary_product;

/* Bytes of scratch; looks at sizes and strides and at which of panels and codes is there, never at data. */
mary_status mary_product_scratch(const mary_product *product, size_t *bytes);
void mary_product_run(const mary_product *product, void *scratch);
/* The kernel that most of the work runs on. */
const char *mary_product_kernel(const mary_product *product);

/* Floats in the panels of one right operand; false when they are too many. */
bool mary_product_panels_size(int64_t columns, int64_t depth, int nr, size_t *floats);
/* Element (k, j) of b at k*b_row + j*b_column, times scale. */
void mary_product_panels_pack(const float *b, int64_t b_row, int64_t b_column, int64_t columns, int64_t depth, int nr,
                              float scale, float *panels);

#endif
