/* Is the balanced model the better one? Both are converted for trial, with ranges of least squared error, and measured
 * by their outputs on the calibration samples. */
#include <string.h>

#include "convert/integer/balance.h"
#include "convert/integer/integer.h"

#define GAIN 0.97 /* the balanced model's loss is less than this part of the other's, or it is left alone */

static mary_status read_matrix(const mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                               float **matrix)
{
    float *values;
    mary_shape shape;
    const Onnx__TensorProto *tensor = model->proto->graph->initializer[mary_graph_initializer(index, layer->weight)];
    MARY_TRY(mary_constant_floats(model, tensor, &values, &shape));
    *matrix = mary_alloc((size_t)mary_shape_count(&shape) * sizeof **matrix);
    if (*matrix == NULL) {
        mary_free(values);
        return mary_fail_memory((size_t)mary_shape_count(&shape) * sizeof **matrix);
    }
    mary_layout_to_rows(&layer->layout, values, *matrix);
    mary_free(values);
    return MARY_OK;
}

/* The layers of a copy of the model; their notes are their own. */
static mary_status copy_layers(const mary_integer_plan *plan, const mary_layers *layers, mary_model *copy,
                               mary_layers *trial)
{
    *trial = (mary_layers){.items = mary_calloc(layers->count + 1, sizeof *trial->items), .count = layers->count};
    if (trial->items == NULL)
        return mary_fail_memory(layers->count * sizeof *trial->items);
    for (size_t i = 0; i < layers->count; i++) {
        trial->items[i] = layers->items[i];
        trial->items[i].note = NULL;
        if (trial->items[i].settings.method != NULL && trial->items[i].settings.method->code != NULL)
            trial->items[i].settings.method = mary_quantize_method_find(NULL); /* it would take minutes */
    }
    size_t l = 0;
    for (size_t n = 0; n < plan->node_count && l < layers->count; n++) {
        if (layers->items[l].node == plan->graph->node[n])
            trial->items[l++].node = copy->proto->graph->node[n];
    }
    return MARY_OK;
}

static mary_status quantize_all(mary_integers *trial, mary_model *copy, const mary_settings *settings,
                                mary_layers *layers)
{
    mary_graph_index *index = NULL;
    mary_status status = mary_graph_index_create(copy->proto->graph, &index);
    for (size_t i = 0; i < layers->count && status == MARY_OK; i++) {
        float *matrix = NULL;
        mary_measured measured = {0};
        mary_layer_report report;
        if (!trial->taken[i])
            continue;
        if (layers->items[i].same_as == i || !trial->taken[layers->items[i].same_as])
            status = read_matrix(copy, index, &layers->items[i], &matrix);
        if (status == MARY_OK)
            status = mary_integers_quantize(trial, copy, index, settings, layers, i, matrix, &measured, &report);
        mary_free(matrix);
    }
    mary_graph_index_free(&index);
    return status;
}

/* Loss of the outputs when `model` is converted with these statistics. */
static mary_status try_out(const mary_integers *integer, const mary_model *model, const mary_settings *settings,
                           const mary_layers *layers, double *loss)
{
    mary_model *copy = NULL;
    mary_layers own = {0};
    mary_scales scales = {0};
    mary_integers trial = {
        .statistics = integer->statistics, .taken = integer->taken, .layer_count = integer->layer_count};
    mary_status status = mary_model_copy(model, &copy);
    if (status != MARY_OK)
        return status;
    trial.layers = mary_calloc(layers->count + 1, sizeof *trial.layers);
    if (trial.layers == NULL) {
        status = mary_fail_memory(layers->count * sizeof *trial.layers);
        goto done;
    }
    MARY_TRY_GOTO(copy_layers(&integer->plan, layers, copy, &own), done);
    MARY_TRY_GOTO(mary_integer_plan_create(copy, &own, &trial.statistics, &trial.plan), done);
    MARY_TRY_GOTO(quantize_all(&trial, copy, settings, &own), done);
    MARY_TRY_GOTO(mary_scales_create(&trial.plan, &scales), done);
    mary_scales_choose(&trial.plan, &scales, mary_range_method_find("mse"));
    MARY_TRY_GOTO(mary_integer_emit(copy, &trial.plan, &scales, &own, trial.layers, false), done);
    if (mary_model_opset(copy, MARY_DOMAIN) == 0)
        MARY_TRY_GOTO(mary_model_set_opset(copy, MARY_DOMAIN, 1), done);
    mary_comparison comparison;
    status = mary_statistics_compare(&trial.statistics, copy, settings, &comparison);
    *loss = mary_comparison_loss(&comparison);
done:
    mary_scales_free(&scales);
    for (size_t i = 0; i < own.count && own.items != NULL; i++)
        mary_free(own.items[i].note);
    mary_free(own.items);
    trial.statistics = (mary_statistics){0}; /* borrowed */
    trial.taken = NULL;
    mary_integers_free(&trial);
    mary_model_free(&copy);
    return status;
}

/* The balanced model is measured with statistics of its own; the old ones come back when it is no better. */
static mary_status compare(mary_integers *integer, mary_model *model, const mary_settings *settings,
                           mary_layers *layers, const mary_balances *balances)
{
    mary_statistics before = {0};
    double plain, balanced;
    MARY_TRY(try_out(integer, model, settings, layers, &plain));
    MARY_TRY(mary_balances_apply(model, layers, balances, false));
    before = integer->statistics;
    integer->statistics = (mary_statistics){0};
    mary_integer_plan_free(&integer->plan); /* it reads the old ones */
    mary_status status = mary_integers_measure(integer, model, settings, layers);
    if (status == MARY_OK)
        status = try_out(integer, model, settings, layers, &balanced);
    integer->balanced = status == MARY_OK && balanced < GAIN * plain;
    if (status != MARY_OK || integer->balanced) {
        mary_statistics_free(&before);
        return status;
    }
    mary_statistics_free(&integer->statistics);
    integer->statistics = before;
    mary_integer_plan_free(&integer->plan);
    MARY_TRY(mary_balances_apply(model, layers, balances, true));
    return mary_integer_plan_create(model, layers, &integer->statistics, &integer->plan);
}

mary_status mary_integers_balance(mary_integers *integer, mary_model *model, const mary_settings *settings,
                                  mary_layers *layers)
{
    mary_balances balances;
    MARY_TRY(mary_balances_find(model, &integer->plan, layers, &balances));
    mary_status status = balances.count > 0 ? compare(integer, model, settings, layers, &balances) : MARY_OK;
    mary_balances_free(&balances);
    return status;
}
