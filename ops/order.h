/* One total order for the values of every numeric type, so that sorting needs one comparison: a larger value has a
 * larger key, equal values (0 and -0 too) have the same, NaN is the largest and equal to itself. */
#ifndef MARY_OPS_ORDER_H
#define MARY_OPS_ORDER_H

#include <string.h>

#include "ops/op.h"

static inline uint64_t mary_order_key(const mary_tensor *tensor, int64_t at)
{
    if (!mary_type_is_float(tensor->type)) {
        if (tensor->type == MARY_UINT64)
            return ((const uint64_t *)tensor->data)[at];
        return (uint64_t)mary_tensor_int(tensor, at) ^ (UINT64_C(1) << 63);
    }
    double value = mary_tensor_double(tensor, at);
    if (value != value)
        return UINT64_MAX;
    value += 0.0; /* -0 becomes 0 */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

#endif
