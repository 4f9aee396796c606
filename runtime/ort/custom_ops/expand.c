/* Weights of a product written out, for what runs as an ordinary Gemm or MatMul.
 *
 * - Codes of 8 bits are looked up one by one: that pays where they spare memory's bandwidth, not where the floats stay
 * in the second-level cache.
 * - There are no kernels for double, but the type has to be there: once an operator is registered ONNX Runtime refuses
 * a node of a type that it does not list, function body or not. */
#include <string.h>

#include "runtime/ort/custom_ops/custom_ops.h"

enum { MOST_EXPANDED = 1 << 18 }; /* weights */

bool mary_ort_is_expanded(const mary_op_node *node, mary_type type)
{
    const int64_t *dims;
    size_t rank;
    int64_t bits = 0;
    bool gemm = strcmp(node->op->type, "MaryGemm") == 0;
    if (type == MARY_DOUBLE)
        return gemm || strcmp(node->op->type, "MaryMatMul") == 0;
    return gemm && mary_attribute_int(node->proto, "bits", 0, &bits) == MARY_OK && bits == 8 &&
           mary_attribute_ints(node->proto, "weight_shape", &dims, &rank) == MARY_OK &&
           dims[0] * dims[1] <= MOST_EXPANDED; /* prepare has checked them */
}

#define DECODE(TYPE)                                                                                                   \
    do {                                                                                                               \
        const TYPE *values = (const TYPE *)levels->data + (shared ? 0 : r << bits);                                    \
        for (int64_t k = 0; k < depth; k++)                                                                            \
            ((TYPE *)b->data)[r * depth + k] = values[row[k * bits / 8] >> (k * bits % 8) & mask];                     \
    } while (0)

mary_status mary_ort_expand(const mary_op_node *node, const mary_tensor *codes, const mary_tensor *levels,
                            mary_type type, mary_tensor *b)
{
    const int64_t *dims;
    size_t rank;
    int64_t bits;
    char text[2][96];
    if (codes == NULL || levels == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    MARY_TRY(mary_attribute_ints(node->proto, "weight_shape", &dims, &rank));
    MARY_TRY(mary_attribute_int(node->proto, "bits", 0, &bits));
    const int64_t rows = dims[0], depth = dims[1], row_bytes = (depth * bits + 7) / 8;
    const mary_shape wanted = {2, {rows, row_bytes}}, each = {2, {rows, INT64_C(1) << bits}},
                     common = {2, {1, INT64_C(1) << bits}};
    const bool shared = mary_shape_equal(&levels->shape, &common);
    if (codes->type != MARY_UINT8 || !mary_shape_equal(&codes->shape, &wanted))
        return mary_op_fail(node, MARY_ERROR_INVALID, "codes are %s %s, they must be uint8 %s",
                            mary_type_name(codes->type), mary_shape_format(&codes->shape, text[0], sizeof text[0]),
                            mary_shape_format(&wanted, text[1], sizeof text[1]));
    if (levels->type != type || (!shared && !mary_shape_equal(&levels->shape, &each)))
        return mary_op_fail(node, MARY_ERROR_INVALID, "levels are %s %s, they must be %s %s or shared by all rows",
                            mary_type_name(levels->type), mary_shape_format(&levels->shape, text[0], sizeof text[0]),
                            mary_type_name(type), mary_shape_format(&each, text[1], sizeof text[1]));
    const size_t size = (size_t)(rows * depth) * mary_type_size(type); /* mary_shape_check: it fits */
    *b = (mary_tensor){.type = type, .shape = {2, {rows, depth}}, .data = mary_alloc(size)};
    if (b->data == NULL)
        return mary_fail_memory(size);
    const int mask = (1 << bits) - 1;
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)codes->data + r * row_bytes;
        if (type == MARY_DOUBLE)
            DECODE(double);
        else
            DECODE(float);
    }
    return MARY_OK;
}

mary_status mary_ort_transpose_doubles(mary_tensor *b)
{
    const int64_t rows = b->shape.dims[0], columns = b->shape.dims[1];
    const size_t size = (size_t)(rows * columns) * sizeof(double);
    const double *from = b->data;
    double *to = mary_alloc(size);
    if (to == NULL)
        return mary_fail_memory(size);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * columns + c];
    }
    mary_free(b->data);
    b->data = to;
    b->shape.dims[0] = columns;
    b->shape.dims[1] = rows;
    return MARY_OK;
}
