/* What calibration remembers of one tensor: counts in bins of one width, extremes, moments. The size does not depend on
 * how many values were seen. */
#ifndef MARY_CONVERT_CALIBRATE_HISTOGRAM_H
#define MARY_CONVERT_CALIBRATE_HISTOGRAM_H

#include "onnx/memory.h"
#include "onnx/status.h"

enum { MARY_HISTOGRAM_SIDE = 8192 }; /* bins on either side of zero */

/* Bin b >= 0 of `bins[MARY_HISTOGRAM_SIDE + b]` counts values in [b, b+1) * 2^exponent, b < 0 likewise. Widths are
 * powers of two and edges multiples of them, so widening merges pairs of bins exactly: what is stored depends on the
 * values, not on their order. */
typedef struct mary_histogram {
    uint64_t *bins; /* [2 * MARY_HISTOGRAM_SIDE]; NULL until the first value that is not zero */
    int exponent;
    uint64_t count; /* finite values, zeros included */
    uint64_t zeros;
    uint64_t skipped; /* NaN and infinite ones */
    double sum, square;
    float least, most; /* valid when count > 0 */
} mary_histogram;

void mary_histogram_free(mary_histogram *histogram);
/* Starts from a zeroed struct. Fails only for want of memory. */
mary_status mary_histogram_add(mary_histogram *histogram, const float *values, int64_t count);
/* Adds all of `other`. */
mary_status mary_histogram_merge(mary_histogram *histogram, const mary_histogram *other);
/* Centre of bin index 0 <= b < 2 * MARY_HISTOGRAM_SIDE. */
double mary_histogram_centre(const mary_histogram *histogram, int bin);

#endif
