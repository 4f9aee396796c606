#include "validate/inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/layer.h"
#include "onnx/read_file.h"

static const Onnx__TensorProto *initializer(const mary_inspection *in, const Onnx__NodeProto *node, size_t slot)
{
    if (slot >= node->n_input)
        return NULL;
    ptrdiff_t position = mary_graph_initializer(in->index, node->input[slot]);
    return position < 0 ? NULL : in->model->proto->graph->initializer[position];
}

static int64_t tensor_bytes(const Onnx__TensorProto *tensor)
{
    mary_type type;
    mary_shape shape;
    if (tensor == NULL || mary_tensor_describe(tensor, &type, &shape) != MARY_OK)
        return 0;
    return mary_shape_count(&shape) * (int64_t)mary_type_size(type);
}

/* The most distinct levels that a row has: M. */
static mary_status count_levels(const mary_inspection *in, const Onnx__TensorProto *tensor, mary_inspected_layer *l)
{
    float *values;
    mary_shape shape;
    MARY_TRY(mary_constant_numbers(in->model, tensor, &values, &shape));
    if (shape.rank == 2) {
        l->shared_levels = shape.dims[0] == 1;
        for (int64_t r = 0; r < shape.dims[0]; r++) {
            int distinct = shape.dims[1] > 0;
            for (int64_t m = 1; m < shape.dims[1]; m++)
                distinct += values[r * shape.dims[1] + m] != values[r * shape.dims[1] + m - 1];
            l->levels = distinct > l->levels ? distinct : l->levels;
        }
    }
    mary_free(values);
    return MARY_OK;
}

/* The tensor of codes, or the float weight. */
static const char *weight_name(const Onnx__NodeProto *node)
{
    return node->input[mary_layer_kind_of_integer(node) != MARY_LAYER_NONE ? 3 : 1];
}

static mary_status look_at(const mary_inspection *in, const Onnx__NodeProto *node, mary_inspected_layer *l, bool *found)
{
    bool integer = mary_layer_kind_of_integer(node) != MARY_LAYER_NONE;
    const Onnx__TensorProto *weight = initializer(in, node, integer ? 3 : 1);
    *l = (mary_inspected_layer){.node = node};
    *found = false;
    if (weight == NULL)
        return MARY_OK;
    if (mary_layer_kind_of(node) != MARY_LAYER_NONE) {
        MARY_TRY(mary_tensor_describe(weight, &l->type, &l->shape));
        l->bytes = tensor_bytes(weight);
    } else if (integer || mary_layer_kind_of_mary(node) != MARY_LAYER_NONE) {
        const Onnx__TensorProto *levels = initializer(in, node, integer ? 4 : 2);
        const int64_t *dims;
        size_t rank;
        int64_t bits;
        MARY_TRY(mary_attribute_ints(node, "weight_shape", &dims, &rank));
        MARY_TRY(mary_attribute_int(node, "bits", 0, &bits));
        if (rank > MARY_MAX_RANK || levels == NULL || bits < 1 || bits > 8)
            return mary_fail(MARY_ERROR_INVALID, "node '%s': not what %s must be", mary_node_label(node),
                             node->op_type);
        l->shape.rank = (int)rank;
        memcpy(l->shape.dims, dims, rank * sizeof *dims);
        MARY_TRY(mary_shape_check(&l->shape, "weight_shape"));
        l->type = (mary_type)levels->data_type;
        l->bits = (int)bits;
        l->bytes = tensor_bytes(weight) + tensor_bytes(levels);
        if (integer && initializer(in, node, 5) != NULL)
            l->bytes += tensor_bytes(initializer(in, node, 5));
        MARY_TRY(count_levels(in, levels, l));
    } else {
        return MARY_OK;
    }
    l->weights = mary_shape_count(&l->shape);
    *found = true;
    return MARY_OK;
}

