/* Kernels on u8 activations: one struct of function pointers, one file a tier (qlinear_<tier>.c), one text for all
 * (qlinear_template.h). All tiers give the same bits. */
#ifndef MARY_OPS_QLINEAR_KERNELS_H
#define MARY_OPS_QLINEAR_KERNELS_H

#include "ops/broadcast.h"
#include "ops/qlinear.h"

/* Sum: requantise(fma(a - a_zero, a_ratio, (b - b_zero) * b_ratio)). Product: requantise((a - a_zero) * (b - b_zero) *
 * a_ratio), where the integers are multiplied first. The context of the loops below. */
typedef struct mary_qlinear_pair {
    int32_t a_zero, b_zero;
    float a_ratio, b_ratio;
    mary_requantisation to;
} mary_qlinear_pair;

/* The window of one output pixel, channels last. */
typedef struct mary_qpool_call {
    const uint8_t *x;                        /* first tap, first channel */
    int64_t planes, lines, taps;             /* taps in each direction; at most MARY_QLINEAR_MOST_TAPS in all */
    int64_t plane_step, line_step, tap_step; /* elements */
    int64_t channels;
    int32_t offset; /* mean: taken from the sum: taps * zero point */
    float ratio;    /* mean: the difference is multiplied by it */
    mary_requantisation to;
    uint8_t *y;
} mary_qpool_call;

typedef struct mary_qlinear_kernels {
    const char *name;
    mary_broadcast_loop *add, *multiply; /* context: a mary_qlinear_pair */
    /* The product where b has one value a channel, channels last: a is [pixels][a_stride], b [channels]. y may be a. */
    void (*multiply_channels)(const mary_qlinear_pair *pair, const uint8_t *a, int64_t a_stride, const uint8_t *b,
                              uint8_t *y, int64_t y_stride, int64_t channels, int64_t pixels);
    mary_table_function *table;
    void (*pool_max)(const mary_qpool_call *call); /* without taps: 0 */
    void (*pool_mean)(const mary_qpool_call *call);
    /* y = saturate(round_half_even(x / scale) + zero), and zero for a NaN, as QuantizeLinear has it. */
    void (*quantise)(const float *x, uint8_t *y, int64_t count, float scale, int32_t zero);
    /* y[2i], y[2i + 1] = a[i], b[i]; and y[3i].. = a[i], b[i], c[i] */
    void (*interleave_two)(const uint8_t *a, const uint8_t *b, uint8_t *y, int64_t count);
    void (*interleave_three)(const uint8_t *a, const uint8_t *b, const uint8_t *c, uint8_t *y, int64_t count);
    /* y = (float)(x - zero) * scale */
    void (*dequantise)(const uint8_t *x, float *y, int64_t count, float scale, int32_t zero);
} mary_qlinear_kernels;

extern const mary_qlinear_kernels mary_qlinear_kernels_scalar;
#if defined(__x86_64__)
extern const mary_qlinear_kernels mary_qlinear_kernels_avx2, mary_qlinear_kernels_avx512;
mary_table_function mary_table_vbmi; /* needs AVX512_VBMI besides the avx512 tier */
#endif

const mary_qlinear_kernels *mary_qlinear_kernels_for(mary_cpu cpu);

#endif
