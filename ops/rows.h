/* Kernels over rows and columns of floats that reductions, softmax and normalisations are made of, one table for each
 * tier. */
#ifndef MARY_OPS_ROWS_H
#define MARY_OPS_ROWS_H

#include "ops/op.h"

typedef enum mary_fold {
    MARY_FOLD_SUM,
    MARY_FOLD_ABS,    /* sum of |x| */
    MARY_FOLD_SQUARE, /* sum of (x - shift)^2 */
    MARY_FOLD_EXP,    /* sum of exp(x - shift) */
    MARY_FOLD_MAX,    /* NaN wins */
    MARY_FOLD_MIN,
    MARY_FOLD_PROD,
    MARY_FOLD_COUNT
} mary_fold;

typedef struct mary_rows {
    /* One contiguous row. Long sums are added up block by block in double. */
    double (*fold[MARY_FOLD_COUNT])(const float *x, int64_t count, float shift);
    /* acc[j] = acc[j] . fold over i < rows of x[i * stride + j], j < columns; shift has a value for each column, or is
     * NULL: 0. */
    void (*fold_columns[MARY_FOLD_COUNT])(float *acc, const float *x, int64_t columns, int64_t rows, int64_t stride,
                                          const float *shift);
    /* softmax (log: its logarithm) over a contiguous row, and over i < rows of x[i * stride + j] for each of the
     * columns j. */
    void (*softmax)(const float *x, float *y, int64_t count, bool log);
    void (*softmax_columns)(const float *x, float *y, int64_t columns, int64_t rows, int64_t stride, bool log);
    /* y = (x - center) * scale + shift */
    void (*affine)(const float *x, float *y, int64_t count, float center, float scale, float shift);
    /* y = x * scale + shift, each element with its own */
    void (*affine_each)(const float *x, float *y, int64_t count, const float *scale, const float *shift);
    /* y = (x - mean) * inverse * scale + shift; scale or shift may be NULL: 1 and 0. */
    void (*normalise)(const float *x, float *y, int64_t count, float mean, float inverse, const float *scale,
                      const float *shift);
    /* y = x * (bias + alpha * squares)^-beta */
    void (*scale_by_power)(const float *x, const float *squares, float *y, int64_t count, float alpha, float bias,
                           float beta);
} mary_rows;

extern const mary_rows mary_rows_scalar;
extern const mary_rows mary_rows_avx2;
extern const mary_rows mary_rows_avx512;
/* Those of the tier that is current in this thread; operators keep them in their state. */
const mary_rows *mary_rows_current(void);

/* What a fold starts from. */
float mary_fold_start(mary_fold fold);

#endif
