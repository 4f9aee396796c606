/* Exact one-dimensional k-means (Wang & Song 2011; Gronlund et al. 2017): levels and thresholds that are jointly
 * optimal.
 *
 * Over the sorted distinct values, the least cost of putting the first j into k clusters is
 *     D[k][j] = min over i < j of D[k-1][i] + cost(i, j),   cost(i, j) = Q - S^2 / W of the values i..j-1
 * (W: sum of weights, S: of weighted values, Q: of weighted squares). The best i grows with j, so a layer is found by
 * divide and conquer in O(n log n); it grows with k, too, which cuts the search again.
 *
 * A threshold may stand between any two values as long as n * M <= 2^22 (a row of 16,384 values at M = 256, a tensor of
 * a million at M = 4): exact. Beyond, places for thresholds are first a grid (equal counts and equal widths), solved
 * exactly; then places dense at each threshold and ever sparser away from it, solved exactly again, until no threshold
 * moves. That needs the values sorted once and no other array of their length. On 200,000 normal and heavy-tailed
 * values it found the optimum for M = 4 to 256; with half of the places, a cost 2e-4 above it for M = 256.
 *
 * Cancellation: values are taken relative to the median value, and prefix sums start there and run outwards, so that an
 * outlier disturbs no sum but those that contain it. Sums are doubles. */
#include "convert/quantize/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/quantize/sorted.h"

enum { CELLS = 1 << 22, MOST_ROUNDS = 64 };

/* Places where a cluster may begin or end. All arrays [count]; place 0 is before the first value, the last one after
 * the last. */
typedef struct places {
    int64_t count;
    int64_t *position;             /* how many values lie before it */
    double *weight, *sum, *square; /* prefix sums there, 0 at the median */
    double *base, *next_base;      /* D[k-1][i] - square[i], and the same of the layer in work */
    uint32_t *choice;              /* [layers][count]: the best i of D[k][j] */
} places;

static void places_free(places *p)
{
    mary_free(p->position);
    mary_free(p->weight);
    mary_free(p->choice);
    *p = (places){0};
}

static mary_status places_create(int64_t capacity, int layers, places *p)
{
    *p = (places){0};
    size_t doubles, choices;
    if (!mary_size_mul((size_t)capacity, 5 * sizeof(double), &doubles) ||
        !mary_size_mul((size_t)capacity, sizeof(uint32_t), &choices) ||
        !mary_size_mul(choices, (size_t)(layers < 1 ? 1 : layers), &choices))
        return mary_fail_memory(SIZE_MAX);
    p->position = mary_alloc((size_t)capacity * sizeof *p->position);
    p->weight = mary_alloc(doubles);
    p->choice = mary_alloc(choices);
    if (p->position == NULL || p->weight == NULL || p->choice == NULL) {
        places_free(p);
        return mary_fail_memory(choices);
    }
    p->sum = p->weight + capacity;
    p->square = p->sum + capacity;
    p->base = p->square + capacity;
    p->next_base = p->base + capacity;
    return MARY_OK;
}

/* Prefix sums at every place, by one walk from the median up and one down. */
static void places_sum(places *p, const mary_sorted *sorted)
{
    int64_t middle = sorted->count / 2;
    double centre = sorted->values[middle];
    int64_t first_above = 0;
    while (p->position[first_above] < middle)
        first_above++;
    double weight = 0, sum = 0, square = 0;
    int64_t at = middle;
    for (int64_t c = first_above; c < p->count; c++) {
        for (; at < p->position[c]; at++) {
            double w = sorted->weights == NULL ? 1 : sorted->weights[at], x = sorted->values[at] - centre;
            weight += w;
            sum += w * x;
            square += w * x * x;
        }
        p->weight[c] = weight;
        p->sum[c] = sum;
        p->square[c] = square;
    }
    weight = sum = square = 0;
    at = middle;
    for (int64_t c = first_above - 1; c >= 0; c--) {
        for (; at > p->position[c]; at--) {
            double w = sorted->weights == NULL ? 1 : sorted->weights[at - 1], x = sorted->values[at - 1] - centre;
            weight -= w;
            sum -= w * x;
            square -= w * x * x;
        }
        p->weight[c] = weight;
        p->sum[c] = sum;
        p->square[c] = square;
    }
}

/* Four candidates at a time. Lanes are the same on every machine, and so are the results. */
typedef double lanes __attribute__((vector_size(32)));
typedef int64_t lane_indices __attribute__((vector_size(32)));

