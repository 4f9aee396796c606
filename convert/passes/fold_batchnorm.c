/* What scales and shifts each channel after a Conv, ConvTranspose or Gemm becomes part of its weight and bias.
 *
 *   BatchNormalization   y = scale * (x - mean) / sqrt(var + epsilon) + B
 *   Add of a constant    y = x + c          constants of one element, or one per channel
 *   Mul by a constant    y = x * c
 * all of the form y = s[c] * x + t[c], so W'[c] = s[c] * W[c] and b'[c] = s[c] * b[c] + t[c], computed in double. */
#include <math.h>
#include <string.h>

#include "convert/layer.h"
#include "convert/passes/passes.h"

/* y = scale[c] * x + shift[c] */
typedef struct affine {
    int64_t channels;
    double *scale, *shift; /* one block, freed by `scale` */
} affine;

typedef struct fold_context {
    mary_model *model;
    mary_convert_report *report;
    mary_graph_index *index;
} fold_context;

static const Onnx__TensorProto *constant(const fold_context *f, const char *name)
{
    ptrdiff_t position = mary_graph_initializer(f->index, name);
    if (name[0] == '\0' || position < 0 || mary_graph_is_input(f->index, name))
        return NULL;
    return f->model->proto->graph->initializer[position];
}

/* `count` floats of a constant; NULL in *values when it has another number of elements or is no float. */
static mary_status channel_values(const fold_context *f, const char *name, int64_t count, float **values)
{
    const Onnx__TensorProto *tensor = constant(f, name);
    mary_type type;
    mary_shape shape;
    *values = NULL;
    if (tensor == NULL || mary_tensor_describe(tensor, &type, &shape) != MARY_OK || !mary_type_is_float(type) ||
        mary_shape_count(&shape) != count)
        return MARY_OK;
    return mary_constant_floats(f->model, tensor, values, &shape);
}

static mary_status read_batchnorm(const fold_context *f, const Onnx__NodeProto *node, affine *map, bool *usable)
{
    float *parameters[4] = {NULL}, epsilon;
    int64_t training, spatial;
    mary_status status = MARY_OK;
    *usable = false;
    MARY_TRY(mary_attribute_float(node, "epsilon", 1e-5f, &epsilon));
    MARY_TRY(mary_attribute_int(node, "training_mode", 0, &training));
    MARY_TRY(mary_attribute_int(node, "spatial", 1, &spatial));
    if (training != 0 || spatial != 1 || node->n_input != 5)
        return MARY_OK;
    for (size_t i = 1; i < node->n_output; i++) {
        if (node->output[i][0] != '\0')
            return MARY_OK;
    }
    for (int i = 0; i < 4; i++) {
        MARY_TRY_GOTO(channel_values(f, node->input[i + 1], map->channels, &parameters[i]), done);
        if (parameters[i] == NULL)
            goto done;
    }
    *usable = true;
    for (int64_t c = 0; c < map->channels; c++) {
        double scale = parameters[0][c] / sqrt((double)parameters[3][c] + epsilon);
        map->scale[c] = scale;
        map->shift[c] = parameters[1][c] - scale * parameters[2][c];
        *usable = *usable && isfinite(map->scale[c]) && isfinite(map->shift[c]);
    }
done:
    for (int i = 0; i < 4; i++)
        mary_free(parameters[i]);
    return status;
}

/* Add or Mul with a constant that broadcasts to one value per channel of a tensor of `rank`, channels on axis 1. */
static mary_status read_arithmetic(const fold_context *f, const Onnx__NodeProto *node, const char *value, int rank,
                                   affine *map, bool *usable)
{
    *usable = false;
    if (node->n_input != 2 || strcmp(node->input[0], node->input[1]) == 0)
        return MARY_OK;
    const char *name = strcmp(node->input[0], value) == 0 ? node->input[1] : node->input[0];
    const Onnx__TensorProto *tensor = constant(f, name);
    mary_type type;
    mary_shape shape;
    if (tensor == NULL || mary_tensor_describe(tensor, &type, &shape) != MARY_OK || !mary_type_is_float(type) ||
        shape.rank > rank)
        return MARY_OK;
    int64_t count = mary_shape_count(&shape);
    int channel_axis = shape.rank - rank + 1; /* axis 1 of the tensor, aligned from the right */
    if (count != 1 && (channel_axis < 0 || shape.dims[channel_axis] != count || count != map->channels))
        return MARY_OK;
    float *values;
    MARY_TRY(mary_constant_floats(f->model, tensor, &values, &shape));
    bool add = strcmp(node->op_type, "Add") == 0;
    *usable = true;
    for (int64_t c = 0; c < map->channels; c++) {
        double v = values[count == 1 ? 0 : c];
        map->scale[c] = add ? 1 : v;
        map->shift[c] = add ? v : 0;
        *usable = *usable && isfinite(v);
    }
    mary_free(values);
    return MARY_OK;
}

