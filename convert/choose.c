/* Choosing the layers that get levels. */
#include "convert/choose.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/quantize/tensor.h"
#include "onnx/names.h"

static int compare_nodes(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct mary_original_name *)a)->node;
    uintptr_t y = (uintptr_t)((const struct mary_original_name *)b)->node;
    return (x > y) - (x < y);
}

mary_status mary_original_names_take(const mary_model *model, mary_settings *settings, mary_original_names *names)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    *names = (mary_original_names){0};
    for (size_t i = 0; i < graph->n_node; i++) {
        if (!mary_reserve((void **)&names->items, &names->capacity, names->count + 1, sizeof *names->items))
            return mary_fail_memory(sizeof *names->items);
        char *name = mary_strdup(mary_node_label(graph->node[i]));
        if (name == NULL)
            return mary_fail_memory(1);
        names->items[names->count].node = graph->node[i];
        names->items[names->count++].name = name;
        mary_settings_see(settings, name);
    }
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, compare_nodes);
    return mary_settings_check_seen(settings);
}

void mary_original_names_free(mary_original_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mary_free(names->items[i].name);
    mary_free(names->items);
    *names = (mary_original_names){0};
}

const char *mary_original_name(const mary_original_names *names, const Onnx__NodeProto *node)
{
    struct mary_original_name key = {.node = node};
    const struct mary_original_name *found =
        names->count == 0 ? NULL : bsearch(&key, names->items, names->count, sizeof key, compare_nodes);
    return found != NULL ? found->name : mary_node_label(node);
}

mary_status mary_layer_say(char **text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    char *copy = mary_strdup(line);
    if (copy == NULL)
        return mary_fail_memory(sizeof line);
    mary_free(*text);
    *text = copy;
    return MARY_OK;
}

void mary_layers_free(mary_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        mary_free(layers->items[i].name);
        mary_free(layers->items[i].weight);
        mary_free(layers->items[i].reason);
        mary_free(layers->items[i].note);
        mary_free(layers->items[i].importance);
        if (layers->items[i].given != NULL)
            mary_free(layers->items[i].given->codes);
        mary_free(layers->items[i].given);
    }
    mary_free(layers->items);
    *layers = (mary_layers){0};
}

static const char *input_name(const Onnx__NodeProto *node, size_t index)
{
    return index < node->n_input && node->input[index] != NULL ? node->input[index] : "";
}

/* What makes the weight, when it is no constant. */
static mary_status explain_missing(const Onnx__GraphProto *graph, const mary_graph_index *index, mary_layer *layer)
{
    const char *value = input_name(layer->node, 1);
    ptrdiff_t producer = mary_graph_producer(index, value);
    if (mary_graph_initializer(index, input_name(layer->node, 0)) >= 0 && layer->kind != MARY_LAYER_CONV)
        return mary_layer_say(&layer->reason, "the constant is the left operand");
    if (producer < 0)
        return mary_layer_say(&layer->reason, "the weight '%s' is not a constant", value);
    const char *op = graph->node[producer]->op_type;
    if (strcmp(op, "DequantizeLinear") == 0)
        return mary_layer_say(&layer->reason, "already quantised: the weight comes from DequantizeLinear");
    return mary_layer_say(&layer->reason, "the weight '%s' is computed by %s", value, op);
}

/* Weight, type, layout; or the reason why there is none. */
static mary_status describe(const mary_model *model, const mary_graph_index *index, mary_layer *layer)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    const char *value = input_name(layer->node, 1);
    ptrdiff_t position = mary_graph_initializer(index, value);
    if (layer->node->n_output == 0 || layer->node->output[0][0] == '\0')
        return mary_layer_say(&layer->reason, "it has no output");
    if (position < 0)
        return explain_missing(graph, index, layer);
    const Onnx__TensorProto *tensor = graph->initializer[position];
    layer->weight = mary_strdup(value);
    if (layer->weight == NULL)
        return mary_fail_memory(1);
    mary_shape shape;
    MARY_TRY(mary_tensor_describe(tensor, &layer->type, &shape));
    if (!mary_type_is_float(layer->type))
        return mary_layer_say(&layer->reason, "the weight is of type %s", mary_type_name(layer->type));
    if (mary_graph_initializer(index, input_name(layer->node, 0)) >= 0)
        return mary_layer_say(&layer->reason, "both operands are constant");
    if (mary_shape_count(&shape) == 0 && layer->settings.excluded == NULL)
        return mary_fail(MARY_ERROR_INVALID, "the weight '%s' of node '%s' is empty", value, layer->name);
    mary_status status = mary_layout_rows_of(layer->node, layer->kind, &shape, &layer->layout);
    if (status == MARY_ERROR_UNSUPPORTED)
        return mary_layer_say(&layer->reason, "%s", mary_error_message());
    return status;
}

/* ---- first and last layers: no layer before them, or none after ---- */

