/* Integer tiles with AVX-512 VNNI: up to 6 pixels x 64 rows (12 x 32, 12 x 16) in 24 registers of sums. A quad of a
 * pixel is broadcast, a quad of 16 rows is a register, one vpdpbusd multiplies and adds them. */
#include "ops/mary/qkernels.h"

#include <immintrin.h>
#include <string.h>

#include "ops/mary/weights_kernels.h"

#define INLINE MARY_WEIGHTS_INLINE
enum { MOST_M = 12 };

static inline __m512i broadcast(const uint8_t *from)
{
    int32_t quad;
    memcpy(&quad, from, sizeof quad);
    return _mm512_set1_epi32(quad);
}

/* As the instruction: of the intrinsic gcc 12 makes two more moves. */
static inline void multiply_add(__m512i *sum, __m512i quad, __m512i weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(quad), "v"(weights));
}

/* Sums of 64 rows of one pixel, already rounded and clamped at least to what saturation does as well, to bytes. */
static inline __m512i pack(const __m512i *values, int strips, __m512i zero)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i none = _mm512_setzero_si512();
    __m512i low = _mm512_packs_epi32(values[0], strips > 1 ? values[1] : none), high = none;
    low = _mm512_adds_epi16(low, zero);
    if (strips > 2) {
        high = _mm512_packs_epi32(values[2], strips > 3 ? values[3] : none);
        high = _mm512_adds_epi16(high, zero);
    }
    return _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
}

/* What can follow the multiplication. Locals: stores of bytes may alias everything that a pointer leads to. */
typedef struct follower {
    __m512 low, high, y_factor, residual_zero, residual_factor, sum_low, sum_high;
} follower;

static inline follower follower_of(const mary_qepilogue *e)
{
    return (follower){.low = _mm512_set1_ps((float)-e->y_zero),
                      .high = _mm512_set1_ps((float)(255 - e->y_zero)),
                      .y_factor = _mm512_set1_ps(e->y_factor),
                      .residual_zero = _mm512_set1_ps((float)e->residual_zero),
                      .residual_factor = _mm512_set1_ps(e->residual_factor),
                      .sum_low = _mm512_set1_ps((float)-e->sum_zero),
                      .sum_high = _mm512_set1_ps((float)(255 - e->sum_zero))};
}

static inline __m512 add_residual(__m512 value, const follower *f, const uint8_t *residual, __mmask16 present)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    value = _mm512_roundscale_ps(value, NEAREST);
    __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(present, residual)));
    other = _mm512_mul_ps(_mm512_sub_ps(other, f->residual_zero), f->residual_factor);
    return _mm512_fmadd_ps(value, f->y_factor, other);
}

