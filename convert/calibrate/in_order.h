/* Measuring layers one after the other, each with the inputs that it will have: those that come out of the layers
 * before it when these are coded already. What their errors do to a layer's output becomes the residual that the layer
 * is asked to make up for. */
#ifndef MARY_CONVERT_CALIBRATE_IN_ORDER_H
#define MARY_CONVERT_CALIBRATE_IN_ORDER_H

#include "convert/calibrate/row_moments.h"
#include "convert/calibrate/second_moment.h"

typedef struct mary_in_order mary_in_order;

/* What is to be known of a layer. */
typedef enum mary_in_order_wish {
    MARY_IN_ORDER_NOTHING = 0,
    MARY_IN_ORDER_INPUTS, /* before it is coded: its second moment */
    MARY_IN_ORDER_OUTPUTS /* once it is coded: how its outputs differ */
} mary_in_order_wish;

/* `model` holds the float graph that `layers` point into, neither may change meanwhile but for initializers that are
 * added. wishes[layers->count] says what is to be measured; of layers that share a weight, of the first. */
mary_status mary_in_order_create(const mary_model *model, const mary_layers *layers, const mary_in_order_wish *wishes,
                                 const mary_calibration *calibration, int threads, mary_in_order **order);
void mary_in_order_free(mary_in_order **order);
/* Measures the next layers: those that no wanted layer lies before which was not measured yet. moments[layers->count]
 * or matches[layers->count] is filled for them, in sums that are not finished, the caller's to free; the others are
 * zeroed. *count of them; 0: all are done. */
mary_status mary_in_order_measure(mary_in_order *order, mary_second_moment *moments, mary_output_match *matches,
                                  size_t *count);
/* The layer's weight becomes matrix [rows, row_length] for what is measured next, its bias that of the float graph plus
 * `shift` [rows] (NULL: zeros). */
mary_status mary_in_order_replace(mary_in_order *order, size_t layer, const float *matrix, const float *shift);
/* The float graph with everything replaced so far; it lives as long as `order`. */
const mary_model *mary_in_order_coded(const mary_in_order *order);

#endif
