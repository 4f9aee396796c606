/* Levels and codes for all layers, and what the reports say about each. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "convert/bias.h"
#include "convert/conversion.h"
#include "convert/correct.h"
#include "convert/levels.h"

mary_status mary_conversion_matrix(const mary_conversion *c, const mary_graph_index *index, const mary_layer *layer,
                                   float **matrix)
{
    const Onnx__GraphProto *graph = c->model->proto->graph;
    const Onnx__TensorProto *tensor = graph->initializer[mary_graph_initializer(index, layer->weight)];
    float *values;
    mary_shape shape;
    MARY_TRY(mary_constant_floats(c->model, tensor, &values, &shape));
    int64_t count = mary_shape_count(&shape);
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            mary_status status =
                mary_fail(MARY_ERROR_INVALID, "tensor '%s' (weight of node '%s') has the value %g at position %" PRId64,
                          layer->weight, layer->name, (double)values[i], i);
            mary_free(values);
            return status;
        }
    }
    *matrix = values;
    if (layer->layout.as_stored)
        return MARY_OK;
    *matrix = mary_alloc((size_t)count * sizeof **matrix);
    if (*matrix == NULL) {
        mary_free(values);
        return mary_fail_memory((size_t)count * sizeof **matrix);
    }
    mary_layout_to_rows(&layer->layout, values, *matrix);
    mary_free(values);
    return MARY_OK;
}

static void advance(mary_conversion *c, uint64_t weights)
{
    const mary_convert_options *options = c->settings.options;
    c->weights_done += weights;
    if (options->progress != NULL)
        options->progress(options->progress_context, c->weights_done, c->weights);
}

/* A bias may change when it is the layer's alone: not where several layers share a weight. */
static bool can_shift(const mary_conversion *c, const mary_graph_index *index, size_t position)
{
    for (size_t i = 0; i < c->layers.count; i++) {
        if (i != position && c->layers.items[i].same_as == position && c->layers.items[i].reason == NULL)
            return false;
    }
    return mary_bias_can_shift(c->model, index, &c->layers.items[position]);
}

/* Float levels and codes. */
static mary_status code_floats(mary_conversion *c, size_t position, const float *matrix, mary_measured *measured,
                               mary_quantized *quantized)
{
    mary_layer *layer = &c->layers.items[position];
    MARY_TRY(mary_layer_quantize(layer, matrix, measured->feedback, c->settings.threads, c->settings.options->seed,
                                 quantized));
    if (layer->reason != NULL)
        return MARY_OK;
    if (measured->coded != NULL)
        MARY_TRY(mary_quantized_decode(quantized, measured->coded));
    if (measured->shift != NULL)
        mary_second_moment_shift(measured->moment, matrix, measured->coded, measured->shift);
    return MARY_OK;
}

/* The initializers that hold them. */
static mary_status store_floats(mary_conversion *c, mary_graph_index *index, size_t position,
                                const mary_quantized *quantized)
{
    const mary_layer *layer = &c->layers.items[position];
    mary_layer_report *done = &c->done[position];
    const mary_payload *first = NULL;
    if (layer->given != NULL && layer->levels_of != position)
        first = &c->payloads[layer->levels_of];
    MARY_TRY(mary_payload_add(c->model, index, layer, quantized, first, &c->payloads[position]));
    done->levels = quantized->levels;
    done->bits = quantized->bits;
    done->shared = quantized->shared;
    done->method = layer->settings.method->name;
    done->sqnr = mary_quantized_sqnr(quantized);
    done->model_levels = layer->given != NULL;
    done->bytes_after = mary_quantized_code_bytes(quantized->rows, quantized->row_length, quantized->bits);
    if (first == NULL)
        done->bytes_after +=
            mary_quantized_level_bytes(quantized->rows, quantized->bits, quantized->shared, layer->type);
    return MARY_OK;
}

/* Levels and codes of a weight that no earlier layer had. `order` may be NULL; `moment` is what it measured for this
 * layer, or NULL. */
