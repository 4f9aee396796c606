/* The definition of the integer kernels: plain loops. */
#include "ops/mary/qkernels.h"

enum { MR = 4, NR = 16 };

static void tile(const mary_qtile_call *c)
{
    const int64_t quad_bytes = (int64_t)c->strips * MARY_Q_STRIP * MARY_Q_QUAD;
    for (int i = 0; i < c->m; i++) {
        uint32_t sums[MARY_Q_MOST_STRIPS * MARY_Q_STRIP]; /* modulo 2^32; the result fits in i32 */
        for (int j = 0; j < c->n; j++)
            sums[j] = (uint32_t)c->epilogue->bias[c->row + j];
        const int8_t *w = c->panel;
        for (int64_t run = 0; run < c->runs; run++) {
            const uint8_t *x = c->rows[run * c->rows_stride + i];
            for (int64_t quad = 0; quad < c->run_quads; quad++, x += MARY_Q_QUAD, w += quad_bytes) {
                for (int j = 0; j < c->n; j++) {
                    const int8_t *v = w + j * MARY_Q_QUAD;
                    sums[j] += (uint32_t)(x[0] * v[0] + x[1] * v[1] + x[2] * v[2] + x[3] * v[3]);
                }
            }
        }
        for (int j = 0; j < c->n; j++) {
            uint8_t residual = c->epilogue->has_residual ? c->residual[i * c->residual_stride + j] : 0;
            c->out[i * c->out_stride + j] =
                mary_qepilogue_requantise(c->epilogue, c->row + j, (int32_t)sums[j], residual);
        }
    }
}

/* Where in its row's table the level of (row 4*lane + j, quad, k) of a strip is. */
static inline int place_of(int bits, const uint8_t *block, int lane, int j, int quad, int k)
{
    switch (bits) {
    case 1:
        return block[16 * (quad / 2) + 4 * j + k] >> (4 * (quad % 2) + lane) & 1;
    case 2:
        return block[16 * lane + 4 * quad + k] >> (4 * (j / 2)) & 15;
    default:
        return block[64 * (j / 2) + 16 * lane + 4 * quad + k] >> (4 * (j % 2)) & 15;
    }
}

static inline void decode(int bits, const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,
                          int64_t quads, int8_t *panel)
{
    const int64_t block_bytes = 32 * bits;
    for (int64_t quad = 0; quad < quads; quad++) {
        for (int strip = 0; strip < strips; strip++) {
            const uint8_t *block = codes + (quad / MARY_Q_BLOCK * strips + strip) * block_bytes;
            const int8_t *table = levels + strip * level_stride;
            for (int row = 0; row < MARY_Q_STRIP; row++) {
                int lane = row / 4, j = row % 4;
                const int8_t *own = bits == 1 ? table + 16 * lane + 4 * j : table + 64 * j + 16 * lane;
                for (int k = 0; k < MARY_Q_QUAD; k++)
                    *panel++ = own[place_of(bits, block, lane, j, (int)(quad % MARY_Q_BLOCK), k)];
            }
        }
    }
}

#define DECODE(bits)                                                                                                   \
    void mary_qdecode##bits##_scalar(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips,     \
                                     int64_t quads, int8_t *panel)                                                     \
    {                                                                                                                  \
        decode(bits, codes, levels, level_stride, strips, quads, panel);                                               \
    }
DECODE(1)
DECODE(2)
DECODE(4)

const mary_qkernels mary_qkernels_scalar = {
    .name = "int8 scalar",
    .nr = NR,
    .mr = {MR, MR, MR, MR},
    .tile = tile,
    .decode = {mary_qdecode1_scalar, mary_qdecode2_scalar, mary_qdecode4_scalar}};
