#include "ops/channel_affine.h"

#include <math.h>

void mary_channel_affine_scalar(const uint8_t *x, uint8_t *y, int64_t count, const float *factor, const float *shift,
                                float low)
{
    for (int64_t i = 0; i < count; i++) {
        float value = fmaf((float)x[i], factor[i], shift[i]);
        value = value > low ? value : low; /* NaN becomes low, too */
        y[i] = (uint8_t)nearbyintf(value < 255.0f ? value : 255.0f);
    }
}
