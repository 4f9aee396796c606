/* The kernels of one CPU tier that the tile driver of the MaryQLinear operators needs, and what belongs to them. */
#ifndef MARY_OPS_MARY_QKERNELS_H
#define MARY_OPS_MARY_QKERNELS_H

#include "ops/mary/qdecode.h"
#include "ops/mary/qweights.h"

/* Some pixels times a panel, a tile of mr pixels after the other.
 *   out[i][j] = epilogue, but for its table (the driver has it follow), of row `row + j`: bias + sum over runs, c of
 * rows[run][i][c] * panel[...] for i < m, j < n. A run reads run_quads * 4 bytes at its pointer; behind run_depth they
 * may be anything. */
typedef struct mary_qtile_call {
    const uint8_t *const *rows; /* entry run * rows_stride + i */
    int64_t rows_stride;
    int64_t runs, run_quads;
    const int8_t *panel; /* [runs * run_quads][16 * strips][4], 64-byte aligned */
    int strips;
    int m, n; /* 1 <= m, 16 * (strips - 1) < n <= 16 * strips */
    const mary_qepilogue *epilogue;
    int64_t row;             /* of the epilogue's arrays */
    const uint8_t *residual; /* element (i,j) at i*residual_stride + j, when the epilogue has one */
    int64_t residual_stride;
    uint8_t *out; /* element (i,j) at i*out_stride + j */
    int64_t out_stride;
} mary_qtile_call;

struct mary_qkernels {
    const char *name;
    int nr;                     /* rows of a full panel: 16, 32, 48 or 64 */
    int mr[MARY_Q_MOST_STRIPS]; /* pixels of a full tile, by strips - 1 */
    void (*tile)(const mary_qtile_call *call);
    mary_qdecode *decode[3]; /* by log2(bits): 1, 2 and 4 bits */
};

extern const mary_qkernels mary_qkernels_scalar;
#if defined(__x86_64__)
extern const mary_qkernels mary_qkernels_avx2, mary_qkernels_avxvnni, mary_qkernels_avx512vnni;
#elif defined(__aarch64__)
extern const mary_qkernels mary_qkernels_neon;
#endif

const mary_qkernels *mary_qkernels_for(mary_cpu cpu);

#endif
