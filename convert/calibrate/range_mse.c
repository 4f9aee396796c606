/* The range with the least squared error. Both ends shrink from the extremes, one at a time, until neither moves. */
#include <math.h>

#include "convert/calibrate/range.h"

enum { CANDIDATES = 48, ROUNDS = 3 };
#define SMALLEST 0.1 /* part of the extreme that an end shrinks to at most */

mary_range mary_range_mse(const mary_histogram *histogram)
{
    const mary_range full = {fmin(histogram->least, 0), fmax(histogram->most, 0)};
    mary_range best = full;
    double least = mary_range_error(histogram, best);
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
                double error = mary_range_error(histogram, range);
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
