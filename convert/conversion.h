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

/* Gives every layer levels and codes: those whose method needs no calibration first, then the others in the order of
 * the graph. Fills payloads, shifts and done. */
mary_status mary_conversion_code(mary_conversion *c);

#endif