static mary_status inspect_layers(mary_inspection *in)
{
    const Onnx__GraphProto *graph = in->model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        in->tensor_bytes += (uint64_t)tensor_bytes(graph->initializer[i]);
    for (size_t i = 0; i < graph->n_node; i++) {
        mary_inspected_layer l;
        bool found;
        MARY_TRY(look_at(in, graph->node[i], &l, &found));
        if (!found)
            continue;
        for (size_t k = 0; k < in->count && !l.repeated; k++)
            l.repeated = strcmp(weight_name(in->layers[k].node), weight_name(l.node)) == 0;
        if (!l.repeated) {
            in->weights += (uint64_t)l.weights;
            in->weight_bytes += (uint64_t)l.bytes;
        }
        if (!mary_reserve((void **)&in->layers, &in->capacity, in->count + 1, sizeof *in->layers))
            return mary_fail_memory(sizeof *in->layers);
        in->layers[in->count++] = l;
    }
    return MARY_OK;
}

char *mary_inspection_value(const Onnx__ValueInfoProto *info, char *text, size_t size)
{
    const Onnx__TypeProto *type = info->type;
    if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || type->tensor_type == NULL) {
        snprintf(text, size, "not a tensor");
        return text;
    }
    size_t length = (size_t)snprintf(text, size, "%s", mary_type_name((mary_type)type->tensor_type->elem_type));
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    for (size_t i = 0; shape != NULL && i <= shape->n_dim && length + 2 < size; i++) {
        const char *before = i == 0 ? "[" : i < shape->n_dim ? "," : "]";
        if (i == shape->n_dim) {
            length += (size_t)snprintf(text + length, size - length, "%s", i == 0 ? "[]" : "]");
            break;
        }
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, before, dim->dim_value);
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM)
            length += (size_t)snprintf(text + length, size - length, "%s%.40s", before, dim->dim_param);
        else
            length += (size_t)snprintf(text + length, size - length, "%s?", before);
    }
    return text;
}

/* ---- operators, how many of each ---- */

static int most_first(const void *a, const void *b)
{
    const mary_inspected_op *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->type, y->type);
}

static mary_status count_ops(mary_inspection *in)
{
    const Onnx__GraphProto *graph = in->model->proto->graph;
    in->ops = mary_calloc(graph->n_node + 1, sizeof *in->ops);
    if (in->ops == NULL)
        return mary_fail_memory(graph->n_node * sizeof *in->ops);
    for (size_t i = 0; i < graph->n_node; i++) {
        const char *domain = graph->node[i]->domain == NULL ? "" : graph->node[i]->domain;
        const char *type = graph->node[i]->op_type;
        size_t k = 0;
        while (k < in->op_count && (strcmp(in->ops[k].type, type) != 0 || strcmp(in->ops[k].domain, domain) != 0))
            k++;
        if (k == in->op_count)
            in->ops[in->op_count++] = (mary_inspected_op){domain, type, 0};
        in->ops[k].count++;
    }
    qsort(in->ops, in->op_count, sizeof *in->ops, most_first);
    return MARY_OK;
}

double mary_inspection_bits_per_weight(const mary_inspection *in)
{
    return in->weights == 0 ? 0 : 8.0 * (double)in->weight_bytes / (double)in->weights;
}

static mary_status describe_packing(mary_inspection *in, const mary_model_source *source)
{
    void *bytes;
    size_t size;
    if (!in->model->packed)
        return MARY_OK;
    if (source->bytes != NULL)
        return mary_pack_describe(source->bytes, source->size, &in->packing);
    MARY_TRY(mary_file_read(source->path, &bytes, &size));
    mary_status status = mary_pack_describe(bytes, size, &in->packing);
    mary_free(bytes);
    return status;
}

mary_status mary_inspection_open(mary_inspection *in, const mary_model_source *source)
{
    *in = (mary_inspection){.path = mary_model_source_name(source)};
    MARY_TRY(mary_model_source_load(source, &in->model));
    MARY_TRY(mary_graph_index_create(in->model->proto->graph, &in->index));
    MARY_TRY(mary_model_source_bytes(source, in->model, &in->file_bytes));
    MARY_TRY(inspect_layers(in));
    MARY_TRY(describe_packing(in, source));
    return count_ops(in);
}

void mary_inspection_close(mary_inspection *in)
{
    mary_pack_report_free(&in->packing);
    mary_free(in->layers);
    mary_free(in->ops);
    mary_graph_index_free(&in->index);
    mary_model_free(&in->model);
    *in = (mary_inspection){0};
}
