/* Levels and codes for all layers, and what the reports say about each. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "convert/bias.h"
#include "convert/calibrate/in_order.h"
#include "convert/codes.h"
#include "convert/conversion.h"
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

/* What the codes stand for: matrix [rows, row_length]. */
static mary_status decode(const mary_quantized *quantized, float *matrix)
{
    int64_t length = quantized->row_length, row_bytes = mary_codes_row_bytes(length, quantized->bits);
    uint8_t *codes = mary_alloc((size_t)length);
    if (codes == NULL)
        return mary_fail_memory((size_t)length);
    for (int64_t r = 0; r < quantized->rows; r++) {
        const float *levels = quantized->values + (quantized->shared ? 0 : r << quantized->bits);
        mary_codes_unpack(quantized->codes + r * row_bytes, length, quantized->bits, codes);
        for (int64_t k = 0; k < length; k++)
            matrix[r * length + k] = levels[codes[k]];
    }
    mary_free(codes);
    return MARY_OK;
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

/* Float levels, and the initializers that hold them. */
static mary_status code_floats(mary_conversion *c, mary_graph_index *index, size_t position, const float *matrix,
                               mary_measured *measured)
{
    mary_layer *layer = &c->layers.items[position];
    mary_layer_report *done = &c->done[position];
    mary_quantized quantized = {0};
    const mary_payload *first = NULL;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(mary_layer_quantize(layer, matrix, measured->feedback, c->settings.threads, c->settings.options->seed,
                                      &quantized),
                  done);
    if (layer->reason != NULL)
        goto done;
    if (measured->coded != NULL)
        MARY_TRY_GOTO(decode(&quantized, measured->coded), done);
    if (measured->shift != NULL)
        mary_second_moment_shift(measured->moment, matrix, measured->coded, measured->shift);
    if (layer->given != NULL && layer->levels_of != position)
        first = &c->payloads[layer->levels_of];
    MARY_TRY_GOTO(mary_payload_add(c->model, index, layer, &quantized, first, &c->payloads[position]), done);
    done->levels = quantized.levels;
    done->bits = quantized.bits;
    done->shared = quantized.shared;
    done->method = layer->settings.method->name;
    done->sqnr = mary_quantized_sqnr(&quantized);
    done->model_levels = layer->given != NULL;
    done->bytes_after = mary_quantized_code_bytes(quantized.rows, quantized.row_length, quantized.bits);
    if (first == NULL)
        done->bytes_after += mary_quantized_level_bytes(quantized.rows, quantized.bits, quantized.shared, layer->type);
done:
    mary_quantized_free(&quantized);
    return status;
}

/* Levels, codes and initializers of a weight that no earlier layer had. `order` may be NULL; `moment` is what it
 * measured for this layer, or NULL. */
static mary_status code_first(mary_conversion *c, mary_graph_index *index, size_t position, mary_in_order *order,
                              mary_second_moment *moment)
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
        status = code_floats(c, index, position, matrix, &measured);
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

static mary_status code_all(mary_conversion *c, mary_graph_index *index, const bool *measured, mary_in_order *order,
                            mary_second_moment *moments)
{
    mary_status status = MARY_OK;
    for (size_t i = 0; i < c->layers.count; i++) {
        if (needs_codes(c, i) && !measured[i])
            MARY_TRY(code_first(c, index, i, order, NULL));
    }
    for (size_t count = 1; order != NULL && count > 0;) {
        MARY_TRY(mary_in_order_measure(order, moments, &count));
        for (size_t i = 0; i < c->layers.count; i++) {
            if (moments[i].moment != NULL && status == MARY_OK)
                status = code_first(c, index, i, order, &moments[i]);
            mary_second_moment_free(&moments[i]);
        }
        if (status != MARY_OK)
            return status;
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

mary_status mary_conversion_code(mary_conversion *c)
{
    size_t count = c->layers.count;
    const mary_calibration *calibration = c->settings.options->calibration;
    mary_graph_index *index = NULL;
    mary_in_order *order = NULL;
    mary_status status = MARY_OK;
    bool any = false, *measured = mary_calloc(count + 1, sizeof *measured);
    mary_second_moment *moments = mary_calloc(count + 1, sizeof *moments);
    c->payloads = mary_calloc(count + 1, sizeof *c->payloads);
    c->done = mary_calloc(count + 1, sizeof *c->done);
    c->shifts = mary_calloc(count + 1, sizeof *c->shifts);
    if (measured == NULL || moments == NULL || c->payloads == NULL || c->done == NULL || c->shifts == NULL) {
        status = mary_fail_memory(count * sizeof *c->done);
        goto done;
    }
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
        measured[i] = layer->settings.method->code != NULL;
        any = any || measured[i];
        if (measured[i] && (calibration == NULL || calibration->count < 1)) {
            status = mary_fail(MARY_ERROR_USAGE, "the method '%s' needs calibration data (--calibration-data PATH)",
                               layer->settings.method->name);
            goto done;
        }
    }
    advance(c, 0);
    MARY_TRY_GOTO(mary_graph_index_create(c->model->proto->graph, &index), done);
    MARY_TRY_GOTO(mary_conversion_share_levels(c, index), done);
    if (any)
        MARY_TRY_GOTO(mary_in_order_create(c->model, &c->layers, measured, calibration, c->settings.threads, &order),
                      done);
    MARY_TRY_GOTO(code_all(c, index, measured, order, moments), done);
    status = finish(c, index);
done:
    mary_in_order_free(&order);
    mary_graph_index_free(&index);
    mary_free(measured);
    mary_free(moments);
    return status;
}
