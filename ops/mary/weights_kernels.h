/* How packed M-ary weights lie in memory, and the kernels of one CPU tier that walk them. Private to
 * ops/mary/weights*.c.
 *
 * A block is one 512-bit register: 16 dwords that hold 512/bits codes of one row. Position k of a block is in dword k %
 * 16 at bit bits * (k / 16), so that shifting the whole register right by bits*s brings the codes of positions
 * 16*s..16*s+15 into the low bits of the 16 lanes. The blocks of MARY_WEIGHTS_GROUP rows are interleaved, so that a
 * kernel which works on that many rows at once reads one stream:  codes[row / 4][block][row % 4][16].
 */
#ifndef MARY_OPS_MARY_WEIGHTS_KERNELS_H
#define MARY_OPS_MARY_WEIGHTS_KERNELS_H

#include "ops/mary/weights.h"

/* Kernels are functions of compile-time constants (bits, rows, batch) whose loops unroll into registers. Checked builds
 * keep one copy with loops instead: instrumenting all of the unrolled ones takes compilers many minutes. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define MARY_WEIGHTS_CHECKED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MARY_WEIGHTS_CHECKED
#endif
#define MARY_WEIGHTS_PRAGMA(text) _Pragma(#text)
#if !defined(MARY_WEIGHTS_CHECKED)
#define MARY_WEIGHTS_INLINE static inline __attribute__((always_inline))
#define UNROLL(times)       MARY_WEIGHTS_PRAGMA(GCC unroll times)
#elif defined(__clang__)
#define MARY_WEIGHTS_INLINE static __attribute__((noinline))
#define UNROLL(times)
#else
#define MARY_WEIGHTS_INLINE static __attribute__((noinline, noclone))
#define UNROLL(times)
#endif

enum { MARY_WEIGHTS_GROUP = 4, MARY_WEIGHTS_BLOCK_DWORDS = 16, MARY_WEIGHTS_MOST_BATCH = 4 };

/* The same arguments as the functions of weights.h; nothing is empty and everything was checked. */
typedef struct mary_weights_kernels {
    const char *name;
    /* Puts the levels of `rows` rows, 256 floats each, into the form that the kernels want, in place; NULL: as they
     * are. */
    void (*arrange_levels)(float *levels, int64_t rows);
    void (*decode_panel)(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end, int width,
                         float *panel);
    void (*decode_row)(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out);
    /* batch: 1, 2 or 4 */
    void (*multiply)(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                     int64_t count, float *out, int64_t out_stride);
} mary_weights_kernels;

struct mary_weights {
    const mary_weights_kernels *kernels;
    int64_t rows, row_length;
    int bits;
    int64_t blocks;       /* of one row */
    int64_t level_stride; /* floats from one row's levels to the next row's: 2^bits, or 0 when all rows share them */
    int level_count;      /* how many of the 2^bits levels any code uses: 1 + the largest code */
    uint32_t *codes;
    float *levels; /* [rows or 1][2^bits], readable 16 floats at a time */
    size_t bytes;
};

/* Positions in one block. */
static inline int64_t mary_weights_block_length(const mary_weights *weights)
{
    return 512 / weights->bits;
}

/* Block 0 of `row`; the next one is MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS dwords on. */
static inline const uint32_t *mary_weights_row_codes(const mary_weights *weights, int64_t row)
{
    return weights->codes +
           ((row / MARY_WEIGHTS_GROUP) * weights->blocks * MARY_WEIGHTS_GROUP + row % MARY_WEIGHTS_GROUP) *
               MARY_WEIGHTS_BLOCK_DWORDS;
}

static inline const float *mary_weights_row_levels(const mary_weights *weights, int64_t row)
{
    return weights->levels + row * weights->level_stride;
}

extern const mary_weights_kernels mary_weights_kernels_scalar;
#if defined(__x86_64__)
extern const mary_weights_kernels mary_weights_kernels_avx2;
extern const mary_weights_kernels mary_weights_kernels_avx512;
extern const mary_weights_kernels mary_weights_kernels_vbmi; /* 8 bits only; needs AVX512_VBMI besides the tier */

/* out[i*width + r] = rows[r*stride + i] for i < length, r < columns <= 16; 16 rows are readable. */
void mary_weights_transpose_avx512(const float *rows, int64_t stride, int length, int columns, float *out, int width);
#endif

/* What a layer of `bits` bits on this tier uses. */
const mary_weights_kernels *mary_weights_choose_kernels(mary_cpu cpu, int bits);
/* mary_weights_create with other kernels than the usual ones: for tests. */
mary_status mary_weights_create_for(const mary_weights_kernels *kernels, const mary_tensor *codes,
                                    const mary_tensor *levels, int64_t rows, int64_t row_length, int bits, int64_t taps,
                                    float scale, mary_weights **weights);

/* Scalar pieces that the other tiers use for shapes that they have no kernel for. */
void mary_weights_decode_panel_scalar(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end,
                                      int width, float *panel);

#endif
