/* Topological order. */
#ifndef MARY_ONNX_SORT_H
#define MARY_ONNX_SORT_H

#include "onnx/model.h"

/* Puts the nodes of one graph (not of its subgraphs) into an order in which producers come first. Nodes that are in
 * order already do not move. A cycle is MARY_ERROR_INVALID and names a node of it. */
mary_status mary_nodes_sort(Onnx__NodeProto **nodes, size_t count);

#endif