static mary_status code_first(mary_conversion *c, mary_graph_index *index, size_t position, mary_in_order *order,
                              mary_second_moment *moment, mary_quantized *quantized)
{
    mary_layer *layer = &c->layers.items[position];
    mary_measured measured = {.moment = moment};
    mary_feedback *feedback = NULL;
    float *matrix = NULL;
    mary_status status = MARY_OK;
    int threads = c->settings.threads;
    size_t rows = (size_t)layer->layout.rows, count = rows * (size_t)layer->layout.row_length;
    bool integer = mary_conversion_is_integer(c, position);
    bool shifts = moment != NULL && can_shift(c, index, position);
    MARY_TRY_GOTO(mary_conversion_matrix(c, index, layer, &matrix), done);
    if (order != NULL)
        measured.coded = mary_alloc(count * sizeof *measured.coded);
    if (shifts)
        measured.shift = mary_alloc(rows * sizeof *measured.shift);
    if ((order != NULL && measured.coded == NULL) || (shifts && measured.shift == NULL)) {
        status = mary_fail_memory(count * sizeof *measured.coded);
        goto done;
    }
    if (moment != NULL) {
        mary_second_moment_finish(moment, shifts, threads);
        status = mary_feedback_create(moment, matrix, threads, &feedback);
        if (status != MARY_OK) {
            status = mary_fail_context(status, "node '%s'", layer->name);
            goto done;
        }
        measured.feedback = feedback;
    }
    if (integer)
        status = mary_integers_quantize(&c->integer, c->model, index, &c->settings, &c->layers, position, matrix,
                                        &measured, &c->done[position]);
    else
        status = code_floats(c, position, matrix, &measured, quantized);
    if (status != MARY_OK || layer->reason != NULL)
        goto done;
    if (order != NULL)
        MARY_TRY_GOTO(mary_in_order_replace(order, position, measured.coded, measured.shift), done);
    if (!integer) { /* those of integer layers are kept with them */
        c->shifts[position] = measured.shift;
        measured.shift = NULL;
    }
done:
    mary_feedback_free(&feedback);
    mary_free(matrix);
    mary_free(measured.coded);
    mary_free(measured.shift);
    if (status == MARY_OK)
        advance(c, (uint64_t)count);
    return status;
}

static bool needs_codes(const mary_conversion *c, size_t position)
{
    const mary_layer *layer = &c->layers.items[position];
    return layer->reason == NULL && layer->same_as == position;
}

/* [layers.count] each. */
typedef struct work {
    mary_in_order_wish *wishes;
    mary_second_moment *moments;
    mary_output_match *matches;
    mary_quantized *quantized; /* of layers with float levels */
    mary_uncorrected *before;
} work;

static mary_status code_all(mary_conversion *c, mary_graph_index *index, mary_in_order *order, work *w)
{
    mary_status status = MARY_OK;
    for (size_t i = 0; i < c->layers.count; i++) {
        if (needs_codes(c, i) && w->wishes[i] != MARY_IN_ORDER_INPUTS)
            MARY_TRY(code_first(c, index, i, order, NULL, &w->quantized[i]));
    }
    for (size_t count = 1; order != NULL && count > 0;) {
        MARY_TRY(mary_in_order_measure(order, w->moments, w->matches, &count));
        for (size_t i = 0; i < c->layers.count; i++) {
            if (status == MARY_OK && w->moments[i].moment != NULL)
                status = code_first(c, index, i, order, &w->moments[i], &w->quantized[i]);
            if (status == MARY_OK && w->matches[i].made.sums != NULL && c->layers.items[i].reason == NULL)
                status = mary_conversion_correct(c, index, i, &w->matches[i], order, &w->quantized[i], &w->before[i]);
            mary_second_moment_free(&w->moments[i]);
            mary_output_match_free(&w->matches[i]);
        }
        if (status != MARY_OK)
            return status;
    }
    MARY_TRY(mary_conversion_keep_better(c, order, w->before, w->quantized));
    for (size_t i = 0; i < c->layers.count; i++) {
        if (w->quantized[i].codes != NULL && c->layers.items[i].reason == NULL)
            MARY_TRY(store_floats(c, index, i, &w->quantized[i]));
    }
    return MARY_OK;
}

/* Layers that share a weight, names for the report, and integer layers now read their codes. */
static mary_status finish(mary_conversion *c, mary_graph_index *index)
{
    for (size_t i = 0; i < c->layers.count; i++) {
        mary_layer *layer = &c->layers.items[i];
        mary_layer_report *done = &c->done[i];
        const mary_layer *first = &c->layers.items[layer->same_as];
        if (layer->reason == NULL && layer->same_as != i) {
            *done = c->done[layer->same_as];
            done->repeated = true;
            if (mary_conversion_is_integer(c, i))
                MARY_TRY(mary_integers_quantize(&c->integer, c->model, index, &c->settings, &c->layers, i, NULL, NULL,
                                                done));
            if (first->reason != NULL)
                MARY_TRY(mary_layer_say(&layer->reason, "%s", first->reason));
        }
        if (layer->reason == NULL && mary_conversion_is_integer(c, i))
            MARY_TRY(mary_node_set_input(layer->node, 1, c->integer.layers[i].codes));
        done->name = layer->name;
        done->op_type = mary_layer_op(layer->kind);
        done->weight = layer->weight;
    }
    return MARY_OK;
}

