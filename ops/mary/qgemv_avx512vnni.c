/* Integer products of few rows, AVX-512 with VNNI. A block of codes is 16 rows times 16 positions
 * (ops/mary/qweights.h); row 4*l + j of a strip. What follows is written for constant numbers of strips and of rows of
 * x, and unrolled. */
#include <immintrin.h>

#include "ops/mary/qgemv.h"

#define INLINE    static inline __attribute__((always_inline))
#define UNROLL(n) _Pragma("GCC unroll 4")

INLINE __m512i dot(__m512i sum, __m512i x, __m512i weights)
{
#if defined(__clang__)
    return _mm512_dpbusd_epi32(sum, x, weights);
#else /* gcc 12 gives the intrinsic two moves more */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "vm"(weights));
    return sum;
#endif
}

/* Four vectors, lane q of number l holding partial sums of rows 4*l..4*l+3, to the sixteen sums. */
INLINE __m512i add_lanes(const __m512i *part)
{
    __m512i a = _mm512_add_epi32(_mm512_shuffle_i32x4(part[0], part[1], 0x44),
                                 _mm512_shuffle_i32x4(part[0], part[1], 0xee)); /* 0 0 1 1 */
    __m512i b = _mm512_add_epi32(_mm512_shuffle_i32x4(part[2], part[3], 0x44),
                                 _mm512_shuffle_i32x4(part[2], part[3], 0xee)); /* 2 2 3 3 */
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Four vectors, lane l of number j holding four partial sums of row 4*l + j, to the sixteen sums. */
INLINE __m512i add_dwords(const __m512i *part)
{
    __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(part[0], part[1]), _mm512_unpackhi_epi32(part[0], part[1]));
    __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(part[2], part[3]), _mm512_unpackhi_epi32(part[2], part[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Sixteen positions of x, dword q in all of lane q. */
INLINE __m512i spread(const uint8_t *x)
{
    const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_epi32(order, _mm512_castsi128_si512(_mm_load_si128((const __m128i *)x)));
}

INLINE __m512i four_levels(const int8_t *table)
{
    return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)table));
}

/* Codes of 1 bit: shifted by l and masked, a byte is a code of row 4*l + j; with 4*j beside it, it indexes the levels
 * of each of these rows. */
INLINE void one_bit(const mary_qgemv_call *c, const int first, const int strips, const int rows)
{
    const __m512i mask = _mm512_set1_epi8(1);
    const __m512i offset = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    const __m512i doubled = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
    const int block_bytes = 32;
    const int64_t blocks = (c->quads + MARY_Q_BLOCK - 1) / MARY_Q_BLOCK, step = (int64_t)c->strips * block_bytes;
    const uint8_t *codes = c->codes + first * block_bytes;
    __m512i sum[4][4][4]; /* [row of x][strip][l] */
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        UNROLL(4)
    for (int l = 0; l < 4; l++)
        sum[i][s][l] = _mm512_setzero_si512();
    for (int64_t block = 0; block < blocks; block++, codes += step) {
        __m512i x[4];
        UNROLL(4)
        for (int i = 0; i < rows; i++)
            x[i] = spread(c->x + i * c->x_stride + 16 * block);
        UNROLL(4)
        for (int s = 0; s < strips; s++) {
            const int8_t *table = c->levels + (first + s) * c->level_stride;
            _mm_prefetch((const char *)codes + s * block_bytes + c->ahead, _MM_HINT_T0);
            __m512i code = _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)(codes + s * block_bytes)));
            code = _mm512_srlv_epi32(_mm512_permutexvar_epi64(doubled, code), halves);
            UNROLL(4)
            for (int l = 0; l < 4; l++) {
                __m512i at = l == 0 ? code : _mm512_srli_epi32(code, (unsigned)l);
                at = _mm512_ternarylogic_epi32(at, mask, offset, 0xea); /* at & mask | offset */
                __m512i weights = _mm512_shuffle_epi8(four_levels(table + 16 * l), at);
                UNROLL(4)
                for (int i = 0; i < rows; i++)
                    sum[i][s][l] = dot(sum[i][s][l], x[i], weights);
            }
        }
    }
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        _mm512_store_si512(c->sums + (i * c->strips + first + s) * MARY_Q_STRIP, add_lanes(sum[i][s]));
}

/* Codes of 2 and 4 bits: half a byte indexes the levels of row 4*l + j in lane l, whatever else is in it. Two bits have
 * two such rows in each half, so that two shuffles share a mask. */