static bool plain(const Onnx__NodeProto *node, const char *op)
{
    return strcmp(node->op_type, op) == 0 && (node->domain == NULL || node->domain[0] == '\0');
}

/* ---- the layer before ---- */

/* Scales the output channels of the weight in place. */
static void scale_weight(const mary_layout_rows *layout, const affine *map, float *weight)
{
    int64_t count = layout->rows * layout->row_length;
    if (layout->as_stored) {
        for (int64_t i = 0; i < count; i++)
            weight[i] = (float)(weight[i] * map->scale[i / layout->row_length]);
    } else if (layout->kind == MARY_LAYER_GEMM) {
        for (int64_t i = 0; i < count; i++)
            weight[i] = (float)(weight[i] * map->scale[i % layout->rows]);
    } else { /* [I, O/group, taps] */
        int64_t group_rows = layout->shape.dims[1], group_inputs = layout->shape.dims[0] / layout->group;
        int64_t taps = count / layout->shape.dims[0] / group_rows;
        for (int64_t i = 0; i < count; i++) {
            int64_t input = i / taps / group_rows, output = i / taps % group_rows;
            weight[i] = (float)(weight[i] * map->scale[input / group_inputs * group_rows + output]);
        }
    }
}

/* floats as a tensor of `type`; MARY_ERROR_UNSUPPORTED when a value leaves the type's range. */
static mary_status encode(const float *values, const mary_shape *shape, mary_type type, const char *name,
                          Onnx__TensorProto **tensor)
{
    int64_t count = mary_shape_count(shape);
    void *data = mary_alloc((size_t)count * mary_type_size(type));
    mary_status status = MARY_OK;
    if (data == NULL)
        return mary_fail_memory((size_t)count * mary_type_size(type));
    for (int64_t i = 0; i < count && status == MARY_OK; i++) {
        float stored = values[i];
        if (type == MARY_FLOAT16) {
            ((uint16_t *)data)[i] = mary_float_to_half(values[i]);
            stored = mary_half_to_float(((uint16_t *)data)[i]);
        } else if (type == MARY_BFLOAT16) {
            ((uint16_t *)data)[i] = mary_float_to_bfloat(values[i]);
            stored = mary_bfloat_to_float(((uint16_t *)data)[i]);
        } else if (type == MARY_DOUBLE) {
            ((double *)data)[i] = values[i];
        } else {
            ((float *)data)[i] = values[i];
        }
        if (!isfinite(stored))
            status = mary_fail(MARY_ERROR_UNSUPPORTED, "a value leaves the range of %s", mary_type_name(type));
    }
    if (status == MARY_OK)
        status = mary_constant_encode(&(mary_tensor){.type = type, .shape = *shape, .data = data}, name, tensor);
    mary_free(data);
    return status;
}

/* Makes `tensor` the initializer that input `slot` of the node reads: in the place of the old one when nothing else
 * reads that, else under a new name. Takes the tensor over, on failure too. */
static mary_status put_parameter(fold_context *f, Onnx__NodeProto *node, size_t slot, const char *stem,
                                 Onnx__TensorProto *tensor)
{
    Onnx__GraphProto *graph = f->model->proto->graph;
    const char *old = slot < node->n_input ? node->input[slot] : "";
    ptrdiff_t position = old[0] == '\0' ? -1 : mary_graph_initializer(f->index, old);
    mary_status status;
    if (position >= 0 && mary_graph_use_count(f->index, old) == 1) {
        status = mary_edit_string(&tensor->name, old);
        if (status == MARY_OK) {
            onnx__tensor_proto__free_unpacked(graph->initializer[position], &mary_proto_allocator);
            graph->initializer[position] = tensor;
            return MARY_OK;
        }
    } else {
        char *name = mary_graph_unique_name(f->index, stem);
        status = name == NULL ? mary_fail_memory(strlen(stem)) : mary_edit_string(&tensor->name, name);
        if (status == MARY_OK)
            status = mary_node_set_input(node, slot, name);
        mary_free(name);
        if (status == MARY_OK)
            status = mary_graph_add_initializer(graph, tensor);
        if (status == MARY_OK)
            return MARY_OK;
    }
    onnx__tensor_proto__free_unpacked(tensor, &mary_proto_allocator);
    return status;
}

