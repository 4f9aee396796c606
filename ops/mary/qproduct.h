/* The drivers below MaryQLinearConv, MaryQLinearGemm and MaryQLinearMatMul. Activations are u8, channels last; a matrix
 * product is a 1 x 1 convolution whose pixels are the rows. */
#ifndef MARY_OPS_MARY_QPRODUCT_H
#define MARY_OPS_MARY_QPRODUCT_H

#include "ops/mary/qweights.h"
#include "ops/window.h"

typedef struct mary_qdepthwise mary_qdepthwise;

typedef struct mary_qproduct {
    mary_window window;
    int64_t batch, groups;
    int64_t depth, filters; /* channels of a group, in and out */
    mary_cpu cpu;
    const mary_qweights *weights;     /* one of these two */
    const mary_qdepthwise *depthwise; /* mary_conv_is_depthwise */
    const mary_qepilogue *epilogue;
    uint8_t x_zero;   /* what padding counts as */
    const uint8_t *x; /* pixel (n, d, h, w) at ((n*D + d)*H + h)*W + w times x_stride */
    int64_t x_stride;
    uint8_t *y;
    int64_t y_stride;
    const uint8_t *residual; /* like y; there when the epilogue has one */
    int64_t residual_stride;
    const mary_parallel *parallel;
} mary_qproduct;

/* A window becomes one run of bytes, by copying: for few channels, whose quads would be mostly padding. Asked at load
 * (then run_taps = taps); mary_qproduct_scratch and _run make pixels dense where they are not. */
bool mary_qproduct_patches(int64_t groups, int64_t depth, int64_t taps, int64_t dilation_width);

/* Whichever driver fits; data pointers may be NULL in _scratch. */
mary_status mary_qproduct_scratch(const mary_qproduct *product, size_t *bytes);
void mary_qproduct_run(const mary_qproduct *product, void *scratch);
const char *mary_qproduct_kernel_name(const mary_qweights *weights, const mary_qdepthwise *depthwise);

/* Any product, through the tile kernels. */
mary_status mary_qtiles_scratch(const mary_qproduct *product, size_t *bytes);
void mary_qtiles_run(const mary_qproduct *product, void *scratch);

/* A 1 x 1 convolution or matrix product of few pixels: codes are decoded inside the registers. */
bool mary_qgemv_is(const mary_qproduct *product);
mary_status mary_qgemv_scratch(const mary_qproduct *product, size_t *bytes);
void mary_qgemv_run(const mary_qproduct *product, void *scratch);

/* One channel in, one out, a group (mary_conv_is_depthwise). `width` is the kernel's last axis. */
mary_status mary_qdepthwise_create(const mary_qsource *source, int64_t width, mary_cpu cpu,
                                   mary_qdepthwise **depthwise);
void mary_qdepthwise_free(mary_qdepthwise **depthwise);
const char *mary_qdepthwise_kernel_name(const mary_qdepthwise *depthwise);
mary_status mary_qdepthwise_scratch(const mary_qproduct *product, size_t *bytes);
void mary_qdepthwise_run(const mary_qproduct *product, void *scratch);

#endif
