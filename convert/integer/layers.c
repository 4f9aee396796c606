/* Weights and biases of integer layers. */
#include <math.h>
#include <string.h>

#include "convert/integer/integer.h"
#include "convert/integer/weight.h"

/* A bias is at most this many steps of its row's sums, estimated from the largest range that calibration may choose. */
#define BIAS_STEPS ((double)(1 << 23))

/* [rows] doubles, the constant times beta; NULL in *bias when there is none. */
static mary_status read_bias(const mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                             double **bias)
{
    const Onnx__NodeProto *node = layer->node;
    float beta = 1, *values;
    mary_shape shape;
    *bias = NULL;
    if (layer->kind == MARY_LAYER_MATMUL || node->n_input < 3 || node->input[2][0] == '\0')
        return MARY_OK;
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_float(node, "beta", 1, &beta));
    const Onnx__TensorProto *tensor = model->proto->graph->initializer[mary_graph_initializer(index, node->input[2])];
    MARY_TRY(mary_constant_floats(model, tensor, &values, &shape));
    mary_status status = MARY_OK;
    int64_t rows = layer->layout.rows;
    *bias = mary_alloc((size_t)rows * sizeof **bias);
    if (*bias == NULL)
        status = mary_fail_memory((size_t)rows * sizeof **bias);
    for (int64_t r = 0; r < rows && status == MARY_OK; r++) {
        (*bias)[r] = (double)beta * values[mary_shape_count(&shape) == 1 ? 0 : r];
        if (!isfinite((*bias)[r]))
            status = mary_fail(MARY_ERROR_INVALID, "tensor '%s' (bias of node '%s') has the value %g", node->input[2],
                               layer->name, (*bias)[r]);
    }
    mary_free(values);
    return status;
}

/* Mean of the input at every position of a row, for each group; NULL in *means when it was not measured. */
static mary_status read_means(const mary_layer *layer, const mary_statistics_value *input, double **means,
                              int64_t *groups)
{
    const mary_layout_rows *layout = &layer->layout;
    int64_t taps = 1;
    *means = NULL;
    *groups = 1;
    if (layer->kind == MARY_LAYER_CONV) {
        MARY_TRY(mary_attribute_int(layer->node, "group", 1, groups));
        taps = mary_shape_count_range(&layout->shape, 2, layout->shape.rank);
    }
    int64_t inputs = layout->row_length / taps;
    if (input->channel_sums == NULL || input->channel_count == 0 || *groups < 1 || layout->rows % *groups != 0 ||
        input->channels != inputs * *groups)
        return MARY_OK;
    *means = mary_alloc((size_t)(layout->row_length * *groups) * sizeof **means);
    if (*means == NULL)
        return mary_fail_memory((size_t)(layout->row_length * *groups) * sizeof **means);
    for (int64_t c = 0; c < input->channels; c++) {
        for (int64_t t = 0; t < taps; t++)
            (*means)[c * taps + t] = input->channel_sums[c] / (double)input->channel_count;
    }
    return MARY_OK;
}

static mary_status least_scales(const double *bias, int64_t rows, const mary_histogram *input, double **scales)
{
    double extent = fmax((double)input->most, 0) - fmin((double)input->least, 0);
    *scales = NULL;
    if (bias == NULL || input->count == 0 || extent <= 0)
        return MARY_OK;
    *scales = mary_alloc((size_t)rows * sizeof **scales);
    if (*scales == NULL)
        return mary_fail_memory((size_t)rows * sizeof **scales);
    for (int64_t r = 0; r < rows; r++)
        (*scales)[r] = fabs(bias[r]) / (BIAS_STEPS * extent / 255);
    return MARY_OK;
}

static mary_status add_constant(mary_model *model, mary_graph_index *index, const char *stem, const char *suffix,
                                mary_type type, int64_t rows, int64_t columns, const void *data, char **name)
{
    const mary_shape shape = {columns > 0 ? 2 : 1, {rows, columns}};
    char *whole = mary_asprintf("%s_%s", stem, suffix);
    *name = whole == NULL ? NULL : mary_graph_unique_name(index, whole);
    mary_free(whole);
    return *name == NULL ? mary_fail_memory(strlen(stem)) : mary_integer_add_constant(model, *name, type, &shape, data);
}

/* Zero points of weights are all 0: layers with as many rows share them. */
static mary_status add_zero_point(mary_integers *integer, mary_model *model, mary_graph_index *index,
                                  const mary_layers *layers, size_t position)
{
    int64_t rows = layers->items[position].layout.rows;
    for (size_t i = 0; i < integer->layer_count; i++) {
        if (integer->layers[i].zero_point == NULL || layers->items[i].layout.rows != rows)
            continue;
        integer->layers[position].zero_point = mary_strdup(integer->layers[i].zero_point);
        return integer->layers[position].zero_point == NULL ? mary_fail_memory(1) : MARY_OK;
    }
    int8_t *zeros = mary_calloc((size_t)rows, sizeof *zeros);
    if (zeros == NULL)
        return mary_fail_memory((size_t)rows);
    mary_status status = add_constant(model, index, layers->items[position].weight, "zero_point", MARY_INT8, rows, 0,
                                      zeros, &integer->layers[position].zero_point);
    mary_free(zeros);
    return status;
}

