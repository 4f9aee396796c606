/* Kernels of ChannelAffine, one a tier. */
#ifndef MARY_OPS_CHANNEL_AFFINE_H
#define MARY_OPS_CHANNEL_AFFINE_H

#include "ops/op.h"

/* y[i] = clamp(round_half_even(fma(x[i], factor[i], shift[i])), low, 255) for i < count; exactly the same on every
 * tier. */
typedef void mary_channel_affine(const uint8_t *x, uint8_t *y, int64_t count, const float *factor, const float *shift,
                                 float low);

mary_channel_affine mary_channel_affine_scalar;
#if defined(__x86_64__)
mary_channel_affine mary_channel_affine_avx2, mary_channel_affine_avx512;
#endif

#endif
