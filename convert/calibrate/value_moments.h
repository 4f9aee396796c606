/* Moments of several values of a network, in one pass over the calibration samples. */
#ifndef MARY_CONVERT_CALIBRATE_VALUE_MOMENTS_H
#define MARY_CONVERT_CALIBRATE_VALUE_MOMENTS_H

#include "convert/calibrate/row_moments.h"
#include "onnx/model.h"

/* One value [batch, rows, ...]. */
typedef struct mary_value_moments {
    const char *value; /* NULL: nothing is wanted */
    int64_t rows;
    mary_row_moments moments; /* nothing where the value has another shape */
} mary_value_moments;

/* Fills items[count], whose moments are zeroed; more than one may have the same value. MARY_ERROR_INVALID naming run
 * and node when a value is not finite. */
mary_status mary_value_moments_collect(const mary_model *model, const mary_calibration *calibration, int threads,
                                       mary_value_moments *items, size_t count);
/* Adds one array to an item. */
mary_status mary_value_moments_add(mary_value_moments *item, const mary_array *array, const char *node, int64_t index);

#endif
