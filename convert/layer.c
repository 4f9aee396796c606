/* Weight tensors of the four kinds of layers, read as rows. */
#include "convert/layer.h"

#include <string.h>

static const struct {
    const char *op, *mary, *integer;
} names[] = {
    [MARY_LAYER_NONE] = {"", "", ""},
    [MARY_LAYER_CONV] = {"Conv", "MaryConv", "MaryQLinearConv"},
    [MARY_LAYER_CONV_TRANSPOSE] = {"ConvTranspose", "MaryConvTranspose", ""},
    [MARY_LAYER_GEMM] = {"Gemm", "MaryGemm", "MaryQLinearGemm"},
    [MARY_LAYER_MATMUL] = {"MatMul", "MaryMatMul", "MaryQLinearMatMul"},
};

const char *mary_layer_op(mary_layer_kind kind)
{
    return names[kind].op;
}
const char *mary_layer_mary_op(mary_layer_kind kind)
{
    return names[kind].mary;
}

const char *mary_layer_integer_op(mary_layer_kind kind)
{
    return names[kind].integer;
}

mary_layer_kind mary_layer_kind_of(const Onnx__NodeProto *node)
{
    if (node->domain != NULL && node->domain[0] != '\0' && strcmp(node->domain, "ai.onnx") != 0)
        return MARY_LAYER_NONE;
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++) {
        if (node->op_type != NULL && strcmp(node->op_type, names[kind].op) == 0)
            return (mary_layer_kind)kind;
    }
    return MARY_LAYER_NONE;
}

mary_layer_kind mary_layer_kind_of_mary(const Onnx__NodeProto *node)
{
    if (node->domain == NULL || strcmp(node->domain, MARY_DOMAIN) != 0)
        return MARY_LAYER_NONE;
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++) {
        if (node->op_type != NULL && strcmp(node->op_type, names[kind].mary) == 0)
            return (mary_layer_kind)kind;
    }
    return MARY_LAYER_NONE;
}

mary_layer_kind mary_layer_kind_of_integer(const Onnx__NodeProto *node)
{
    if (node->domain == NULL || strcmp(node->domain, MARY_DOMAIN) != 0 || node->op_type == NULL)
        return MARY_LAYER_NONE;
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++) {
        if (names[kind].integer[0] != '\0' && strcmp(node->op_type, names[kind].integer) == 0)
            return (mary_layer_kind)kind;
    }
    return MARY_LAYER_NONE;
}

mary_status mary_layout_rows_of(const Onnx__NodeProto *node, mary_layer_kind kind, const mary_shape *shape,
                                mary_layout_rows *rows)
{
    *rows = (mary_layout_rows){.kind = kind, .shape = *shape, .group = 1, .as_stored = true};
    int64_t count = mary_shape_count(shape);
    char text[128];
    mary_shape_format(shape, text, sizeof text);
    if (count == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the weight of shape %s is empty", text);
    if (kind == MARY_LAYER_CONV || kind == MARY_LAYER_CONV_TRANSPOSE) {
        if (shape->rank < 3)
            return mary_fail(MARY_ERROR_UNSUPPORTED, "the weight has shape %s, at least three dimensions are needed",
                             text);
        rows->rows = shape->dims[0];
        if (kind == MARY_LAYER_CONV_TRANSPOSE) {
            MARY_TRY(mary_attribute_int(node, "group", 1, &rows->group));
            if (rows->group < 1 || shape->dims[0] % rows->group != 0)
                return mary_fail(MARY_ERROR_UNSUPPORTED, "the weight of shape %s cannot be cut into %lld groups", text,
                                 (long long)rows->group);
            rows->rows = rows->group * shape->dims[1];
            rows->as_stored = false;
        }
    } else {
        if (shape->rank != 2)
            return mary_fail(MARY_ERROR_UNSUPPORTED, "the weight has shape %s, only a matrix has rows of levels", text);
        int64_t transposed = 0;
        if (kind == MARY_LAYER_GEMM)
            MARY_TRY(mary_attribute_int(node, "transB", 0, &transposed));
        rows->as_stored = transposed != 0;
        rows->rows = transposed != 0 ? shape->dims[0] : shape->dims[1];
    }
    rows->row_length = count / rows->rows;
    return MARY_OK;
}

bool mary_layout_rows_equal(const mary_layout_rows *a, const mary_layout_rows *b)
{
    return a->rows == b->rows && a->row_length == b->row_length && a->as_stored == b->as_stored &&
           a->group == b->group && (a->kind == MARY_LAYER_CONV_TRANSPOSE) == (b->kind == MARY_LAYER_CONV_TRANSPOSE);
}

/* Calls for runs of `length` contiguous elements: tensor + from <-> matrix + to. */
typedef void run_mover(float *matrix, float *tensor, int64_t length);

static void take(float *matrix, float *tensor, int64_t length)
{
    memcpy(matrix, tensor, (size_t)length * sizeof *matrix);
}

static void give(float *matrix, float *tensor, int64_t length)
{
    memcpy(tensor, matrix, (size_t)length * sizeof *matrix);
}

static void walk(const mary_layout_rows *layout, float *matrix, float *tensor, run_mover *move, bool to_matrix)
{
    int64_t rows = layout->rows, length = layout->row_length;
    if (layout->as_stored) {
        move(matrix, tensor, rows * length);
        return;
    }
    if (layout->kind != MARY_LAYER_CONV_TRANSPOSE) { /* [K, N] <-> [N, K], a square tile at a time for the caches */
        enum { TILE = 32 };
        for (int64_t k0 = 0; k0 < length; k0 += TILE) {
            for (int64_t n0 = 0; n0 < rows; n0 += TILE) {
                for (int64_t k = k0; k < length && k < k0 + TILE; k++) {
                    for (int64_t n = n0; n < rows && n < n0 + TILE; n++) {
                        float *m = matrix + n * length + k, *t = tensor + k * rows + n;
                        if (to_matrix)
                            *m = *t;
                        else
                            *t = *m;
                    }
                }
            }
        }
        return;
    }
    int64_t group_inputs = layout->shape.dims[0] / layout->group, group_rows = layout->shape.dims[1];
    int64_t taps = length / group_inputs;
    for (int64_t i = 0; i < layout->shape.dims[0]; i++) {
        for (int64_t o = 0; o < group_rows; o++) {
            int64_t row = i / group_inputs * group_rows + o;
            move(matrix + row * length + i % group_inputs * taps, tensor + (i * group_rows + o) * taps, taps);
        }
    }
}

void mary_layout_to_rows(const mary_layout_rows *layout, const float *tensor, float *matrix)
{
    walk(layout, matrix, (float *)(uintptr_t)tensor, take, true);
}

void mary_layout_from_rows(const mary_layout_rows *layout, const float *matrix, float *tensor)
{
    walk(layout, (float *)(uintptr_t)matrix, tensor, give, false);
}
