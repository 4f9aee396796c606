/* The depthwise kernel, written once; included by ops/tile_<tier>.c after ops/tile_template.h, whose vectors it uses. A
 * block of BLOCK pixels x one panel of channels is summed in registers: a weight is loaded once for the block,
 * activations are memory operands of the products.
 *
 *   DEPTHWISE_NAME, DEPTHWISE_BLOCK   the exported function; BLOCK * TILE_VECTORS sums and TILE_VECTORS weights fit in
 * registers
 */
#include "ops/depthwise.h"

/* Like tile_load, but decided at compile time: `tail` is either the constant LANES or masked without asking. */
TILE_INLINE void depthwise_load(VEC *values, const float *from, const int vectors, int tail)
{
    UNROLL
    for (int j = 0; j < vectors - 1; j++)
        values[j] = vec_load(from + j * LANES);
    const float *last = from + (vectors - 1) * LANES;
    values[vectors - 1] = __builtin_constant_p(tail) ? vec_load(last) : vec_load_part(last, tail);
}

TILE_INLINE void depthwise_begin(const mary_depthwise_call *call, VEC (*sum)[TILE_VECTORS], const int block,
                                 const int vectors, int tail)
{
    if (call->bias != NULL) {
        tile_load(sum[0], call->bias, vectors, tail);
    } else {
        UNROLL
        for (int j = 0; j < vectors; j++)
            sum[0][j] = vec_set1(0.0f);
    }
    UNROLL
    for (int i = 1; i < block; i++) {
        UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = sum[0][j];
    }
}

TILE_INLINE void depthwise_end(const mary_depthwise_call *call, VEC (*sum)[TILE_VECTORS], int64_t pixel,
                               const int block, const int vectors, int tail)
{
    mary_tile_call end = {.residual = call->residual != NULL ? call->residual + pixel * call->residual_stride : NULL,
                          .residual_stride = call->residual_stride,
                          .out = call->y + pixel * call->y_stride,
                          .out_stride = call->y_stride,
                          .n = call->channels,
                          .epilogue = call->epilogue};
    tile_finish(&end, sum, block, vectors, tail);
}

TILE_INLINE void depthwise_block(const mary_depthwise_call *call, int64_t pixel, const int block, const int vectors,
                                 int tail)
{
    VEC sum[DEPTHWISE_BLOCK][TILE_VECTORS];
    depthwise_begin(call, sum, block, vectors, tail);
    const float *x = call->x + pixel * call->pixel_step;
    const int64_t step = call->pixel_step, tap_step = call->tap_step, taps = call->taps;
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            const float *from = x + plane * call->plane_step + line * call->line_step;
            const float *weights = call->panel + plane * call->panel_plane + line * call->panel_line;
            for (int64_t tap = 0; tap < taps; tap++, from += tap_step, weights += TILE_NR) {
                VEC weight[TILE_VECTORS];
                UNROLL
                for (int j = 0; j < vectors; j++)
                    weight[j] = vec_load(weights + j * LANES);
                UNROLL
                for (int i = 0; i < block; i++) {
                    VEC value[TILE_VECTORS];
                    depthwise_load(value, from + i * step, vectors, tail);
                    UNROLL
                    for (int j = 0; j < vectors; j++)
                        sum[i][j] = vec_fma(value[j], weight[j], sum[i][j]);
                }
            }
        }
    }
    depthwise_end(call, sum, pixel, block, vectors, tail);
}

TILE_INLINE void depthwise_run(const mary_depthwise_call *call, const int vectors, int tail)
{
    int64_t pixel = 0;
    for (; pixel + DEPTHWISE_BLOCK <= call->pixels; pixel += DEPTHWISE_BLOCK)
        depthwise_block(call, pixel, DEPTHWISE_BLOCK, vectors, tail);
    if (pixel + DEPTHWISE_BLOCK / 2 <= call->pixels) {
        depthwise_block(call, pixel, DEPTHWISE_BLOCK / 2, vectors, tail);
        pixel += DEPTHWISE_BLOCK / 2;
    }
    for (; pixel < call->pixels; pixel++)
        depthwise_block(call, pixel, 1, vectors, tail);
}

/* `block` outputs of a row with `taps` taps a line: a column of the input is loaded once and meets all outputs that it
 * reaches. */
