/* Kept weights to few values, a layer's own or those of all layers. */
#include <stdlib.h>

#include "convert/quantize/tensor.h"
#include "tune/tune.h"

/* Kept weights of some layers, one after the other: what the method is asked about. */
typedef struct selection {
    float *values, *importance; /* [count]; importance NULL: all count the same */
    int64_t count;
} selection;

static mary_status gather(const mary_tuned_layer *layers, float *const *importance, int layer_count, selection *s)
{
    int64_t room = 0;
    for (int i = 0; i < layer_count; i++)
        room += layers[i].count;
    const size_t bytes = (size_t)room * sizeof(float);
    *s = (selection){.values = mary_alloc(bytes), .importance = importance != NULL ? mary_alloc(bytes) : NULL};
    if (s->values == NULL || (importance != NULL && s->importance == NULL))
        return mary_fail_memory(bytes);
    for (int i = 0; i < layer_count; i++) {
        for (int64_t k = 0; k < layers[i].count; k++) {
            if (layers[i].codes[k] == 0)
                continue;
            if (importance != NULL)
                s->importance[s->count] = importance[i][k];
            s->values[s->count++] = layers[i].values[k];
        }
    }
    return MARY_OK;
}

typedef void use_levels(mary_tuned_layer *layers, int layer_count, const mary_quantized_set *set);

/* Kept weights become their levels. */
static void scatter(mary_tuned_layer *layers, int layer_count, const mary_quantized_set *set)
{
    int64_t at = 0;
    for (int i = 0; i < layer_count; i++) {
        for (int64_t k = 0; k < layers[i].count; k++) {
            if (layers[i].codes[k] != 0)
                layers[i].values[k] = set->levels[set->codes[at++]];
        }
    }
}

/* Their codings get the levels. */
static void set_coding(mary_tuned_layer *layers, int layer_count, const mary_quantized_set *set)
{
    for (int i = 0; i < layer_count; i++) {
        mary_tuned_coding *coding = layers[i].coding;
        for (int m = 0; m < coding->most; m++)
            coding->levels[m] = m < set->used ? set->levels[m] : 0.0f;
    }
}

static mary_status choose(mary_tuned_layer *layers, float *const *importance, int layer_count,
                          const mary_tuned_choice *choice, use_levels *use)
{
    selection kept = {0};
    mary_quantized_set set = {0};
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(gather(layers, importance, layer_count, &kept), done);
    if (kept.count == 0)
        goto done;
    set.codes = mary_alloc((size_t)kept.count);
    if (set.codes == NULL) {
        status = mary_fail_memory((size_t)kept.count);
        goto done;
    }
    const mary_quantize_input input = {
        .values = kept.values, .importance = kept.importance, .count = kept.count, .entropy = choice->entropy};
    MARY_TRY_GOTO(mary_quantize_set(choice->method, &input, choice->levels, MARY_FLOAT, &set), done);
    use(layers, layer_count, &set);
done:
    mary_free(kept.values);
    mary_free(kept.importance);
    mary_free(set.codes);
    return status;
}

static mary_status choose_all(mary_tuned_layers *layers, const mary_tuned_choice *choice, float *const *importance,
                              use_levels *use)
{
    if (choice->shared)
        return choose(layers->items, importance, layers->count, choice, use);
    for (int i = 0; i < layers->count; i++)
        MARY_TRY(choose(&layers->items[i], importance != NULL ? &importance[i] : NULL, 1, choice, use));
    return MARY_OK;
}

mary_status mary_tuned_choose_levels(mary_tuned_layers *layers, const mary_tuned_choice *choice)
{
    return choose_all(layers, choice, choice->importance, scatter);
}

mary_status mary_tuned_choose_coding(mary_tuned_layers *layers, const mary_tuned_choice *choice)
{
    return choose_all(layers, choice, choice->importance, set_coding);
}

/* ---- codes from values ---- */

typedef struct value_list {
    float values[MARY_MOST_TUNED_LEVELS]; /* ascending, without zero */
    int count;
} value_list;

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static const float *find(const value_list *list, float value)
{
    return bsearch(&value, list->values, (size_t)list->count, sizeof value, ascending);
}

static mary_status list_values(const mary_tuned_layer *layer, value_list *list)
{
    for (int64_t i = 0; i < layer->count; i++) {
        if (layer->values[i] == 0 || find(list, layer->values[i]) != NULL)
            continue;
        if (list->count == MARY_MOST_TUNED_LEVELS)
            return mary_fail(MARY_ERROR_INVALID, "there are more than %d levels", MARY_MOST_TUNED_LEVELS);
        list->values[list->count++] = layer->values[i];
        qsort(list->values, (size_t)list->count, sizeof *list->values, ascending);
    }
    return MARY_OK;
}

static void number(mary_tuned_layer *layer, const value_list *list)
{
    layer->levels = list->count;
    for (int64_t i = 0; i < layer->count; i++)
        layer->codes[i] = layer->values[i] != 0 ? (uint8_t)(1 + (find(list, layer->values[i]) - list->values)) : 0;
}

mary_status mary_tuned_read_levels(mary_tuned_layers *layers, bool shared)
{
    value_list list = {.count = 0};
    for (int i = 0; shared && i < layers->count; i++)
        MARY_TRY(list_values(&layers->items[i], &list));
    for (int i = 0; i < layers->count; i++) {
        if (!shared) {
            list.count = 0;
            MARY_TRY(list_values(&layers->items[i], &list));
        }
        number(&layers->items[i], &list);
    }
    return MARY_OK;
}

/* ---- levels that layers share ---- */

/* The hooks have given every weight of a level the sum over its layer. */
mary_status mary_tuned_share_gradients(const mary_tuned_layers *layers, mary_trainer *trainer)
{
    double sums[MARY_MOST_TUNED_LEVELS + 1] = {0};
    mary_parameter parameter;
    for (int i = 0; i < layers->count; i++) {
        const mary_tuned_layer *layer = &layers->items[i];
        bool seen[MARY_MOST_TUNED_LEVELS + 1] = {true};
        MARY_TRY(mary_trainer_parameter(trainer, layer->parameter, &parameter));
        for (int64_t k = 0; k < layer->count; k++) {
            if (!seen[layer->codes[k]])
                sums[layer->codes[k]] += (double)parameter.gradient[k];
            seen[layer->codes[k]] = true;
        }
    }
    for (int i = 0; i < layers->count; i++) {
        const mary_tuned_layer *layer = &layers->items[i];
        MARY_TRY(mary_trainer_parameter(trainer, layer->parameter, &parameter));
        for (int64_t k = 0; k < layer->count; k++)
            parameter.gradient[k] = (float)sums[layer->codes[k]];
    }
    return MARY_OK;
}
