/* Ranges of activations: which interval of real numbers the 256 steps of a u8 tensor cover. */
#ifndef MARY_CONVERT_CALIBRATE_RANGE_H
#define MARY_CONVERT_CALIBRATE_RANGE_H

#include "convert/calibrate/histogram.h"

/* low <= 0 <= high, so that zero (padding, ReLU) is exact. */
typedef struct mary_range {
    double low, high;
} mary_range;

/* x = (q - zero_point) * scale */
typedef struct mary_u8_step {
    float scale;
    uint8_t zero_point;
} mary_u8_step;

typedef struct mary_range_method {
    const char *name;    /* as the command line spells it */
    const char *summary; /* one line */
    /* `histogram` has values other than zero. */
    mary_range (*choose)(const mary_histogram *histogram);
} mary_range_method;

/* NULL: no such method; NULL past the end. */
const mary_range_method *mary_range_method_find(const char *name);
const mary_range_method *mary_range_method_at(size_t index);

/* The method's range, widened to hold zero; {0, 0} when every value was zero or there were none. */
mary_range mary_range_choose(const mary_range_method *method, const mary_histogram *histogram);
/* Scale and zero point of a range; a range without extent gives scale 1, zero point 0. */
mary_u8_step mary_range_step(mary_range range);
/* Mean squared difference that rounding and clipping to `range` makes, over all values of the histogram. */
double mary_range_error(const mary_histogram *histogram, mary_range range);

/* ---- the methods ---- */
mary_range mary_range_min_max(const mary_histogram *histogram);
mary_range mary_range_percentile(const mary_histogram *histogram);
mary_range mary_range_mse(const mary_histogram *histogram);
mary_range mary_range_entropy(const mary_histogram *histogram);

#endif
