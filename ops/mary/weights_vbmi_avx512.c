/* 8-bit codes on processors that have AVX512_VBMI too: vpermi2b looks 64 codes up in 128 bytes at once. The four bytes
 * of the levels' floats lie in four planes of 256 bytes; each plane is looked up by itself, and the bytes are then put
 * together again. */
#include "ops/mary/weights_kernels.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma")))
#define INLINE MARY_WEIGHTS_INLINE TARGET
enum {
    LANES = 16,
    BLOCK = 64,
    BLOCK_STRIDE = MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS,
    LEVELS = 256,
    FLOAT_BYTES = 4,
    PREFETCH = 64 * BLOCK_STRIDE /* dwords ahead, into L2: memory is that far away */
};

/* A row's 256 floats become [4][256] bytes in the same place. */
static void split_levels(float *levels, int64_t rows)
{
    for (; rows > 0; rows--, levels += LEVELS) {
        uint8_t planes[FLOAT_BYTES][LEVELS];
        for (int i = 0; i < LEVELS; i++) {
            uint32_t bits;
            memcpy(&bits, &levels[i], sizeof bits);
            for (int p = 0; p < FLOAT_BYTES; p++)
                planes[p][i] = (uint8_t)(bits >> (8 * p));
        }
        memcpy(levels, planes, sizeof planes);
    }
}

typedef struct byte_tables {
    __m512i quarter[FLOAT_BYTES][4]; /* 64 levels each */
} byte_tables;

INLINE void load_tables(const float *planes, byte_tables *tables)
{
    UNROLL(4)
    for (int p = 0; p < FLOAT_BYTES; p++) {
        UNROLL(4)
        for (int q = 0; q < 4; q++)
            tables->quarter[p][q] = _mm512_loadu_si512((const char *)planes + p * LEVELS + q * 64);
    }
}

/* A block of 64 codes to four vectors: w[s] are positions 16*s..16*s+15. Byte s of dword i is the code of position 16*s
 * + i; the interleaving below puts byte 4*s + i of every 128-bit lane into vector s, so the bytes of a lane change
 * places first. */
INLINE void decode_block(const uint32_t *codes, const byte_tables *tables, __m512 *w)
{
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i code = _mm512_shuffle_epi8(_mm512_load_si512(codes), order), plane[FLOAT_BYTES];
    __mmask64 upper = _mm512_movepi8_mask(code);
    UNROLL(4)
    for (int p = 0; p < FLOAT_BYTES; p++)
        plane[p] =
            _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(tables->quarter[p][0], code, tables->quarter[p][1]),
                                   _mm512_permutex2var_epi8(tables->quarter[p][2], code, tables->quarter[p][3]));
    __m512i low01 = _mm512_unpacklo_epi8(plane[0], plane[1]), high01 = _mm512_unpackhi_epi8(plane[0], plane[1]);
    __m512i low23 = _mm512_unpacklo_epi8(plane[2], plane[3]), high23 = _mm512_unpackhi_epi8(plane[2], plane[3]);
    w[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low01, low23));
    w[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low01, low23));
    w[2] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(high01, high23));
    w[3] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(high01, high23));
}

/* ---- multiply ---- */

/* The rows of a group share cache lines' neighbours: the first one of a group fetches for all of them. */
INLINE void prefetch_group(const uint32_t *codes)
{
    UNROLL(4)
    for (int r = 0; r < MARY_WEIGHTS_GROUP; r++)
        _mm_prefetch(codes + PREFETCH + r * MARY_WEIGHTS_BLOCK_DWORDS, _MM_HINT_T1);
}

