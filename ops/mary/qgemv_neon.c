/* Integer products of few rows with NEON's dot product: four quads of a strip are decoded into registers' worth of
 * memory, and multiplied at once. As in qtile_neon.c, 128 is taken from the activations and put back. */
#include <arm_neon.h>
#include <string.h>

#include "ops/mary/qdecode.h"
#include "ops/mary/qgemv.h"

enum { PARTS = 4 /* registers of a strip's 16 rows */, QUAD_BYTES = MARY_Q_STRIP * MARY_Q_QUAD };

typedef struct strip_sums {
    int32x4_t sums[MARY_QGEMV_MOST_ROWS][PARTS], changes[PARTS];
} strip_sums;

/* `count` quads of a strip, the first one at activation `at`. */
static void add_quads(const mary_qgemv_call *c, const int8_t *weights, int64_t step, int64_t count, int64_t at,
                      strip_sums *s)
{
    const int8x16_t offset = vdupq_n_s8(-128);
    for (int64_t quad = 0; quad < count; quad++, weights += step, at += MARY_Q_QUAD) {
        for (int p = 0; p < PARTS; p++) {
            int8x16_t w = vld1q_s8(weights + 16 * p);
            s->changes[p] = vdotq_s32(s->changes[p], w, offset);
            for (int i = 0; i < c->rows; i++) {
                int32_t x;
                memcpy(&x, c->x + i * c->x_stride + at, sizeof x);
                s->sums[i][p] = vdotq_s32(s->sums[i][p], w, veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(x)), offset));
            }
        }
    }
}

static void store(const mary_qgemv_call *c, int strip, const strip_sums *s)
{
    for (int i = 0; i < c->rows; i++) {
        int32_t *to = c->sums + ((int64_t)i * c->strips + strip) * MARY_Q_STRIP;
        for (int p = 0; p < PARTS; p++)
            vst1q_s32(to + 4 * p, vsubq_s32(s->sums[i][p], s->changes[p]));
    }
}

static void multiply(const mary_qgemv_call *c, int bits, mary_qdecode *decode)
{
    const int64_t block_bytes = 32 * bits;
    int8_t weights[MARY_Q_BLOCK * QUAD_BYTES] __attribute__((aligned(64)));
    for (int strip = 0; strip < c->strips; strip++) {
        strip_sums s;
        memset(&s, 0, sizeof s);
        for (int64_t quad = 0; quad < c->quads; quad += MARY_Q_BLOCK) {
            decode(c->codes + (quad / MARY_Q_BLOCK * c->strips + strip) * block_bytes,
                   c->levels + strip * c->level_stride, 0, 1, MARY_Q_BLOCK, weights);
            add_quads(c, weights, QUAD_BYTES, MARY_Q_BLOCK, quad * MARY_Q_QUAD, &s);
        }
        store(c, strip, &s);
    }
}

static void multiply1(const mary_qgemv_call *c)
{
    multiply(c, 1, mary_qdecode1_neon);
}

static void multiply2(const mary_qgemv_call *c)
{
    multiply(c, 2, mary_qdecode2_neon);
}

static void multiply4(const mary_qgemv_call *c)
{
    multiply(c, 4, mary_qdecode4_neon);
}

static void multiply8(const mary_qgemv_call *c)
{
    for (int strip = 0; strip < c->strips; strip++) {
        strip_sums s;
        memset(&s, 0, sizeof s);
        add_quads(c, (const int8_t *)c->codes + strip * QUAD_BYTES, (int64_t)c->strips * QUAD_BYTES, c->quads, 0, &s);
        store(c, strip, &s);
    }
}

static void finish(const mary_qepilogue *epilogue, int64_t row, const int32_t *sums, int64_t count, uint8_t *out)
{
    mary_qepilogue e = *epilogue;
    e.has_residual = false;
    for (int64_t j = 0; j < count; j++) {
        uint32_t sum = (uint32_t)sums[j] + (uint32_t)e.bias[row + j];
        out[j] = mary_qepilogue_requantise(&e, row + j, (int32_t)sum, 0);
    }
}

const mary_qgemv_kernels mary_qgemv_kernels_neon = {
    .name = "int8 rows neon", .multiply = {multiply1, multiply2, multiply4, multiply8}, .finish = finish};
