/* M-ary kernels for AVX2 + FMA. A block's 16 dwords are two halves of 8 lanes. vpermilps reads the low two bits of an
 * index: 2-bit codes need no masking, 1-bit codes use two tables on one index. 4-bit codes look into two tables of
 * eight (vpermps reads three bits) and blend by the fourth; 8-bit codes gather. */
#include "ops/mary/weights_kernels.h"

#include <immintrin.h>

#define INLINE MARY_WEIGHTS_INLINE
enum { LANES = 8, BLOCK_STRIDE = MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS };

/* ---- looking codes up ---- */

/* Two tables for every width of code: 1 bit: low and high bit of a pair; 2 bits: one, twice; 4 bits: levels 0-7 and
 * 8-15. */
INLINE void load_tables(const int bits, const float *levels, __m256 *tables)
{
    if (bits == 1) {
        tables[0] =
            _mm256_setr_ps(levels[0], levels[1], levels[0], levels[1], levels[0], levels[1], levels[0], levels[1]);
        tables[1] =
            _mm256_setr_ps(levels[0], levels[0], levels[1], levels[1], levels[0], levels[0], levels[1], levels[1]);
    } else if (bits == 2) {
        tables[0] = tables[1] = _mm256_broadcast_ps((const __m128 *)levels);
    } else if (bits == 4) {
        tables[0] = _mm256_loadu_ps(levels);
        tables[1] = _mm256_loadu_ps(levels + 8);
    }
}

/* The code is in the lane's low bits; what lies above is ignored. `v`: which of the codes below the next shift (1 bit
 * only). */
INLINE __m256 lookup(const int bits, __m256i code, const __m256 *tables, const float *levels, int v)
{
    if (bits == 1)
        return _mm256_permutevar_ps(tables[v], code);
    if (bits == 2)
        return _mm256_permutevar_ps(tables[0], code);
    if (bits == 4) {
        __m256 low = _mm256_permutevar8x32_ps(tables[0], code), high = _mm256_permutevar8x32_ps(tables[1], code);
        return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
    }
    return _mm256_i32gather_ps(levels, _mm256_and_si256(code, _mm256_set1_epi32(255)), 4);
}

/* All-ones in the first `count` lanes. */
INLINE __m256i first_lanes(int64_t count)
{
    int most = count > LANES ? LANES : count < 0 ? 0 : (int)count;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(most), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE float sum_lanes(__m256 v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* ---- multiply ---- */

INLINE void multiply_rows(const int bits, const int rows, const int batch, const mary_weights *weights, const float *x,
                          int64_t x_stride, int64_t row, float *out, int64_t out_stride)
{
    const int lookups = bits == 1 ? 2 : 1, shift = bits == 1 ? 2 : bits;
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    const float *levels[2];
    __m256 tables[2][2], sums[2][MARY_WEIGHTS_MOST_BATCH];
    __m256i code[2];
    UNROLL(2)
    for (int r = 0; r < rows; r++) {
        levels[r] = mary_weights_row_levels(weights, row + r);
        load_tables(bits, levels[r], tables[r]);
        UNROLL(8)
        for (int i = 0; i < batch; i++)
            sums[r][i] = _mm256_setzero_ps();
    }

    const int64_t block = 512 / bits, full = weights->row_length / block;
    for (int64_t b = 0; b < full; b++, codes += BLOCK_STRIDE, x += block) {
        for (int half = 0; half < 2; half++) {
            const float *here = x + half * LANES;
            UNROLL(2)
            for (int r = 0; r < rows; r++)
                code[r] = _mm256_load_si256((const __m256i *)(codes + r * MARY_WEIGHTS_BLOCK_DWORDS + half * LANES));
            for (int s = 0; s < 32 / bits; s += lookups) {
                UNROLL(2)
                for (int v = 0; v < lookups; v++, here += 2 * LANES) {
                    UNROLL(2)
                    for (int r = 0; r < rows; r++) {
                        __m256 w = lookup(bits, code[r], tables[r], levels[r], v);
                        UNROLL(8)
                        for (int i = 0; i < batch; i++)
                            sums[r][i] = _mm256_fmadd_ps(w, _mm256_loadu_ps(here + i * x_stride), sums[r][i]);
                    }
                }
                UNROLL(2)
                for (int r = 0; r < rows; r++)
                    code[r] = _mm256_srli_epi32(code[r], shift);
            }
        }
    }

    int64_t tail = weights->row_length - full * block;
    for (int half = 0; half < 2 && half * LANES < tail; half++) {
        const float *here = x + half * LANES;
        int64_t left = tail - half * LANES;
        UNROLL(2)
        for (int r = 0; r < rows; r++)
            code[r] = _mm256_load_si256((const __m256i *)(codes + r * MARY_WEIGHTS_BLOCK_DWORDS + half * LANES));
        while (left > 0) {
            UNROLL(2)
            for (int v = 0; v < lookups; v++, here += 2 * LANES, left -= 2 * LANES) {
                __m256i mask = first_lanes(left);
                UNROLL(2)
                for (int r = 0; r < rows; r++) {
                    __m256 w = _mm256_and_ps(lookup(bits, code[r], tables[r], levels[r], v), _mm256_castsi256_ps(mask));
                    UNROLL(8)
                    for (int i = 0; i < batch; i++)
                        sums[r][i] = _mm256_fmadd_ps(w, _mm256_maskload_ps(here + i * x_stride, mask), sums[r][i]);
                }
            }
            UNROLL(2)
            for (int r = 0; r < rows; r++)
                code[r] = _mm256_srli_epi32(code[r], shift);
        }
    }
    UNROLL(2)
    for (int r = 0; r < rows; r++) {
        UNROLL(8)
        for (int i = 0; i < batch; i++)
            out[i * out_stride + row + r] = sum_lanes(sums[r][i]);
    }
}

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

/* Rows at once so that sums, tables and codes fit into 16 registers. */
#define MULTIPLY_BATCH(bits, rows, batch)                                                                              \
    case batch:                                                                                                        \
        multiply_range(bits, rows, batch, weights, x, x_stride, row, row + count, out, out_stride);                    \
        break;

#define MULTIPLY(bits)                                                                                                 \
    static void multiply_##bits(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row, \
                                int64_t count, float *out, int64_t out_stride)                                         \
    {                                                                                                                  \
        switch (batch) {                                                                                               \
            MULTIPLY_BATCH(bits, 2, 1)                                                                                 \
            MULTIPLY_BATCH(bits, 2, 2)                                                                                 \
            MULTIPLY_BATCH(bits, 2, 4)                                                                                 \
        }                                                                                                              \
    }

MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
MULTIPLY(8)

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
        multiply_8(weights, x, x_stride, batch, row, count, out, out_stride);
    }
}

