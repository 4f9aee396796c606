/* The range with the least squared error. Both ends shrink from the extremes, one at a time, until neither moves. */
#include <math.h>

#include "convert/calibrate/range.h"

enum { CANDIDATES = 48, ROUNDS = 3 };
#define SMALLEST 0.1 /* part of the extreme that an end shrinks to at most */

/* The bins that hold something. */
typedef struct filled_bins {
    int count;
    double values[2 * MARY_HISTOGRAM_SIDE], weights[2 * MARY_HISTOGRAM_SIDE];
} filled_bins;

/* Sum of squared errors, as in mary_range_error. */
static double error_of(const filled_bins *bins, mary_range range)
{
    mary_u8_step step = mary_range_step(range);
    double error = 0, inverse = 1.0 / step.scale, low = -(double)step.zero_point, high = 255 + low;
    for (int i = 0; i < bins->count; i++) {
        double rounded = fmin(fmax(nearbyint(bins->values[i] * inverse), low), high);
        double difference = bins->values[i] - rounded * step.scale;
        error += difference * difference * bins->weights[i];
    }
    return error;
}

mary_range mary_range_mse(const mary_histogram *histogram)
{
    filled_bins bins; /* 256 KiB */
    bins.count = 0;
    for (int b = 0; b < 2 * MARY_HISTOGRAM_SIDE; b++) {
        if (histogram->bins[b] == 0)
            continue;
        bins.values[bins.count] = mary_histogram_centre(histogram, b);
        bins.weights[bins.count++] = (double)histogram->bins[b];
    }
    const mary_range full = {fmin(histogram->least, 0), fmax(histogram->most, 0)};
    mary_range best = full;
    double least = error_of(&bins, best);
    for (int round = 0; round < ROUNDS; round++) {
        bool moved = false;
        for (int end = 0; end < 2; end++) {
            if ((end == 0 ? full.low : full.high) == 0)
                continue;
            mary_range base = best;
            for (int i = 0; i < CANDIDATES; i++) {
                double part = SMALLEST + (1 - SMALLEST) * (i + 1) / CANDIDATES;
                mary_range range = base;
                if (end == 0)
                    range.low = full.low * part;
                else
                    range.high = full.high * part;
                double error = error_of(&bins, range);
                if (error < least) {
                    least = error;
                    best = range;
                    moved = true;
                }
            }
        }
        if (!moved)
            break;
    }
    return best;
}
