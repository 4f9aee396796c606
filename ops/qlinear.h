/* What the operators on quantised activations (u8, one scale and zero point a tensor) share: reading their parameters,
 * and the one way in which a real number becomes a u8:
 *
 *     y = (int)round_half_even(clamp(f, 0 - zero, 255 - zero)) + zero        f, the bounds and the clamp in float
 *
 * f is formed by the same float operations in the same order everywhere, so that every tier gives the same bits. An f
 * that is not a number gives the lower bound. */
#ifndef MARY_OPS_QLINEAR_H
#define MARY_OPS_QLINEAR_H

#include "ops/cpu.h"
#include "ops/op.h"

/* real = scale * (integer - zero) */
typedef struct mary_quantisation {
    float scale;
    int32_t zero; /* 0..255 */
} mary_quantisation;

/* How f becomes a u8. */
typedef struct mary_requantisation {
    float low, high; /* 0 - zero and 255 - zero */
    int32_t zero;
} mary_requantisation;

static inline mary_requantisation mary_requantisation_to(int32_t zero)
{
    return (mary_requantisation){.low = (float)(0 - zero), .high = (float)(255 - zero), .zero = zero};
}

static inline uint8_t mary_requantise(float f, const mary_requantisation *to)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: the sum has no fraction left, and |f| <= 255 */
    f = f > to->low ? f : to->low;
    f = f < to->high ? f : to->high;
    return (uint8_t)((int32_t)((f + shift) - shift) + to->zero);
}

/* The largest number of elements that is summed in 32 bits. */
enum { MARY_QLINEAR_MOST_TAPS = 1 << 23 };

/* Input `scale_index` of the call is one float and input scale_index + 1 one u8 (or absent: 0); anything else is
 * refused. For infer: their values need not be known. `what` is for the message: "A". */
mary_status mary_quantisation_check(const mary_op_node *node, const mary_op_call *call, int scale_index,
                                    const char *what);
/* Their values; for run. A scale that is not a positive finite number is MARY_ERROR_INVALID. */
mary_status mary_quantisation_read(const mary_op_node *node, const mary_op_call *call, int scale_index,
                                   const char *what, mary_quantisation *result);
/* Input `index` is there and u8; for infer. */
mary_status mary_qlinear_expect_u8(const mary_op_node *node, const mary_op_call *call, int index, const char *what);

/* table[x] = x brought from one quantisation to another. */
void mary_qlinear_table(const mary_quantisation *from, const mary_quantisation *to, uint8_t *table);

/* y = table[x] for `count` elements; y may be x. */
typedef void mary_table_function(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count);
/* The best one that the tier has on this machine. */
mary_table_function *mary_table_function_for(mary_cpu cpu);
/* y = table[x] for every element. Both are plain, or both channels last, each with its own pixel stride. y may be x's
 * memory. */
void mary_table_apply(mary_table_function *function, const uint8_t *table, const mary_tensor *x, const mary_tensor *y,
                      const mary_parallel *parallel);

#endif
