/* Integer products of few rows with 256-bit registers: one text for AVX2, which has no exact dot product of u8 and s8,
 * and for AVX-VNNI, which has. The including file defines QGEMV_KERNELS and QGEMV_NAME. The ideas are those of
 * qgemv_avx512vnni.c. */
#include <immintrin.h>

#include "ops/mary/qgemv.h"

#define INLINE    static inline __attribute__((always_inline))
#define UNROLL(n) _Pragma("GCC unroll 4")

#if defined(__AVXVNNI__)
typedef __m256i operand;

INLINE operand operand_of(__m256i x)
{
    return x;
}
INLINE __m256i dot(__m256i sum, operand x, __m256i weights)
{
#if defined(__clang__)
    return _mm256_dpbusd_avx_epi32(sum, x, weights);
#else /* gcc 12 gives the intrinsic two moves more */
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "xm"(weights));
    return sum;
#endif
}
#else
/* vpmaddubsw saturates at 16 bits: two products of seven bits each stay below, so the eighth bit goes by itself. */
typedef struct operand {
    __m256i low, high;
} operand;

INLINE operand operand_of(__m256i x)
{
    return (operand){_mm256_and_si256(x, _mm256_set1_epi8(0x7f)),
                     _mm256_and_si256(_mm256_srli_epi16(x, 7), _mm256_set1_epi8(1))};
}
INLINE __m256i dot(__m256i sum, operand x, __m256i weights)
{
    __m256i low = _mm256_madd_epi16(_mm256_maddubs_epi16(x.low, weights), _mm256_set1_epi16(1));
    __m256i high = _mm256_madd_epi16(_mm256_maddubs_epi16(x.high, weights), _mm256_set1_epi16(128));
    return _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
}
#endif

INLINE __m256i both_lanes(const void *from)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)from));
}

/* Eight positions of x, dword q in all of lane q. */
INLINE __m256i spread(const uint8_t *x)
{
    const __m256i order = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)x)), order);
}

