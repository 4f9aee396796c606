/* Codes to panels with AVX-512: 64 levels in three cheap instructions and a store. */
#include "ops/mary/qdecode.h"

#include <immintrin.h>

static inline __m512i broadcast(const uint8_t *from)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)from));
}

/* A shift of its own for each 128-bit lane. */
static inline __m512i lane_shifts(int step, int from)
{
    return _mm512_add_epi32(
        _mm512_set1_epi32(from),
        _mm512_mullo_epi32(_mm512_set1_epi32(step), _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)));
}

/* Byte 4*j + k of a lane: the table's part of row j. */
static inline __m512i row_offsets(void)
{
    return _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
}

/* table[offset + (codes >> shift & mask)] */
static inline __m512i look_up(__m512i table, __m512i codes, __m512i shift, __m512i mask, __m512i offset)
{
    __m512i index = _mm512_ternarylogic_epi32(_mm512_srlv_epi32(codes, shift), mask, offset, 0xea);
    return _mm512_shuffle_epi8(table, index);
}

void mary_qdecode1_avx512vnni(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,
                              int64_t quads, int8_t *panel)
{
    const __m512i mask = _mm512_set1_epi8(1), offset = row_offsets();
    const __m512i even = lane_shifts(1, 0), odd = lane_shifts(1, 4);
    const int64_t step = 64 * strips;
    for (int64_t quad = 0; quad < quads; quad += 4, panel += 4 * step) {
        for (int strip = 0; strip < strips; strip++, codes += 32) {
            const __m512i table = _mm512_load_si512(levels + strip * level_stride);
            __m512i low = broadcast(codes), high = broadcast(codes + 16);
            int8_t *to = panel + 64 * strip;
            _mm512_store_si512(to, look_up(table, low, even, mask, offset));
            if (quad + 1 < quads)
                _mm512_store_si512(to + step, look_up(table, low, odd, mask, offset));
            if (quad + 2 < quads)
                _mm512_store_si512(to + 2 * step, look_up(table, high, even, mask, offset));
            if (quad + 3 < quads)
                _mm512_store_si512(to + 3 * step, look_up(table, high, odd, mask, offset));
        }
    }
}

/* A vector holds 16 weights of one row in each lane; out[q] is quad q of 16 rows. Half a byte is a code of 4 bits, or
 * those of 2 bits of two rows: each has its table. */
static inline __attribute__((always_inline)) void decode_block(const int bits, const uint8_t *codes,
                                                               const int8_t *levels, __m512i *out)
{
    const __m512i mask = _mm512_set1_epi8(15), a = _mm512_loadu_si512(codes);
    __m512i half[4];
    half[0] = _mm512_and_si512(a, mask);
    half[1] = _mm512_and_si512(_mm512_srli_epi16(a, 4), mask);
    if (bits == 4) {
        const __m512i b = _mm512_loadu_si512(codes + 64);
        half[2] = _mm512_and_si512(b, mask);
        half[3] = _mm512_and_si512(_mm512_srli_epi16(b, 4), mask);
    } else {
        half[3] = half[2] = half[1];
        half[1] = half[0];
    }
    __m512i row0 = _mm512_shuffle_epi8(_mm512_load_si512(levels), half[0]);
    __m512i row1 = _mm512_shuffle_epi8(_mm512_load_si512(levels + 64), half[1]);
    __m512i row2 = _mm512_shuffle_epi8(_mm512_load_si512(levels + 128), half[2]);
    __m512i row3 = _mm512_shuffle_epi8(_mm512_load_si512(levels + 192), half[3]);
    __m512i low01 = _mm512_unpacklo_epi32(row0, row1), high01 = _mm512_unpackhi_epi32(row0, row1);
    __m512i low23 = _mm512_unpacklo_epi32(row2, row3), high23 = _mm512_unpackhi_epi32(row2, row3);
    out[0] = _mm512_unpacklo_epi64(low01, low23);
    out[1] = _mm512_unpackhi_epi64(low01, low23);
    out[2] = _mm512_unpacklo_epi64(high01, high23);
    out[3] = _mm512_unpackhi_epi64(high01, high23);
}

static inline __attribute__((always_inline)) void decode(const int bits, const uint8_t *codes, const int8_t *levels,
                                                         int64_t level_stride, int strips, int64_t quads, int8_t *panel)
{
    const int64_t step = 64 * strips;
    const int block_bytes = 32 * bits;
    int64_t quad = 0;
    __m512i out[4];
    for (; quad + 4 <= quads; quad += 4, panel += 4 * step) {
        for (int strip = 0; strip < strips; strip++, codes += block_bytes) {
            int8_t *to = panel + 64 * strip;
            decode_block(bits, codes, levels + strip * level_stride, out);
            _mm512_store_si512(to, out[0]);
            _mm512_store_si512(to + step, out[1]);
            _mm512_store_si512(to + 2 * step, out[2]);
            _mm512_store_si512(to + 3 * step, out[3]);
        }
    }
    for (int strip = 0; strip < strips && quad < quads; strip++, codes += block_bytes) {
        decode_block(bits, codes, levels + strip * level_stride, out);
        for (int64_t q = 0; q < quads - quad; q++)
            _mm512_store_si512(panel + q * step + 64 * strip, out[q]);
    }
}

void mary_qdecode2_avx512vnni(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,
                              int64_t quads, int8_t *panel)
{
    decode(2, codes, levels, level_stride, strips, quads, panel);
}

void mary_qdecode4_avx512vnni(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,
                              int64_t quads, int8_t *panel)
{
    decode(4, codes, levels, level_stride, strips, quads, panel);
}
