/* Levels that all layers share (Choi, El-Khamy and Lee 2017, section 3.2): the weights of all of them are one problem.
 * What a weight's error counts makes layers comparable; without it, those with large weights have most of the levels.
 */
#include <inttypes.h>
#include <string.h>

#include "convert/conversion.h"
#include "convert/levels.h"

static bool takes_part(const mary_conversion *c, size_t position)
{
    const mary_layer *layer = &c->layers.items[position];
    return layer->reason == NULL && layer->same_as == position && layer->given == NULL &&
           layer->settings.granularity == MARY_GRANULARITY_MODEL && mary_layer_pays_for_codes(layer);
}

static bool alike(const mary_layer *a, const mary_layer *b)
{
    return a->settings.levels == b->settings.levels && a->settings.method == b->settings.method && a->type == b->type &&
           (a->importance == NULL) == (b->importance == NULL);
}

static int64_t weights_of(const mary_layer *layer)
{
    return layer->layout.rows * layer->layout.row_length;
}

/* values and importance [total] of the layers of a group, one after the other. */
static mary_status gather(const mary_conversion *c, const mary_graph_index *index, const bool *member, float *values,
                          float *importance)
{
    for (size_t i = 0, at = 0; i < c->layers.count; i++) {
        const mary_layer *layer = &c->layers.items[i];
        float *matrix;
        if (!member[i])
            continue;
        size_t count = (size_t)weights_of(layer);
        MARY_TRY(mary_conversion_matrix(c, index, layer, &matrix));
        memcpy(values + at, matrix, count * sizeof *values);
        mary_free(matrix);
        if (importance != NULL)
            memcpy(importance + at, layer->importance, count * sizeof *importance);
        at += count;
    }
    return MARY_OK;
}

static mary_status give(mary_layer *layer, const mary_quantized_set *set, size_t at, size_t first)
{
    size_t count = (size_t)weights_of(layer);
    layer->given = mary_alloc(sizeof *layer->given);
    if (layer->given == NULL)
        return mary_fail_memory(sizeof *layer->given);
    *layer->given = *set;
    layer->given->codes = mary_alloc(count);
    if (layer->given->codes == NULL)
        return mary_fail_memory(count);
    memcpy(layer->given->codes, set->codes + at, count);
    layer->levels_of = first;
    return MARY_OK;
}

static mary_status share(mary_conversion *c, const mary_graph_index *index, size_t first, const bool *member)
{
    const mary_layer *leader = &c->layers.items[first];
    mary_status status = MARY_OK;
    mary_quantized_set set = {0};
    float *values = NULL, *importance = NULL;
    mary_quantize_input input = {.seed = c->settings.options->seed, .entropy = leader->settings.entropy};
    for (size_t i = 0; i < c->layers.count; i++)
        input.count += member[i] ? weights_of(&c->layers.items[i]) : 0;
    values = mary_alloc((size_t)input.count * sizeof *values);
    importance = leader->importance == NULL ? NULL : mary_alloc((size_t)input.count * sizeof *importance);
    set.codes = mary_alloc((size_t)input.count);
    if (values == NULL || set.codes == NULL || (leader->importance != NULL && importance == NULL)) {
        status = mary_fail_memory((size_t)input.count * sizeof *values);
        goto done;
    }
    MARY_TRY_GOTO(gather(c, index, member, values, importance), done);
    input.values = values;
    input.importance = importance;
    MARY_TRY_GOTO(mary_quantize_set(leader->settings.method, &input, leader->settings.levels, leader->type, &set),
                  done);
    for (size_t i = 0, at = 0; i < c->layers.count; i++) {
        if (!member[i])
            continue;
        MARY_TRY_GOTO(give(&c->layers.items[i], &set, at, first), done);
        at += (size_t)weights_of(&c->layers.items[i]);
    }
done:
    mary_free(values);
    mary_free(importance);
    mary_free(set.codes);
    return status;
}

mary_status mary_conversion_share_levels(mary_conversion *c, const mary_graph_index *index)
{
    mary_status status = MARY_OK;
    bool *member = mary_calloc(c->layers.count + 1, sizeof *member);
    if (member == NULL)
        return mary_fail_memory(c->layers.count);
    for (size_t first = 0; first < c->layers.count; first++) {
        const mary_layer *leader = &c->layers.items[first];
        if (!takes_part(c, first))
            continue;
        if (leader->settings.method->code != NULL) {
            status = mary_fail(MARY_ERROR_USAGE, "the method '%s' has no levels shared by all layers (node '%s')",
                               leader->settings.method->name, leader->name);
            goto done;
        }
        for (size_t i = 0; i < c->layers.count; i++)
            member[i] = i >= first && takes_part(c, i) && alike(leader, &c->layers.items[i]);
        MARY_TRY_GOTO(share(c, index, first, member), done);
    }
done:
    mary_free(member);
    return status;
}
