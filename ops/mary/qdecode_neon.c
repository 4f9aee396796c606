/* Codes to panels with NEON: a register is one 128-bit lane of a strip. */
#include "ops/mary/qdecode.h"

#include <arm_neon.h>

/* The quad of a strip: table[4 * row + (codes >> shift & mask)], lane `l` shifted by first + l * step. */
static inline void decode_quad(const int8_t *levels, uint8x16_t codes, int first, int step, uint8x16_t mask, int8_t *to)
{
    static const uint8_t offsets[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    const uint8x16_t offset = vld1q_u8(offsets);
    for (int lane = 0; lane < 4; lane++) {
        uint8x16_t shifted = vshlq_u8(codes, vdupq_n_s8((int8_t) - (first + lane * step)));
        vst1q_s8(to + 16 * lane, vqtbl1q_s8(vld1q_s8(levels + 16 * lane), vorrq_u8(vandq_u8(shifted, mask), offset)));
    }
}

void mary_qdecode1_neon(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    for (int64_t quad = 0; quad < quads; quad++, panel += 64 * strips) {
        for (int strip = 0; strip < strips; strip++)
            decode_quad(levels + strip * level_stride,
                        vld1q_u8(codes + (quad / 4 * strips + strip) * 32 + quad % 4 / 2 * 16), (int)(quad % 2) * 4, 1,
                        vdupq_n_u8(1), panel + 64 * strip);
    }
}

/* One lane of a block: a register holds 16 weights of one row; out[q] is quad q of four rows. Half a byte is a code of
 * 4 bits, or those of 2 bits of two rows: each has its table. */
static inline void decode_lane(int bits, const uint8_t *codes, const int8_t *levels, int8x16_t *out)
{
    const uint8x16_t mask = vdupq_n_u8(15), a = vld1q_u8(codes);
    uint8x16_t half[4] = {vandq_u8(a, mask), vshrq_n_u8(a, 4)};
    if (bits == 4) {
        const uint8x16_t b = vld1q_u8(codes + 64);
        half[2] = vandq_u8(b, mask);
        half[3] = vshrq_n_u8(b, 4);
    } else {
        half[3] = half[2] = half[1];
        half[1] = half[0];
    }
    int32x4_t row0 = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(levels), half[0]));
    int32x4_t row1 = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(levels + 64), half[1]));
    int32x4_t row2 = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(levels + 128), half[2]));
    int32x4_t row3 = vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(levels + 192), half[3]));
    int64x2_t low01 = vreinterpretq_s64_s32(vzip1q_s32(row0, row1)),
              low23 = vreinterpretq_s64_s32(vzip1q_s32(row2, row3));
    int64x2_t high01 = vreinterpretq_s64_s32(vzip2q_s32(row0, row1)),
              high23 = vreinterpretq_s64_s32(vzip2q_s32(row2, row3));
    out[0] = vreinterpretq_s8_s64(vzip1q_s64(low01, low23));
    out[1] = vreinterpretq_s8_s64(vzip2q_s64(low01, low23));
    out[2] = vreinterpretq_s8_s64(vzip1q_s64(high01, high23));
    out[3] = vreinterpretq_s8_s64(vzip2q_s64(high01, high23));
}

static void decode(int bits, const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,
                   int64_t quads, int8_t *panel)
{
    const int64_t step = 64 * strips;
    for (int64_t quad = 0; quad < quads; quad += 4, panel += 4 * step) {
        for (int strip = 0; strip < strips; strip++, codes += 32 * bits) {
            for (int lane = 0; lane < 4; lane++) {
                int8x16_t out[4];
                decode_lane(bits, codes + 16 * lane, levels + strip * level_stride + 16 * lane, out);
                for (int q = 0; q < 4 && quad + q < quads; q++)
                    vst1q_s8(panel + q * step + 64 * strip + 16 * lane, out[q]);
            }
        }
    }
}

void mary_qdecode2_neon(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    decode(2, codes, levels, level_stride, strips, quads, panel);
}

void mary_qdecode4_neon(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                        int8_t *panel)
{
    decode(4, codes, levels, level_stride, strips, quads, panel);
}
