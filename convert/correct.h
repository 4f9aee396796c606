/* What calibration makes of a coded layer without touching its codes: levels and biases with which its outputs have the
 * means and the spread that they have in the float network. */
#ifndef MARY_CONVERT_CORRECT_H
#define MARY_CONVERT_CORRECT_H

#include "convert/calibrate/in_order.h"
#include "convert/conversion.h"

/* What a layer was before. */
typedef struct mary_uncorrected {
    float *levels; /* as mary_quantized's values, the caller's to free; NULL: the layer was not corrected */
    double error;
} mary_uncorrected;

/* Scales the levels of layer `position` and sets c->shifts[position]; `order` has the result for what comes after. */
mary_status mary_conversion_correct(mary_conversion *c, const mary_graph_index *index, size_t position,
                                    const mary_output_match *match, mary_in_order *order, mary_quantized *quantized,
                                    mary_uncorrected *before);
/* Once all layers are coded: takes all corrections back, and says so in the layers' notes, when class scores on
 * calibration data are nearer to the float network's without them. before[], quantized[]: [c->layers.count]. `order` is
 * of no use afterwards. */
mary_status mary_conversion_keep_better(mary_conversion *c, mary_in_order *order, const mary_uncorrected *before,
                                        mary_quantized *quantized);

#endif
