/* The gradient of y = (x - mean) / sqrt(variance + epsilon) * scale over one group of elements, whose own mean and
 * variance they are. LayerNormalization has a group in every row, BatchNormalization in every channel. */
#ifndef MARY_OPS_NORMALISE_BACKWARD_H
#define MARY_OPS_NORMALISE_BACKWARD_H

#include "ops/gradient.h"

/* Element (o, i) lies at o * outer_step + i * inner_step, in x, dy and dx alike; its scale at i * scale_step. */
typedef struct mary_normalised {
    int64_t outer, inner, outer_step, inner_step, scale_step;
    bool centred; /* false: the mean is taken as 0 (RMSNormalization) */
    double epsilon;
    const float *x, *dy;
    const float *firsts; /* gradients, where dy has second derivatives; NULL: dy has gradients */
    const float *scale;  /* NULL: 1 */
    float *dx;           /* NULL: not wanted */
    bool accumulate;
    double *dscale, *dshift; /* like scale: added to; NULL: not wanted */
} mary_normalised;

void mary_normalise_backward(const mary_normalised *group);

#endif
