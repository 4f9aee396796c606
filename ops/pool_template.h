/* The pooling kernel, written once; ops/pool_<tier>.c defines POOL_NAME. */
#include "ops/pool.h"

#include <math.h>

#include "ops/vector_math.h"

#define POOL_INLINE static inline __attribute__((always_inline))

enum { WIDTH = MARY_VECTOR_WIDTH, BLOCK = 4 };

POOL_INLINE mary_vf pool_step(const mary_pool_kind kind, mary_vf sum, mary_vf x)
{
    switch (kind) {
    case MARY_POOL_MAX:
        return mary_vf_max(x, sum); /* ignores a NaN in x, as the plain loops do */
    case MARY_POOL_MEAN:
        return sum + x;
    case MARY_POOL_L1:
        return sum + mary_vf_abs(x);
    default:
        return mary_vf_fma(x, x, sum);
    }
}

POOL_INLINE mary_vf pool_end(const mary_pool_call *call, const mary_pool_kind kind, mary_vf sum)
{
    if (kind == MARY_POOL_MEAN)
        return sum * mary_vf_set(call->scale);
    if (kind == MARY_POOL_L2)
        return mary_vf_sqrt(sum);
    return sum;
}

/* `vectors` vectors of channels from `channel` on; `tail` floats of a single last one when it is not 0. */
POOL_INLINE void pool_channels(const mary_pool_call *call, const mary_pool_kind kind, int64_t channel,
                               const int vectors, int tail)
{
    mary_vf sum[BLOCK];
    for (int j = 0; j < vectors; j++)
        sum[j] = mary_vf_set(kind == MARY_POOL_MAX ? -INFINITY : 0.0f);
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            const float *x = call->x + channel + plane * call->plane_step + line * call->line_step;
            for (int64_t tap = 0; tap < call->taps; tap++, x += call->tap_step) {
                if (tail != 0) {
                    sum[0] = pool_step(kind, sum[0], mary_vf_load_part(x, tail));
                    continue;
                }
                for (int j = 0; j < vectors; j++)
                    sum[j] = pool_step(kind, sum[j], mary_vf_load(x + j * WIDTH));
            }
        }
    }
    if (tail != 0) {
        mary_vf_store_part(call->y + channel, pool_end(call, kind, sum[0]), tail);
        return;
    }
    for (int j = 0; j < vectors; j++)
        mary_vf_store(call->y + channel + j * WIDTH, pool_end(call, kind, sum[j]));
}

POOL_INLINE void pool_pixel(const mary_pool_call *call, const mary_pool_kind kind)
{
    int64_t channel = 0;
    for (; channel + BLOCK * WIDTH <= call->channels; channel += BLOCK * WIDTH)
        pool_channels(call, kind, channel, BLOCK, 0);
    for (; channel + WIDTH <= call->channels; channel += WIDTH)
        pool_channels(call, kind, channel, 1, 0);
    if (channel < call->channels)
        pool_channels(call, kind, channel, 1, (int)(call->channels - channel));
}

void POOL_NAME(const mary_pool_call *call)
{
    switch (call->kind) {
    case MARY_POOL_MAX:
        pool_pixel(call, MARY_POOL_MAX);
        break;
    case MARY_POOL_MEAN:
        pool_pixel(call, MARY_POOL_MEAN);
        break;
    case MARY_POOL_L1:
        pool_pixel(call, MARY_POOL_L1);
        break;
    default:
        pool_pixel(call, MARY_POOL_L2);
    }
}
