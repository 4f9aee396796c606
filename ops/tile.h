/* The float micro-kernel that Conv, Gemm, MatMul and their M-ary forms share.
 *
 *   out[i][j] = epilogue(bias[j] + sum over t, c of rows[t][i][c] * panel[t*depth + c][j] (+ residual[i][j]))
 *
 * for i < m, j < n. `rows` is an indirection: taps * mr pointers, entry t*mr + i leads to `depth` consecutive floats. A
 * matrix product is taps = 1 with rows[i] = A + i*lda; a channels-last convolution has one tap per kernel position,
 * rows that point at the pixel's channels, and padding taps point at a row of zeros. `panel` is dense [taps*depth][nr],
 * columns >= n are zero (or any finite value: they are not stored).
 */
#ifndef MARY_OPS_TILE_H
#define MARY_OPS_TILE_H

#include "ops/cpu.h"
#include "ops/op.h"

typedef struct mary_tile_call {
    const float *const *rows;
    int64_t taps, depth;
    const float *panel;
    const float *bias;     /* n floats; NULL: zero */
    const float *residual; /* NULL: none; element (i,j) at i*residual_stride + j */
    int64_t residual_stride;
    float *out; /* element (i,j) at i*out_stride + j */
    int64_t out_stride;
    int m, n;                      /* 1 <= m <= mr, 1 <= n <= nr */
    bool accumulate;               /* start from what `out` holds, ignoring bias (a later slice of a long sum) */
    bool partial;                  /* more slices follow: no residual, no activation yet */
    const mary_epilogue *epilogue; /* NULL: none */
} mary_tile_call;

typedef struct mary_tile_kernel {
    const char *name;
    int mr, nr; /* rows and columns of a full tile; nr is the panel width */
    void (*run)(const mary_tile_call *call);
} mary_tile_kernel;

/* The kernel of a tier; `mary_tile_kernel_for(mary_cpu_current())` is the usual one. Packer and kernel must be of one
 * tier. */
const mary_tile_kernel *mary_tile_kernel_for(mary_cpu cpu);

/* Applies an activation to `count` floats in place; the same functions as inside the tiles. */
void mary_activation_apply(const mary_epilogue *epilogue, float *values, int64_t count, mary_cpu cpu);

#endif
