#include "convert/quantize/dead_zone.h"

#include <math.h>

#include "convert/quantize/cells.h"
#include "onnx/memory.h"

/* Cells begin at the edges of a histogram, so that sums over them are differences and just what the codes will give. */
enum {
    HALF = 4096, /* bins on each side of zero */
    BINS = 2 * HALF,
    STEPS = 44, /* a quarter of an octave apart, from the largest weight down */
    OCTAVE = 4, /* steps in it */
    MOST_CELLS = 255
};
static const double widths[] = {0, 0.5, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6}; /* of the middle, in steps; 0: there is none */
enum { WIDTHS = sizeof widths / sizeof widths[0] };

/* What lies below each edge. */
typedef struct sums {
    double members[BINS + 1], weight[BINS + 1], value[BINS + 1], square[BINS + 1];
} sums;

typedef struct grid {
    int edges[MOST_CELLS + 1]; /* of cells: the first bin of each, and the end */
    int cells;
} grid;

static int bin_of(double value, double largest)
{
    const int bin = HALF + (int)floor(value / largest * HALF);
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
}

static double weight_of(const mary_quantize_input *input, bool counts, int64_t i)
{
    return counts ? (double)input->importance[i] : 1;
}

/* Importance of which none is above zero is as good as none. */
static bool importance_counts(const mary_quantize_input *input)
{
    for (int64_t i = 0; input->importance != NULL && i < input->count; i++) {
        if (input->importance[i] > 0)
            return true;
    }
    return false;
}

static void add_up(const mary_quantize_input *input, bool counts, double largest, sums *s)
{
    for (int64_t i = 0; i < input->count; i++) {
        const double value = (double)input->values[i], weight = weight_of(input, counts, i);
        const int edge = bin_of(value, largest) + 1;
        s->members[edge]++;
        s->weight[edge] += weight;
        s->value[edge] += weight * value;
        s->square[edge] += weight * value * value;
    }
    for (int b = 0; b < BINS; b++) {
        s->members[b + 1] += s->members[b];
        s->weight[b + 1] += s->weight[b];
        s->value[b + 1] += s->value[b];
        s->square[b + 1] += s->square[b];
    }
}

/* Cells of `step` bins to both sides of a middle of `width` steps, as many as there may be; the outermost have the
 * rest. */
static void lay_out(double step, double width, int count, grid *g)
{
    const bool middle = width > 0;
    const int sides = (count - middle) / 2;
    int above[MOST_CELLS], number = 0;
    for (int k = 0; k < sides; k++) {
        const int edge = (int)lround((middle ? width / 2 + k : k) * step);
        if (edge >= HALF)
            break;
        if (number == 0 || edge > above[number - 1])
            above[number++] = edge;
    }
    g->cells = 0;
    g->edges[g->cells++] = 0;
    for (int k = number - 1; k >= 0; k--) /* cells below zero end where those above begin */
        g->edges[g->cells++] = HALF - above[k];
    for (int k = 0; k < number; k++) {
        if (HALF + above[k] > g->edges[g->cells - 1])
            g->edges[g->cells++] = HALF + above[k];
    }
    g->edges[g->cells] = BINS;
}

static void measure(const sums *s, const grid *g, mary_dead_zone *result)
{
    const double total = s->members[BINS], all = s->weight[BINS];
    *result = (mary_dead_zone){0};
    for (int c = 0; c < g->cells; c++) {
        const int from = g->edges[c], to = g->edges[c + 1];
        const double members = s->members[to] - s->members[from], weight = s->weight[to] - s->weight[from];
        const double value = s->value[to] - s->value[from];
        if (members == 0)
            continue;
        result->entropy -= members / total * log2(members / total);
        if (weight > 0)
            result->distortion += fmax((s->square[to] - s->square[from] - value * value / weight) / all, 0);
        result->count++;
    }
}

/* Codes by the bins, and exact means: sums of differences are not. */
static void take(const mary_quantize_input *input, bool counts, double largest, const grid *g, uint8_t *codes,
                 mary_dead_zone *result)
{
    mary_cells cells = {0};
    uint8_t cell_of[BINS], number[MOST_CELLS] = {0};
    double all = 0;
    for (int c = 0; c < g->cells; c++) {
        for (int b = g->edges[c]; b < g->edges[c + 1]; b++)
            cell_of[b] = (uint8_t)c;
    }
    for (int64_t i = 0; i < input->count; i++) {
        codes[i] = cell_of[bin_of((double)input->values[i], largest)];
        mary_cells_add(&cells, codes[i], input, i);
        all += weight_of(input, counts, i);
    }
    result->count = 0;
    result->distortion = 0;
    for (int c = 0; c < g->cells; c++) {
        number[c] = (uint8_t)result->count;
        if (cells.members[c] > 0)
            result->levels[result->count++] = mary_cells_mean(&cells, c);
    }
    for (int64_t i = 0; i < input->count; i++) {
        codes[i] = number[codes[i]];
        const double d = (double)input->values[i] - result->levels[codes[i]];
        result->distortion += weight_of(input, counts, i) * d * d / all;
    }
}

mary_status mary_dead_zone_search(const mary_quantize_input *input, int count, uint8_t *codes, mary_dead_zone *best)
{
    double largest = 0;
    grid chosen = {0};
    *best = (mary_dead_zone){0};
    for (int64_t i = 0; i < input->count; i++)
        largest = fmax(largest, fabs((double)input->values[i]));
    if (largest == 0 || !isfinite(largest) || count < 2)
        return MARY_OK;
    sums *s = mary_calloc(1, sizeof *s);
    if (s == NULL)
        return mary_fail_memory(sizeof *s);
    const bool counts = importance_counts(input);
    count = count > MOST_CELLS ? MOST_CELLS : count;
    add_up(input, counts, largest, s);
    for (int j = 0; j < STEPS; j++) {
        for (int w = 0; w < WIDTHS; w++) {
            grid g;
            mary_dead_zone one;
            lay_out(HALF * exp2(-(double)j / OCTAVE), widths[w], count, &g);
            measure(s, &g, &one);
            if (one.entropy > input->entropy || (chosen.cells > 0 && one.distortion >= best->distortion))
                continue;
            *best = one;
            chosen = g;
        }
    }
    if (chosen.cells > 0)
        take(input, counts, largest, &chosen, codes, best);
    mary_free(s);
    return MARY_OK;
}
