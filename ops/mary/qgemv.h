/* Kernels for integer products of few rows of activations: codes are decoded inside the registers, and each is read
 * once. A tier without them leaves such products to the tile kernels. */
#ifndef MARY_OPS_MARY_QGEMV_H
#define MARY_OPS_MARY_QGEMV_H

#include "ops/mary/qweights.h"

enum { MARY_QGEMV_MOST_ROWS = 4, MARY_QGEMV_PADDING = 64 /* bytes: a row of x is padded to a multiple with zeros */ };

/* One panel times all rows: sums[i][j] = sum over k of x[i][k] * W[row of the panel j][k]. */
typedef struct mary_qgemv_call {
    const uint8_t *codes; /* the packed panel, see ops/mary/qweights.h */
    const int8_t *levels;
    int64_t level_stride;
    int strips;
    int64_t quads;    /* 8 bits: so many; else rounded up to whole blocks */
    const uint8_t *x; /* [rows][x_stride], zeros behind a row's end; aligned */
    int64_t x_stride;
    int64_t ahead; /* how many bytes of codes to fetch ahead */
    int rows;      /* 1..MARY_QGEMV_MOST_ROWS */
    int32_t *sums; /* [rows][16 * strips], aligned */
} mary_qgemv_call;

typedef struct mary_qgemv_kernels {
    const char *name;
    void (*multiply[4])(const mary_qgemv_call *call); /* by log2(bits) */
    /* out[j] = the epilogue of row `row + j` for the sum sums[j] without its bias, j < count; without residual and
     * table. */
    void (*finish)(const mary_qepilogue *epilogue, int64_t row, const int32_t *sums, int64_t count, uint8_t *out);
} mary_qgemv_kernels;

#if defined(__x86_64__)
extern const mary_qgemv_kernels mary_qgemv_kernels_avx2, mary_qgemv_kernels_avxvnni, mary_qgemv_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const mary_qgemv_kernels mary_qgemv_kernels_neon;
#endif

/* NULL: the tier has none. */
const mary_qgemv_kernels *mary_qgemv_kernels_for(mary_cpu cpu);

#endif
