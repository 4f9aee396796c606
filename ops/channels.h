/* Between the plain layout [N, C, pixels] and channels last [N, pixels, C] with a pixel stride, for float. */
#ifndef MARY_OPS_CHANNELS_H
#define MARY_OPS_CHANNELS_H

#include "ops/op.h"

/* Elements from one pixel to the next that suit the tile kernels. A dozen pixels are read side by side: when their
 * distance is a multiple of 2 KiB they fall into one or two sets of the first-level cache and evict each other, so such
 * strides get a cache line more. Fewer than eight channels stay dense, so that a row of the kernel is one run of
 * floats. */
static inline int64_t mary_channels_stride(int64_t channels)
{
    return channels >= 512 && channels % 512 == 0 ? channels + 16 : channels;
}

/* plain [batch, channels, pixels] -> last [batch, pixels, stride]; the gap is left alone. */
void mary_channels_to_last(const float *plain, int64_t batch, int64_t channels, int64_t pixels, float *last,
                           int64_t stride, const mary_parallel *parallel);
void mary_channels_to_plain(const float *last, int64_t stride, int64_t batch, int64_t channels, int64_t pixels,
                            float *plain, const mary_parallel *parallel);

#endif