static mary_status mark_first_and_last(const Onnx__GraphProto *graph, const mary_graph_index *index,
                                       mary_layers *layers)
{
    mary_status status = MARY_OK;
    bool *before = mary_calloc(graph->n_node + 1, 1), *after = mary_calloc(graph->n_node + 1, 1);
    size_t *layer_at = mary_calloc(graph->n_node + 1, sizeof *layer_at); /* 1 + index in layers; 0: none */
    if (before == NULL || after == NULL || layer_at == NULL) {
        status = mary_fail_memory(graph->n_node);
        goto done;
    }
    for (size_t i = 0, l = 0; i < graph->n_node && l < layers->count; i++) {
        if (graph->node[i] == layers->items[l].node) {
            layer_at[i] = l + 1;
            l++;
        }
    }
    /* before[i]: a layer with a weight lies on a path to node i; nodes are in topological order. */
    for (size_t i = 0; i < graph->n_node; i++) {
        bool layer_here = layer_at[i] > 0 && layers->items[layer_at[i] - 1].reason == NULL;
        if (layer_here && !before[i])
            layers->items[layer_at[i] - 1].first_or_last = true;
        for (size_t o = 0; o < graph->node[i]->n_output && (layer_here || before[i]); o++) {
            size_t count;
            const size_t *users = mary_graph_consumers(index, graph->node[i]->output[o], &count);
            for (size_t u = 0; u < count; u++)
                before[users[u]] = true;
        }
    }
    for (size_t i = graph->n_node; i-- > 0;) {
        bool layer_here = layer_at[i] > 0 && layers->items[layer_at[i] - 1].reason == NULL;
        for (size_t o = 0; o < graph->node[i]->n_output; o++) {
            size_t count;
            const size_t *users = mary_graph_consumers(index, graph->node[i]->output[o], &count);
            for (size_t u = 0; u < count; u++) {
                size_t user_layer = layer_at[users[u]];
                if (after[users[u]] || (user_layer > 0 && layers->items[user_layer - 1].reason == NULL))
                    after[i] = true;
            }
        }
        if (layer_here && !after[i])
            layers->items[layer_at[i] - 1].first_or_last = true;
    }
done:
    mary_free(before);
    mary_free(after);
    mary_free(layer_at);
    return status;
}

/* ---- weights that several layers use ---- */

static mary_status find_shared(mary_layers *layers)
{
    mary_status status = MARY_OK;
    mary_names first = {0};
    for (size_t i = 0; i < layers->count && status == MARY_OK; i++) {
        mary_layer *layer = &layers->items[i];
        layer->same_as = i;
        if (layer->reason != NULL || layer->weight == NULL)
            continue;
        size_t other = i;
        bool added = false;
        status = mary_names_add(&first, layer->weight, i, &added);
        if (status != MARY_OK || added || !mary_names_get(&first, layer->weight, &other))
            continue;
        if (!mary_layout_rows_equal(&layers->items[other].layout, &layer->layout))
            continue; /* read another way: codes of its own */
        layer->same_as = other;
        if (layers->items[other].settings.levels != layer->settings.levels)
            status =
                mary_layer_say(&layer->note, "shares the weight of '%s' and so its levels", layers->items[other].name);
    }
    mary_names_free(&first);
    return status;
}

/* What a rule states wins; then a first_last that was stated, what mary_convert_mixed was given, and the default. */
static void settle_levels(const mary_settings *settings, size_t position, mary_layer *layer)
{
    const bool ends = layer->first_or_last && settings->first_last_levels != MARY_SAME_LEVELS;
    const int given = position < settings->mixed_count ? settings->mixed_levels[position] : 0;
    if (layer->settings.levels_stated)
        return;
    if (ends && (settings->first_last_stated || given == 0))
        layer->settings.levels = settings->first_last_levels;
    else if (given != 0)
        layer->settings.levels = given;
}

mary_status mary_layers_choose(const mary_model *model, const mary_settings *settings, const mary_original_names *names,
                               mary_layers *layers)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    *layers = (mary_layers){0};
    mary_status status = mary_graph_index_create(graph, &index);
    if (status != MARY_OK)
        return status;
    for (size_t i = 0; i < graph->n_node; i++) {
        mary_layer_kind kind = mary_layer_kind_of(graph->node[i]);
        if (kind == MARY_LAYER_NONE)
            continue;
        if (!mary_reserve((void **)&layers->items, &layers->capacity, layers->count + 1, sizeof *layers->items)) {
            status = mary_fail_memory(sizeof *layers->items);
            goto done;
        }
        mary_layer *layer = &layers->items[layers->count];
        *layer = (mary_layer){.node = graph->node[i], .kind = kind, .same_as = layers->count};
        layer->name = mary_strdup(mary_original_name(names, layer->node));
        layers->count++;
        if (layer->name == NULL) {
            status = mary_fail_memory(1);
            goto done;
        }
        mary_settings_for(settings, layer->name, kind, &layer->settings);
        MARY_TRY_GOTO(describe(model, index, layer), done);
    }
    MARY_TRY_GOTO(mark_first_and_last(graph, index, layers), done);
    for (size_t i = 0; i < layers->count; i++) {
        mary_layer *layer = &layers->items[i];
        settle_levels(settings, i, layer);
        if (layer->reason == NULL && layer->settings.excluded != NULL)
            MARY_TRY_GOTO(mary_layer_say(&layer->reason, "%s", layer->settings.excluded), done);
    }
    MARY_TRY_GOTO(find_shared(layers), done);
done:
    mary_graph_index_free(&index);
    if (status != MARY_OK)
        mary_layers_free(layers);
    return status;
}
