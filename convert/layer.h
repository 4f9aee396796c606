/* A node whose weights can be given levels, and its weights as a matrix of rows. */
#ifndef MARY_CONVERT_LAYER_H
#define MARY_CONVERT_LAYER_H

#include "onnx/model.h"

#define MARY_DOMAIN "ai.mary"

typedef enum mary_layer_kind {
    MARY_LAYER_NONE = 0,
    MARY_LAYER_CONV,
    MARY_LAYER_CONV_TRANSPOSE,
    MARY_LAYER_GEMM,
    MARY_LAYER_MATMUL
} mary_layer_kind;

/* The kind of a float node (domain "", Conv ...), or MARY_LAYER_NONE. */
mary_layer_kind mary_layer_kind_of(const Onnx__NodeProto *node);
/* The kind of an ai.mary node (MaryConv ...), or MARY_LAYER_NONE. */
mary_layer_kind mary_layer_kind_of_mary(const Onnx__NodeProto *node);
const char *mary_layer_op(mary_layer_kind kind);         /* "Conv" */
const char *mary_layer_mary_op(mary_layer_kind kind);    /* "MaryConv" */
const char *mary_layer_integer_op(mary_layer_kind kind); /* "MaryQLinearConv"; "" for ConvTranspose */
/* The kind of an ai.mary node with integer activations (MaryQLinearConv ...), or MARY_LAYER_NONE. */
mary_layer_kind mary_layer_kind_of_integer(const Onnx__NodeProto *node);

/* How a weight tensor is read as rows (docs/operators.md): a row is one output channel.
 *   Conv           [O, I/group, kernel...]    row o, as stored
 *   ConvTranspose  [I, O/group, kernel...]    row g*(O/group) + o, position [i within the group][tap]
 *   Gemm, MatMul   [K, N], or [N, K] with transB: row n */
typedef struct mary_layout_rows {
    mary_layer_kind kind;
    mary_shape shape; /* of the weight tensor of the float node */
    int64_t group;    /* ConvTranspose; else 1 */
    bool as_stored;   /* rows are contiguous in the tensor */
    int64_t rows, row_length;
} mary_layout_rows;

/* For a float node with weights of this shape. MARY_ERROR_UNSUPPORTED (with the reason as message) when they cannot be
 * read as rows, MARY_ERROR_INVALID for attributes of the wrong type. */
mary_status mary_layout_rows_of(const Onnx__NodeProto *node, mary_layer_kind kind, const mary_shape *shape,
                                mary_layout_rows *rows);
bool mary_layout_rows_equal(const mary_layout_rows *a, const mary_layout_rows *b);
/* tensor (row-major, layout->shape) to matrix [rows, row_length], and back. */
void mary_layout_to_rows(const mary_layout_rows *layout, const float *tensor, float *matrix);
void mary_layout_from_rows(const mary_layout_rows *layout, const float *matrix, float *tensor);

#endif
