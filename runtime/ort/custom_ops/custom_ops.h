/* The custom operators of libmary_ort.so: each is one of mary's operators (ops/op.h) as ONNX Runtime sees it. */
#ifndef MARY_RUNTIME_ORT_CUSTOM_OPS_H
#define MARY_RUNTIME_ORT_CUSTOM_OPS_H

#include "runtime/ort/ort.h"

/* The oldest API that has all that is used here: 1.17 brought KernelContext_ParallelFor and the versions of an
 * operator. */
enum { MARY_ORT_API = 17 };

enum { MARY_ORT_MOST_INPUTS = 10, MARY_ORT_MOST_ATTRIBUTES = 12 };

typedef enum mary_ort_attribute_kind {
    MARY_ORT_INT = 1,
    MARY_ORT_INTS,
    MARY_ORT_FLOAT,
    MARY_ORT_STRING
} mary_ort_attribute_kind;

/* An operator of docs/operators.md; ONNX Runtime's view of it has its inputs' types, mary's table the rest. */
typedef struct mary_ort_definition {
    const char *type;
    int inputs, required;
    /* Of each input; MARY_UNDEFINED stands for the operator's float type. */
    mary_type input_types[MARY_ORT_MOST_INPUTS];
    mary_type output_type;
    bool wins; /* faster than the function body that ONNX Runtime runs instead: docs/onnxruntime.md has the figures */
    struct {
        const char *name;
        mary_ort_attribute_kind kind;
    } attributes[MARY_ORT_MOST_ATTRIBUTES]; /* ends at name NULL */
} mary_ort_definition;

/* One kernel for ONNX Runtime: a definition with its float type filled in. */
typedef struct mary_ort_operator {
    OrtCustomOp base; /* first: callbacks are handed a pointer to it */
    const mary_ort_definition *definition;
    mary_type type; /* what MARY_UNDEFINED stands for */
} mary_ort_operator;

/* Definitions by number; NULL behind the last. */
const mary_ort_definition *mary_ort_definition_at(int index);
int mary_ort_definition_index(const mary_ort_definition *definition);
/* *count operators: every definition with every type that it has. They live as long as the process. */
mary_ort_operator *mary_ort_operators(size_t *count);

/* ---- node.c ---- */
/* The node that ONNX Runtime describes in `info`, attributes included; freed with mary_node_free. */
mary_status mary_ort_node_create(const OrtApi *api, const OrtKernelInfo *info, const mary_ort_definition *definition,
                                 Onnx__NodeProto **node);

/* ---- expand.c ---- */
/* Does a node whose float type is `type` run as an ordinary product? Its operator's prepare has been there. */
bool mary_ort_is_expanded(const mary_op_node *node, mary_type type);
/* b := the weights that codes and levels stand for, [rows, row_length], float or double; its data is freed with
 * mary_free. Checks both; NULL: not constant, an error. */
mary_status mary_ort_expand(const mary_op_node *node, const mary_tensor *codes, const mary_tensor *levels,
                            mary_type type, mary_tensor *b);
/* In new memory; the old is freed. On failure nothing has changed. */
mary_status mary_ort_transpose_doubles(mary_tensor *b);

/* ---- packed.c ---- */
/* MaryPacked: a model, not one of mary's operators. */
extern const OrtCustomOp mary_ort_packed;

/* ---- kernel.c ---- */
OrtStatus *mary_ort_kernel_create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel);
OrtStatus *mary_ort_kernel_compute(void *kernel, OrtKernelContext *context);
void mary_ort_kernel_destroy(void *kernel);

#endif