/* ---- decode ---- */

/* Positions [8*e, 8*e + 8) of a block, from tables as load_tables leaves them. */
INLINE __m256 decode_vector(const int bits, const uint32_t *codes, const __m256 *tables, const float *levels, int e)
{
    __m256i code = _mm256_load_si256((const __m256i *)(codes + e % 2 * LANES));
    code = _mm256_srl_epi32(code, _mm_cvtsi32_si128(bits * (e / 2)));
    if (bits == 1)
        code = _mm256_and_si256(code, _mm256_set1_epi32(1));
    return lookup(bits, code, tables, levels, 0);
}

INLINE void decode_row_of(const int bits, const mary_weights *weights, int64_t row, int64_t begin, int64_t end,
                          float *out)
{
    const int64_t block = 512 / bits;
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    const float *levels = mary_weights_row_levels(weights, row);
    __m256 tables[2];
    load_tables(bits, levels, tables);
    for (int64_t k = begin; k < end;) {
        int within = (int)(k % block), skip = within % LANES;
        int take = end - k < LANES - skip ? (int)(end - k) : LANES - skip;
        __m256 w = decode_vector(bits, codes + k / block * BLOCK_STRIDE, tables, levels, within / LANES);
        if (take == LANES) {
            _mm256_storeu_ps(out + (k - begin), w);
        } else {
            float eight[LANES];
            _mm256_storeu_ps(eight, w);
            for (int i = 0; i < take; i++)
                out[k - begin + i] = eight[skip + i];
        }
        k += take;
    }
}

static void decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out)
{
    switch (weights->bits) {
    case 1:
        decode_row_of(1, weights, row, begin, end, out);
        break;
    case 2:
        decode_row_of(2, weights, row, begin, end, out);
        break;
    case 4:
        decode_row_of(4, weights, row, begin, end, out);
        break;
    default:
        decode_row_of(8, weights, row, begin, end, out);
    }
}

