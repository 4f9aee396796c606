/* What calibration makes of a coded layer without touching its codes: levels and biases with which its outputs have the
 * means and the spread that they have in the float network. */
#ifndef MARY_CONVERT_CORRECT_H
#define MARY_CONVERT_CORRECT_H

#include "convert/calibrate/in_order.h"
#include "convert/conversion.h"

/* Scales the levels of layer `position` and sets c->shifts[position]; `order` has the result for what comes after. */
mary_status mary_conversion_correct(mary_conversion *c, const mary_graph_index *index, size_t position,
                                    const mary_output_match *match, mary_in_order *order, mary_quantized *quantized);

#endif
