/* Inside of mary_model_check: one file for what a tensor must be, one for graphs, one for the model. */
#ifndef MARY_ONNX_CHECK_H
#define MARY_ONNX_CHECK_H

#include "onnx/model.h"

/* Rank, dims, type, and as much data as the shape says; `what` names the holder of a tensor without a name. */
mary_status mary_check_tensor(const mary_model *model, const Onnx__TensorProto *tensor, const char *what);

/* The main graph and all that is in it. Sorts the nodes. */
mary_status mary_check_graph(const mary_model *model, Onnx__GraphProto *graph);
mary_status mary_check_function(const mary_model *model, Onnx__FunctionProto *function);

#endif
