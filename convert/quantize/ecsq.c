/* The method "ecsq": lambda rises, from k-means, until what was asked for is met.
 *
 * With a bound on the entropy, from M levels to the first lambda at which the codes have no more bits per weight.
 * Without one, from more than M levels to the first lambda at which no more than M survive. Every lambda starts from
 * where the one before ended.
 *
 * Where weights lie evenly, cells do not shrink one by one as lambda rises: the largest swallows its neighbours all at
 * once, and the entropy falls from far above the bound to far below it. Cells that are not the least cost at any lambda
 * have to be looked for otherwise. */
#include "convert/quantize/ecsq.h"

#include <math.h>
#include <string.h>

#include "convert/quantize/cells.h"
#include "convert/quantize/dead_zone.h"
#include "convert/quantize/kmeans.h"
#include "onnx/memory.h"

enum { MOST_STEPS = 64, SWEEP = 400, SURPLUS = 2 };
#define FIRST_LAMBDA 1e-4 /* times the variance; below it hardly anything changes */
#define RISE         1.1
#define HARDLY       1e-5 /* part by which the objective has to fall for another step */

static double weight_of(const mary_ecsq *s, int64_t i)
{
    return s->scale > 0 && s->input->importance != NULL ? s->scale * (double)s->input->importance[i] : 1.0;
}

/* D, H and -log2 p; cells without members are dropped. `cells` is of the present codes. */
static void measure(mary_ecsq *s, const mary_cells *cells)
{
    double total = (double)s->input->count;
    uint8_t number[256] = {0};
    int kept = 0;
    s->entropy = s->distortion = 0;
    for (int m = 0; m < s->count; m++) {
        number[m] = (uint8_t)kept;
        if (cells->members[m] == 0)
            continue;
        s->levels[kept] = s->levels[m];
        s->bits[kept] = -log2((double)cells->members[m] / total);
        s->entropy += s->bits[kept] * (double)cells->members[m] / total;
        kept++;
    }
    s->count = kept;
    for (int64_t i = 0; i < s->input->count; i++) {
        s->codes[i] = number[s->codes[i]];
        double d = (double)s->input->values[i] - s->levels[s->codes[i]];
        s->distortion += weight_of(s, i) * d * d / total;
    }
}

static void count_cells(const mary_ecsq *s, mary_cells *cells)
{
    memset(cells, 0, sizeof *cells);
    for (int64_t i = 0; i < s->input->count; i++)
        mary_cells_add(cells, s->codes[i], s->input, i);
}