/* Row scales, the factor of Gemm included, of a weight with these. */
static mary_status add_scales(mary_integer_layer *to, mary_model *model, mary_graph_index *index,
                              const mary_layer *layer, const float *scales)
{
    int64_t rows = layer->layout.rows;
    float alpha = 1;
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_float(layer->node, "alpha", 1, &alpha));
    to->row_scales = mary_alloc((size_t)rows * sizeof *to->row_scales);
    if (to->row_scales == NULL)
        return mary_fail_memory((size_t)rows * sizeof *to->row_scales);
    for (int64_t r = 0; r < rows; r++) {
        to->row_scales[r] = scales[r] * alpha;
        if (to->correction != NULL)
            to->correction[r] *= alpha;
    }
    return add_constant(model, index, layer->weight, "scale", MARY_FLOAT, rows, 0, to->row_scales, &to->scale);
}

static mary_status store_first(mary_integers *integer, mary_model *model, mary_graph_index *index,
                               const mary_settings *settings, mary_layers *layers, size_t position, const float *matrix,
                               mary_measured *measured, mary_layer_report *done)
{
    mary_layer *layer = &layers->items[position];
    mary_integer_layer *to = &integer->layers[position];
    const mary_statistics_value *input = mary_statistics_find(&integer->statistics, layer->node->input[0]);
    mary_integer_weight weight = {0};
    double *means = NULL, *scales = NULL;
    int64_t groups, rows = layer->layout.rows;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(read_means(layer, input, &means, &groups), done);
    MARY_TRY_GOTO(least_scales(to->bias, rows, &input->histogram, &scales), done);
    if ((means != NULL || measured->shift != NULL) && layer->kind != MARY_LAYER_MATMUL) {
        to->correction = mary_calloc((size_t)rows, sizeof *to->correction);
        if (to->correction == NULL) {
            status = mary_fail_memory((size_t)rows * sizeof *to->correction);
            goto done;
        }
        integer->corrects = true;
    }
    const mary_integer_row_needs needs = {means, rows / groups, scales, measured->feedback};
    MARY_TRY_GOTO(mary_integer_weight_choose(layer, matrix, settings->threads, settings->options->seed, &needs,
                                             to->correction, &weight),
                  done);
    if (measured->coded != NULL)
        MARY_TRY_GOTO(mary_integer_weight_decode(&weight, measured->coded), done);
    if (measured->shift != NULL) {
        mary_second_moment_shift(measured->moment, matrix, measured->coded, measured->shift);
        for (int64_t r = 0; r < rows && to->correction != NULL; r++)
            to->correction[r] = measured->shift[r];
    }
    to->bits = weight.bits;
    MARY_TRY_GOTO(add_constant(model, index, layer->weight, "codes", MARY_UINT8, rows,
                               mary_quantized_code_bytes(1, weight.row_length, weight.bits), weight.codes, &to->codes),
                  done);
    MARY_TRY_GOTO(add_constant(model, index, layer->weight, "levels", MARY_INT8, weight.shared ? 1 : rows,
                               1 << weight.bits, weight.grid, &to->levels),
                  done);
    MARY_TRY_GOTO(add_scales(to, model, index, layer, weight.scale), done);
    MARY_TRY_GOTO(add_zero_point(integer, model, index, layers, position), done);
    done->levels = weight.levels;
    done->bits = weight.bits;
    done->shared = weight.shared;
    done->method = weight.method;
    done->sqnr = weight.error > 0 ? 10 * log10(weight.energy / weight.error) : INFINITY;
    done->bytes_after = mary_integer_weight_bytes(&weight);
done:
    mary_free(means);
    mary_free(scales);
    mary_integer_weight_free(&weight);
    return status;
}

/* The same codes and levels as an earlier layer. */
static mary_status store_again(mary_integers *integer, mary_model *model, mary_graph_index *index,
                               const mary_layers *layers, size_t position)
{
    const mary_layer *layer = &layers->items[position];
    const mary_integer_layer *from = &integer->layers[layer->same_as];
    mary_integer_layer *to = &integer->layers[position];
    float alpha = 1, first = 1;
    to->bits = from->bits;
    to->codes = mary_strdup(from->codes);
    to->levels = mary_strdup(from->levels);
    to->zero_point = mary_strdup(from->zero_point);
    if (to->codes == NULL || to->levels == NULL || to->zero_point == NULL)
        return mary_fail_memory(1);
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_float(layer->node, "alpha", 1, &alpha));
    if (layers->items[layer->same_as].kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_float(layers->items[layer->same_as].node, "alpha", 1, &first));
    size_t bytes = (size_t)layer->layout.rows * sizeof *to->row_scales;
    to->row_scales = mary_alloc(bytes);
    if (to->row_scales == NULL)
        return mary_fail_memory(bytes);
    for (int64_t r = 0; r < layer->layout.rows; r++)
        to->row_scales[r] = from->row_scales[r] / first * alpha;
    if (alpha != first)
        return add_constant(model, index, layer->weight, "scale", MARY_FLOAT, layer->layout.rows, 0, to->row_scales,
                            &to->scale);
    memcpy(to->row_scales, from->row_scales, bytes);
    to->scale = mary_strdup(from->scale);
    return to->scale == NULL ? mary_fail_memory(1) : MARY_OK;
}

mary_status mary_integers_quantize(mary_integers *integer, mary_model *model, mary_graph_index *index,
                                   const mary_settings *settings, mary_layers *layers, size_t position,
                                   const float *matrix, mary_measured *measured, mary_layer_report *done)
{
    mary_layer *layer = &layers->items[position];
    MARY_TRY(read_bias(model, index, layer, &integer->layers[position].bias));
    if (matrix != NULL)
        MARY_TRY(store_first(integer, model, index, settings, layers, position, matrix, measured, done));
    else
        MARY_TRY(store_again(integer, model, index, layers, position));
    return MARY_OK;
}
