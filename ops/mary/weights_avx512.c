/* M-ary kernels for AVX-512. A row's levels sit in registers and vpermps looks codes up: it reads only the low four
 * bits of an index, so 4-bit codes need no masking, and 2-bit (1-bit) codes use two (four) tables on one shifted index,
 * table v showing the level that bits [v*bits, v*bits + bits) of the index mean. */
#include "ops/mary/weights_kernels.h"

#include <immintrin.h>
#include <string.h>

#define INLINE MARY_WEIGHTS_INLINE
enum {
    LANES = 16,
    BLOCK_STRIDE = MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS,
    MOST_TABLES = 4,
    PREFETCH = 64 * BLOCK_STRIDE /* dwords ahead, into L2: memory is that far away */
};

/* ---- looking codes up ---- */

/* 4/bits tables for bits <= 4. */
INLINE void load_tables(const int bits, const float *levels, __m512 *tables)
{
    if (bits == 4) {
        tables[0] = _mm512_loadu_ps(levels);
        return;
    }
    __m512 all = _mm512_loadu_ps(levels); /* only the first 2^bits are used; the rest is readable */
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int v = 0; v < 4 / bits; v++) {
        __m512i index =
            _mm512_and_si512(_mm512_srli_epi32(lane, (unsigned)(v * bits)), _mm512_set1_epi32((1 << bits) - 1));
        tables[v] = _mm512_permutexvar_ps(index, all);
    }
}

/* Codes of 8 bits in the low byte of every lane; bits above are ignored. `groups` * 32 levels are looked at. */
INLINE __m512 lookup_byte(const int groups, __m512i code, const float *levels)
{
    __m512 part[8];
    UNROLL(8)
    for (int g = 0; g < groups; g++)
        part[g] = _mm512_permutex2var_ps(_mm512_loadu_ps(levels + 32 * g), code, _mm512_loadu_ps(levels + 32 * g + 16));
    UNROLL(3)
    for (int left = groups / 2; left > 0; left /= 2) {
        __mmask16 upper = _mm512_test_epi32_mask(code, _mm512_set1_epi32(16 * groups / left));
        UNROLL(4)
        for (int g = 0; g < left; g++)
            part[g] = _mm512_mask_blend_ps(upper, part[2 * g], part[2 * g + 1]);
    }
    return part[0];
}

static int byte_groups(const mary_weights *weights)
{
    int groups = 1;
    while (groups * 32 < weights->level_count)
        groups *= 2;
    return groups;
}

/* ---- multiply ---- */

