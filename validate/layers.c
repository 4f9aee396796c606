/* The layers of the models that are validated: what their weights were, and what levels they have now. Layers are
 * matched by the value that they compute, whose name conversion keeps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "validate/validation.h"
#include "onnx/edit.h"

#define MARY_DOMAIN_NAME "ai.mary"

typedef struct layer_side {
    mary_model *model;
    const Onnx__GraphProto *graph;
    mary_graph_index *index;
} layer_side;

static mary_status side_open(layer_side *side, const mary_model_source *source)
{
    memset(side, 0, sizeof *side);
    MARY_TRY(mary_model_source_load(source, &side->model));
    side->graph = side->model->proto->graph;
    return mary_graph_index_create(side->graph, &side->index);
}

static void side_close(layer_side *side)
{
    mary_graph_index_free(&side->index);
    mary_model_free(&side->model);
}

static bool is_type(const Onnx__NodeProto *node, const char *type)
{
    return (node->domain == NULL || node->domain[0] == '\0') && strcmp(node->op_type, type) == 0;
}

static bool is_weighted(const Onnx__NodeProto *node)
{
    return is_type(node, "Conv") || is_type(node, "ConvTranspose") || is_type(node, "Gemm") || is_type(node, "MatMul");
}

static bool is_mary(const Onnx__NodeProto *node)
{
    return node->domain != NULL && strcmp(node->domain, MARY_DOMAIN_NAME) == 0;
}

/* MaryQLinear*: x, its scale and zero point come before the codes. */
static bool is_integer(const Onnx__NodeProto *node)
{
    return is_mary(node) && strncmp(node->op_type, "MaryQLinear", 11) == 0;
}

static size_t weight_input(const Onnx__NodeProto *node)
{
    return is_integer(node) ? 3 : 1;
}

/* The constant that feeds input `i`: an initializer or a Constant node; NULL: neither. */
static const Onnx__TensorProto *constant_input(const layer_side *side, const Onnx__NodeProto *node, size_t i)
{
    if (i >= node->n_input || node->input[i][0] == '\0')
        return NULL;
    ptrdiff_t at = mary_graph_initializer(side->index, node->input[i]);
    if (at >= 0)
        return side->graph->initializer[at];
    at = mary_graph_producer(side->index, node->input[i]);
    const Onnx__TensorProto *value = NULL;
    if (at < 0 || !is_type(side->graph->node[at], "Constant") ||
        mary_attribute_tensor(side->graph->node[at], "value", &value) != MARY_OK)
        return NULL;
    return value;
}

/* ---- float weights ---- */

/* gamma / sqrt(variance + epsilon), one per channel: what folding this BatchNormalization into its Conv multiplies by.
 */
static mary_status folded_scale(const layer_side *side, const Onnx__NodeProto *norm, float **scale, int64_t *count)
{
    const Onnx__TensorProto *gamma = constant_input(side, norm, 1), *variance = constant_input(side, norm, 4);
    float epsilon, *spread = NULL;
    mary_shape shape, other;
    *scale = NULL;
    if (gamma == NULL || variance == NULL)
        return MARY_OK;
    MARY_TRY(mary_attribute_float(norm, "epsilon", 1e-5f, &epsilon));
    MARY_TRY(mary_constant_floats(side->model, gamma, scale, &shape));
    mary_status status = mary_constant_floats(side->model, variance, &spread, &other);
    if (status == MARY_OK && !mary_shape_equal(&shape, &other))
        status = mary_fail(MARY_ERROR_INVALID, "BatchNormalization with parameters of different sizes");
    *count = mary_shape_count(&shape);
    for (int64_t i = 0; status == MARY_OK && i < *count; i++)
        (*scale)[i] /= sqrtf(spread[i] + epsilon);
    mary_free(spread);
    if (status != MARY_OK) {
        mary_free(*scale);
        *scale = NULL;
    }
    return status;
}

