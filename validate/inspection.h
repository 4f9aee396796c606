/* What is in a model, without running it. */
#ifndef MARY_VALIDATE_INSPECTION_H
#define MARY_VALIDATE_INSPECTION_H

#include <jansson.h>

#include "onnx/edit.h"
#include "validate/opened.h"

/* One node with weights: a layer of ai.mary, or a Conv, ConvTranspose, Gemm or MatMul with a constant weight. */
typedef struct mary_inspected_layer {
    const Onnx__NodeProto *node;
    mary_shape shape;
    int64_t weights, bytes;
    int bits, levels; /* 0: float */
    bool shared_levels;
    mary_type type;
    bool repeated; /* its weight was counted with an earlier layer */
} mary_inspected_layer;

/* How many nodes have this operator. */
typedef struct mary_inspected_op {
    const char *domain, *type;
    size_t count;
} mary_inspected_op;

typedef struct mary_inspection {
    const char *path;
    mary_model *model;
    mary_graph_index *index;
    uint64_t file_bytes, tensor_bytes;
    mary_inspected_layer *layers; /* in the order of the graph */
    size_t count, capacity;
    mary_inspected_op *ops; /* the most frequent first */
    size_t op_count;
    uint64_t weights, weight_bytes;
    mary_pack_report *packing; /* NULL: the file is not packed */
} mary_inspection;

/* Zeroes *inspection first; to be closed on failure, too. */
mary_status mary_inspection_open(mary_inspection *inspection, const mary_model_source *source);
void mary_inspection_close(mary_inspection *inspection);

double mary_inspection_bits_per_weight(const mary_inspection *inspection);
/* "float[N,3,224,224]" of a graph input or output, into `text`, which is returned. */
char *mary_inspection_value(const Onnx__ValueInfoProto *info, char *text, size_t size);
/* NULL when memory ran out. */
json_t *mary_inspection_json(const mary_inspection *inspection);

#endif
