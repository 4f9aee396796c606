/* What the steps of mary_convert share. */
#ifndef MARY_CONVERT_CONVERSION_H
#define MARY_CONVERT_CONVERSION_H

#include "convert/declare_shapes.h"
#include "convert/integer/integer.h"
#include "convert/rewrite.h"

/* One conversion. */
typedef struct mary_conversion {
    mary_model *model;
    mary_settings settings;
    mary_original_names names;
    mary_producers producers; /* of the graph as it was given */
    mary_layers layers;
    mary_payload *payloads;  /* [layers.count]; of the first layer of each weight */
    mary_layer_report *done; /* [layers.count] */
    float **shifts;          /* [layers.count]: what is added to a layer's bias, [rows]; NULL: nothing */
    mary_convert_report *report;
    uint64_t weights, weights_done;
    mary_integers integer; /* when activations are integers */
} mary_conversion;

static inline bool mary_conversion_is_integer(const mary_conversion *c, size_t layer)
{
    return c->integer.taken != NULL && c->integer.taken[layer];
}

/* Measures what the weights' errors count, for the layers that ask for it: fills layer->importance. */
mary_status mary_conversion_weigh(mary_conversion *c);

/* The weight of a layer as a matrix of rows, the caller's to free; MARY_ERROR_INVALID naming tensor and place when a
 * value is not finite. */
mary_status mary_conversion_matrix(const mary_conversion *c, const mary_graph_index *index, const mary_layer *layer,
                                   float **matrix);

/* One set of levels for all layers whose granularity is "model" and that have M, method and type in common: fills
 * layer->given. After mary_conversion_weigh. */
mary_status mary_conversion_share_levels(mary_conversion *c, const mary_graph_index *index);

/* Gives every layer levels and codes: those whose method needs no calibration first, then the others in the order of
 * the graph. Fills payloads, shifts and done. */
mary_status mary_conversion_code(mary_conversion *c);

#endif