static void fill_histogram(mary_compared_layer *layer, const float *weights, int64_t count)
{
    float least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(weights[i])) {
            least = fminf(least, weights[i]);
            most = fmaxf(most, weights[i]);
        }
    }
    if (!(least < most))
        return;
    double step = ((double)most - least) / MARY_HISTOGRAM_BINS;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(weights[i]))
            continue;
        int bin = (int)((weights[i] - (double)least) / step);
        layer->bins[bin < MARY_HISTOGRAM_BINS ? bin : MARY_HISTOGRAM_BINS - 1]++;
    }
    layer->least = least;
    layer->most = most;
    layer->histogram = true;
}

/* The float layer that computes the same value, through nodes that conversion may have folded away. */
static mary_status read_float_layer(const layer_side *side, mary_compared_layer *layer)
{
    enum { MAX_STEPS = 4 };
    const Onnx__NodeProto *norm = NULL;
    const char *value = layer->output;
    for (int step = 0; step < MAX_STEPS; step++) {
        ptrdiff_t at = mary_graph_producer(side->index, value);
        if (at < 0)
            return MARY_OK;
        const Onnx__NodeProto *node = side->graph->node[at];
        if (is_weighted(node)) {
            const Onnx__TensorProto *message = constant_input(side, node, 1);
            float *weights = NULL, *scale = NULL;
            int64_t channels = 0;
            mary_shape shape;
            mary_type type;
            if (message == NULL || mary_tensor_describe(message, &type, &shape) != MARY_OK || !mary_type_is_float(type))
                return MARY_OK;
            MARY_TRY(mary_constant_floats(side->model, message, &weights, &shape));
            int64_t count = mary_shape_count(&shape);
            layer->bytes_before = (uint64_t)count * mary_type_size(type);
            layer->weights = (uint64_t)count;
            mary_status status = norm != NULL ? folded_scale(side, norm, &scale, &channels) : MARY_OK;
            if (scale != NULL && is_type(node, "Conv") && shape.rank > 0 && shape.dims[0] == channels && channels > 0) {
                for (int64_t i = 0; i < count; i++)
                    weights[i] *= scale[i / (count / channels)];
            }
            if (status == MARY_OK)
                fill_histogram(layer, weights, count);
            mary_free(scale);
            mary_free(weights);
            return status;
        }
        bool clips =
            layer->stored != NULL && (is_type(node, "Relu") || is_type(node, "Clip")); /* saturation does that */
        if (is_type(node, "BatchNormalization") && norm == NULL)
            norm = node;
        else if (!is_type(node, "Identity") && !is_type(node, "Dropout") && !clips)
            return MARY_OK;
        if (node->n_input == 0)
            return MARY_OK;
        value = node->input[0];
    }
    return MARY_OK;
}

/* ---- levels ---- */

/* levels: [rows, size], ascending, the last one repeated where fewer are used. */
static mary_status read_levels(mary_compared_layer *layer, const float *levels, int64_t rows, int64_t size)
{
    int most = 0;
    for (int64_t r = 0; r < rows; r++) {
        int distinct = 1;
        for (int64_t i = 1; i < size; i++)
            distinct += levels[r * size + i] != levels[r * size + i - 1];
        most = distinct > most ? distinct : most;
    }
    layer->levels = most;
    layer->spread = mary_calloc((size_t)most, sizeof *layer->spread);
    layer->thresholds = mary_calloc((size_t)most, sizeof *layer->thresholds);
    if (layer->spread == NULL || layer->thresholds == NULL)
        return mary_fail_memory((size_t)most * sizeof *layer->spread);
    for (int i = 0; i < most; i++) {
        mary_level_spread *spread = &layer->spread[i];
        *spread = (mary_level_spread){INFINITY, -INFINITY, 0};
        for (int64_t r = 0; r < rows; r++) {
            float level = levels[r * size + i];
            spread->least = fminf(spread->least, level);
            spread->most = fmaxf(spread->most, level);
            spread->mean += (double)level / (double)rows;
            if (i > 0)
                layer->thresholds[i - 1] += ((double)level + levels[r * size + i - 1]) / 2 / (double)rows;
        }
    }
    return MARY_OK;
}

