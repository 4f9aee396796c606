/* Which weights are tuned, and the hook that holds pruned ones at zero and levels together. */
#include <string.h>

#include "convert/choose.h"
#include "tune/tune.h"

static bool coded(const mary_tuned_layer *layer)
{
    return layer->coding != NULL && layer->coding->count > 0;
}

mary_status mary_tuned_effective(void *context, int parameter, const float *values, float *effective, int64_t count)
{
    mary_tuned_layer *layer = context;
    (void)parameter;
    if (coded(layer)) {
        mary_tuned_see_levels(layer, values, effective, count);
        return MARY_OK;
    }
    for (int64_t i = 0; i < count; i++)
        effective[i] = layer->codes[i] != 0 ? values[i] : 0.0f;
    return MARY_OK;
}

mary_status mary_tuned_gradient(void *context, int parameter, const float *values, float *gradient, int64_t count)
{
    const mary_tuned_layer *layer = context;
    double sums[MARY_MOST_TUNED_LEVELS + 1] = {0};
    float shared[MARY_MOST_TUNED_LEVELS + 1] = {0};
    (void)parameter, (void)values;
    if (coded(layer)) {
        mary_tuned_pass_gradients(layer, gradient, count);
        return MARY_OK;
    }
    if (layer->levels == 0) {
        for (int64_t i = 0; i < count; i++)
            gradient[i] = layer->codes[i] != 0 ? gradient[i] : 0.0f;
        return MARY_OK;
    }
    for (int64_t i = 0; i < count; i++)
        sums[layer->codes[i]] += (double)gradient[i];
    for (int level = 1; level <= layer->levels; level++)
        shared[level] = (float)sums[level];
    for (int64_t i = 0; i < count; i++)
        gradient[i] = shared[layer->codes[i]];
    return MARY_OK;
}

static int find_parameter(const mary_trainer *trainer, const char *name, mary_parameter *parameter)
{
    for (int i = 0; i < mary_trainer_parameter_count(trainer); i++) {
        if (mary_trainer_parameter(trainer, i, parameter) == MARY_OK && strcmp(parameter->name, name) == 0)
            return i;
    }
    return -1;
}

static bool taken(const mary_tuned_layers *layers, int parameter)
{
    for (int i = 0; i < layers->count; i++) {
        if (layers->items[i].parameter == parameter)
            return true;
    }
    return false;
}

static mary_status take(const mary_layers *chosen, mary_trainer *trainer, mary_tuned_layers *layers)
{
    layers->items = mary_calloc(chosen->count + 1, sizeof *layers->items);
    if (layers->items == NULL)
        return mary_fail_memory(chosen->count * sizeof *layers->items);
    for (size_t i = 0; i < chosen->count; i++) {
        mary_parameter parameter;
        if (chosen->items[i].reason != NULL)
            continue;
        int index = find_parameter(trainer, chosen->items[i].weight, &parameter);
        if (index < 0 || taken(layers, index))
            continue;
        mary_tuned_layer *layer = &layers->items[layers->count++];
        *layer = (mary_tuned_layer){.parameter = index, .count = parameter.count, .values = parameter.values};
        layer->codes = mary_alloc((size_t)parameter.count);
        if (layer->codes == NULL)
            return mary_fail_memory((size_t)parameter.count);
        const mary_parameter_hook hook = {layer, mary_tuned_effective, mary_tuned_gradient};
        MARY_TRY(mary_trainer_hook(trainer, index, &hook));
    }
    if (layers->count == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED,
                         "the model has no Conv, ConvTranspose, Gemm or MatMul whose weight is a float constant");
    mary_tuned_read_mask(layers);
    return MARY_OK;
}

mary_status mary_tuned_layers_create(const mary_model *model, mary_trainer *trainer, mary_tuned_layers *layers)
{
    static const mary_convert_options defaults;
    mary_settings settings = {0};
    mary_original_names names = {0};
    mary_layers chosen = {0};
    mary_status status = MARY_OK;
    *layers = (mary_tuned_layers){0};
    MARY_TRY_GOTO(mary_settings_create(&defaults, &settings), done);
    MARY_TRY_GOTO(mary_original_names_take(model, &settings, &names), done);
    MARY_TRY_GOTO(mary_layers_choose(model, &settings, &names, &chosen), done);
    MARY_TRY_GOTO(take(&chosen, trainer, layers), done);
done:
    mary_layers_free(&chosen);
    mary_original_names_free(&names);
    mary_settings_free(&settings);
    if (status != MARY_OK)
        mary_tuned_layers_free(layers);
    return status;
}

void mary_tuned_layers_free(mary_tuned_layers *layers)
{
    mary_tuned_codings_free(layers);
    for (int i = 0; i < layers->count; i++)
        mary_free(layers->items[i].codes);
    mary_free(layers->items);
    *layers = (mary_tuned_layers){0};
}

uint64_t mary_tuned_weights(const mary_tuned_layers *layers)
{
    uint64_t count = 0;
    for (int i = 0; i < layers->count; i++)
        count += (uint64_t)layers->items[i].count;
    return count;
}

uint64_t mary_tuned_kept(const mary_tuned_layers *layers)
{
    uint64_t kept = 0;
    for (int i = 0; i < layers->count; i++) {
        for (int64_t k = 0; k < layers->items[i].count; k++)
            kept += layers->items[i].codes[k] != 0;
    }
    return kept;
}

void mary_tuned_read_mask(mary_tuned_layers *layers)
{
    for (int i = 0; i < layers->count; i++) {
        mary_tuned_layer *layer = &layers->items[i];
        layer->levels = 0;
        for (int64_t k = 0; k < layer->count; k++)
            layer->codes[k] = layer->values[k] != 0;
    }
}

void mary_tuned_clear(mary_tuned_layers *layers)
{
    for (int i = 0; i < layers->count; i++) {
        mary_tuned_layer *layer = &layers->items[i];
        if (coded(layer) && layer->coding->zeros)
            continue;
        for (int64_t k = 0; k < layer->count; k++)
            layer->values[k] = layer->codes[k] != 0 ? layer->values[k] : 0.0f;
    }
}
