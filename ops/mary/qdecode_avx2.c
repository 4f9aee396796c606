/* Codes to panels with AVX2: as with AVX-512, in halves: a vector is two of a strip's four lanes. */
#include "ops/mary/qdecode.h"

#include <immintrin.h>

static inline __m256i broadcast(const uint8_t *from)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)from));
}

static inline __m256i load(const int8_t *from)
{
    return _mm256_load_si256((const __m256i *)(const void *)from);
}

static inline void store(int8_t *to, __m256i value)
{
    _mm256_store_si256((__m256i *)(void *)to, value);
}

/* A shift for the lower lane and one for the upper one. */
static inline __m256i lane_shifts(int lower, int upper)
{
    return _mm256_setr_epi32(lower, lower, lower, lower, upper, upper, upper, upper);
}

/* One quad of a strip: table[4 * row + (codes >> shift & mask)]. */
static inline void decode_quad(const int8_t *levels, __m256i codes, __m256i lower, __m256i upper, __m256i mask,
                               int8_t *to)
{
    const __m256i offset = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c));
    __m256i low = _mm256_or_si256(_mm256_and_si256(_mm256_srlv_epi32(codes, lower), mask), offset);
    __m256i high = _mm256_or_si256(_mm256_and_si256(_mm256_srlv_epi32(codes, upper), mask), offset);
    store(to, _mm256_shuffle_epi8(load(levels), low));
    store(to + 32, _mm256_shuffle_epi8(load(levels + 32), high));
}

void mary_qdecode1_avx2(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    const __m256i mask = _mm256_set1_epi8(1);
    const __m256i lower[2] = {lane_shifts(0, 1), lane_shifts(4, 5)}, upper[2] = {lane_shifts(2, 3), lane_shifts(6, 7)};
    for (int64_t quad = 0; quad < quads; quad++, panel += 64 * strips) {
        for (int strip = 0; strip < strips; strip++)
            decode_quad(levels + strip * level_stride,
                        broadcast(codes + (quad / 4 * strips + strip) * 32 + quad % 4 / 2 * 16), lower[quad % 2],
                        upper[quad % 2], mask, panel + 64 * strip);
    }
}

/* Half a block, two lanes: a vector holds 16 weights of one row in each lane; out[q] is quad q. Half a byte is a code
 * of 4 bits, or those of 2 bits of two rows: each has its table. */
static inline __attribute__((always_inline)) void decode_half(const int bits, const uint8_t *codes,
                                                              const int8_t *levels, __m256i *out)
{
    const __m256i mask = _mm256_set1_epi8(15), a = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    __m256i half[4];
    half[0] = _mm256_and_si256(a, mask);
    half[1] = _mm256_and_si256(_mm256_srli_epi16(a, 4), mask);
    if (bits == 4) {
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(codes + 64));
        half[2] = _mm256_and_si256(b, mask);
        half[3] = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
    } else {
        half[3] = half[2] = half[1];
        half[1] = half[0];
    }
    __m256i row0 = _mm256_shuffle_epi8(load(levels), half[0]), row1 = _mm256_shuffle_epi8(load(levels + 64), half[1]);
    __m256i row2 = _mm256_shuffle_epi8(load(levels + 128), half[2]);
    __m256i row3 = _mm256_shuffle_epi8(load(levels + 192), half[3]);
    __m256i low01 = _mm256_unpacklo_epi32(row0, row1), high01 = _mm256_unpackhi_epi32(row0, row1);
    __m256i low23 = _mm256_unpacklo_epi32(row2, row3), high23 = _mm256_unpackhi_epi32(row2, row3);
    out[0] = _mm256_unpacklo_epi64(low01, low23);
    out[1] = _mm256_unpackhi_epi64(low01, low23);
    out[2] = _mm256_unpacklo_epi64(high01, high23);
    out[3] = _mm256_unpackhi_epi64(high01, high23);
}

static inline __attribute__((always_inline)) void decode(const int bits, const uint8_t *codes, const int8_t *levels,
                                                         int64_t level_stride, int strips, int64_t quads, int8_t *panel)
{
    const int64_t step = 64 * strips;
    for (int64_t quad = 0; quad < quads; quad += 4, panel += 4 * step) {
        for (int strip = 0; strip < strips; strip++, codes += 32 * bits) {
            for (int half = 0; half < 64; half += 32) {
                __m256i out[4];
                decode_half(bits, codes + half, levels + strip * level_stride + half, out);
                for (int q = 0; q < 4 && quad + q < quads; q++)
                    store(panel + q * step + 64 * strip + half, out[q]);
            }
        }
    }
}

void mary_qdecode2_avx2(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    decode(2, codes, levels, level_stride, strips, quads, panel);
}

void mary_qdecode4_avx2(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    decode(4, codes, levels, level_stride, strips, quads, panel);
}
