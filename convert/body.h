/* Model-local functions that say what the ai.mary operators mean, in standard operators. */
#ifndef MARY_CONVERT_BODY_H
#define MARY_CONVERT_BODY_H

#include "convert/layer.h"

#define MARY_BODY_OPSET 12 /* the least: Constant with value_ints, whose value an attribute of the call gives */

/* Adds the function of `kind` when the model has none of that name, for the model's own opset (>= MARY_BODY_OPSET).
 * A function of that name with other attributes or inputs is MARY_ERROR_UNSUPPORTED. */
mary_status mary_body_add(mary_model *model, mary_layer_kind kind);

/* The same for MaryQLinearConv, MaryQLinearGemm and MaryQLinearMatMul; the model has opset 13 or newer. */
mary_status mary_body_add_integer(mary_model *model, mary_layer_kind kind);

#endif