INLINE void multiply_rows(const int bits, const int rows, const int batch, const mary_weights *weights, const float *x,
                          int64_t x_stride, int64_t row, float *out, int64_t out_stride)
{
    const int lookups = 4 / bits;
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    __m512 tables[MARY_WEIGHTS_GROUP][MOST_TABLES], sums[MARY_WEIGHTS_GROUP][MARY_WEIGHTS_MOST_BATCH];
    __m512i code[MARY_WEIGHTS_GROUP];
    UNROLL(4)
    for (int r = 0; r < rows; r++) {
        load_tables(bits, mary_weights_row_levels(weights, row + r), tables[r]);
        UNROLL(8)
        for (int i = 0; i < batch; i++)
            sums[r][i] = _mm512_setzero_ps();
    }

    int64_t full = weights->row_length / (512 / bits);
    for (int64_t b = 0; b < full; b++, codes += BLOCK_STRIDE) {
        UNROLL(4)
        for (int r = 0; r < rows; r++) {
            code[r] = _mm512_load_si512(codes + r * LANES);
            _mm_prefetch(codes + r * LANES + PREFETCH, _MM_HINT_T1);
        }
        for (int nibble = 0; nibble < 8; nibble++) {
            UNROLL(4)
            for (int v = 0; v < lookups; v++, x += LANES) {
                UNROLL(4)
                for (int r = 0; r < rows; r++) {
                    __m512 w = _mm512_permutexvar_ps(code[r], tables[r][v]);
                    UNROLL(8)
                    for (int i = 0; i < batch; i++)
                        sums[r][i] = _mm512_fmadd_ps(w, _mm512_loadu_ps(x + i * x_stride), sums[r][i]);
                }
            }
            UNROLL(4)
            for (int r = 0; r < rows; r++)
                code[r] = _mm512_srli_epi32(code[r], 4);
        }
    }

    int64_t left = weights->row_length - full * (512 / bits);
    if (left > 0) {
        UNROLL(4)
        for (int r = 0; r < rows; r++)
            code[r] = _mm512_load_si512(codes + r * LANES);
        while (left > 0) {
            UNROLL(4)
            for (int v = 0; v < lookups; v++, x += LANES, left -= LANES) {
                __mmask16 mask = left >= LANES ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
                UNROLL(4)
                for (int r = 0; r < rows; r++) {
                    __m512 w = _mm512_permutexvar_ps(code[r], tables[r][v]);
                    UNROLL(8)
                    for (int i = 0; i < batch; i++)
                        sums[r][i] =
                            _mm512_mask3_fmadd_ps(w, _mm512_maskz_loadu_ps(mask, x + i * x_stride), sums[r][i], mask);
                }
            }
            UNROLL(4)
            for (int r = 0; r < rows; r++)
                code[r] = _mm512_srli_epi32(code[r], 4);
        }
    }
    UNROLL(4)
    for (int r = 0; r < rows; r++) {
        UNROLL(8)
        for (int i = 0; i < batch; i++)
            out[i * out_stride + row + r] = _mm512_reduce_add_ps(sums[r][i]);
    }
}

/* 8-bit codes: one row at a time, its levels fill half of the registers. */
INLINE void multiply_bytes(const int groups, const int batch, const mary_weights *weights, const float *x,
                           int64_t x_stride, int64_t row, float *out, int64_t out_stride)
{
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    const float *levels = mary_weights_row_levels(weights, row);
    __m512 sums[MARY_WEIGHTS_MOST_BATCH];
    UNROLL(8)
    for (int i = 0; i < batch; i++)
        sums[i] = _mm512_setzero_ps();
    int64_t left = weights->row_length;
    for (; left > 0; codes += BLOCK_STRIDE) {
        __m512i code = _mm512_load_si512(codes);
        for (int s = 0; s < 4 && left > 0; s++, x += LANES, left -= LANES) {
            __mmask16 mask = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
            __m512 w = lookup_byte(groups, code, levels);
            UNROLL(8)
            for (int i = 0; i < batch; i++)
                sums[i] = _mm512_mask3_fmadd_ps(w, _mm512_maskz_loadu_ps(mask, x + i * x_stride), sums[i], mask);
            code = _mm512_srli_epi32(code, 8);
        }
    }
    UNROLL(8)
    for (int i = 0; i < batch; i++)
        out[i * out_stride + row] = _mm512_reduce_add_ps(sums[i]);
}

/* Whole groups of rows are interleaved, so `most` rows at once start at a multiple of `most`. */
INLINE void multiply_range(const int bits, const int most, const int batch, const mary_weights *weights, const float *x,
                           int64_t x_stride, int64_t row, int64_t end, float *out, int64_t out_stride)
{
    while (row < end) {
        if (row % most == 0 && row + most <= end) {
            multiply_rows(bits, most, batch, weights, x, x_stride, row, out, out_stride);
            row += most;
        } else {
            multiply_rows(bits, 1, batch, weights, x, x_stride, row, out, out_stride);
            row++;
        }
    }
}

/* Rows at once so that sums, tables, codes and a decoded vector fit into 32 registers. */
#define MULTIPLY_BATCH(bits, rows, batch)                                                                              \
    case batch:                                                                                                        \
        multiply_range(bits, rows, batch, weights, x, x_stride, row, row + count, out, out_stride);                    \
        break;

#define MULTIPLY(bits, few)                                                                                            \
    static void multiply_##bits(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row, \
                                int64_t count, float *out, int64_t out_stride)                                         \
    {                                                                                                                  \
        switch (batch) {                                                                                               \
            MULTIPLY_BATCH(bits, 4, 1)                                                                                 \
            MULTIPLY_BATCH(bits, few, 2)                                                                               \
            MULTIPLY_BATCH(bits, few, 4)                                                                               \
        }                                                                                                              \
    }

