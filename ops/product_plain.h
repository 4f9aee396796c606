/* The matrix product of types that have no tile kernel: double and integers (which wrap around). */
#ifndef MARY_OPS_PRODUCT_PLAIN_H
#define MARY_OPS_PRODUCT_PLAIN_H

#include "ops/op.h"

typedef struct mary_product_plain {
    mary_type type;
    int64_t rows, columns, depth;
    const void *a, *b; /* a: element (i, k) at i*a_row + k*a_column; b: (k, j) at k*b_row + j*b_column */
    int64_t a_row, a_column, b_row, b_column;
    void *out; /* dense [rows][columns] */
    /* Gemm: alpha * product + beta * c, element (i, j) of c at i*c_row + j*c_column; c NULL: none. */
    float alpha, beta;
    const void *c;
    int64_t c_row, c_column;
} mary_product_plain;

/* double, int32, uint32, int64, uint64. */
bool mary_product_plain_supports(mary_type type);
void mary_product_plain_run(const mary_product_plain *product, const mary_parallel *parallel);

#endif
