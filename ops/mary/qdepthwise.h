/* Kernels of integer depthwise convolution. Channels lie side by side in a vector; the taps of a column of the window,
 * four lines at a time, become the four bytes that a dot product instruction sums. */
#ifndef MARY_OPS_MARY_QDEPTHWISE_H
#define MARY_OPS_MARY_QDEPTHWISE_H

#include "ops/cpu.h"
#include "ops/mary/qlinear.h"

enum { MARY_QDEPTHWISE_FOLD = 4 };

/* Some output pixels of a row, for up to `block` channels; or of `fold` rows, for up to block / fold channels, which
 * then lie side by side in a vector. */
typedef struct mary_qdepthwise_call {
    int fold;
    const uint8_t *const *lines; /* [fold][rows]: first pixel of an input line, first of the channels; NULL: outside */
    int rows;                    /* kernel lines */
    int64_t taps, stride, dilation;
    int64_t first; /* input column of the first pixel's first tap */
    int64_t width; /* columns outside [0, width), and lines that are NULL, are x_zero */
    int64_t x_stride;
    uint8_t x_zero;
    const int8_t *weights;          /* of these channels: [taps][groups][4][block], see mary_qdepthwise_kernels */
    const mary_qepilogue *epilogue; /* without residual; its table is not applied */
    int64_t channel;                /* of the epilogue's arrays */
    int channels;                   /* 1..block / fold */
    uint8_t *y[MARY_QDEPTHWISE_FOLD];
    int64_t y_stride[MARY_QDEPTHWISE_FOLD];
    int64_t pixels;
    uint8_t *columns; /* scratch: columns * groups * 4 * block bytes, aligned */
} mary_qdepthwise_call;

/* A group is four kernel lines. Weight (tap, group, v, 16*l + 4*d + t) is that of channel 16*l + 4*v + d, line 4*group
 * + t: what byte-wise and then word-wise interleaving of four vectors of channels makes of them. */
typedef struct mary_qdepthwise_kernels {
    const char *name;
    int block; /* channels */
    /* How many rows so few channels may be folded into a vector for such a window; 1: none. */
    int (*fold)(int channels, int64_t rows, int64_t taps, int64_t stride, int64_t dilation);
    void (*run)(const mary_qdepthwise_call *call);
} mary_qdepthwise_kernels;

#if defined(__x86_64__)
extern const mary_qdepthwise_kernels mary_qdepthwise_kernels_avx2, mary_qdepthwise_kernels_avxvnni,
    mary_qdepthwise_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const mary_qdepthwise_kernels mary_qdepthwise_kernels_neon;
#endif

/* NULL: the tier has none. */
const mary_qdepthwise_kernels *mary_qdepthwise_kernels_for(mary_cpu cpu);

/* Packs one block for `fold` rows: weights[(line * width + column) * stride + channel], zeros where there is no line or
 * channel. */
void mary_qdepthwise_pack(int block, int fold, const int8_t *weights, int64_t channels, int64_t stride, int64_t rows,
                          int64_t width, int8_t *packed);

/* 5 x 5: the fifth line does not take a group of its own for every tap. Its taps stand side by side in the operands of
 * two more positions, and in the second group of a column are the fifth line's bytes of that column and the next three
 * taps. */
static inline bool mary_qdepthwise_is_five(int64_t rows, int64_t taps)
{
    return rows == 5 && taps == 5;
}

static inline int64_t mary_qdepthwise_groups(int64_t rows)
{
    return (rows + 3) / 4;
}

#endif