/* The first i in [low, high] with the least base[i] - (S_j - S_i)^2 / (W_j - W_i); its value goes to *least. */
static inline __attribute__((always_inline)) int64_t scan_body(const places *p, int64_t j, int64_t low, int64_t high,
                                                               double *least)
{
    const double *base = p->base, *sums = p->sum, *weights = p->weight;
    double sum_j = sums[j], weight_j = weights[j], best = INFINITY;
    int64_t where = low, i = low;
    if (high - low >= 7) {
        lanes bests = {INFINITY, INFINITY, INFINITY, INFINITY};
        lane_indices winners = {low, low, low, low}, indices = {low, low + 1, low + 2, low + 3};
        for (; i + 3 <= high; i += 4) {
            lanes b, s, w;
            memcpy(&b, base + i, sizeof b);
            memcpy(&s, sums + i, sizeof s);
            memcpy(&w, weights + i, sizeof w);
            s = sum_j - s;
            w = weight_j - w;
            lanes gain = s * s / w;
            lane_indices valid = w > 0; /* weights that vanish beside others leave no difference */
            gain = (lanes)((lane_indices)gain & valid);
            lanes value = b - gain;
            lane_indices better = value < bests;
            bests = (lanes)(((lane_indices)value & better) | ((lane_indices)bests & ~better));
            winners = (indices & better) | (winners & ~better);
            indices += 4;
        }
        for (int lane = 0; lane < 4; lane++) {
            if (bests[lane] < best || (bests[lane] == best && winners[lane] < where)) {
                best = bests[lane];
                where = winners[lane];
            }
        }
    }
    for (; i <= high; i++) {
        double s = sum_j - sums[i], w = weight_j - weights[i];
        double value = w > 0 ? base[i] - s * s / w : base[i];
        if (value < best) {
            best = value;
            where = i;
        }
    }
    *least = best;
    return where;
}

static int64_t scan_plain(const places *p, int64_t j, int64_t low, int64_t high, double *least)
{
    return scan_body(p, j, low, high, least);
}

typedef int64_t scan_function(const places *p, int64_t j, int64_t low, int64_t high, double *least);

#if defined(__x86_64__)
/* Without FMA, so that the result has the same bits as scan_plain's. */
static __attribute__((target("avx2"))) int64_t scan_avx2(const places *p, int64_t j, int64_t low, int64_t high,
                                                         double *least)
{
    return scan_body(p, j, low, high, least);
}

static scan_function *scan_choose(void)
{
    return __builtin_cpu_supports("avx2") ? scan_avx2 : scan_plain;
}
#else
static scan_function *scan_choose(void)
{
    return scan_plain;
}
#endif

/* What one D[k] is computed from. */
typedef struct layer {
    places *p;
    scan_function *scan;
    const uint32_t *previous; /* choices of D[k-1], known up to place previous_end; NULL for k = 2 */
    int64_t previous_end;
    uint32_t *choice;
} layer;

/* D[k][j] for j in [begin, end]; the best i of all of them lies in [low, high]. */
static void solve_range(const layer *l, int64_t begin, int64_t end, int64_t low, int64_t high)
{
    while (begin <= end) {
        int64_t j = begin + (end - begin) / 2;
        int64_t from = low, to = high < j - 1 ? high : j - 1;
        if (l->previous != NULL) {
            int64_t least_choice = l->previous[j < l->previous_end ? j : l->previous_end];
            if (least_choice > from)
                from = least_choice < to ? least_choice : to;
        }
        double least;
        int64_t i = l->scan(l->p, j, from, to, &least);
        l->choice[j] = (uint32_t)i;
        l->p->next_base[j] = least; /* D - square[j] */
        if (j > begin)
            solve_range(l, begin, j - 1, low, i);
        begin = j + 1;
        low = i;
    }
}

/* Splits the places into exactly `clusters` (< p->count) clusters of least cost: cluster m is [bounds[m], bounds[m+1]).
 */
static void solve(places *p, int clusters, int64_t *bounds)
{
    scan_function *scan = scan_choose();
    int64_t last = p->count - 1;
    for (int64_t j = 1; j <= last; j++) {
        double s = p->sum[j] - p->sum[0], w = p->weight[j] - p->weight[0];
        p->base[j] = -p->square[0] - (w > 0 ? s * s / w : 0);
    }
    bounds[0] = 0;
    bounds[clusters] = last;
    for (int k = 2; k <= clusters; k++) { /* choices of k clusters are kept in layer k - 2 */
        int64_t end = last - (clusters - k), begin = k == clusters ? last : k;
        layer l = {.p = p,
                   .scan = scan,
                   .previous = k > 2 ? p->choice + (int64_t)(k - 3) * p->count : NULL,
                   .previous_end = end - 1,
                   .choice = p->choice + (int64_t)(k - 2) * p->count};
        solve_range(&l, begin, end, k - 1, end - 1);
        double *swap = p->base;
        p->base = p->next_base;
        p->next_base = swap;
    }
    for (int k = clusters; k >= 2; k--)
        bounds[k - 1] = p->choice[(int64_t)(k - 2) * p->count + bounds[k]];
}

