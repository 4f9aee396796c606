/* Biases that make up for what coding does to the mean of a layer's output. */
#ifndef MARY_CONVERT_BIAS_H
#define MARY_CONVERT_BIAS_H

#include "convert/choose.h"

/* Whether a number for each row can be added to the layer's bias: it has none and its operator takes one, or it is a
 * constant with one value for each row. */
bool mary_bias_can_shift(const mary_model *model, const mary_graph_index *index, const mary_layer *layer);
/* The layer's bias, [rows], the caller's to free; NULL when it has none. For layers whose bias can be shifted. */
mary_status mary_bias_values(const mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                             float **values);
/* Adds shift[rows]: `node`, the layer's or the same one in a copy of the graph, gets a bias of its own. `index` is the
 * graph's, or the one of the graph that was copied. */
mary_status mary_bias_shift(mary_model *model, mary_graph_index *index, const mary_layer *layer, Onnx__NodeProto *node,
                            const float *shift);

#endif
