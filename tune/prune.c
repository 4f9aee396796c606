/* Pruning by magnitude. Over all layers weights are compared by what Lee et al. call the LAMP score (Layer-adaptive
 * sparsity for the magnitude-based pruning, ICLR 2021): a weight's square as a part of the squares of those of its
 * layer that are no smaller. It is 1 for the largest weight of each layer, so no layer is pruned away, and needs no
 * setting per layer. */
#include <math.h>
#include <stdlib.h>

#include "tune/tune.h"

typedef struct candidate {
    double score;
    int64_t place;
    int layer;
} candidate;

/* The best first; places decide between equals, so that the order is one whatever qsort does. */
static int best_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The layer's kept weights in falling order; their number. */
static size_t list(const mary_tuned_layer *layer, int number, candidate *candidates)
{
    size_t count = 0;
    for (int64_t i = 0; i < layer->count; i++) {
        double value = layer->values[i];
        if (layer->codes[i] != 0)
            candidates[count++] = (candidate){value * value, i, number};
    }
    qsort(candidates, count, sizeof *candidates, best_first);
    return count;
}

static size_t part_of(double keep, uint64_t count)
{
    double part = ceil(keep * (double)count);
    return part < 1 ? 1 : (size_t)part;
}

mary_status mary_tuned_prune(mary_tuned_layers *layers, double keep, bool per_layer)
{
    size_t count = 0, bytes = (size_t)mary_tuned_weights(layers) * sizeof(candidate);
    candidate *candidates = mary_alloc(bytes);
    if (candidates == NULL)
        return mary_fail_memory(bytes);
    for (int i = 0; i < layers->count; i++) {
        const mary_tuned_layer *layer = &layers->items[i];
        size_t listed = list(layer, i, candidates + count), left = part_of(keep, (uint64_t)layer->count);
        double no_smaller = 0;
        for (size_t k = 0; k < listed; k++) {
            candidate *c = &candidates[count + k];
            no_smaller += c->score;
            c->score = per_layer ? (k < left ? 1 : 0) : no_smaller > 0 ? c->score / no_smaller : 0;
        }
        count += listed;
    }
    size_t left = per_layer ? 0 : part_of(keep, mary_tuned_weights(layers));
    if (!per_layer)
        qsort(candidates, count, sizeof *candidates, best_first);
    for (size_t k = 0; k < count; k++) {
        if (per_layer ? candidates[k].score == 0 : k >= left)
            layers->items[candidates[k].layer].codes[candidates[k].place] = 0;
    }
    mary_free(candidates);
    mary_tuned_clear(layers);
    return MARY_OK;
}
