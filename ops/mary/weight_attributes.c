#include "ops/mary/weight_attributes.h"

mary_status mary_weight_attributes_parse(const mary_op_node *node, mary_weight_attributes *attributes)
{
    const int64_t *dims;
    size_t rank;
    int64_t bits;
    MARY_TRY(mary_attribute_ints(node->proto, "weight_shape", &dims, &rank));
    MARY_TRY(mary_attribute_int(node->proto, "row_length", 0, &attributes->row_length));
    MARY_TRY(mary_attribute_int(node->proto, "bits", 0, &bits));
    if (rank < 3 || rank > 5)
        return mary_op_fail(node, MARY_ERROR_INVALID, "weight_shape has %zu values, it needs 3 to 5", rank);
    attributes->shape.rank = (int)rank;
    for (size_t i = 0; i < rank; i++)
        attributes->shape.dims[i] = dims[i];
    mary_status status = mary_shape_check(&attributes->shape, "weight_shape");
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8)
        return mary_op_fail(node, MARY_ERROR_INVALID, "bits is %lld, it must be 1, 2, 4 or 8", (long long)bits);
    attributes->bits = (int)bits;
    return MARY_OK;
}
