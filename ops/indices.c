#include "ops/indices.h"

mary_status mary_indices_type(const mary_op_node *node, const mary_tensor *indices)
{
    if (indices->type != MARY_INT32 && indices->type != MARY_INT64)
        return mary_op_fail(node, MARY_ERROR_INVALID, "indices must be int32 or int64, they are %s",
                            mary_type_name(indices->type));
    return MARY_OK;
}

mary_status mary_indices_check(const mary_op_node *node, const mary_tensor *indices, int64_t begin, int64_t stride,
                               int64_t dim)
{
    int64_t count = mary_shape_count(&indices->shape);
    for (int64_t i = begin; i < count; i += stride) {
        int64_t value = mary_tensor_int(indices, i);
        if (value < -dim || value >= dim)
            return mary_op_fail(node, MARY_ERROR_INVALID, "index %lld is outside [%lld, %lld)", (long long)value,
                                (long long)-dim, (long long)dim);
    }
    return MARY_OK;
}
