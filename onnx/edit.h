/* Editing ONNX messages in place. Everything here allocates with mary_proto_allocator, so that an edited message is
 * freed like an unpacked one. Functions that take a message over do so on success only. */
#ifndef MARY_ONNX_EDIT_H
#define MARY_ONNX_EDIT_H

#include "onnx/model.h"

/* Replaces *field (a protobuf-c string field) by a copy of `text`. Fields that still hold protobuf-c's shared empty
 * string are handled. */
mary_status mary_edit_string(char **field, const char *text);

/* ---- nodes ---- */
/* A node with copies of everything; not yet in a graph. */
mary_status mary_node_create(const char *domain, const char *op_type, const char *name, const char *const *inputs,
                             size_t input_count, const char *const *outputs, size_t output_count,
                             Onnx__NodeProto **node);
void mary_node_free(Onnx__NodeProto *node);
mary_status mary_node_set_int(Onnx__NodeProto *node, const char *name, int64_t value); /* replaces or adds */
mary_status mary_node_set_float(Onnx__NodeProto *node, const char *name, float value);
mary_status mary_node_set_string(Onnx__NodeProto *node, const char *name, const char *value);
mary_status mary_node_set_ints(Onnx__NodeProto *node, const char *name, const int64_t *values, size_t count);
mary_status mary_node_set_floats(Onnx__NodeProto *node, const char *name, const float *values, size_t count);
mary_status mary_node_set_tensor(Onnx__NodeProto *node, const char *name, Onnx__TensorProto *value); /* takes over */
mary_status mary_node_set_graph(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *value);   /* takes over */
/* An attribute whose value is the function's attribute `reference` (inside function bodies). */
mary_status mary_node_set_reference(Onnx__NodeProto *node, const char *name, const char *reference,
                                    Onnx__AttributeProto__AttributeType type);
mary_status mary_node_copy_attribute(Onnx__NodeProto *node, const Onnx__AttributeProto *attribute);
void mary_node_remove_attribute(Onnx__NodeProto *node, const char *name);               /* absent: no change */
mary_status mary_node_set_input(Onnx__NodeProto *node, size_t index, const char *name); /* grows with "" as needed */

/* ---- graphs ---- */
mary_status mary_graph_insert_node(Onnx__GraphProto *graph, size_t position, Onnx__NodeProto *node); /* takes over */
void mary_graph_remove_node(Onnx__GraphProto *graph, size_t position);
mary_status mary_graph_add_initializer(Onnx__GraphProto *graph, Onnx__TensorProto *tensor); /* takes over */
void mary_graph_remove_initializer(Onnx__GraphProto *graph, size_t position);
/* For a look or two; mary_graph_initializer has an index. */
bool mary_graph_has_initializer(const Onnx__GraphProto *graph, const char *name);
void mary_graph_remove_input(Onnx__GraphProto *graph, size_t position);
void mary_graph_remove_value_info(Onnx__GraphProto *graph, size_t position);
/* Adds or replaces the value_info of `name`; a dim of -1 is written as unknown. */
mary_status mary_graph_set_value_info(Onnx__GraphProto *graph, const char *name, mary_type type,
                                      const mary_shape *shape);
/* The same message by itself, for inputs and outputs; shape NULL or of rank -1: nothing is known of it. */
mary_status mary_value_info_create(const char *name, mary_type type, const mary_shape *shape,
                                   Onnx__ValueInfoProto **info);
/* Every use of `from` (node inputs, subgraphs' outer-scope references, graph outputs) now reads `to`. */
mary_status mary_graph_rename_uses(Onnx__GraphProto *graph, const char *from, const char *to);
mary_status mary_model_add_function(mary_model *model, Onnx__FunctionProto *function); /* takes over */

/* ---- looking things up: who makes and who uses a value; built once, rebuilt after edits ---- */
typedef struct mary_graph_index mary_graph_index;
mary_status mary_graph_index_create(const Onnx__GraphProto *graph, mary_graph_index **index);
void mary_graph_index_free(mary_graph_index **index);
/* Position in graph->node of the producer; -1: none (a graph input, an initializer or unknown). */
ptrdiff_t mary_graph_producer(const mary_graph_index *index, const char *value);
/* Number of uses: node inputs, references from subgraphs, and graph outputs each count one. */
size_t mary_graph_use_count(const mary_graph_index *index, const char *value);
/* Positions in graph->node of the nodes that use it (a node that uses it twice is listed once); subgraph uses count
 * for the node that holds the subgraph. */
const size_t *mary_graph_consumers(const mary_graph_index *index, const char *value, size_t *count);
/* Position in graph->initializer; -1: none. */
ptrdiff_t mary_graph_initializer(const mary_graph_index *index, const char *value);
bool mary_graph_is_output(const mary_graph_index *index, const char *value);
bool mary_graph_is_input(const mary_graph_index *index, const char *value);
/* "stem", "stem_1", ...: a name that no value or node of the graph (subgraphs too) has; caller frees with mary_free.
 * Names given out are remembered. */
char *mary_graph_unique_name(mary_graph_index *index, const char *stem);

#endif