static int compare_positions(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void places_tidy(places *p)
{
    qsort(p->position, (size_t)p->count, sizeof *p->position, compare_positions);
    int64_t kept = 1;
    for (int64_t c = 1; c < p->count; c++) {
        if (p->position[c] != p->position[kept - 1])
            p->position[kept++] = p->position[c];
    }
    p->count = kept;
}

/* The first grid of a large problem: half of the places after equal numbers of values, half at equal distances. */
static void places_grid(places *p, const mary_sorted *sorted, int64_t limit)
{
    int64_t half = limit / 2 - 1, at = 0;
    double low = sorted->values[0], width = (double)sorted->values[sorted->count - 1] - low;
    p->count = 0;
    for (int64_t g = 0; g <= half; g++)
        p->position[p->count++] = (int64_t)((double)sorted->count * (double)g / (double)half);
    for (int64_t g = 1; g < half; g++) {
        double bound = low + width * (double)g / (double)half;
        while (sorted->values[at] < bound)
            at++;
        p->position[p->count++] = at;
    }
    p->position[0] = 0;
    p->position[half] = sorted->count;
    places_tidy(p);
}

/* Replaces the places by others around the thresholds `bounds` (indices of places): each threshold gets the values next
 * to it and, ever more sparsely, those up to half way to the next thresholds. `fresh` is scratch for p's positions. */
static void places_refine(places *p, int clusters, const int64_t *bounds, int64_t limit, int64_t *fresh)
{
    int64_t steps = (limit / (clusters - 1) - 1) / 2, count = 0;
    fresh[count++] = 0;
    for (int m = 1; m < clusters; m++) {
        int64_t here = p->position[bounds[m]];
        int64_t below = here - (here + p->position[bounds[m - 1]]) / 2;
        int64_t above = (here + p->position[bounds[m + 1]]) / 2 - here;
        fresh[count++] = here;
        for (int64_t s = 1; s <= steps; s++) {
            double part = (double)s / (double)steps;
            part = part * part * part * part;
            int64_t down = s + (int64_t)(part * (double)(below - steps)),
                    up = s + (int64_t)(part * (double)(above - steps));
            if (s <= below)
                fresh[count++] = here - (below <= steps ? s : down);
            if (s <= above)
                fresh[count++] = here + (above <= steps ? s : up);
        }
    }
    fresh[count++] = p->position[p->count - 1];
    memcpy(p->position, fresh, (size_t)count * sizeof *fresh);
    p->count = count;
    places_tidy(p);
}

/* Copies the thresholds' positions to `kept` (clusters + 1); true when they differ from what was there. */
static bool thresholds_moved(const places *p, int clusters, const int64_t *bounds, int64_t *kept)
{
    bool moved = false;
    for (int m = 0; m <= clusters; m++) {
        moved = moved || kept[m] != p->position[bounds[m]];
        kept[m] = p->position[bounds[m]];
    }
    return moved;
}

static void means(const mary_sorted *sorted, const places *p, int clusters, const int64_t *bounds, double *levels)
{
    for (int m = 0; m < clusters; m++) {
        int64_t begin = p->position[bounds[m]], end = p->position[bounds[m + 1]];
        double centre = sorted->values[begin], sum = 0, weight = 0;
        for (int64_t i = begin; i < end; i++) {
            double w = sorted->weights == NULL ? 1 : sorted->weights[i];
            sum += w * (sorted->values[i] - centre);
            weight += w;
        }
        levels[m] = centre + sum / weight;
    }
}

mary_status mary_quantize_kmeans_limited(const mary_quantize_input *input, int count, int64_t limit, double *levels)
{
    mary_sorted sorted = {0};
    places p = {0};
    int64_t *fresh = NULL, bounds[257], kept[257] = {0};
    mary_status status = mary_sorted_create(input, &sorted);
    if (status != MARY_OK)
        return status;
    if (sorted.count <= count) {
        for (int m = 0; m < count; m++)
            levels[m] = sorted.values[m < sorted.count ? m : sorted.count - 1];
        goto done;
    }
    bool whole = sorted.count + 1 <= limit;
    int64_t capacity = whole ? sorted.count + 1 : limit + 2 * count + 2;
    MARY_TRY_GOTO(places_create(capacity, count - 1, &p), done);
    if (whole) {
        for (int64_t c = 0; c <= sorted.count; c++)
            p.position[c] = c;
        p.count = capacity;
    } else {
        fresh = mary_alloc((size_t)capacity * sizeof *fresh);
        if (fresh == NULL) {
            status = mary_fail_memory((size_t)capacity * sizeof *fresh);
            goto done;
        }
        places_grid(&p, &sorted, limit);
    }
    places_sum(&p, &sorted);
    solve(&p, count, bounds);
    for (int round = 0; !whole && round < MOST_ROUNDS && thresholds_moved(&p, count, bounds, kept); round++) {
        places_refine(&p, count, bounds, limit, fresh);
        places_sum(&p, &sorted);
        solve(&p, count, bounds);
    }
    means(&sorted, &p, count, bounds, levels);
done:
    mary_free(fresh);
    places_free(&p);
    mary_sorted_free(&sorted);
    return status;
}

mary_status mary_quantize_kmeans(const mary_quantize_input *input, int count, double *levels)
{
    return mary_quantize_kmeans_limited(input, count, CELLS / count, levels);
}
