/* The table of range methods, the two that only count, and what follows from a range. */
#include "convert/calibrate/range.h"

#include <math.h>
#include <string.h>

#define TAIL    1e-4  /* percentile: the part of the values that may be cut off on either side */
#define NOTHING 1e-18 /* a range of less is all zero: its scale would leave the range of float in products */
#define STEPS   255

static const mary_range_method methods[] = {
    {"min-max", "the smallest to the largest value seen", mary_range_min_max},
    {"percentile", "without the outermost 0.01 % of the values on either side", mary_range_percentile},
    {"mse", "least mean squared error of rounding and clipping", mary_range_mse},
    {"entropy", "least Kullback-Leibler divergence from the rounded distribution", mary_range_entropy},
};

const mary_range_method *mary_range_method_at(size_t index)
{
    return index < sizeof methods / sizeof methods[0] ? &methods[index] : NULL;
}

const mary_range_method *mary_range_method_find(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

mary_range mary_range_min_max(const mary_histogram *histogram)
{
    return (mary_range){histogram->least, histogram->most};
}

/* The edge that leaves TAIL of all values further out, walking inwards; `sign` is the side. */
static double tail_edge(const mary_histogram *histogram, int sign)
{
    uint64_t allowed = (uint64_t)(TAIL * (double)histogram->count), outside = 0;
    for (int b = MARY_HISTOGRAM_SIDE - 1; b >= 0; b--) {
        outside += histogram->bins[sign > 0 ? MARY_HISTOGRAM_SIDE + b : MARY_HISTOGRAM_SIDE - 1 - b];
        if (outside > allowed)
            return sign * ldexp(b + 1, histogram->exponent);
    }
    return 0;
}

mary_range mary_range_percentile(const mary_histogram *histogram)
{
    mary_range range = {fmax(tail_edge(histogram, -1), histogram->least),
                        fmin(tail_edge(histogram, 1), histogram->most)};
    if (range.high <= range.low) /* almost everything is zero: what is left is all there is to tell apart */
        return mary_range_min_max(histogram);
    return range;
}

mary_range mary_range_choose(const mary_range_method *method, const mary_histogram *histogram)
{
    if (histogram->bins == NULL)
        return (mary_range){0, 0};
    mary_range range = method->choose(histogram);
    return (mary_range){fmin(range.low, 0), fmax(range.high, 0)};
}

mary_u8_step mary_range_step(mary_range range)
{
    double extent = range.high - range.low;
    if (!(extent > NOTHING))
        return (mary_u8_step){1, 0};
    float scale = (float)(extent / STEPS);
    double zero_point = nearbyint(-range.low / scale);
    return (mary_u8_step){scale, (uint8_t)fmin(fmax(zero_point, 0), STEPS)};
}

double mary_range_error(const mary_histogram *histogram, mary_range range)
{
    if (histogram->bins == NULL || histogram->count == 0)
        return 0;
    mary_u8_step step = mary_range_step(range);
    double error = 0, inverse = 1.0 / step.scale;
    for (int b = 0; b < 2 * MARY_HISTOGRAM_SIDE; b++) {
        if (histogram->bins[b] == 0)
            continue;
        double value = mary_histogram_centre(histogram, b);
        double rounded =
            fmin(fmax(nearbyint(value * inverse), -(double)step.zero_point), (double)(STEPS - step.zero_point));
        double difference = value - rounded * step.scale;
        error += difference * difference * (double)histogram->bins[b];
    }
    return error / (double)histogram->count;
}
