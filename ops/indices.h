/* Reading index tensors of the Gather and Scatter families: values are checked before anything is addressed with them.
 */
#ifndef MARY_OPS_INDICES_H
#define MARY_OPS_INDICES_H

#include "ops/op.h"

/* int32 or int64, as ONNX asks of indices. */
mary_status mary_indices_type(const mary_op_node *node, const mary_tensor *indices);

/* Values begin, begin + stride, ... lie in [-dim, dim); the message names the value. */
mary_status mary_indices_check(const mary_op_node *node, const mary_tensor *indices, int64_t begin, int64_t stride,
                               int64_t dim);

/* A checked index, made non-negative. */
static inline int64_t mary_index(const mary_tensor *indices, int64_t at, int64_t dim)
{
    int64_t value =
        indices->type == MARY_INT64 ? ((const int64_t *)indices->data)[at] : ((const int32_t *)indices->data)[at];
    return value < 0 ? value + dim : value;
}

#endif
