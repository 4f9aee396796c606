/* Walking the places where a node reads values, those of its subgraphs that reach outside included. */
#ifndef MARY_ONNX_USES_H
#define MARY_ONNX_USES_H

#include "onnx/model.h"

/* `slot` is the string field that names the value; never empty. A visitor that replaces it (mary_edit_string) may. */
typedef mary_status mary_use_visitor(void *context, char **slot);

/* Every non-empty input of the node, then every name that its subgraphs use and do not define themselves. */
mary_status mary_node_visit_uses(Onnx__NodeProto *node, mary_use_visitor *visit, void *context);

/* Calls `visit` for each subgraph that is an attribute of the node, in order. */
typedef mary_status mary_subgraph_visitor(void *context, Onnx__GraphProto *graph);
mary_status mary_node_visit_subgraphs(Onnx__NodeProto *node, mary_subgraph_visitor *visit, void *context);

#endif
