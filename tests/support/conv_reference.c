#include "tests/support/conv_reference.h"

#include <math.h>

double activation_reference(const mary_epilogue *e, double x)
{
    if (e == NULL)
        return x;
    switch (e->activation) {
    case MARY_ACTIVATION_CLIP:
        return fmin(fmax(x, e->alpha), e->beta);
    case MARY_ACTIVATION_LEAKY_RELU:
        return x < 0 ? e->alpha * x : x;
    case MARY_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    case MARY_ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case MARY_ACTIVATION_HARD_SWISH:
        return x * fmin(fmax(e->alpha * x + e->beta, 0), 1);
    case MARY_ACTIVATION_HARD_SIGMOID:
        return fmin(fmax(e->alpha * x + e->beta, 0), 1);
    case MARY_ACTIVATION_TANH:
        return tanh(x);
    default:
        return x;
    }
}

int64_t conv_output(const conv_shape *s, int axis)
{
    return (s->input[axis] + s->pad[axis] + s->pad_end[axis] - (s->kernel[axis] - 1) * s->dilation[axis] - 1) /
               s->stride[axis] +
           1;
}

static double one(const conv_shape *s, const float *x, const float *w, const int64_t o[3])
{
    double sum = 0;
    int64_t pixels = s->input[0] * s->input[1] * s->input[2], taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int64_t c = 0; c < s->depth; c++) {
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t k[3] = {tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1], tap % s->kernel[2]},
                    at = 0;
            int inside = 1;
            for (int axis = 0; axis < 3; axis++) {
                int64_t i = o[axis] * s->stride[axis] - s->pad[axis] + k[axis] * s->dilation[axis];
                inside = inside && i >= 0 && i < s->input[axis];
                at = at * s->input[axis] + i;
            }
            if (inside)
                sum += (double)x[c * pixels + at] * w[c * taps + tap];
        }
    }
    return sum;
}

void conv_reference(const conv_shape *s, const float *x, const float *w, const float *bias, const float *residual,
                    const mary_epilogue *epilogue, double *y)
{
    int64_t pixels = s->input[0] * s->input[1] * s->input[2], taps = s->kernel[0] * s->kernel[1] * s->kernel[2], at = 0;
    for (int64_t n = 0; n < s->batch; n++) {
        for (int64_t m = 0; m < s->groups * s->filters; m++) {
            const float *from = x + (n * s->groups + m / s->filters) * s->depth * pixels;
            int64_t o[3];
            for (o[0] = 0; o[0] < conv_output(s, 0); o[0]++) {
                for (o[1] = 0; o[1] < conv_output(s, 1); o[1]++) {
                    for (o[2] = 0; o[2] < conv_output(s, 2); o[2]++, at++) {
                        double sum = one(s, from, w + m * s->depth * taps, o) + (bias != NULL ? bias[m] : 0);
                        y[at] = activation_reference(epilogue, residual != NULL ? sum + residual[at] : sum);
                    }
                }
            }
        }
    }
}

void conv_transpose_reference(const conv_shape *s, const int64_t output[3], const float *x, const float *w,
                              const float *bias, const float *residual, const mary_epilogue *epilogue, double *y)
{
    int64_t pixels = s->input[0] * s->input[1] * s->input[2], taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    int64_t outputs = output[0] * output[1] * output[2], channels = s->groups * s->filters;
    for (int64_t i = 0; i < s->batch * channels * outputs; i++)
        y[i] = bias != NULL ? bias[i / outputs % channels] : 0;
    for (int64_t i = 0; i < s->batch * s->groups * s->depth * pixels; i++) {
        int64_t c = i / pixels % (s->groups * s->depth), n = i / pixels / (s->groups * s->depth), pixel = i % pixels;
        int64_t at[3] = {pixel / s->input[2] / s->input[1], pixel / s->input[2] % s->input[1], pixel % s->input[2]};
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t k[3] = {tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1], tap % s->kernel[2]};
            int64_t to = 0;
            int inside = 1;
            for (int axis = 0; axis < 3; axis++) {
                int64_t o = at[axis] * s->stride[axis] - s->pad[axis] + k[axis] * s->dilation[axis];
                inside = inside && o >= 0 && o < output[axis];
                to = to * output[axis] + o;
            }
            for (int64_t m = 0; inside && m < s->filters; m++)
                y[(n * channels + c / s->depth * s->filters + m) * outputs + to] +=
                    (double)x[i] * w[(c * s->filters + m) * taps + tap];
        }
    }
    for (int64_t i = 0; i < s->batch * channels * outputs; i++)
        y[i] = activation_reference(epilogue, residual != NULL ? y[i] + residual[i] : y[i]);
}