/* The bias as `channels` floats, zeros when there is none; NULL when it is not constant or has another shape. Gemm's
 * beta is in it. */
static mary_status read_bias(const fold_context *f, const Onnx__NodeProto *node, mary_layer_kind kind, int64_t channels,
                             float **bias)
{
    *bias = NULL;
    if (node->n_input > 2 && node->input[2][0] != '\0') {
        const Onnx__TensorProto *tensor = constant(f, node->input[2]);
        mary_type type;
        mary_shape shape;
        if (tensor == NULL || mary_tensor_describe(tensor, &type, &shape) != MARY_OK)
            return MARY_OK;
        bool row = shape.rank <= 1 || (shape.rank == 2 && shape.dims[0] == 1); /* not one per column of a batch */
        int64_t count = mary_shape_count(&shape);
        if (!row || (count != channels && (count != 1 || kind != MARY_LAYER_GEMM)) || !mary_type_is_float(type))
            return MARY_OK;
        float *values, beta = 1;
        MARY_TRY(mary_constant_floats(f->model, tensor, &values, &shape));
        *bias = mary_alloc((size_t)channels * sizeof **bias);
        mary_status status = *bias == NULL ? mary_fail_memory((size_t)channels * sizeof **bias) : MARY_OK;
        if (status == MARY_OK && kind == MARY_LAYER_GEMM)
            status = mary_attribute_float(node, "beta", 1, &beta);
        for (int64_t c = 0; c < channels && status == MARY_OK; c++)
            (*bias)[c] = beta * values[count == 1 ? 0 : c];
        mary_free(values);
        return status;
    }
    *bias = mary_calloc((size_t)channels, sizeof **bias);
    return *bias == NULL ? mary_fail_memory((size_t)channels * sizeof **bias) : MARY_OK;
}

/* Merges the map into the layer. *folded stays false when the layer's parameters do not allow it. */
static mary_status merge(fold_context *f, Onnx__NodeProto *node, const mary_layout_rows *layout, mary_type type,
                         const affine *map, bool *folded)
{
    mary_status status = MARY_OK;
    float *weight = NULL, *bias = NULL;
    char *weight_stem = NULL, *bias_stem = NULL;
    Onnx__TensorProto *new_weight = NULL, *new_bias = NULL;
    mary_shape shape, bias_shape = {1, {layout->rows}};
    MARY_TRY_GOTO(read_bias(f, node, layout->kind, layout->rows, &bias), done);
    if (bias == NULL)
        goto done;
    MARY_TRY_GOTO(mary_constant_floats(f->model, constant(f, node->input[1]), &weight, &shape), done);
    scale_weight(layout, map, weight);
    for (int64_t c = 0; c < layout->rows; c++)
        bias[c] = (float)(map->scale[c] * bias[c] + map->shift[c]);
    status = encode(weight, &shape, type, "", &new_weight);
    if (status == MARY_OK)
        status = encode(bias, &bias_shape, type, "", &new_bias);
    if (status == MARY_ERROR_UNSUPPORTED) {
        status = mary_convert_report_warn(f->report, "node '%s': what follows is not folded into it: %s",
                                          mary_node_label(node), mary_error_message());
        goto done;
    }
    if (status != MARY_OK)
        goto done;
    weight_stem = mary_asprintf("%s_folded", node->input[1]);
    bias_stem = mary_asprintf("%s_bias", node->input[1]);
    if (weight_stem == NULL || bias_stem == NULL) {
        status = mary_fail_memory(1);
        goto done;
    }
    if (layout->kind == MARY_LAYER_GEMM)
        mary_node_remove_attribute(node, "beta");
    status = put_parameter(f, node, 1, weight_stem, new_weight);
    new_weight = NULL;
    if (status == MARY_OK) {
        status = put_parameter(f, node, 2, bias_stem, new_bias);
        new_bias = NULL;
    }
    *folded = status == MARY_OK;
done:
    if (new_weight != NULL)
        onnx__tensor_proto__free_unpacked(new_weight, &mary_proto_allocator);
    if (new_bias != NULL)
        onnx__tensor_proto__free_unpacked(new_bias, &mary_proto_allocator);
    mary_free(weight);
    mary_free(bias);
    mary_free(weight_stem);
    mary_free(bias_stem);
    return status;
}

