/* Histograms whose range doubles when a value falls outside. */
#include "convert/calibrate/histogram.h"

#include <math.h>
#include <string.h>

enum { BINS = 2 * MARY_HISTOGRAM_SIDE, LEAST_EXPONENT = -140 };

void mary_histogram_free(mary_histogram *histogram)
{
    mary_free(histogram->bins);
    *histogram = (mary_histogram){0};
}

/* The exponent at which `magnitude` (> 0) falls inside: magnitude < SIDE * 2^exponent. */
static int exponent_for(double magnitude)
{
    int exponent;
    frexp(magnitude, &exponent); /* magnitude < 2^exponent */
    exponent -= 13;
    return exponent < LEAST_EXPONENT ? LEAST_EXPONENT : exponent;
}

_Static_assert(MARY_HISTOGRAM_SIDE == 1 << 13, "exponent_for knows the number of bins");

static void widen(mary_histogram *histogram, int exponent)
{
    for (; histogram->exponent < exponent; histogram->exponent++) {
        uint64_t *up = histogram->bins + MARY_HISTOGRAM_SIDE, *down = up - 1; /* both count outwards from zero */
        for (int b = 0; b < MARY_HISTOGRAM_SIDE / 2; b++) {
            up[b] = up[2 * b] + up[2 * b + 1];
            down[-b] = down[-2 * b] + down[-2 * b - 1];
        }
        memset(up + MARY_HISTOGRAM_SIDE / 2, 0, MARY_HISTOGRAM_SIDE / 2 * sizeof *up);
        memset(histogram->bins, 0, MARY_HISTOGRAM_SIDE / 2 * sizeof *up);
    }
}

/* Room for magnitudes up to `magnitude`. */
static mary_status cover(mary_histogram *histogram, double magnitude)
{
    int exponent = exponent_for(magnitude);
    if (histogram->bins == NULL) {
        histogram->bins = mary_calloc(BINS, sizeof *histogram->bins);
        if (histogram->bins == NULL)
            return mary_fail_memory(BINS * sizeof *histogram->bins);
        histogram->exponent = exponent;
    }
    widen(histogram, exponent);
    return MARY_OK;
}

static void see_extremes(mary_histogram *histogram, float least, float most)
{
    if (histogram->count == 0 || least < histogram->least)
        histogram->least = least;
    if (histogram->count == 0 || most > histogram->most)
        histogram->most = most;
}

mary_status mary_histogram_add(mary_histogram *histogram, const float *values, int64_t count)
{
    float least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    if (least > most) { /* nothing finite */
        histogram->skipped += (uint64_t)count;
        return MARY_OK;
    }
    see_extremes(histogram, least, most);
    double magnitude = fmax(-(double)least, (double)most);
    if (magnitude > 0)
        MARY_TRY(cover(histogram, magnitude));
    double scale = ldexp(1, -histogram->exponent), sum = 0, square = 0;
    uint64_t seen = 0, zeros = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = values[i];
        if (!isfinite(values[i]))
            continue;
        seen++;
        if (value == 0) {
            zeros++;
            continue;
        }
        histogram->bins[MARY_HISTOGRAM_SIDE + (int)floor(value * scale)]++;
        sum += value;
        square += value * value;
    }
    histogram->count += seen;
    histogram->zeros += zeros;
    histogram->skipped += (uint64_t)count - seen;
    histogram->sum += sum;
    histogram->square += square;
    return MARY_OK;
}

mary_status mary_histogram_merge(mary_histogram *histogram, const mary_histogram *other)
{
    if (other->count > 0)
        see_extremes(histogram, other->least, other->most);
    if (other->bins != NULL) {
        MARY_TRY(cover(histogram, fmax(-(double)other->least, (double)other->most)));
        int shift = histogram->exponent - other->exponent;
        if (shift < 0) { /* the other one is coarser than its extremes need: meet it there */
            widen(histogram, other->exponent);
            shift = 0;
        }
        for (int b = 0; b < BINS; b++) {
            int place = b - MARY_HISTOGRAM_SIDE; /* an arithmetic shift rounds down, as floor does */
            if (other->bins[b] > 0)
                histogram->bins[MARY_HISTOGRAM_SIDE + (place >> (shift > 31 ? 31 : shift))] += other->bins[b];
        }
    }
    histogram->count += other->count;
    histogram->zeros += other->zeros;
    histogram->skipped += other->skipped;
    histogram->sum += other->sum;
    histogram->square += other->square;
    return MARY_OK;
}

double mary_histogram_centre(const mary_histogram *histogram, int bin)
{
    return ldexp(bin - MARY_HISTOGRAM_SIDE + 0.5, histogram->exponent);
}
