/* From float nodes to ai.mary nodes, and back. */
#ifndef MARY_CONVERT_REWRITE_H
#define MARY_CONVERT_REWRITE_H

#include "convert/choose.h"
#include "convert/quantize/tensor.h"

/* Names of the two initializers that replace a weight. Owned. */
typedef struct mary_payload {
    char *codes, *levels;
} mary_payload;

/* Adds codes uint8 [R, row bytes] and levels [R or 1, 2^bits] of the weight's type to the graph; where `levels_of` is
 * not NULL, its levels are these. */
mary_status mary_payload_add(mary_model *model, mary_graph_index *index, const mary_layer *layer,
                             const mary_quantized *quantized, const mary_payload *levels_of, mary_payload *payload);
void mary_payload_free(mary_payload *payload);
/* Turns the layer's node into its ai.mary operator that reads the payload. */
mary_status mary_layer_rewrite(const mary_layer *layer, const mary_payload *payload, int bits);

#endif