/* The node that alone reads the output of `node`, whose output has `rank` dimensions, when that is an affine map; else
 * -1. */
static mary_status find_follower(const fold_context *f, const Onnx__NodeProto *node, int rank, affine *map,
                                 ptrdiff_t *follower)
{
    const Onnx__GraphProto *graph = f->model->proto->graph;
    size_t count;
    bool usable = false;
    *follower = -1;
    const size_t *users = mary_graph_consumers(f->index, node->output[0], &count);
    if (count != 1 || mary_graph_use_count(f->index, node->output[0]) != 1)
        return MARY_OK;
    const Onnx__NodeProto *user = graph->node[users[0]];
    if (user->n_output < 1 || user->n_input < 1)
        return MARY_OK;
    if (plain(user, "BatchNormalization") && strcmp(user->input[0], node->output[0]) == 0)
        MARY_TRY(read_batchnorm(f, user, map, &usable));
    else if (plain(user, "Add") || plain(user, "Mul"))
        MARY_TRY(read_arithmetic(f, user, node->output[0], rank, map, &usable));
    if (usable)
        *follower = (ptrdiff_t)users[0];
    return MARY_OK;
}

/* Folds what follows the node at `position` once; *folded says whether there was something. */
static mary_status fold_after(fold_context *f, size_t position, bool *folded)
{
    Onnx__GraphProto *graph = f->model->proto->graph;
    Onnx__NodeProto *node = graph->node[position];
    mary_layer_kind kind = mary_layer_kind_of(node);
    mary_layout_rows layout;
    mary_type type;
    mary_shape shape;
    ptrdiff_t follower;
    *folded = false;
    if (kind == MARY_LAYER_NONE || kind == MARY_LAYER_MATMUL || node->n_input < 2 || node->n_output != 1)
        return MARY_OK;
    const Onnx__TensorProto *weight = constant(f, node->input[1]);
    if (weight == NULL || mary_tensor_describe(weight, &type, &shape) != MARY_OK || !mary_type_is_float(type) ||
        mary_layout_rows_of(node, kind, &shape, &layout) != MARY_OK)
        return MARY_OK;
    affine map = {.channels = layout.rows};
    map.scale = mary_calloc((size_t)layout.rows, 2 * sizeof *map.scale);
    if (map.scale == NULL)
        return mary_fail_memory((size_t)layout.rows * 2 * sizeof *map.scale);
    map.shift = map.scale + layout.rows;
    mary_status status = find_follower(f, node, shape.rank, &map, &follower);
    if (status == MARY_OK && follower >= 0)
        status = merge(f, node, &layout, type, &map, folded);
    mary_free(map.scale);
    if (status != MARY_OK || !*folded)
        return status;
    for (size_t i = graph->n_value_info; i-- > 0;) { /* the value between them exists no more */
        if (strcmp(graph->value_info[i]->name, node->output[0]) == 0)
            mary_graph_remove_value_info(graph, i);
    }
    MARY_TRY(mary_edit_string(&node->output[0], graph->node[follower]->output[0]));
    mary_graph_remove_node(graph, (size_t)follower);
    return MARY_OK;
}

mary_status mary_pass_fold_batchnorm(mary_model *model, mary_convert_report *report)
{
    Onnx__GraphProto *graph = model->proto->graph;
    fold_context f = {.model = model, .report = report};
    mary_status status = mary_graph_index_create(graph, &f.index);
    for (size_t i = 0; i < graph->n_node && status == MARY_OK;) {
        bool folded;
        status = fold_after(&f, i, &folded);
        if (status != MARY_OK || !folded) {
            i++;
            continue;
        }
        mary_graph_index_free(&f.index);
        status = mary_graph_index_create(graph, &f.index);
    }
    mary_graph_index_free(&f.index);
    return status;
}
