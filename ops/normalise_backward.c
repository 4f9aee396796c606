/* With r = 1 / sqrt(variance + epsilon), z = (x - mean) r, n elements, and c = 1/n (0 when the mean is left in):
 *
 *   dz_j / dx_i     = r A_j           A_j = d_ij - c - z_i z_j / n
 *   d2z_j / dx_i2   = -r^2 / n (2 z_i A_j + A_i z_j)
 *
 * Everything below is these two, multiplied by scale and summed over j.
 */
#include "ops/normalise_backward.h"

#include <math.h>

typedef struct sums {
    double plain, times_z, squared, squared_z, squared_zz; /* of g s; of g s z; of h s^2, h s^2 z, h s^2 z^2 */
} sums;

static double scale_of(const mary_normalised *g, int64_t i)
{
    return g->scale != NULL ? (double)g->scale[i * g->scale_step] : 1;
}

void mary_normalise_backward(const mary_normalised *g)
{
    const double n = (double)g->outer * (double)g->inner, c = g->centred ? 1 / n : 0;
    double mean = 0, variance = 0;
    sums s = {0};
    for (int64_t o = 0; g->centred && o < g->outer; o++) {
        for (int64_t i = 0; i < g->inner; i++)
            mean += (double)g->x[o * g->outer_step + i * g->inner_step];
    }
    mean /= n;
    for (int64_t o = 0; o < g->outer; o++) {
        for (int64_t i = 0; i < g->inner; i++) {
            const double d = (double)g->x[o * g->outer_step + i * g->inner_step] - mean;
            variance += d * d;
        }
    }
    const double r = 1 / sqrt(variance / n + g->epsilon);
    const bool second = g->firsts != NULL;
    for (int64_t o = 0; o < g->outer; o++) {
        for (int64_t i = 0; i < g->inner; i++) {
            const int64_t at = o * g->outer_step + i * g->inner_step;
            const double z = ((double)g->x[at] - mean) * r, scale = scale_of(g, i), dy = (double)g->dy[at];
            const double first = (second ? (double)g->firsts[at] : dy) * scale, h = dy * scale * scale;
            s.plain += first;
            s.times_z += first * z;
            s.squared += h;
            s.squared_z += h * z;
            s.squared_zz += h * z * z;
            if (g->dscale != NULL)
                g->dscale[i * g->scale_step] += second ? dy * z * z : dy * z;
            if (g->dshift != NULL)
                g->dshift[i * g->scale_step] += dy;
        }
    }
    for (int64_t o = 0; g->dx != NULL && o < g->outer; o++) {
        for (int64_t i = 0; i < g->inner; i++) {
            const int64_t at = o * g->outer_step + i * g->inner_step;
            const double z = ((double)g->x[at] - mean) * r, scale = scale_of(g, i), dy = (double)g->dy[at];
            double result;
            if (!second) {
                result = r * (dy * scale - c * s.plain - z * s.times_z / n);
            } else {
                const double own = 1 - c - z * z / n, h = dy * scale * scale, first = (double)g->firsts[at] * scale;
                const double all = c * c * s.squared + 2 * c * z / n * s.squared_z + z * z / (n * n) * s.squared_zz;
                const double others = all - h * (1 - own) * (1 - own);
                const double passed = first - c * s.plain - z * s.times_z / n;
                result = r * r * (others + h * own * own - (2 * z * passed + own * s.times_z) / n);
            }
            g->dx[at] = (g->accumulate ? g->dx[at] : 0.0f) + (float)result;
        }
    }
}