TILE_INLINE void depthwise_columns(const mary_depthwise_call *call, int64_t pixel, const int block, const int vectors,
                                   int tail, const int taps, const int stride, const bool border)
{
    VEC sum[DEPTHWISE_BLOCK][TILE_VECTORS];
    depthwise_begin(call, sum, block, vectors, tail);
    const int columns = (block - 1) * stride + taps;
    int64_t first = pixel * stride - call->pad, tap_step = call->tap_step;
    int low = first < 0 ? (int)-first : 0;
    int high = call->width - first < columns ? (int)(call->width - first) : columns;
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            const float *from = call->x + plane * call->plane_step + line * call->line_step + first * tap_step;
            const float *weights = call->panel + plane * call->panel_plane + line * call->panel_line;
            VEC weight[5][TILE_VECTORS];
            UNROLL
            for (int tap = 0; tap < taps; tap++) {
                UNROLL
                for (int j = 0; j < vectors; j++)
                    weight[tap][j] = vec_load(weights + tap * TILE_NR + j * LANES);
            }
            UNROLL
            for (int column = 0; column < columns; column++) {
                const float *at = from;
                from += tap_step;
                __asm__("" : "+r"(from)); /* one pointer, or gcc keeps one a column */
                if (border && (column < low || column >= high))
                    continue;
                VEC value[TILE_VECTORS];
                depthwise_load(value, at, vectors, tail);
                UNROLL
                for (int tap = 0; tap < taps; tap++) {
                    const int output = column - tap;
                    if (output < 0 || output % stride != 0 || output / stride >= block)
                        continue;
                    UNROLL
                    for (int j = 0; j < vectors; j++)
                        sum[output / stride][j] = vec_fma(value[j], weight[tap][j], sum[output / stride][j]);
                }
            }
        }
    }
    depthwise_end(call, sum, pixel, block, vectors, tail);
}

/* Blocks in the middle of a row are spared the questions. */
TILE_INLINE void depthwise_middle(const mary_depthwise_call *call, int64_t pixel, const int block, const int vectors,
                                  int tail, const int taps, const int stride)
{
    int64_t first = pixel * stride - call->pad;
    if (first >= 0 && first + (block - 1) * stride + taps <= call->width)
        depthwise_columns(call, pixel, block, vectors, tail, taps, stride, false);
    else
        depthwise_columns(call, pixel, block, vectors, tail, taps, stride, true);
}

/* A row in blocks of nearly equal size. */
TILE_INLINE void depthwise_row(const mary_depthwise_call *call, const int vectors, int tail, const int taps,
                               const int stride)
{
    const uint32_t pixels = (uint32_t)call->pixels, blocks = (pixels + DEPTHWISE_BLOCK - 1) / DEPTHWISE_BLOCK;
    const uint32_t small = pixels / blocks, larger = pixels % blocks; /* so many blocks have a pixel more */
    uint32_t pixel = 0, size;
    for (uint32_t i = 0; i < blocks; i++, pixel += size) {
        size = small + (i < larger);
        switch (size) {
#if DEPTHWISE_BLOCK > 4
        case 6:
            depthwise_middle(call, pixel, 6, vectors, tail, taps, stride);
            break;
        case 5:
            depthwise_middle(call, pixel, 5, vectors, tail, taps, stride);
            break;
#endif
        case 4:
            depthwise_middle(call, pixel, 4, vectors, tail, taps, stride);
            break;
        case 3:
            depthwise_middle(call, pixel, 3, vectors, tail, taps, stride);
            break;
        case 2:
            depthwise_middle(call, pixel, 2, vectors, tail, taps, stride);
            break;
        default:
            depthwise_middle(call, pixel, 1, vectors, tail, taps, stride);
        }
    }
}

#define DEPTHWISE_ROW(taps, stride)                                                                                    \
    static void row_##taps##_##stride(const mary_depthwise_call *call)                                                 \
    {                                                                                                                  \
        if (call->channels == TILE_NR)                                                                                 \
            depthwise_row(call, TILE_VECTORS, LANES, taps, stride);                                                    \
        else if (call->channels > LANES)                                                                               \
            depthwise_row(call, TILE_VECTORS, call->channels - LANES, taps, stride);                                   \
        else                                                                                                           \
            depthwise_row(call, 1, call->channels, taps, stride);                                                      \
    }
DEPTHWISE_ROW(3, 1)
DEPTHWISE_ROW(3, 2)
DEPTHWISE_ROW(5, 1)
DEPTHWISE_ROW(5, 2)

void DEPTHWISE_NAME(const mary_depthwise_call *call)
{
    if (call->width != 0) {
        bool twice = call->pixel_step != call->tap_step;
        (call->taps == 3 ? (twice ? row_3_2 : row_3_1) : (twice ? row_5_2 : row_5_1))(call);
        return;
    }
    if (call->channels == TILE_NR)
        depthwise_run(call, TILE_VECTORS, LANES);
    else if (call->channels > LANES)
        depthwise_run(call, TILE_VECTORS, call->channels - LANES);
    else
        depthwise_run(call, 1, call->channels);
}
