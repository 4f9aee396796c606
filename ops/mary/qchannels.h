/* Between the plain layout [N, C, pixels] and channels last [N, pixels, C] with a pixel stride, for bytes. */
#ifndef MARY_OPS_MARY_QCHANNELS_H
#define MARY_OPS_MARY_QCHANNELS_H

#include "ops/op.h"

/* plain [batch, channels, pixels] -> last [batch, pixels, stride]; the gap is left alone. */
void mary_qchannels_to_last(const uint8_t *plain, int64_t batch, int64_t channels, int64_t pixels, uint8_t *last,
                            int64_t stride, const mary_parallel *parallel);
void mary_qchannels_to_plain(const uint8_t *last, int64_t stride, int64_t batch, int64_t channels, int64_t pixels,
                             uint8_t *plain, const mary_parallel *parallel);

#endif