INLINE void multiply_row(const int batch, const mary_weights *weights, const float *x, int64_t x_stride, int64_t row,
                         const byte_tables *tables, float *out, int64_t out_stride)
{
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    __m512 sums[MARY_WEIGHTS_MOST_BATCH], w[4];
    UNROLL(8)
    for (int i = 0; i < batch; i++)
        sums[i] = _mm512_setzero_ps();
    int64_t left = weights->row_length;
    const bool first = row % MARY_WEIGHTS_GROUP == 0;
    for (; left >= BLOCK; left -= BLOCK, codes += BLOCK_STRIDE, x += BLOCK) {
        if (first)
            prefetch_group(codes);
        decode_block(codes, tables, w);
        UNROLL(4)
        for (int s = 0; s < 4; s++) {
            UNROLL(8)
            for (int i = 0; i < batch; i++)
                sums[i] = _mm512_fmadd_ps(w[s], _mm512_loadu_ps(x + i * x_stride + s * LANES), sums[i]);
        }
    }
    if (left > 0) {
        decode_block(codes, tables, w);
        UNROLL(4)
        for (int s = 0; s < 4; s++, left -= LANES) {
            __mmask16 mask = left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
            UNROLL(8)
            for (int i = 0; i < batch; i++)
                sums[i] = _mm512_mask3_fmadd_ps(w[s], _mm512_maskz_loadu_ps(mask, x + i * x_stride + s * LANES),
                                                sums[i], mask);
        }
    }
    UNROLL(8)
    for (int i = 0; i < batch; i++)
        out[i * out_stride + row] = _mm512_reduce_add_ps(sums[i]);
}

INLINE void multiply_rows(const int batch, const mary_weights *weights, const float *x, int64_t x_stride, int64_t row,
                          int64_t end, float *out, int64_t out_stride)
{
    byte_tables tables;
    load_tables(mary_weights_row_levels(weights, row), &tables);
    for (; row < end; row++) {
        if (weights->level_stride != 0)
            load_tables(mary_weights_row_levels(weights, row), &tables);
        multiply_row(batch, weights, x, x_stride, row, &tables, out, out_stride);
    }
}

#define MULTIPLY_BATCH(batch)                                                                                          \
    case batch:                                                                                                        \
        multiply_rows(batch, weights, x, x_stride, row, row + count, out, out_stride);                                 \
        break;

TARGET static void multiply(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                            int64_t count, float *out, int64_t out_stride)
{
    switch (batch) {
        MULTIPLY_BATCH(1)
        MULTIPLY_BATCH(2)
        MULTIPLY_BATCH(4)
    }
}

/* ---- decode ---- */

TARGET static void decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out)
{
    const uint32_t *codes = mary_weights_row_codes(weights, row) + begin / BLOCK * BLOCK_STRIDE;
    byte_tables tables;
    load_tables(mary_weights_row_levels(weights, row), &tables);
    for (int64_t k = begin; k < end; codes += BLOCK_STRIDE) {
        int64_t skip = k % BLOCK, take = end - k < BLOCK - skip ? end - k : BLOCK - skip;
        __m512 w[4];
        decode_block(codes, &tables, w);
        if (take == BLOCK) {
            UNROLL(4)
            for (int s = 0; s < 4; s++)
                _mm512_storeu_ps(out + s * LANES, w[s]);
        } else {
            float block[BLOCK];
            UNROLL(4)
            for (int s = 0; s < 4; s++)
                _mm512_storeu_ps(block + s * LANES, w[s]);
            memcpy(out, block + skip, (size_t)take * sizeof(float));
        }
        out += take;
        k += take;
    }
}

/* Decodes rows side by side into a buffer that stays in L1, and transposes from there. */
TARGET static void decode_panel(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end,
                                int width, float *panel)
{
    enum { PART = 128 };
    float rows[LANES][PART] __attribute__((aligned(64)));
    for (int64_t k = begin; k < end;) {
        int64_t stop = k - k % PART + PART < end ? k - k % PART + PART : end;
        for (int j = 0; j < width; j += LANES) {
            int used = count - j < LANES ? count - j : LANES, columns = width - j < LANES ? width - j : LANES;
            for (int r = 0; r < used; r++)
                decode_row(weights, row + j + r, k, stop, rows[r]);
            for (int r = used < 0 ? 0 : used; r < LANES; r++)
                memset(rows[r], 0, (size_t)(stop - k) * sizeof(float));
            mary_weights_transpose_avx512(rows[0], PART, (int)(stop - k), columns, panel + (k - begin) * width + j,
                                          width);
        }
        k = stop;
    }
}

const mary_weights_kernels mary_weights_kernels_vbmi = {
    .name = "avx512 vbmi",
    .arrange_levels = split_levels,
    .decode_panel = decode_panel,
    .decode_row = decode_row,
    .multiply = multiply,
};