static int nearest(const mary_ecsq *s, double value)
{
    int low = 0, high = s->count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (value > 0.5 * (s->levels[middle] + s->levels[middle + 1]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

mary_status mary_ecsq_begin(const mary_quantize_input *input, int count, uint8_t *codes, mary_ecsq *s)
{
    double sum = 0, levels[256];
    mary_cells cells;
    *s = (mary_ecsq){.input = input, .codes = codes};
    for (int64_t i = 0; input->importance != NULL && i < input->count; i++)
        sum += (double)input->importance[i];
    s->scale = sum > 0 ? (double)input->count / sum : 0;
    MARY_TRY(mary_quantize_kmeans(input, count, levels));
    for (int m = 0; m < count; m++) {
        if (m == 0 || levels[m] > levels[m - 1])
            s->levels[s->count++] = levels[m];
    }
    for (int64_t i = 0; i < input->count; i++)
        codes[i] = (uint8_t)nearest(s, (double)input->values[i]);
    count_cells(s, &cells);
    measure(s, &cells);
    return MARY_OK;
}

/* From the nearest level outwards, as long as the error alone does not exceed the best cost. */
static int cheapest(const mary_ecsq *s, double value, double weight, double lambda)
{
    int start = nearest(s, value), best = start;
    double d = value - s->levels[start], least = weight * d * d + lambda * s->bits[start];
    for (int direction = -1; direction <= 1; direction += 2) {
        for (int m = start + direction; m >= 0 && m < s->count; m += direction) {
            d = value - s->levels[m];
            double error = weight * d * d, cost = error + lambda * s->bits[m];
            if (error > least)
                break;
            if (cost < least) {
                least = cost;
                best = m;
            }
        }
    }
    return best;
}

void mary_ecsq_assign(mary_ecsq *s, double lambda)
{
    mary_cells cells;
    for (int64_t i = 0; i < s->input->count; i++)
        s->codes[i] = (uint8_t)cheapest(s, (double)s->input->values[i], weight_of(s, i), lambda);
    count_cells(s, &cells);
    measure(s, &cells);
}

/* Weighted means of cells that overlap need not ascend: levels are put in order again, and codes follow. */
void mary_ecsq_update(mary_ecsq *s)
{
    mary_cells cells;
    int order[256];
    uint8_t place[256];
    double levels[256];
    count_cells(s, &cells);
    for (int m = 0; m < s->count; m++) {
        levels[m] = mary_cells_mean(&cells, m);
        int at = m;
        for (; at > 0 && levels[order[at - 1]] > levels[m]; at--)
            order[at] = order[at - 1];
        order[at] = m;
    }
    for (int m = 0; m < s->count; m++) {
        s->levels[m] = levels[order[m]];
        place[order[m]] = (uint8_t)m;
    }
    for (int64_t i = 0; i < s->input->count; i++)
        s->codes[i] = place[s->codes[i]];
    count_cells(s, &cells);
    measure(s, &cells);
}

void mary_ecsq_converge(mary_ecsq *s, double lambda)
{
    double before = INFINITY;
    for (int step = 0; step < MOST_STEPS; step++) {
        mary_ecsq_assign(s, lambda);
        mary_ecsq_update(s);
        double now = s->distortion + lambda * s->entropy;
        if (!(now < before * (1 - HARDLY)))
            break;
        before = now;
    }
}

/* Weighted variance, as the distortion sees it. */
static double spread(const mary_ecsq *s)
{
    double mean = 0, square = 0, total = (double)s->input->count;
    for (int64_t i = 0; i < s->input->count; i++)
        mean += weight_of(s, i) * (double)s->input->values[i] / total;
    for (int64_t i = 0; i < s->input->count; i++) {
        double d = (double)s->input->values[i] - mean;
        square += weight_of(s, i) * d * d / total;
    }
    return square;
}

/* `steps`: of lambda. */
static mary_status sweep(const mary_quantize_input *input, int start, int count, uint8_t *codes, mary_ecsq *s,
                         int *steps)
{
    const bool bounded = input->entropy > 0;
    MARY_TRY(mary_ecsq_begin(input, start, codes, s));
    double lambda = FIRST_LAMBDA * spread(s);
    for (*steps = 0; *steps < SWEEP && lambda > 0 && (bounded ? s->entropy > input->entropy : s->count > count);
         ++*steps) {
        mary_ecsq_converge(s, lambda);
        lambda *= RISE;
    }
    return MARY_OK;
}

/* Equal steps around a dead zone, if they have less error within the bound. */
static mary_status try_dead_zone(const mary_quantize_input *input, int count, mary_ecsq *s)
{
    mary_dead_zone other;
    uint8_t *codes = mary_alloc((size_t)input->count);
    if (codes == NULL)
        return mary_fail_memory((size_t)input->count);
    mary_status status = mary_dead_zone_search(input, count, codes, &other);
    if (status == MARY_OK && other.count > 0 && other.distortion < s->distortion) {
        s->count = other.count;
        s->distortion = other.distortion;
        s->entropy = other.entropy;
        memcpy(s->levels, other.levels, sizeof other.levels);
        memcpy(s->codes, codes, (size_t)input->count);
    }
    mary_free(codes);
    return status;
}

mary_status mary_quantize_ecsq(const mary_quantize_input *input, int count, double *levels, uint8_t *codes)
{
    mary_ecsq s;
    bool bounded = input->entropy > 0;
    int start = bounded ? count : count * SURPLUS < 256 ? count * SURPLUS : 256, steps;
    MARY_TRY(sweep(input, start, count, codes, &s, &steps));
    if (bounded && steps > 0)
        MARY_TRY(try_dead_zone(input, count, &s));
    if (s.count > count) /* not reached: no lambda of the sweep merges these cells */
        MARY_TRY(mary_ecsq_begin(input, count, codes, &s));
    for (int m = 0; m < count; m++)
        levels[m] = s.levels[m < s.count ? m : s.count - 1];
    return MARY_OK;
}
