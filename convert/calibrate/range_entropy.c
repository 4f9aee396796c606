/* The range whose rounded distribution is closest to the real one in the sense of Kullback and Leibler (S. Migacz,
 * 8-bit inference with TensorRT, GTC 2017), for ranges that need not be symmetric: both ends shrink by one factor. */
#include <math.h>

#include "convert/calibrate/range.h"

enum { CANDIDATES = 64, STEPS = 256 };
#define SMALLEST 0.2

/* Divergence of the distribution clipped to bins [first, last] from the same spread evenly inside each of 256 steps.
 * Zeros are exact in any range and are left out. */
static double divergence(const mary_histogram *histogram, int first, int last)
{
    const uint64_t *bins = histogram->bins;
    double below = 0, above = 0, total = 0, result = 0;
    for (int b = 0; b < 2 * MARY_HISTOGRAM_SIDE; b++) {
        total += (double)bins[b];
        below += b < first ? (double)bins[b] : 0;
        above += b > last ? (double)bins[b] : 0;
    }
    double inside = total - below - above, width = (double)(last - first + 1) / STEPS;
    if (inside <= 0)
        return INFINITY;
    for (int step = 0, b = first; step < STEPS && b <= last; step++) {
        int end = step == STEPS - 1 ? last + 1 : first + (int)floor((step + 1) * width);
        double mass = 0;
        int used = 0;
        for (int i = b; i < end; i++) {
            mass += (double)bins[i];
            used += bins[i] > 0 || (i == first && below > 0) || (i == last && above > 0);
        }
        for (int i = b; i < end; i++) {
            double real = (double)bins[i] + (i == first ? below : 0) + (i == last ? above : 0);
            if (real <= 0)
                continue;
            double spread = fmax(mass / used, 1e-3); /* nothing is impossible: an edge may hold clipped values only */
            result += real / total * log(real / total / (spread / inside));
        }
        b = end;
    }
    return result;
}

mary_range mary_range_entropy(const mary_histogram *histogram)
{
    double width = ldexp(1, histogram->exponent), least = INFINITY;
    double low = fmin(histogram->least, 0), high = fmax(histogram->most, 0);
    mary_range best = {low, high};
    for (int i = CANDIDATES; i >= 1; i--) {
        double part = SMALLEST + (1 - SMALLEST) * i / CANDIDATES;
        int first = MARY_HISTOGRAM_SIDE + (int)floor(low * part / width),
            last = MARY_HISTOGRAM_SIDE + (int)ceil(high * part / width) - 1;
        first = first < 0 ? 0 : first;
        last = last >= 2 * MARY_HISTOGRAM_SIDE ? 2 * MARY_HISTOGRAM_SIDE - 1 : last;
        if (last - first + 1 < STEPS)
            break;
        double distance = divergence(histogram, first, last);
        if (distance < least) {
            least = distance;
            best = (mary_range){low * part, high * part};
        }
    }
    return best;
}
