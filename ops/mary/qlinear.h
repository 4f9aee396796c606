/* What MaryQLinearConv, MaryQLinearGemm and MaryQLinearMatMul share: their inputs, the numbers of a layer, and the
 * arithmetic behind the sums.
 *
 *   acc  = bias[r] + sum over k of x[k] * W[r,k]           exact, i32; the zero point of x is folded into bias
 *   q    = round_half_even(clamp((float)acc * m[r], -zy, 255 - zy))         m[r] = (x_scale * w_scale[r]) / y_scale
 *   y    = q + zy, or with a residual:
 *          round_half_even(clamp(fmaf(q, y_scale / sum_scale, (residual - zr) * (residual_scale / sum_scale)),
 *                                -zs, 255 - zs)) + zs
 *   y    = table[y], when there is a table
 *
 * in float, in this order: every kernel of every tier gives the same bytes.
 */
#ifndef MARY_OPS_MARY_QLINEAR_H
#define MARY_OPS_MARY_QLINEAR_H

#include <math.h>

#include "ops/op.h"

/* Inputs. What is behind BIAS exists only where the executor has fused it; absent ones are NULL. All but X and RESIDUAL
 * are constants. */
enum {
    MARY_QLINEAR_X = 0,          /* u8 */
    MARY_QLINEAR_X_SCALE,        /* float, one */
    MARY_QLINEAR_X_ZERO,         /* u8, one */
    MARY_QLINEAR_CODES,          /* u8 [R, ceil(row_length*bits/8)] */
    MARY_QLINEAR_LEVELS,         /* i8 [R or 1, 2^bits] */
    MARY_QLINEAR_W_SCALE,        /* float [R] or one */
    MARY_QLINEAR_W_ZERO,         /* i8 [R] or one, all 0 */
    MARY_QLINEAR_Y_SCALE,        /* float, one */
    MARY_QLINEAR_Y_ZERO,         /* u8, one */
    MARY_QLINEAR_BIAS,           /* i32 [R], in units of x_scale * w_scale[r]; optional */
    MARY_QLINEAR_RESIDUAL,       /* u8, shaped like y */
    MARY_QLINEAR_RESIDUAL_SCALE, /* float, one */
    MARY_QLINEAR_RESIDUAL_ZERO,  /* u8, one */
    MARY_QLINEAR_SUM_SCALE,      /* float, one: of the output, when there is a residual */
    MARY_QLINEAR_SUM_ZERO,       /* u8, one */
    MARY_QLINEAR_TABLE,          /* u8 [256] */
    MARY_QLINEAR_INPUTS
};

/* Rows of codes as the model file has them; a view. */
typedef struct mary_qsource {
    const uint8_t *codes;
    const int8_t *levels;
    int64_t rows, row_length, row_bytes;
    int64_t level_stride; /* from one row's levels to the next row's: 2^bits, or 0 when all share them */
    int bits;
} mary_qsource;

/* The level of row r at position k of the file's order. */
static inline int8_t mary_qsource_level(const mary_qsource *source, int64_t row, int64_t k)
{
    int64_t bit = k * source->bits;
    int code = source->codes[row * source->row_bytes + bit / 8] >> (bit % 8) & ((1 << source->bits) - 1);
    return source->levels[row * source->level_stride + code];
}
/* All codes of a row, one a byte. */
void mary_qsource_unpack(const mary_qsource *source, int64_t row, uint8_t *codes);

/* What is done with a sum. Arrays have one element a row, and MARY_QLINEAR_SLACK readable ones behind them. */
enum { MARY_QLINEAR_SLACK = 64 };
typedef struct mary_qepilogue {
    const int32_t *bias;     /* B - x_zero * (sum of the row's levels) */
    const float *multiplier; /* m */
    int32_t y_zero;
    /* No |acc * m| and no sum with a residual reaches 2^30: saturating conversions clamp as well as comparisons do. */
    bool bounded;
    bool has_residual;
    int32_t residual_zero, sum_zero;
    float y_factor, residual_factor; /* y_scale / sum_scale, residual_scale / sum_scale */
    const uint8_t *table;            /* 256, 64-byte aligned; NULL: none */
} mary_qepilogue;

static inline float mary_qepilogue_clamp(float value, int32_t zero)
{
    const float low = (float)-zero, high = (float)(255 - zero);
    value = value > low ? value : low;
    return value < high ? value : high;
}

/* All but the table; `residual` is ignored when there is none. */
static inline uint8_t mary_qepilogue_requantise(const mary_qepilogue *e, int64_t row, int32_t acc, uint8_t residual)
{
    float q = rintf(mary_qepilogue_clamp((float)acc * e->multiplier[row], e->y_zero));
    int32_t y;
    if (e->has_residual) {
        float sum = fmaf(q, e->y_factor, (float)(residual - e->residual_zero) * e->residual_factor);
        y = (int32_t)rintf(mary_qepilogue_clamp(sum, e->sum_zero)) + e->sum_zero;
    } else {
        y = (int32_t)q + e->y_zero;
    }
    return (uint8_t)y;
}

/* The definition. */
static inline uint8_t mary_qepilogue_apply(const mary_qepilogue *e, int64_t row, int32_t acc, uint8_t residual)
{
    uint8_t y = mary_qepilogue_requantise(e, row, acc, residual);
    return e->table != NULL ? e->table[y] : y;
}

/* The numbers of one node, made by its pack from constants. */
typedef struct mary_qlayer {
    mary_qsource source; /* valid during pack only */
    uint8_t x_zero;
    mary_qepilogue epilogue; /* its arrays are the layer's */
    int32_t *bias;
    float *multiplier;
    uint8_t *table;
} mary_qlayer;

/* Checks every constant and fills the layer; sets all constants' bits in *consumed. A row whose sums could leave i32 is
 * MARY_ERROR_INVALID. */
mary_status mary_qlayer_create(const mary_op_node *node, const mary_tensor *const *constants, int64_t rows,
                               int64_t row_length, int bits, mary_qlayer *layer, uint64_t *consumed);
void mary_qlayer_free(mary_qlayer *layer);

/* For infer: number of inputs, x is u8; the residual, if any, is u8 and has the shape of the output. */
mary_status mary_qlinear_check(const mary_op_node *node, const mary_op_call *call);
mary_status mary_qlinear_check_residual(const mary_op_node *node, const mary_op_call *call, const mary_shape *y);
/* NULL: none */
static inline const mary_tensor *mary_qlinear_residual(const mary_op_call *call)
{
    return call->input_count > MARY_QLINEAR_RESIDUAL ? call->inputs[MARY_QLINEAR_RESIDUAL] : NULL;
}

#endif
