/* The dense linear algebra that error feedback needs: one product and one factorisation, row-major floats. Sums over
 * the depth are made in one order whatever the number of threads. */
#ifndef MARY_CONVERT_QUANTIZE_DENSE_H
#define MARY_CONVERT_QUANTIZE_DENSE_H

#include "onnx/memory.h"
#include "onnx/status.h"

typedef struct mary_dense_product {
    const float *a; /* [depth, rows], a_stride from one row of it to the next */
    int64_t a_stride;
    const float *b; /* [depth, columns] */
    int64_t b_stride;
    int64_t depth, rows, columns;
    float *c; /* [rows, columns] */
    int64_t c_stride;
    bool subtract; /* c -= instead of c += */
    bool upper;    /* c is symmetric: only what lies on its diagonal or above is wanted, the rest is left undefined */
    int threads;
} mary_dense_product;

/* c += a^T b. */
mary_status mary_dense_multiply(const mary_dense_product *product);

/* to[count] += factor * from[count]. */
void mary_dense_add_scaled(float *to, const float *from, float factor, int64_t count);

/* Below the diagonal becomes a copy of what is above it. */
void mary_dense_mirror(float *matrix, int64_t size, int threads);

/* matrix [size, size], positive definite, of which the upper triangle is read, becomes its Cholesky factor: U on and
 * above the diagonal, U^T = L below it. MARY_ERROR_INVALID when it is not positive definite. */
mary_status mary_dense_factor(float *matrix, int64_t size, int threads);

#endif
