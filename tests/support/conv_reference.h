/* Convolution by its definition, in double, for tests. */
#ifndef MARY_TESTS_CONV_REFERENCE_H
#define MARY_TESTS_CONV_REFERENCE_H

#include "ops/op.h"

/* One convolution; axes are those of the tensors, absent leading ones have size 1, stride 1, no padding. */
typedef struct conv_shape {
    int rank;                              /* spatial axes, 1..3 */
    int64_t batch, groups, depth, filters; /* channels in and out of a group */
    int64_t input[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
} conv_shape;

int64_t conv_output(const conv_shape *s, int axis);
/* y [batch, groups*filters, output...], residual may be NULL. */
void conv_reference(const conv_shape *s, const float *x, const float *w, const float *bias, const float *residual,
                    const mary_epilogue *epilogue, double *y);
/* The same for a transposed convolution: w is [groups*depth, filters, k...], `output` its spatial sizes. */
void conv_transpose_reference(const conv_shape *s, const int64_t output[3], const float *x, const float *w,
                              const float *bias, const float *residual, const mary_epilogue *epilogue, double *y);
double activation_reference(const mary_epilogue *epilogue, double x); /* epilogue may be NULL */

#endif
