/* From plain floats to u8 channels last in one pass: what an image goes through on its way into an integer network. */
#ifndef MARY_OPS_QUANTIZE_CHANNELS_H
#define MARY_OPS_QUANTIZE_CHANNELS_H

#include "ops/qlinear.h"

/* plain float [batch, channels, pixels] -> last u8 [batch, pixels, stride], stride >= channels, as QuantizeLinear
 * computes it on the tier `cpu`. The gap behind the channels is filled with the zero point when the stride is 4, and
 * undefined otherwise. */
void mary_quantize_to_channels_last(mary_cpu cpu, const float *plain, int64_t batch, int64_t channels, int64_t pixels,
                                    mary_quantisation to, uint8_t *last, int64_t stride, const mary_parallel *parallel);

#endif
