/* Levels and codes for one layer: which of the ways of coding it pays. */
#ifndef MARY_CONVERT_LEVELS_H
#define MARY_CONVERT_LEVELS_H

#include "convert/choose.h"
#include "convert/quantize/tensor.h"

/* What calibration found out about one layer for a method that asks for it, and what is handed back to it. Pointers may
 * be NULL: not measured, not wanted. */
typedef struct mary_measured {
    const mary_feedback *feedback;
    const mary_second_moment *moment; /* finished */
    float *coded;                     /* out, [rows, row_length]: the weights that the codes stand for */
    float *shift; /* out, [rows]: what makes up for their mean error, to be added to the sum of a row */
} mary_measured;

/* Do codes alone take fewer bytes than the float weights? */
bool mary_layer_pays_for_codes(const mary_layer *layer);
/* `feedback` is the layer as calibration saw it, or NULL. Quantises `matrix` ([rows, row_length], finite) as the
 * layer's settings ask. When no coding pays, layer->reason says so and `quantized` is left empty; when it is done
 * another way than asked, layer->note says how. */
mary_status mary_layer_quantize(mary_layer *layer, const float *matrix, const mary_feedback *feedback, int threads,
                                uint64_t seed, mary_quantized *quantized);

#endif