/* Error feedback asks for what comes in. With calibration data, every other method has what it does to means and
 * spreads made up for; integer activations have a correction of their own (convert/integer/layers.c). */
static mary_in_order_wish wish_of(const mary_conversion *c, const mary_graph_index *index, size_t position)
{
    const mary_convert_options *options = c->settings.options;
    if (c->layers.items[position].settings.method->code != NULL)
        return MARY_IN_ORDER_INPUTS;
    bool corrects = options->calibration != NULL && options->calibration->count > 0 && options->activations == 0 &&
                    !options->no_bias_correction;
    return corrects && can_shift(c, index, position) ? MARY_IN_ORDER_OUTPUTS : MARY_IN_ORDER_NOTHING;
}

static mary_status work_create(size_t count, work *w)
{
    *w = (work){.wishes = mary_calloc(count + 1, sizeof *w->wishes),
                .moments = mary_calloc(count + 1, sizeof *w->moments),
                .matches = mary_calloc(count + 1, sizeof *w->matches),
                .quantized = mary_calloc(count + 1, sizeof *w->quantized),
                .before = mary_calloc(count + 1, sizeof *w->before)};
    bool made =
        w->wishes != NULL && w->moments != NULL && w->matches != NULL && w->quantized != NULL && w->before != NULL;
    return made ? MARY_OK : mary_fail_memory(count * sizeof *w->quantized);
}

static void work_free(work *w, size_t count)
{
    for (size_t i = 0; w->quantized != NULL && i < count; i++)
        mary_quantized_free(&w->quantized[i]);
    for (size_t i = 0; w->before != NULL && i < count; i++)
        mary_free(w->before[i].levels);
    mary_free(w->wishes);
    mary_free(w->moments);
    mary_free(w->matches);
    mary_free(w->quantized);
    mary_free(w->before);
}

mary_status mary_conversion_code(mary_conversion *c)
{
    size_t count = c->layers.count;
    const mary_calibration *calibration = c->settings.options->calibration;
    mary_graph_index *index = NULL;
    mary_in_order *order = NULL;
    work w = {0};
    bool any = false;
    mary_status status = work_create(count, &w);
    c->payloads = mary_calloc(count + 1, sizeof *c->payloads);
    c->done = mary_calloc(count + 1, sizeof *c->done);
    c->shifts = mary_calloc(count + 1, sizeof *c->shifts);
    if (status != MARY_OK || c->payloads == NULL || c->done == NULL || c->shifts == NULL) {
        status = mary_fail_memory(count * sizeof *c->done);
        goto done;
    }
    MARY_TRY_GOTO(mary_graph_index_create(c->model->proto->graph, &index), done);
    for (size_t i = 0; i < count; i++) {
        mary_layer *layer = &c->layers.items[i];
        mary_layer_report *report = &c->done[i];
        if (mary_conversion_is_integer(c, i) != mary_conversion_is_integer(c, layer->same_as))
            layer->same_as = i; /* its levels are of another type */
        if (layer->layout.rows > 0) {
            report->rows = layer->layout.rows;
            report->row_length = layer->layout.row_length;
            report->weights = report->rows * report->row_length;
            report->bytes_before = report->bytes_after = report->weights * (int64_t)mary_type_size(layer->type);
        }
        if (!needs_codes(c, i))
            continue;
        c->weights += (uint64_t)(layer->layout.rows * layer->layout.row_length);
        w.wishes[i] = wish_of(c, index, i);
        any = any || w.wishes[i] != MARY_IN_ORDER_NOTHING;
        if (w.wishes[i] == MARY_IN_ORDER_INPUTS && (calibration == NULL || calibration->count < 1)) {
            status = mary_fail(MARY_ERROR_USAGE, "the method '%s' needs calibration data (--calibration-data PATH)",
                               layer->settings.method->name);
            goto done;
        }
    }
    advance(c, 0);
    MARY_TRY_GOTO(mary_conversion_share_levels(c, index), done);
    if (any)
        MARY_TRY_GOTO(mary_in_order_create(c->model, &c->layers, w.wishes, calibration, c->settings.threads, &order),
                      done);
    MARY_TRY_GOTO(code_all(c, index, order, &w), done);
    status = finish(c, index);
done:
    mary_in_order_free(&order);
    mary_graph_index_free(&index);
    work_free(&w, count);
    return status;
}