INLINE void few_bits(const mary_qgemv_call *c, const int bits, const int first, const int strips, const int rows)
{
    const __m512i mask = _mm512_set1_epi8(15);
    const int block_bytes = 32 * bits;
    const int64_t blocks = (c->quads + MARY_Q_BLOCK - 1) / MARY_Q_BLOCK, step = (int64_t)c->strips * block_bytes;
    const uint8_t *codes = c->codes + first * block_bytes;
    __m512i sum[4][4][4]; /* [row of x][strip][j] */
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        UNROLL(4)
    for (int j = 0; j < 4; j++)
        sum[i][s][j] = _mm512_setzero_si512();
    for (int64_t block = 0; block < blocks; block++, codes += step) {
        __m512i x[4];
        UNROLL(4)
        for (int i = 0; i < rows; i++)
            x[i] = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(c->x + i * c->x_stride + 16 * block)));
        UNROLL(4)
        for (int s = 0; s < strips; s++) {
            const int8_t *table = c->levels + (first + s) * c->level_stride;
            UNROLL(4)
            for (int half = 0; half < bits; half++) { /* halves of bytes; each has 4 / bits rows */
                const uint8_t *at = codes + s * block_bytes + 64 * (half / 2);
                if (half % 2 == 0)
                    _mm_prefetch((const char *)at + c->ahead, _MM_HINT_T0);
                __m512i code = _mm512_load_si512(at);
                code = _mm512_and_si512(half % 2 == 0 ? code : _mm512_srli_epi16(code, 4), mask);
                for (int own = 0; own < 4 / bits; own++) {
                    const int j = half * 4 / bits + own;
                    __m512i weights = _mm512_shuffle_epi8(_mm512_load_si512(table + 64 * j), code);
                    UNROLL(4)
                    for (int i = 0; i < rows; i++)
                        sum[i][s][j] = dot(sum[i][s][j], x[i], weights);
                }
            }
        }
    }
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        _mm512_store_si512(c->sums + (i * c->strips + first + s) * MARY_Q_STRIP, add_dwords(sum[i][s]));
}

/* Levels themselves: a quad of sixteen rows is one vector. Two sums each hide the latency. */
INLINE void eight_bits(const mary_qgemv_call *c, const int first, const int strips, const int rows)
{
    const int64_t step = (int64_t)c->strips * 64;
    const uint8_t *codes = c->codes + first * 64;
    __m512i sum[4][4][2];
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        sum[i][s][0] = sum[i][s][1] = _mm512_setzero_si512();
    for (int64_t quad = 0; quad < c->quads; quad += 2, codes += 2 * step) {
        UNROLL(4)
        for (int half = 0; half < 2; half++) {
            if (quad + half == c->quads)
                break;
            UNROLL(4)
            for (int s = 0; s < strips; s++) {
                const uint8_t *at = codes + half * step + s * 64;
                _mm_prefetch((const char *)at + c->ahead, _MM_HINT_T0);
                __m512i weights = _mm512_load_si512(at);
                UNROLL(4)
                for (int i = 0; i < rows; i++) {
                    int32_t four;
                    __builtin_memcpy(&four, c->x + i * c->x_stride + 4 * (quad + half), sizeof four);
                    sum[i][s][half] = dot(sum[i][s][half], _mm512_set1_epi32(four), weights);
                }
            }
        }
    }
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int s = 0; s < strips; s++)
        _mm512_store_si512(c->sums + (i * c->strips + first + s) * MARY_Q_STRIP,
                           _mm512_add_epi32(sum[i][s][0], sum[i][s][1]));
}

INLINE void some_strips(const mary_qgemv_call *c, const int bits, const int first, const int strips, const int rows)
{
    if (bits == 1)
        one_bit(c, first, strips, rows);
    else if (bits <= 4)
        few_bits(c, bits, first, strips, rows);
    else
        eight_bits(c, first, strips, rows);
}

/* As many strips at once as there are registers for sums: all four for one row of x, two for two, else one. */
INLINE void all_strips(const mary_qgemv_call *c, const int bits, const int rows)
{
    int first = 0;
    if (rows == 1 && c->strips == 4 && bits != 2) { /* two strips of 2 bits keep their tables in registers */
        some_strips(c, bits, 0, 4, 1);
        return;
    }
    for (; rows <= 2 && first + 2 <= c->strips; first += 2)
        some_strips(c, bits, first, 2, rows);
    for (; first < c->strips; first++)
        some_strips(c, bits, first, 1, rows);
}

INLINE void multiply(const mary_qgemv_call *c, const int bits)
{
    switch (c->rows) {
    case 1:
        all_strips(c, bits, 1);
        break;
    case 2:
        all_strips(c, bits, 2);
        break;
    case 3:
        all_strips(c, bits, 3);
        break;
    default:
        all_strips(c, bits, 4);
    }
}

static void multiply_1(const mary_qgemv_call *call)
{
    multiply(call, 1);
}
static void multiply_2(const mary_qgemv_call *call)
{
    multiply(call, 2);
}
static void multiply_4(const mary_qgemv_call *call)
{
    multiply(call, 4);
}
static void multiply_8(const mary_qgemv_call *call)
{
    multiply(call, 8);
}

static void finish(const mary_qepilogue *e, int64_t row, const int32_t *sums, int64_t count, uint8_t *out)
{
    const __m512 low = _mm512_set1_ps((float)-e->y_zero), high = _mm512_set1_ps((float)(255 - e->y_zero));
    const __m512i zero = _mm512_set1_epi32(e->y_zero);
    for (int64_t j = 0; j < count; j += 16) {
        const __mmask16 mask = count - j >= 16 ? 0xffff : (__mmask16)((1u << (count - j)) - 1);
        __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(mask, sums + j),
                                       _mm512_maskz_loadu_epi32(mask, e->bias + row + j));
        __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_maskz_loadu_ps(mask, e->multiplier + row + j));
        f = _mm512_min_ps(_mm512_max_ps(f, low), high);
        sum = _mm512_cvt_roundps_epi32(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_mask_storeu_epi8(out + j, mask, _mm512_cvtepi32_epi8(_mm512_add_epi32(sum, zero)));
    }
}

const mary_qgemv_kernels mary_qgemv_kernels_avx512vnni = {
    .name = "int8 rows avx512vnni",
    .multiply = {multiply_1, multiply_2, multiply_4, multiply_8},
    .finish = finish,
};