MULTIPLY(1, 2)
MULTIPLY(2, 4)
MULTIPLY(4, 4)

#define MULTIPLY_BYTES(groups, batch)                                                                                  \
    case batch:                                                                                                        \
        for (int64_t r = row; r < row + count; r++)                                                                    \
            multiply_bytes(groups, batch, weights, x, x_stride, r, out, out_stride);                                   \
        break;

#define MULTIPLY_8(groups)                                                                                             \
    static void multiply_8_##groups(const mary_weights *weights, const float *x, int64_t x_stride, int batch,          \
                                    int64_t row, int64_t count, float *out, int64_t out_stride)                        \
    {                                                                                                                  \
        switch (batch) {                                                                                               \
            MULTIPLY_BYTES(groups, 1)                                                                                  \
            MULTIPLY_BYTES(groups, 2)                                                                                  \
            MULTIPLY_BYTES(groups, 4)                                                                                  \
        }                                                                                                              \
    }

MULTIPLY_8(1)
MULTIPLY_8(2)
MULTIPLY_8(4)
MULTIPLY_8(8)

static void multiply(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                     int64_t count, float *out, int64_t out_stride)
{
    switch (weights->bits) {
    case 1:
        multiply_1(weights, x, x_stride, batch, row, count, out, out_stride);
        break;
    case 2:
        multiply_2(weights, x, x_stride, batch, row, count, out, out_stride);
        break;
    case 4:
        multiply_4(weights, x, x_stride, batch, row, count, out, out_stride);
        break;
    default:
        switch (byte_groups(weights)) {
        case 1:
            multiply_8_1(weights, x, x_stride, batch, row, count, out, out_stride);
            break;
        case 2:
            multiply_8_2(weights, x, x_stride, batch, row, count, out, out_stride);
            break;
        case 4:
            multiply_8_4(weights, x, x_stride, batch, row, count, out, out_stride);
            break;
        default:
            multiply_8_8(weights, x, x_stride, batch, row, count, out, out_stride);
        }
    }
}

/* ---- decode ---- */

/* Positions [16*s, 16*s + 16) of a block. */
INLINE __m512 decode_vector(const int bits, const int groups, const uint32_t *codes, const float *levels, int s)
{
    if (bits == 8) {
        __m512i code = _mm512_srl_epi32(_mm512_load_si512(codes), _mm_cvtsi32_si128(8 * s));
        return lookup_byte(groups, code, levels);
    }
    __m512i code = _mm512_srl_epi32(_mm512_load_si512(codes), _mm_cvtsi32_si128(bits * s));
    if (bits != 4)
        code = _mm512_and_si512(code, _mm512_set1_epi32((1 << bits) - 1));
    return _mm512_permutexvar_ps(code, _mm512_loadu_ps(levels));
}

INLINE void decode_row_of(const int bits, const int groups, const mary_weights *weights, int64_t row, int64_t begin,
                          int64_t end, float *out)
{
    const int64_t block = 512 / bits;
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    const float *levels = mary_weights_row_levels(weights, row);
    for (int64_t k = begin; k < end;) {
        int within = (int)(k % block), skip = within % LANES;
        int64_t left = end - k;
        int take = left < LANES - skip ? (int)left : LANES - skip;
        __m512 w = decode_vector(bits, groups, codes + k / block * BLOCK_STRIDE, levels, within / LANES);
        __mmask16 mask = (__mmask16)(((1u << take) - 1) << skip);
        if (take == LANES)
            _mm512_storeu_ps(out + (k - begin), w);
        else
            _mm512_mask_compressstoreu_ps(out + (k - begin), mask, w);
        k += take;
    }
}