/* Rows `row`.. of x. */
INLINE void one_bit(const mary_qgemv_call *c, int strip, int row, const int rows)
{
    const __m256i mask = _mm256_set1_epi8(1);
    const __m256i offset =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    const __m256i halves = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
    const int block_bytes = 32;
    const int64_t blocks = (c->quads + MARY_Q_BLOCK - 1) / MARY_Q_BLOCK, step = (int64_t)c->strips * block_bytes;
    const uint8_t *codes = c->codes + strip * block_bytes, *from = c->x + row * c->x_stride;
    const int8_t *table = c->levels + strip * c->level_stride;
    __m256i sum[2][4]; /* [row of x][l] */
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        UNROLL(4)
    for (int l = 0; l < 4; l++)
        sum[i][l] = _mm256_setzero_si256();
    for (int64_t block = 0; block < blocks; block++, codes += step) {
        _mm_prefetch((const char *)codes + c->ahead, _MM_HINT_T0);
        UNROLL(4)
        for (int half = 0; half < 2; half++) {
            __m256i code = _mm256_srlv_epi32(both_lanes(codes + 16 * half), halves);
            operand x[2];
            UNROLL(4)
            for (int i = 0; i < rows; i++)
                x[i] = operand_of(spread(from + i * c->x_stride + 16 * block + 8 * half));
            UNROLL(4)
            for (int l = 0; l < 4; l++) {
                __m256i at = _mm256_and_si256(l == 0 ? code : _mm256_srli_epi32(code, l), mask);
                __m256i weights = _mm256_shuffle_epi8(both_lanes(table + 16 * l), _mm256_or_si256(at, offset));
                UNROLL(4)
                for (int i = 0; i < rows; i++)
                    sum[i][l] = dot(sum[i][l], x[i], weights);
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        int32_t *to = c->sums + ((row + i) * c->strips + strip) * MARY_Q_STRIP;
        for (int l = 0; l < 4; l++)
            _mm_store_si128((__m128i *)(to + 4 * l),
                            _mm_add_epi32(_mm256_castsi256_si128(sum[i][l]), _mm256_extracti128_si256(sum[i][l], 1)));
    }
}

INLINE void few_bits(const mary_qgemv_call *c, const int bits, int strip, int row)
{
    const __m256i mask = _mm256_set1_epi8(15);
    const int block_bytes = 32 * bits;
    const int64_t blocks = (c->quads + MARY_Q_BLOCK - 1) / MARY_Q_BLOCK, step = (int64_t)c->strips * block_bytes;
    const uint8_t *codes = c->codes + strip * block_bytes, *from = c->x + row * c->x_stride;
    const int8_t *table = c->levels + strip * c->level_stride;
    __m256i sum[4][2]; /* [j][l / 2] */
    UNROLL(4)
    for (int j = 0; j < 4; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int64_t block = 0; block < blocks; block++, codes += step) {
        operand x = operand_of(both_lanes(from + 16 * block));
        UNROLL(4)
        for (int j = 0; j < 4; j++) {
            const int nibble = j * bits / 4; /* of a byte of the block: 2 bits have two rows in each */
            const uint8_t *part = codes + 64 * (nibble / 2);
            if (nibble % 2 == 0)
                _mm_prefetch((const char *)part + c->ahead, _MM_HINT_T0);
            UNROLL(4)
            for (int half = 0; half < 2; half++) {
                __m256i code = _mm256_load_si256((const __m256i *)(part + 32 * half));
                code = _mm256_and_si256(nibble % 2 == 0 ? code : _mm256_srli_epi16(code, 4), mask);
                __m256i levels = _mm256_load_si256((const __m256i *)(table + 64 * j + 32 * half));
                sum[j][half] = dot(sum[j][half], x, _mm256_shuffle_epi8(levels, code));
            }
        }
    }
    int32_t *to = c->sums + (row * c->strips + strip) * MARY_Q_STRIP;
    for (int j = 0; j < 4; j++) {
        for (int half = 0; half < 2; half++) {
            _Alignas(32) int32_t four[8];
            _mm256_store_si256((__m256i *)four, sum[j][half]);
            to[8 * half + j] = four[0] + four[1] + four[2] + four[3];
            to[8 * half + 4 + j] = four[4] + four[5] + four[6] + four[7];
        }
    }
}

INLINE void eight_bits(const mary_qgemv_call *c, int strip, int row, const int rows)
{
    const int64_t step = (int64_t)c->strips * 64;
    const uint8_t *codes = c->codes + strip * 64, *from = c->x + row * c->x_stride;
    __m256i sum[2][2];
    UNROLL(4)
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    for (int64_t quad = 0; quad < c->quads; quad++, codes += step) {
        _mm_prefetch((const char *)codes + c->ahead, _MM_HINT_T0);
        UNROLL(4)
        for (int i = 0; i < rows; i++) {
            int32_t four;
            __builtin_memcpy(&four, from + i * c->x_stride + 4 * quad, sizeof four);
            operand x = operand_of(_mm256_set1_epi32(four));
            UNROLL(4)
            for (int half = 0; half < 2; half++)
                sum[i][half] = dot(sum[i][half], x, _mm256_load_si256((const __m256i *)(codes + 32 * half)));
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int half = 0; half < 2; half++)
            _mm256_store_si256((__m256i *)(c->sums + ((row + i) * c->strips + strip) * MARY_Q_STRIP + 8 * half),
                               sum[i][half]);
    }
}

INLINE void multiply(const mary_qgemv_call *c, const int bits)
{
    for (int strip = 0; strip < c->strips; strip++) {
        if (bits == 2 || bits == 4) { /* eight sums: one row at a time */
            for (int row = 0; row < c->rows; row++)
                few_bits(c, bits, strip, row);
            continue;
        }
        int row = 0;
        for (; row + 2 <= c->rows; row += 2)
            bits == 8 ? eight_bits(c, strip, row, 2) : one_bit(c, strip, row, 2);
        if (row < c->rows)
            bits == 8 ? eight_bits(c, strip, row, 1) : one_bit(c, strip, row, 1);
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
    const __m256 low = _mm256_set1_ps((float)-e->y_zero), high = _mm256_set1_ps((float)(255 - e->y_zero));
    const __m256i zero = _mm256_set1_epi32(e->y_zero);
    for (int64_t j = 0; j < count; j += 8) { /* all arrays may be read eight further: MARY_QLINEAR_SLACK */
        __m256i sum = _mm256_add_epi32(_mm256_load_si256((const __m256i *)(sums + j)),
                                       _mm256_loadu_si256((const __m256i *)(e->bias + row + j)));
        __m256 f = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(e->multiplier + row + j));
        f = _mm256_round_ps(_mm256_min_ps(_mm256_max_ps(f, low), high), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        sum = _mm256_add_epi32(_mm256_cvttps_epi32(f), zero);
        __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        uint8_t eight[8];
        _mm_storel_epi64((__m128i *)eight, _mm_packus_epi16(words, words));
        int64_t left = count - j < 8 ? count - j : 8;
        __builtin_memcpy(out + j, eight, (size_t)left);
    }
}

const mary_qgemv_kernels QGEMV_KERNELS = {
    .name = QGEMV_NAME,
    .multiply = {multiply_1, multiply_2, multiply_4, multiply_8},
    .finish = finish,
};
