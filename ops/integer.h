/* What the integer products share (MatMulInteger, ConvInteger and the QLinear forms): 8-bit operands less their zero
 * points as int16, sums modulo 2^32, and the way back to 8 bits. */
#ifndef MARY_OPS_INTEGER_H
#define MARY_OPS_INTEGER_H

#include "ops/copy.h"

enum { MARY_INTEGER_CHUNK = 256 }; /* sums that one step keeps */

/* uint8 or int8. */
mary_status mary_integer_type(const mary_op_node *node, const mary_op_call *call, int input);
/* Input `index` (a scale or zero point) is of `type` (MARY_UNDEFINED: uint8 or int8) and has one element. */
mary_status mary_integer_scalar(const mary_op_node *node, const mary_op_call *call, int index, mary_type type);
/* The zero point that input `index` holds at `at`; 0 when absent; a single one serves all. */
int32_t mary_integer_zero(const mary_op_call *call, int index, int64_t at);
/* The same for a scale. */
float mary_integer_scale(const mary_op_call *call, int index, int64_t at);

/* out[i] = values[begin + i] - zero */
void mary_integer_widen(const mary_tensor *tensor, int64_t begin, int64_t count, int32_t zero, int16_t *out);

/* sums[i] += weight * x[i * stride], modulo 2^32 */
static inline void mary_integer_add(uint32_t *restrict sums, const int16_t *restrict x, int64_t stride, int16_t weight,
                                    int64_t count)
{
    if (stride == 1) {
        for (int64_t i = 0; i < count; i++)
            sums[i] += (uint32_t)((int32_t)weight * x[i]);
    } else {
        for (int64_t i = 0; i < count; i++)
            sums[i] += (uint32_t)((int32_t)weight * x[i * stride]);
    }
}

/* saturate(round_half_even(sum * scale) + zero) as uint8 or int8 */
void mary_integer_requantise(const uint32_t *sums, int64_t count, float scale, int32_t zero, mary_type type, void *out);

#endif