static void decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out)
{
    switch (weights->bits) {
    case 1:
        decode_row_of(1, 0, weights, row, begin, end, out);
        break;
    case 2:
        decode_row_of(2, 0, weights, row, begin, end, out);
        break;
    case 4:
        decode_row_of(4, 0, weights, row, begin, end, out);
        break;
    default:
        decode_row_of(8, 8, weights, row, begin, end, out);
    }
}

/* 16x16: afterwards lane r of v[i] is what lane i of v[r] was. */
INLINE void transpose(__m512 *v)
{
    __m512 t[16];
    UNROLL(8)
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    UNROLL(4)
    for (int i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        v[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        v[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        v[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        v[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    UNROLL(4)
    for (int i = 0; i < 4; i++) { /* v[i]: rows 0-3, columns i, i+4, i+8, i+12 in its four 128-bit lanes */
        t[i] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
    }
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        v[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        v[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

void mary_weights_transpose_avx512(const float *rows, int64_t stride, int length, int columns, float *out, int width)
{
    const __mmask16 mask = columns >= LANES ? 0xffff : (__mmask16)((1u << columns) - 1);
    for (int first = 0; first < length; first += LANES, rows += LANES) {
        __m512 v[LANES];
        UNROLL(16)
        for (int r = 0; r < LANES; r++)
            v[r] = _mm512_loadu_ps(rows + r * stride);
        transpose(v);
        if (length - first >= LANES && columns >= LANES) {
            UNROLL(16)
            for (int i = 0; i < LANES; i++)
                _mm512_storeu_ps(out + (int64_t)i * width, v[i]);
        } else {
            for (int i = 0; i < LANES && first + i < length; i++)
                _mm512_mask_storeu_ps(out + (int64_t)i * width, mask, v[i]);
        }
        out += (int64_t)LANES * width;
    }
}

/* What one group of 16 rows needs. Rows past the last one repeat it and are masked to zero. */
typedef struct lane_rows {
    const uint32_t *codes[LANES];
    const float *levels[LANES];
    __mmask16 used;
} lane_rows;

static void find_rows(const mary_weights *weights, int64_t row, int count, lane_rows *rows)
{
    for (int r = 0; r < LANES; r++) {
        int64_t which = row + (r < count ? r : count - 1);
        rows->codes[r] = mary_weights_row_codes(weights, which);
        rows->levels[r] = mary_weights_row_levels(weights, which);
    }
    rows->used = count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1);
}

/* Levels that differ per row and codes too wide to select them by bits: decode 16 positions of 16 rows, transpose the
 * floats. */
INLINE void panel_by_floats(const int bits, const int groups, const lane_rows *rows, int64_t begin, int64_t end,
                            int width, float *panel)
{
    const int64_t block = 512 / bits;
    for (int64_t k = begin; k < end;) {
        int within = (int)(k % block), first = within % LANES;
        int64_t left = end - k, offset = k / block * BLOCK_STRIDE;
        int last = left < LANES - first ? first + (int)left : LANES;
        __m512 v[LANES];
        UNROLL(16)
        for (int r = 0; r < LANES; r++)
            v[r] = decode_vector(bits, groups, rows->codes[r] + offset, rows->levels[r], within / LANES);
        transpose(v);
        if (last - first == LANES && rows->used == 0xffff) {
            UNROLL(16)
            for (int i = 0; i < LANES; i++)
                _mm512_storeu_ps(panel + i * (int64_t)width, v[i]);
        } else {
            for (int i = first; i < last; i++)
                _mm512_storeu_ps(panel + (i - first) * (int64_t)width, _mm512_maskz_mov_ps(rows->used, v[i]));
        }
        panel += (last - first) * (int64_t)width;
        k += last - first;
    }
}

/* One vector of 16 rows at one position: `code` has every row's dword, the code at bit bits*s. `level[m]` are level m
 * of the 16 rows (bits <= 2); `shared` are the common levels (bits >= 4). */
INLINE __m512 select_level(const int bits, const int groups, __m512i code, int s, const __m512 *level,
                           const float *shared, __mmask16 used)
{
    if (bits == 1)
        return _mm512_mask_blend_ps(_mm512_test_epi32_mask(code, _mm512_set1_epi32((int)(1u << s))), level[0],
                                    level[1]);
    if (bits == 2) {
        __mmask16 low = _mm512_test_epi32_mask(code, _mm512_set1_epi32((int)(1u << (2 * s))));
        __mmask16 high = _mm512_test_epi32_mask(code, _mm512_set1_epi32((int)(2u << (2 * s))));
        return _mm512_mask_blend_ps(high, _mm512_mask_blend_ps(low, level[0], level[1]),
                                    _mm512_mask_blend_ps(low, level[2], level[3]));
    }
    code = _mm512_srl_epi32(code, _mm_cvtsi32_si128(bits * s));
    if (bits == 4)
        return _mm512_maskz_permutexvar_ps(used, code, level[0]);
    return _mm512_maskz_mov_ps(used, lookup_byte(groups, code, shared));
}

/* Transposes the dwords of codes, once for all the positions that they hold, and then looks up 16 rows at a time. */
INLINE void panel_by_codes(const int bits, const int groups, const lane_rows *rows, int64_t begin, int64_t end,
                           int width, float *panel)
{
    const int64_t block = 512 / bits;
    const float *shared = rows->levels[0];
    __m512 level[4], lanes[LANES];
    if (bits <= 2) {
        float table[4][LANES];
        for (int m = 0; m < 1 << bits; m++) {
            for (int r = 0; r < LANES; r++)
                table[m][r] = rows->levels[r][m];
            level[m] = _mm512_maskz_loadu_ps(rows->used, table[m]);
        }
    } else if (bits == 4) {
        level[0] = _mm512_loadu_ps(shared);
    }
    for (int64_t k = begin; k < end;) {
        int64_t offset = k / block * BLOCK_STRIDE, stop = k - k % block + block;
        stop = stop < end ? stop : end;
        UNROLL(16)
        for (int r = 0; r < LANES; r++)
            lanes[r] = _mm512_castsi512_ps(_mm512_load_si512(rows->codes[r] + offset));
        transpose(lanes);
        while (k < stop) {
            int within = (int)(k % block), s = within / LANES, first = within % LANES;
            int last = stop - k < LANES - first ? first + (int)(stop - k) : LANES;
            for (int i = first; i < last; i++, panel += width)
                _mm512_storeu_ps(
                    panel, select_level(bits, groups, _mm512_castps_si512(lanes[i]), s, level, shared, rows->used));
            k += last - first;
        }
    }
}

static void decode_panel(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end, int width,
                         float *panel)
{
    if (width % LANES != 0) {
        mary_weights_decode_panel_scalar(weights, row, count, begin, end, width, panel);
        return;
    }
    const bool shared = weights->level_stride == 0, few = weights->level_count <= 64;
    for (int j = 0; j < width; j += LANES, panel += LANES) {
        lane_rows rows;
        if (j >= count) {
            for (int64_t k = 0; k < end - begin; k++)
                _mm512_storeu_ps(panel + k * width, _mm512_setzero_ps());
            continue;
        }
        find_rows(weights, row + j, count - j, &rows);
        if (weights->bits == 1)
            panel_by_codes(1, 0, &rows, begin, end, width, panel);
        else if (weights->bits == 2)
            panel_by_codes(2, 0, &rows, begin, end, width, panel);
        else if (weights->bits == 4 && shared)
            panel_by_codes(4, 0, &rows, begin, end, width, panel);
        else if (weights->bits == 4)
            panel_by_floats(4, 0, &rows, begin, end, width, panel);
        else if (shared && few)
            panel_by_codes(8, 2, &rows, begin, end, width, panel);
        else if (shared)
            panel_by_codes(8, 8, &rows, begin, end, width, panel);
        else if (few)
            panel_by_floats(8, 2, &rows, begin, end, width, panel);
        else
            panel_by_floats(8, 8, &rows, begin, end, width, panel);
    }
}

const mary_weights_kernels mary_weights_kernels_avx512 = {
    .name = "avx512",
    .decode_panel = decode_panel,
    .decode_row = decode_row,
    .multiply = multiply,
};