/* Was this initializer already counted by an earlier layer? */
static bool counted_before(const Onnx__GraphProto *graph, size_t node, const char *codes)
{
    for (size_t i = 0; i < node; i++) {
        const Onnx__NodeProto *other = graph->node[i];
        size_t input = weight_input(other);
        if ((is_mary(other) || is_weighted(other)) && other->n_input > input && strcmp(other->input[input], codes) == 0)
            return true;
    }
    return false;
}

/* int8 levels [rows or 1, size] times the scales of the rows; *rows is then that of the scales. */
static mary_status scale_levels(const layer_side *side, const Onnx__NodeProto *node, float **levels, int64_t *rows,
                                int64_t size)
{
    const Onnx__TensorProto *scales = constant_input(side, node, 5);
    float *factors, *scaled;
    mary_shape shape;
    if (scales == NULL)
        return MARY_OK;
    MARY_TRY(mary_constant_floats(side->model, scales, &factors, &shape));
    int64_t count = mary_shape_count(&shape);
    scaled = mary_calloc((size_t)count, (size_t)size * sizeof *scaled);
    if (scaled == NULL || count < 1 || (*rows != 1 && *rows != count)) {
        mary_free(factors);
        mary_free(scaled);
        return mary_fail(MARY_ERROR_INVALID, "node '%s': scales and levels do not fit", mary_node_label(node));
    }
    for (int64_t i = 0; i < count * size; i++)
        scaled[i] = factors[i / size] * (*levels)[*rows == 1 ? i % size : i];
    mary_free(factors);
    mary_free(*levels);
    *levels = scaled;
    *rows = count;
    return MARY_OK;
}

static mary_status read_mary_layer(const layer_side *side, const Onnx__NodeProto *node, mary_compared_layer *layer)
{
    size_t input = weight_input(node);
    const Onnx__TensorProto *codes = constant_input(side, node, input);
    const Onnx__TensorProto *levels = constant_input(side, node, input + 1);
    int64_t bits = 0, row_length = 0;
    if (codes == NULL || levels == NULL)
        return MARY_OK;
    MARY_TRY(mary_attribute_int(node, "bits", 0, &bits));
    MARY_TRY(mary_attribute_int(node, "row_length", 0, &row_length));
    mary_shape code_shape, level_shape;
    mary_type type;
    MARY_TRY(mary_tensor_describe(codes, &type, &code_shape));
    MARY_TRY(mary_tensor_describe(levels, &type, &level_shape));
    float *values = NULL;
    MARY_TRY(mary_constant_numbers(side->model, levels, &values, &level_shape));
    mary_status status = MARY_OK;
    uint64_t weights = 0;
    if (code_shape.rank != 2 || level_shape.rank != 2 || level_shape.dims[0] < 1 || level_shape.dims[1] < 1 ||
        level_shape.dims[1] > MARY_LEVELS || row_length < 0 ||
        __builtin_mul_overflow((uint64_t)code_shape.dims[0], (uint64_t)row_length, &weights) ||
        weights > INT64_MAX / 8) {
        status = mary_fail(MARY_ERROR_INVALID, "node '%s': codes or levels have wrong shapes", mary_node_label(node));
    } else {
        layer->mary = true;
        layer->bits = (int)bits;
        layer->rows = code_shape.dims[0];
        layer->per_row = level_shape.dims[0] > 1;
        layer->weights = weights;
        layer->bytes_before = weights * sizeof(float);
        layer->bytes_after =
            (uint64_t)mary_shape_count(&code_shape) + (uint64_t)mary_shape_count(&level_shape) * mary_type_size(type);
        if (is_integer(node)) {
            layer->bytes_after += (uint64_t)code_shape.dims[0] * sizeof(float);
            status = scale_levels(side, node, &values, &level_shape.dims[0], level_shape.dims[1]);
        }
        if (status == MARY_OK)
            status = read_levels(layer, values, level_shape.dims[0], level_shape.dims[1]);
    }
    mary_free(values);
    return status;
}