/* 8x8: afterwards lane r of v[i] is what lane i of v[r] was. */
INLINE void transpose(__m256 *v)
{
    __m256 t[8];
    UNROLL(4)
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    UNROLL(2)
    for (int i = 0; i < 8; i += 4) {
        v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        v[i] = t[i];
}

/* What one group of 8 rows needs. Rows past the last one repeat it and are masked to zero. */
typedef struct lane_rows {
    const uint32_t *codes[LANES];
    const float *levels[LANES];
    int count;
} lane_rows;

static void find_rows(const mary_weights *weights, int64_t row, int count, lane_rows *rows)
{
    for (int r = 0; r < LANES; r++) {
        int64_t which = row + (r < count ? r : count - 1);
        rows->codes[r] = mary_weights_row_codes(weights, which);
        rows->levels[r] = mary_weights_row_levels(weights, which);
    }
    rows->count = count > LANES ? LANES : count;
}

/* Levels that differ per row and codes too wide to select them by bits: decode 8 positions of 8 rows, transpose the
 * floats. */
INLINE void panel_by_floats(const int bits, const lane_rows *rows, int64_t begin, int64_t end, int width, float *panel)
{
    const int64_t block = 512 / bits;
    const __m256 used = _mm256_castsi256_ps(first_lanes(rows->count));
    for (int64_t k = begin; k < end;) {
        int within = (int)(k % block), first = within % LANES;
        int64_t offset = k / block * BLOCK_STRIDE;
        int last = end - k < LANES - first ? first + (int)(end - k) : LANES;
        __m256 v[LANES];
        UNROLL(8)
        for (int r = 0; r < LANES; r++) {
            __m256 tables[2];
            load_tables(bits, rows->levels[r], tables);
            v[r] = decode_vector(bits, rows->codes[r] + offset, tables, rows->levels[r], within / LANES);
        }
        transpose(v);
        for (int i = first; i < last; i++, panel += width)
            _mm256_storeu_ps(panel, _mm256_and_ps(used, v[i]));
        k += last - first;
    }
}

/* One vector of 8 rows at one position: `code` has every row's dword, the code at bit bits*s. `level[m]` are level m of
 * the 8 rows (bits <= 2); `tables`, `shared` hold the common levels (bits >= 4). */
INLINE __m256 select_level(const int bits, __m256i code, int s, const __m256 *level, const __m256 *tables,
                           const float *shared, __m256 used)
{
    if (bits == 1)
        return _mm256_blendv_ps(level[0], level[1],
                                _mm256_castsi256_ps(_mm256_sll_epi32(code, _mm_cvtsi32_si128(31 - s))));
    if (bits == 2) {
        __m256 high = _mm256_castsi256_ps(_mm256_sll_epi32(code, _mm_cvtsi32_si128(30 - 2 * s)));
        __m256 low = _mm256_castsi256_ps(_mm256_sll_epi32(code, _mm_cvtsi32_si128(31 - 2 * s)));
        return _mm256_blendv_ps(_mm256_blendv_ps(level[0], level[1], low), _mm256_blendv_ps(level[2], level[3], low),
                                high);
    }
    code = _mm256_srl_epi32(code, _mm_cvtsi32_si128(bits * s));
    return _mm256_and_ps(used, lookup(bits, code, tables, shared, 0));
}

/* Transposes the dwords of codes, once for all the positions that they hold, and then looks up 8 rows at a time. */
INLINE void panel_by_codes(const int bits, const lane_rows *rows, int64_t begin, int64_t end, int width, float *panel)
{
    const int64_t block = 512 / bits;
    const float *shared = rows->levels[0];
    const __m256 used = _mm256_castsi256_ps(first_lanes(rows->count));
    __m256 level[4], tables[2], lanes[2 * LANES];
    if (bits <= 2) {
        for (int m = 0; m < 1 << bits; m++) {
            float table[LANES];
            for (int r = 0; r < LANES; r++)
                table[r] = rows->levels[r][m];
            level[m] = _mm256_and_ps(used, _mm256_loadu_ps(table));
        }
    } else {
        load_tables(bits, shared, tables);
    }
    for (int64_t k = begin; k < end;) {
        int64_t offset = k / block * BLOCK_STRIDE, stop = k - k % block + block;
        stop = stop < end ? stop : end;
        UNROLL(2)
        for (int half = 0; half < 2; half++) {
            UNROLL(8)
            for (int r = 0; r < LANES; r++)
                lanes[half * LANES + r] = _mm256_load_ps((const float *)(rows->codes[r] + offset + half * LANES));
            transpose(lanes + half * LANES);
        }
        while (k < stop) {
            int within = (int)(k % block), s = within / (2 * LANES), first = within % (2 * LANES);
            int last = stop - k < 2 * LANES - first ? first + (int)(stop - k) : 2 * LANES;
            for (int i = first; i < last; i++, panel += width)
                _mm256_storeu_ps(panel,
                                 select_level(bits, _mm256_castps_si256(lanes[i]), s, level, tables, shared, used));
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
    const bool shared = weights->level_stride == 0;
    for (int j = 0; j < width; j += LANES, panel += LANES) {
        lane_rows rows;
        if (j >= count) {
            for (int64_t k = 0; k < end - begin; k++)
                _mm256_storeu_ps(panel + k * width, _mm256_setzero_ps());
            continue;
        }
        find_rows(weights, row + j, count - j, &rows);
        if (weights->bits == 1)
            panel_by_codes(1, &rows, begin, end, width, panel);
        else if (weights->bits == 2)
            panel_by_codes(2, &rows, begin, end, width, panel);
        else if (weights->bits == 4 && shared)
            panel_by_codes(4, &rows, begin, end, width, panel);
        else if (weights->bits == 4)
            panel_by_floats(4, &rows, begin, end, width, panel);
        else if (shared)
            panel_by_codes(8, &rows, begin, end, width, panel);
        else
            panel_by_floats(8, &rows, begin, end, width, panel);
    }
}

const mary_weights_kernels mary_weights_kernels_avx2 = {
    .name = "avx2",
    .decode_panel = decode_panel,
    .decode_row = decode_row,
    .multiply = multiply,
};
