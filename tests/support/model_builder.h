/* Small models for tests. Everything that cannot fail in a correct program is asserted inside. */
#ifndef MARY_TESTS_MODEL_BUILDER_H
#define MARY_TESTS_MODEL_BUILDER_H

#include "onnx/edit.h"
#include "tests/support/suite.h"

/* SHAPE(1, 3, 224, 224); SHAPE() is a scalar; -1 is a dimension without a value. */
#define SHAPE(...) ((mary_shape){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})

/* An empty graph; IR version 8, "ai.onnx" at `opset`. Freed with mary_model_free. */
mary_model *build_model(int64_t opset);
/* A graph by itself, to become a subgraph with mary_node_set_graph. */
Onnx__GraphProto *build_graph(const char *name);

void build_input(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape);
void build_output(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape);
void build_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape, const float *values);
void build_ints(Onnx__GraphProto *graph, const char *name, mary_shape shape, const int64_t *values);
/* An initializer of any type. */
void build_constant(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape, const void *values);

/* Names are separated by commas: build_node(graph, "Clip", "x,,max", "y"). "domain:Type" for another domain. The node
 * has the name of its first output; attributes are added with mary_node_set_*. */
Onnx__NodeProto *build_node(Onnx__GraphProto *graph, const char *op_type, const char *inputs, const char *outputs);
/* The same inside a function. */
Onnx__FunctionProto *build_function(mary_model *model, const char *domain, const char *name, const char *inputs,
                                    const char *outputs, int64_t opset);
Onnx__NodeProto *build_function_node(Onnx__FunctionProto *function, const char *op_type, const char *inputs,
                                     const char *outputs);

/* Serialised; freed with mary_free. */
uint8_t *build_bytes(const mary_model *model, size_t *size);
/* The model as mary_model_load_memory gives it back: checked. */
mary_model *build_reload(mary_model *model);

#endif
