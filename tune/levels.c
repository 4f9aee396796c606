/* Kept weights to few values a layer. */
#include <stdlib.h>
#include <string.h>

#include "convert/quantize/method.h"
#include "tune/tune.h"

/* values[0..count) of kept weights, and what they count, into `kept` and `weights`; their number. */
static int64_t gather(const mary_tuned_layer *layer, const float *importance, float *kept, float *weights)
{
    int64_t count = 0;
    for (int64_t i = 0; i < layer->count; i++) {
        if (layer->codes[i] == 0)
            continue;
        if (importance != NULL)
            weights[count] = importance[i];
        kept[count++] = layer->values[i];
    }
    return count;
}

/* The nearest of the ascending levels; of two that are as near, the lower. */
static float nearest(const double *levels, int count, float value)
{
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((double)value > 0.5 * (levels[middle] + levels[middle + 1]))
            low = middle + 1;
        else
            high = middle;
    }
    return (float)levels[low];
}

mary_status mary_tuned_choose_levels(mary_tuned_layers *layers, int count, const float *const *importance)
{
    mary_status status = MARY_OK;
    for (int i = 0; i < layers->count; i++) {
        mary_tuned_layer *layer = &layers->items[i];
        const float *weigh = importance != NULL ? importance[i] : NULL;
        size_t bytes = (size_t)layer->count * sizeof(float);
        float *kept = mary_alloc(bytes), *weights = mary_alloc(bytes);
        double levels[256];
        mary_quantize_input input = {.values = kept, .importance = weigh != NULL ? weights : NULL};
        if (kept == NULL || weights == NULL)
            status = mary_fail_memory(bytes);
        else
            input.count = gather(layer, weigh, kept, weights);
        if (status == MARY_OK && input.count > 0)
            status = mary_quantize_kmeans(&input, count, levels);
        for (int64_t k = 0; k < layer->count && status == MARY_OK; k++) {
            if (layer->codes[k] != 0)
                layer->values[k] = nearest(levels, count, layer->values[k]);
        }
        mary_free(kept);
        mary_free(weights);
        if (status != MARY_OK)
            return status;
    }
    return MARY_OK;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static mary_status read_layer(mary_tuned_layer *layer)
{
    float levels[255];
    layer->levels = 0;
    for (int64_t i = 0; i < layer->count; i++) {
        const float *found = bsearch(&layer->values[i], levels, (size_t)layer->levels, sizeof *levels, ascending);
        if (layer->values[i] == 0 || found != NULL)
            continue;
        if (layer->levels == 255)
            return mary_fail(MARY_ERROR_INVALID, "a layer has more than 255 levels");
        levels[layer->levels++] = layer->values[i];
        qsort(levels, (size_t)layer->levels, sizeof *levels, ascending);
    }
    for (int64_t i = 0; i < layer->count; i++) {
        const float *found = bsearch(&layer->values[i], levels, (size_t)layer->levels, sizeof *levels, ascending);
        layer->codes[i] = layer->values[i] != 0 ? (uint8_t)(1 + (found - levels)) : 0;
    }
    return MARY_OK;
}

mary_status mary_tuned_read_levels(mary_tuned_layers *layers)
{
    for (int i = 0; i < layers->count; i++)
        MARY_TRY(read_layer(&layers->items[i]));
    return MARY_OK;
}
