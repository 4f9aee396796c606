/* Integer tiles with NEON's dot product: 4 pixels x 16 rows. The instruction multiplies signed bytes, so 128 is taken
 * from each activation, and what that changes in the sums is found by multiplying the weights by it once more. */
#include <arm_neon.h>
#include <string.h>

#include "ops/mary/qkernels.h"
#include "ops/mary/weights_kernels.h"

enum { MR = 4, PARTS = 4 /* registers of 16 rows */ };

/* 4 sums, requantised; `residual` has their bytes. */
static inline int32x4_t follow(int32x4_t sums, const mary_qepilogue *e, const float *multiplier, uint16x4_t residual)
{
    float32x4_t value = vmulq_f32(vcvtq_f32_s32(sums), vld1q_f32(multiplier));
    value = vmaxq_f32(value, vdupq_n_f32((float)-e->y_zero));
    value = vminq_f32(value, vdupq_n_f32((float)(255 - e->y_zero)));
    if (!e->has_residual)
        return vaddq_s32(vcvtnq_s32_f32(value), vdupq_n_s32(e->y_zero));
    value = vrndnq_f32(value);
    float32x4_t other =
        vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(vmovl_u16(residual)), vdupq_n_s32(e->residual_zero)));
    value = vfmaq_f32(vmulq_f32(other, vdupq_n_f32(e->residual_factor)), value, vdupq_n_f32(e->y_factor));
    value = vmaxq_f32(value, vdupq_n_f32((float)-e->sum_zero));
    value = vminq_f32(value, vdupq_n_f32((float)(255 - e->sum_zero)));
    return vaddq_s32(vcvtnq_s32_f32(value), vdupq_n_s32(e->sum_zero));
}

/* 16 sums of one pixel to n bytes. */
static inline void finish(const mary_qtile_call *c, int i, const int32x4_t sums[PARTS], int first, int n)
{
    const mary_qepilogue *e = c->epilogue;
    const float *multiplier = e->multiplier + c->row + first;
    uint8_t bytes[16] = {0};
    if (e->has_residual)
        memcpy(bytes, c->residual + i * c->residual_stride + first, (size_t)n);
    uint8x16_t other = vld1q_u8(bytes);
    uint16x8_t low = vmovl_u8(vget_low_u8(other)), high = vmovl_u8(vget_high_u8(other));
    int16x4_t part0 = vmovn_s32(follow(sums[0], e, multiplier, vget_low_u16(low)));
    int16x4_t part1 = vmovn_s32(follow(sums[1], e, multiplier + 4, vget_high_u16(low)));
    int16x4_t part2 = vmovn_s32(follow(sums[2], e, multiplier + 8, vget_low_u16(high)));
    int16x4_t part3 = vmovn_s32(follow(sums[3], e, multiplier + 12, vget_high_u16(high)));
    vst1q_u8(bytes, vcombine_u8(vqmovun_s16(vcombine_s16(part0, part1)), vqmovun_s16(vcombine_s16(part2, part3))));
    memcpy(c->out + i * c->out_stride + first, bytes, (size_t)n);
}

/* Pixels [start, start + m), strip `strip` of the panel. */
MARY_WEIGHTS_INLINE void tile(const mary_qtile_call *c, int start, const int m, int strip)
{
    const int8x16_t offset = vdupq_n_s8(-128);
    const int64_t step = 64 * c->strips;
    const int8_t *w = c->panel + 64 * strip;
    const uint8_t *const *rows = c->rows + start;
    int32x4_t sums[MR][PARTS], changes[PARTS];
    for (int p = 0; p < PARTS; p++) {
        changes[p] = vdupq_n_s32(0);
        for (int i = 0; i < m; i++)
            sums[i][p] = vld1q_s32(c->epilogue->bias + c->row + 16 * strip + 4 * p);
    }
    for (int64_t run = 0; run < c->runs; run++, rows += c->rows_stride) {
        for (int64_t at = 0; at < c->run_quads * MARY_Q_QUAD; at += MARY_Q_QUAD, w += step) {
            int8x16_t weights[PARTS];
            for (int p = 0; p < PARTS; p++) {
                weights[p] = vld1q_s8(w + 16 * p);
                changes[p] = vdotq_s32(changes[p], weights[p], offset);
            }
            for (int i = 0; i < m; i++) {
                int32_t quad;
                memcpy(&quad, rows[i] + at, sizeof quad);
                int8x16_t x = veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(quad)), offset);
                for (int p = 0; p < PARTS; p++)
                    sums[i][p] = vdotq_s32(sums[i][p], weights[p], x);
            }
        }
    }
    const int left = c->n - 16 * strip, n = left < 16 ? left : 16;
    for (int i = 0; i < m; i++) {
        for (int p = 0; p < PARTS; p++)
            sums[i][p] = vsubq_s32(sums[i][p], changes[p]);
        finish(c, start + i, sums[i], 16 * strip, n);
    }
}

static void run(const mary_qtile_call *c)
{
    for (int start = 0; start < c->m; start += MR) {
        for (int strip = 0; strip < c->strips; strip++) {
            switch (c->m - start) {
            case 1:
                tile(c, start, 1, strip);
                break;
            case 2:
                tile(c, start, 2, strip);
                break;
            case 3:
                tile(c, start, 3, strip);
                break;
            default:
                tile(c, start, MR, strip);
            }
        }
    }
}

const mary_qkernels mary_qkernels_neon = {.name = "int8 neon 4x16",
                                          .nr = 16,
                                          .mr = {MR, MR, MR, MR},
                                          .tile = run,
                                          .decode = {mary_qdecode1_neon, mary_qdecode2_neon, mary_qdecode4_neon}};