/* Pixels [first, first + m) of the call's. */
INLINE void tile(const mary_qtile_call *c, int first, const int m, const int strips)
{
    __m512i sums[MOST_M][MARY_Q_MOST_STRIPS];
    const mary_qepilogue *e = c->epilogue;
    UNROLL(4)
    for (int s = 0; s < strips; s++) {
        __m512i bias = _mm512_loadu_si512(e->bias + c->row + 16 * s);
        UNROLL(12)
        for (int i = 0; i < m; i++)
            sums[i][s] = bias;
    }
    const int8_t *w = c->panel;
    const uint8_t *const *rows = c->rows + first;
    const int64_t run_bytes = c->run_quads * MARY_Q_QUAD;
    for (int64_t run = 0; run < c->runs; run++, rows += c->rows_stride) {
        const uint8_t *x[MOST_M];
        UNROLL(12)
        for (int i = 0; i < m; i++)
            x[i] = rows[i];
        for (int64_t at = 0; at < run_bytes; at += MARY_Q_QUAD, w += strips * 64) {
            __m512i weights[MARY_Q_MOST_STRIPS];
            UNROLL(4)
            for (int s = 0; s < strips; s++)
                weights[s] = _mm512_load_si512(w + 64 * s);
            UNROLL(12)
            for (int i = 0; i < m; i++) {
                __m512i quad = broadcast(x[i] + at);
                UNROLL(4)
                for (int s = 0; s < strips; s++)
                    multiply_add(&sums[i][s], quad, weights[s]);
            }
        }
    }
    const __mmask64 present = c->n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << c->n) - 1;
    __m512 multipliers[MARY_Q_MOST_STRIPS];
    UNROLL(4)
    for (int s = 0; s < strips; s++)
        multipliers[s] = _mm512_loadu_ps(e->multiplier + c->row + 16 * s);
    uint8_t *const out = c->out + first * c->out_stride;
    const int64_t out_stride = c->out_stride;
    if (e->bounded && !e->has_residual) {
        const __m512i zero = _mm512_set1_epi16((int16_t)e->y_zero);
        UNROLL(12)
        for (int i = 0; i < m; i++) {
            UNROLL(4)
            for (int s = 0; s < strips; s++)
                sums[i][s] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[i][s]), multipliers[s]));
            _mm512_mask_storeu_epi8(out + i * out_stride, present, pack(sums[i], strips, zero));
        }
        return;
    }
    const follower f = follower_of(e);
    const bool has_residual = e->has_residual, bounded = e->bounded;
    const __m512i zero = _mm512_set1_epi16((int16_t)(has_residual ? e->sum_zero : e->y_zero));
    const uint8_t *residual = has_residual ? c->residual + first * c->residual_stride : NULL;
    const int64_t residual_stride = c->residual_stride;
    UNROLL(12)
    for (int i = 0; i < m; i++) {
        UNROLL(4)
        for (int s = 0; s < strips; s++) {
            __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i][s]), multipliers[s]);
            value = _mm512_min_ps(_mm512_max_ps(value, f.low), f.high);
            if (has_residual) {
                value =
                    add_residual(value, &f, residual + i * residual_stride + 16 * s, (__mmask16)(present >> (16 * s)));
                if (!bounded)
                    value = _mm512_min_ps(_mm512_max_ps(value, f.sum_low), f.sum_high);
            }
            sums[i][s] = _mm512_cvtps_epi32(value);
        }
        _mm512_mask_storeu_epi8(out + i * out_stride, present, pack(sums[i], strips, zero));
    }
}

#define CASE(m, strips)                                                                                                \
    case m:                                                                                                            \
        tile(c, first, m, strips);                                                                                     \
        break;
#define CASES6(strips)  CASE(1, strips) CASE(2, strips) CASE(3, strips) CASE(4, strips) CASE(5, strips) CASE(6, strips)
#define CASES8(strips)  CASES6(strips) CASE(7, strips) CASE(8, strips)
#define CASES12(strips) CASES8(strips) CASE(9, strips) CASE(10, strips) CASE(11, strips) CASE(12, strips)

/* Tiles of nearly the same number of pixels, at most `most`. */
#define TILES(strips, most, cases)                                                                                     \
    static void tiles##strips(const mary_qtile_call *c)                                                                \
    {                                                                                                                  \
        for (int first = 0, count = (c->m + most - 1) / most; first < c->m; count--) {                                 \
            const int m = (c->m - first + count - 1) / count;                                                          \
            switch (m) {                                                                                               \
                cases(strips)                                                                                          \
            }                                                                                                          \
            first += m;                                                                                                \
        }                                                                                                              \
    }
TILES(4, 6, CASES6)
TILES(3, 8, CASES8)
TILES(2, 12, CASES12)
TILES(1, 12, CASES12)

static void run(const mary_qtile_call *c)
{
    static void (*const by_strips[])(const mary_qtile_call *) = {tiles1, tiles2, tiles3, tiles4};
    by_strips[c->strips - 1](c);
}

const mary_qkernels mary_qkernels_avx512vnni = {
    .name = "int8 avx512vnni 6x64",
    .nr = 64,
    .mr = {12, 12, 8, 6},
    .tile = run,
    .decode = {mary_qdecode1_avx512vnni, mary_qdecode2_avx512vnni, mary_qdecode4_avx512vnni}};
