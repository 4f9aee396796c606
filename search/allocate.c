/* A knapsack with one choice a layer, by dynamic programming over the budget.
 *
 * best[b] is the least loss of the layers so far with at most b units; a layer adds one of its candidates. Layers are a
 * few hundred at most and candidates a dozen, so 65,536 units cost less than running the network once. */
#include "search/allocate.h"

#include <math.h>
#include <string.h>

static size_t at(const mary_choices *choices, size_t layer, int candidate)
{
    return layer * (size_t)choices->candidates + (size_t)candidate;
}

uint64_t mary_allocation_bytes(const mary_choices *choices, const uint8_t *picks)
{
    uint64_t sum = 0;
    for (size_t l = 0; l < choices->layers; l++)
        sum += choices->bytes[at(choices, l, picks[l])];
    return sum;
}

double mary_allocation_loss(const mary_choices *choices, const uint8_t *picks)
{
    double sum = 0;
    for (size_t l = 0; l < choices->layers; l++)
        sum += choices->losses[at(choices, l, picks[l])];
    return sum;
}

/* The candidate of the fewest bytes; of these, of the least loss. */
static int cheapest(const mary_choices *choices, size_t layer)
{
    int found = 0;
    for (int c = 1; c < choices->candidates; c++) {
        const size_t a = at(choices, layer, c), b = at(choices, layer, found);
        if (choices->bytes[a] < choices->bytes[b] ||
            (choices->bytes[a] == choices->bytes[b] && choices->losses[a] < choices->losses[b]))
            found = c;
    }
    return found;
}

void mary_allocation_range(const mary_choices *choices, uint64_t *least, uint64_t *most)
{
    *least = *most = 0;
    for (size_t l = 0; l < choices->layers; l++) {
        uint64_t largest = 0;
        for (int c = 0; c < choices->candidates; c++)
            largest = choices->bytes[at(choices, l, c)] > largest ? choices->bytes[at(choices, l, c)] : largest;
        *least += choices->bytes[at(choices, l, cheapest(choices, l))];
        *most += largest;
    }
}

/* What rounding up has left over: the single change that gains most, as long as there is one. */
static void fill_up(const mary_choices *choices, uint64_t budget, uint8_t *picks)
{
    for (;;) {
        const uint64_t left = budget - mary_allocation_bytes(choices, picks);
        double most = 0;
        size_t layer = 0;
        int candidate = -1;
        for (size_t l = 0; l < choices->layers; l++) {
            const size_t now = at(choices, l, picks[l]);
            for (int c = 0; c < choices->candidates; c++) {
                const size_t then = at(choices, l, c);
                const double gain = choices->losses[now] - choices->losses[then];
                if (gain > most && choices->bytes[then] <= choices->bytes[now] + left) {
                    most = gain;
                    layer = l;
                    candidate = c;
                }
            }
        }
        if (candidate < 0)
            return;
        picks[layer] = (uint8_t)candidate;
    }
}

/* best[b] with one more layer, in place of the table without it. */
static void add_layer(const mary_choices *choices, size_t layer, uint64_t unit, size_t units, const double *before,
                      double *after, uint8_t *picks)
{
    for (size_t b = 0; b <= units; b++)
        after[b] = INFINITY;
    for (int c = 0; c < choices->candidates; c++) {
        const uint64_t bytes = choices->bytes[at(choices, layer, c)], cost = bytes / unit + (bytes % unit != 0);
        const double loss = choices->losses[at(choices, layer, c)];
        for (size_t b = cost; cost <= units && b <= units; b++) {
            if (before[b - cost] + loss < after[b]) {
                after[b] = before[b - cost] + loss;
                picks[b] = (uint8_t)c;
            }
        }
    }
}

mary_status mary_allocate(const mary_choices *choices, uint64_t budget, uint8_t *picks, bool *fits)
{
    uint64_t least, most;
    mary_status status = MARY_OK;
    for (size_t l = 0; l < choices->layers; l++)
        picks[l] = (uint8_t)cheapest(choices, l);
    mary_allocation_range(choices, &least, &most);
    *fits = least <= budget;
    if (!*fits || choices->layers == 0)
        return MARY_OK;
    budget = budget < most ? budget : most;
    const uint64_t unit = budget / MARY_ALLOCATION_UNITS + 1;
    const size_t units = (size_t)(budget / unit);
    double *before = mary_alloc((units + 1) * sizeof *before), *after = mary_alloc((units + 1) * sizeof *after);
    uint8_t *chosen = mary_calloc(choices->layers, units + 1); /* [layers][units + 1] */
    if (before == NULL || after == NULL || chosen == NULL) {
        status = mary_fail_memory((units + 1) * choices->layers);
        goto done;
    }
    memset(before, 0, (units + 1) * sizeof *before);
    for (size_t l = 0; l < choices->layers; l++) {
        add_layer(choices, l, unit, units, before, after, chosen + l * (units + 1));
        double *swap = before;
        before = after;
        after = swap;
    }
    if (isfinite(before[units])) { /* else rounding up has left no room: the fewest bytes it is */
        size_t b = 0;
        while (before[b] > before[units]) /* equally good, fewer bytes */
            b++;
        for (size_t l = choices->layers; l-- > 0;) {
            picks[l] = chosen[l * (units + 1) + b];
            const uint64_t bytes = choices->bytes[at(choices, l, picks[l])];
            b -= (size_t)(bytes / unit + (bytes % unit != 0));
        }
    }
    fill_up(choices, budget, picks);
done:
    mary_free(before);
    mary_free(after);
    mary_free(chosen);
    return status;
}