/* The float value that a u8 one stands for has its name without "_quantized" (convert/integer/emit.c), and stays under
 * it in the float model. */
static mary_status read_stored_output(const layer_side *side, const Onnx__NodeProto *node, mary_compared_layer *layer)
{
    const Onnx__TensorProto *scale = constant_input(side, node, 7), *zero_point = constant_input(side, node, 8);
    char *suffix = strstr(layer->output, "_quantized");
    float *value;
    mary_shape shape;
    mary_constant zero;
    if (scale == NULL || zero_point == NULL || suffix == NULL)
        return MARY_OK;
    MARY_TRY(mary_constant_floats(side->model, scale, &value, &shape));
    layer->scale = mary_shape_count(&shape) > 0 ? value[0] : 1;
    mary_free(value);
    MARY_TRY(mary_constant_decode(side->model, zero_point, &zero));
    if (mary_shape_count(&zero.tensor.shape) > 0)
        layer->zero_point = (int)mary_tensor_int(&zero.tensor, 0);
    mary_constant_free(&zero);
    layer->stored = mary_strdup(layer->output);
    *suffix = '\0';
    return layer->stored != NULL ? MARY_OK : mary_fail_memory(1);
}

static mary_status add_layer(const layer_side *side, size_t position, mary_validation *validation)
{
    const Onnx__NodeProto *node = side->graph->node[position];
    const Onnx__TensorProto *weight = constant_input(side, node, weight_input(node));
    if (weight == NULL || node->n_output == 0)
        return MARY_OK;
    if (!mary_reserve((void **)&validation->layers, &validation->layer_capacity, validation->layer_count + 1,
                      sizeof *validation->layers))
        return mary_fail_memory(sizeof *validation->layers);
    mary_compared_layer *layer = &validation->layers[validation->layer_count++];
    *layer = (mary_compared_layer){.node = mary_strdup(mary_node_label(node)),
                                   .op = mary_strdup(node->op_type),
                                   .output = mary_strdup(node->output[0])};
    if (layer->node == NULL || layer->op == NULL || layer->output == NULL)
        return mary_fail_memory(256);
    if (is_integer(node))
        MARY_TRY(read_stored_output(side, node, layer));
    if (is_mary(node)) {
        MARY_TRY(read_mary_layer(side, node, layer));
    } else {
        mary_shape shape;
        mary_type type;
        MARY_TRY(mary_tensor_describe(weight, &type, &shape));
        layer->weights = (uint64_t)mary_shape_count(&shape);
        layer->bytes_before = layer->bytes_after = layer->weights * mary_type_size(type);
    }
    layer->shared = counted_before(side->graph, position, node->input[weight_input(node)]);
    return MARY_OK;
}

mary_status mary_compared_layers_list(const mary_model_source *reference, const mary_model_source *source,
                                      mary_validation *validation)
{
    layer_side before = {0}, after = {0};
    mary_status status = side_open(&after, source);
    if (status == MARY_OK && reference != NULL)
        status = side_open(&before, reference);
    for (size_t i = 0; status == MARY_OK && i < after.graph->n_node; i++) {
        const Onnx__NodeProto *node = after.graph->node[i];
        if (is_mary(node) || is_weighted(node))
            status = add_layer(&after, i, validation);
    }
    for (size_t i = 0; status == MARY_OK && i < validation->layer_count; i++) {
        mary_compared_layer *layer = &validation->layers[i];
        if (reference != NULL)
            status = read_float_layer(&before, layer);
        else if (!layer->mary)
            status = read_float_layer(&after, layer);
        if (layer->shared)
            layer->bytes_before = layer->bytes_after = 0;
    }
    side_close(&before);
    side_close(&after);
    return status;
}
