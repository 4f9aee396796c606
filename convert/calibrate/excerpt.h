/* The part of a graph that some of its values need, as a model of its own. */
#ifndef MARY_CONVERT_CALIBRATE_EXCERPT_H
#define MARY_CONVERT_CALIBRATE_EXCERPT_H

#include "onnx/edit.h"

/* A copy of `model` with the nodes and initializers that `values` depend on, and these as outputs, in this order; all
 * inputs stay. Every value is made by a node. */
mary_status mary_model_excerpt(const mary_model *model, const char *const *values, size_t count, mary_model **excerpt);

#endif
