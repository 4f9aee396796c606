/* A loaded ONNX model: the protobuf messages, where they came from, and the memory that external data maps. */
#ifndef MARY_ONNX_MODEL_H
#define MARY_ONNX_MODEL_H

#include "onnx.pb-c.h"
#include "onnx/memory.h"
#include "onnx/tensor.h"

struct mary_model {
    Onnx__ModelProto *proto; /* allocated by mary_proto_allocator; freely editable through onnx/edit.h */
    char *path;              /* the file's name for messages; "<memory>" when there is none */
    char *directory;         /* external data is looked up here; NULL: refused */
    bool lent;               /* raw_data of the initializers is somebody else's memory: never freed or changed here */
    bool packed;             /* the file was; `proto` is what it stands for */
};

/* protobuf-c allocator over mary_alloc/mary_free: for every message that is unpacked, edited or freed. */
extern ProtobufCAllocator mary_proto_allocator;

/* mary_model_load_memory with a name for messages instead of "<memory>"; NULL: none, the caller adds one. */
mary_status mary_model_load_bytes(const void *bytes, size_t size, const char *name, mary_model **model);

/* mary_model_load = read + unpack (onnx/load.c) then mary_model_check (onnx/check.c). */

/* Structure: IR version, opset imports, ranks, sizes, offsets, names, SSA, topological order (nodes are sorted
 * when they are not), cycles, recursion depth. Gives empty node names a stable synthetic one
 * ("Conv_3": op_type and index) only in messages, never in the file. */
mary_status mary_model_check(mary_model *model);

/* Version of the operator set of `domain` ("" and "ai.onnx" are the same); 0 when it is not imported. */
int64_t mary_model_opset(const mary_model *model, const char *domain);
mary_status mary_model_set_opset(mary_model *model, const char *domain, int64_t version);

/* Rewrites the main graph (and subgraphs and functions) so that it is valid at `opset` (7 <= current < opset),
 * operator by operator; a node that cannot be is MARY_ERROR_UNSUPPORTED and names it, and the model is then good for
 * nothing but mary_model_free. Equal or newer: no change, but functions at an older version are brought to `opset`. */
mary_status mary_model_upgrade(mary_model *model, int64_t opset);

/* Replaces calls of model-local functions by their bodies, recursively, names made unique, except those whose domain
 * is `keep_domain` (NULL: none). Inlined functions are dropped from the model. Recursive functions are refused. */
mary_status mary_model_inline_functions(mary_model *model, const char *keep_domain);

/* Forgets the memory that was lent to the initializers, whose owner may free it then. */
void mary_model_return_lent(mary_model *model);

/* A deep copy; external data stays where it is. */
mary_status mary_model_copy(const mary_model *model, mary_model **copy);

/* ---- tensors in a model ---- */

/* A decoded TensorProto. `data` points into the message's raw_data when `owned` is false (it was there, aligned enough
 * and little-endian as we are), else to memory of our own; external data is mapped or read. */
typedef struct mary_constant {
    mary_tensor tensor;
    bool owned;
} mary_constant;

/* Any encoding (raw_data, typed fields, external data) to a dense tensor of the message's own type. */
mary_status mary_constant_decode(const mary_model *model, const Onnx__TensorProto *message, mary_constant *constant);
void mary_constant_free(mary_constant *constant);
/* Shape and type only; cheap. */
mary_status mary_tensor_describe(const Onnx__TensorProto *message, mary_type *type, mary_shape *shape);
/* Decodes and converts any float type (float16, bfloat16, double; float is copied) to a float array that the
 * caller frees with mary_free. Values that do not fit a float (double) become the nearest one. */
mary_status mary_constant_floats(const mary_model *model, const Onnx__TensorProto *message, float **values,
                                 mary_shape *shape);
/* Fills an empty message: name, dims, type, raw_data copied from the dense tensor. */
mary_status mary_constant_encode(const mary_tensor *tensor, const char *name, Onnx__TensorProto **message);

/* ---- attributes ---- */

/* NULL when the node has none of that name. */
const Onnx__AttributeProto *mary_attribute_find(const Onnx__NodeProto *node, const char *name);
/* These return the value or the default when absent. An attribute of another type than asked is
 * MARY_ERROR_INVALID, naming node and attribute. */
mary_status mary_attribute_int(const Onnx__NodeProto *node, const char *name, int64_t fallback, int64_t *value);
mary_status mary_attribute_float(const Onnx__NodeProto *node, const char *name, float fallback, float *value);
/* *value is a NUL-terminated string that lives as long as the node (mary_model_check terminated the bytes of every
 * string attribute and refused embedded NULs). */
mary_status mary_attribute_string(const Onnx__NodeProto *node, const char *name, const char *fallback,
                                  const char **value);
/* *values points into the message; *count is 0 and *values NULL when absent. */
mary_status mary_attribute_ints(const Onnx__NodeProto *node, const char *name, const int64_t **values, size_t *count);
mary_status mary_attribute_floats(const Onnx__NodeProto *node, const char *name, const float **values, size_t *count);
/* NULL when absent. */
mary_status mary_attribute_tensor(const Onnx__NodeProto *node, const char *name, const Onnx__TensorProto **value);

/* The node's name, or a stable synthetic one for messages ("Conv -> output_name"). Per-thread static buffer. */
const char *mary_node_label(const Onnx__NodeProto *node);

#endif
