/* mary inspect: what is in a model file, without running it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/model.h"
#include "cli/pack_report.h"
#include "cli/report/json.h"
#include "cli/report/table.h"
#include "cli/verbs.h"
#include "convert/layer.h"
#include "onnx/edit.h"
#include "onnx/model.h"

typedef struct arguments {
    const char *model;
    bool json;
} arguments;

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print JSON", 1},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    arguments *given = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        mary_cli_parse_begin(state);
        return 0;
    case 'j':
        given->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (given->model != NULL)
            return mary_cli_usage(state, "one model only: '%s' is too many", argument);
        given->model = argument;
        return 0;
    case ARGP_KEY_END:
        if (given->model == NULL)
            return mary_cli_usage(state, "which model? mary inspect MODEL.onnx");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "MODEL.onnx",
    .doc = "Show what is in a model: versions, inputs and outputs, operators, and for every layer with weights its "
           "shape, levels, bits per weight and bytes.",
};

/* One node with weights: a layer of ai.mary, or a Conv, ConvTranspose, Gemm or MatMul with a constant weight. */
typedef struct layer {
    const Onnx__NodeProto *node;
    mary_shape shape;
    int64_t weights, bytes;
    int bits, levels; /* 0: float */
    bool shared_levels;
    mary_type type;
    bool repeated; /* its weight was counted with an earlier layer */
} layer;

typedef struct inspection {
    const char *path;
    const mary_model *model;
    mary_graph_index *index;
    uint64_t file_bytes, tensor_bytes;
    layer *layers;
    size_t count, capacity;
    uint64_t weights, weight_bytes;
    mary_pack_report *packing; /* NULL: the file is not packed */
} inspection;

static const Onnx__TensorProto *initializer(const inspection *in, const Onnx__NodeProto *node, size_t slot)
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
static mary_status count_levels(const inspection *in, const Onnx__TensorProto *tensor, layer *l)
{
    float *values;
    mary_shape shape;
    MARY_TRY(mary_cli_constant_numbers(in->model, tensor, &values, &shape));
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

static mary_status look_at(const inspection *in, const Onnx__NodeProto *node, layer *l, bool *found)
{
    bool integer = mary_layer_kind_of_integer(node) != MARY_LAYER_NONE;
    const Onnx__TensorProto *weight = initializer(in, node, integer ? 3 : 1);
    *l = (layer){.node = node};
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

static mary_status inspect_layers(inspection *in)
{
    const Onnx__GraphProto *graph = in->model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        in->tensor_bytes += (uint64_t)tensor_bytes(graph->initializer[i]);
    for (size_t i = 0; i < graph->n_node; i++) {
        layer l;
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

/* "float[N,3,224,224]" of a graph input or output. */
static char *describe_value(const Onnx__ValueInfoProto *info, char *text, size_t size)
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

typedef struct op_count {
    const char *domain, *type;
    size_t count;
} op_count;

static int most_first(const void *a, const void *b)
{
    const op_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->type, y->type);
}

static mary_status count_ops(const Onnx__GraphProto *graph, op_count **counts, size_t *count)
{
    *count = 0;
    *counts = mary_calloc(graph->n_node + 1, sizeof **counts);
    if (*counts == NULL)
        return mary_fail_memory(graph->n_node * sizeof **counts);
    for (size_t i = 0; i < graph->n_node; i++) {
        const char *domain = graph->node[i]->domain == NULL ? "" : graph->node[i]->domain;
        size_t k = 0;
        while (k < *count &&
               (strcmp((*counts)[k].type, graph->node[i]->op_type) != 0 || strcmp((*counts)[k].domain, domain) != 0))
            k++;
        if (k == *count)
            (*counts)[(*count)++] = (op_count){domain, graph->node[i]->op_type, 0};
        (*counts)[k].count++;
    }
    qsort(*counts, *count, sizeof **counts, most_first);
    return MARY_OK;
}

/* ---- output ---- */

static double bits_per_weight(const inspection *in)
{
    return in->weights == 0 ? 0 : 8.0 * (double)in->weight_bytes / (double)in->weights;
}

static void print_values(const char *title, Onnx__ValueInfoProto *const *values, size_t count)
{
    char text[256];
    for (size_t i = 0; i < count; i++)
        printf("%-9s %s %s\n", i == 0 ? title : "", values[i]->name, describe_value(values[i], text, sizeof text));
}

static mary_status print(const inspection *in)
{
    const Onnx__ModelProto *proto = in->model->proto;
    char text[64], other[64];
    op_count *ops;
    size_t op_types;
    MARY_TRY(count_ops(proto->graph, &ops, &op_types));
    printf("file      %s, %s\n", mary_cli_base_name(in->path),
           mary_cli_format_bytes((double)in->file_bytes, text, sizeof text));
    printf("format    IR version %" PRId64, proto->ir_version);
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = proto->opset_import[i]->domain;
        printf(", %s opset %" PRId64, domain == NULL || domain[0] == '\0' ? "ai.onnx" : domain,
               proto->opset_import[i]->version);
    }
    if (proto->producer_name != NULL && proto->producer_name[0] != '\0')
        printf(", made by %s %s", proto->producer_name, proto->producer_version == NULL ? "" : proto->producer_version);
    printf("\n");
    print_values("inputs", proto->graph->input, proto->graph->n_input);
    print_values("outputs", proto->graph->output, proto->graph->n_output);
    printf("operators ");
    for (size_t i = 0; i < op_types; i++)
        printf("%s%s %zu", i == 0 ? "" : ", ", ops[i].type, ops[i].count);
    printf("\n");
    mary_free(ops);
    if (proto->n_functions > 0) {
        printf("functions ");
        for (size_t i = 0; i < proto->n_functions; i++)
            printf("%s%s.%s", i == 0 ? "" : ", ", proto->functions[i]->domain, proto->functions[i]->name);
        printf("\n");
    }
    printf("\n");
    mary_table table;
    mary_table_begin(&table, "<layer|<operator|<weight|>weights|>M|<levels per|>bits/weight|>bytes");
    for (size_t i = 0; i < in->count; i++) {
        const layer *l = &in->layers[i];
        mary_table_cell(&table, "%s", mary_node_label(l->node));
        mary_table_cell(&table, "%s", l->node->op_type);
        mary_table_cell(&table, "%s", mary_shape_format(&l->shape, text, sizeof text));
        mary_table_cell(&table, "%" PRId64, l->weights);
        if (l->bits > 0)
            mary_table_cell(&table, "%d", l->levels);
        else
            mary_table_cell(&table, "%s", mary_type_name(l->type));
        mary_table_cell(&table, "%s", l->bits == 0 ? "" : l->shared_levels ? "tensor" : "row");
        mary_table_cell(&table, "%.2f", l->weights == 0 ? 0.0 : 8.0 * (double)l->bytes / (double)l->weights);
        mary_table_cell(&table, "%s%s", mary_cli_format_bytes((double)l->bytes, text, sizeof text),
                        l->repeated ? " (shared)" : "");
    }
    MARY_TRY(mary_table_end(&table, stdout));
    printf("\nweights   %" PRIu64 " in %s, %.2f bits each; all tensors %s\n", in->weights,
           mary_cli_format_bytes((double)in->weight_bytes, text, sizeof text), bits_per_weight(in),
           mary_cli_format_bytes((double)in->tensor_bytes, other, sizeof other));
    if (in->packing == NULL)
        return MARY_OK;
    printf("\nThe file is packed; the sizes above are those of the model that it stands for, %s.\n\n",
           mary_cli_format_bytes((double)mary_pack_totals_of(in->packing)->file_before, text, sizeof text));
    MARY_TRY(mary_pack_report_print(in->packing));
    putchar('\n');
    mary_pack_totals_print(in->packing);
    return MARY_OK;
}

static json_t *values_json(Onnx__ValueInfoProto *const *values, size_t count)
{
    json_t *list = json_array();
    char text[256];
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        json_object_set_new(object, "name", mary_json_text(values[i]->name));
        json_object_set_new(object, "type", mary_json_text(describe_value(values[i], text, sizeof text)));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *layer_json(const layer *l)
{
    json_t *object = json_object(), *shape = json_array();
    for (int i = 0; i < l->shape.rank; i++)
        json_array_append_new(shape, json_integer(l->shape.dims[i]));
    json_object_set_new(object, "name", mary_json_text(mary_node_label(l->node)));
    json_object_set_new(object, "op_type", mary_json_text(l->node->op_type));
    json_object_set_new(object, "weight_shape", shape);
    json_object_set_new(object, "weights", json_integer(l->weights));
    json_object_set_new(object, "bytes", json_integer(l->bytes));
    json_object_set_new(object, "shared_weight", json_boolean(l->repeated));
    json_object_set_new(object, "quantised", json_boolean(l->bits > 0));
    json_object_set_new(object, "type", json_string(mary_type_name(l->type)));
    if (l->bits > 0) {
        json_object_set_new(object, "levels", json_integer(l->levels));
        json_object_set_new(object, "bits", json_integer(l->bits));
        json_object_set_new(object, "granularity", json_string(l->shared_levels ? "tensor" : "channel"));
    }
    return object;
}

static mary_status print_json(const inspection *in)
{
    const Onnx__ModelProto *proto = in->model->proto;
    op_count *ops;
    size_t op_types;
    MARY_TRY(count_ops(proto->graph, &ops, &op_types));
    json_t *root = json_object(), *opsets = json_object(), *operators = json_object(), *layers = json_array();
    json_object_set_new(root, "file", mary_json_text(in->path));
    json_object_set_new(root, "file_bytes", json_integer((json_int_t)in->file_bytes));
    json_object_set_new(root, "ir_version", json_integer(proto->ir_version));
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const char *domain = proto->opset_import[i]->domain;
        json_object_set_new(opsets, domain == NULL || domain[0] == '\0' ? "ai.onnx" : domain,
                            json_integer(proto->opset_import[i]->version));
    }
    json_object_set_new(root, "opsets", opsets);
    json_object_set_new(root, "producer", mary_json_text(proto->producer_name == NULL ? "" : proto->producer_name));
    json_object_set_new(root, "inputs", values_json(proto->graph->input, proto->graph->n_input));
    json_object_set_new(root, "outputs", values_json(proto->graph->output, proto->graph->n_output));
    for (size_t i = 0; i < op_types; i++)
        json_object_set_new(operators, ops[i].type, json_integer((json_int_t)ops[i].count));
    mary_free(ops);
    json_object_set_new(root, "operators", operators);
    for (size_t i = 0; i < in->count; i++)
        json_array_append_new(layers, layer_json(&in->layers[i]));
    json_object_set_new(root, "layers", layers);
    json_object_set_new(root, "weights", json_integer((json_int_t)in->weights));
    json_object_set_new(root, "weight_bytes", json_integer((json_int_t)in->weight_bytes));
    json_object_set_new(root, "tensor_bytes", json_integer((json_int_t)in->tensor_bytes));
    json_object_set_new(root, "bits_per_weight", mary_json_real(bits_per_weight(in)));
    json_object_set_new(root, "packed", json_boolean(in->packing != NULL));
    if (in->packing != NULL)
        json_object_set_new(root, "packing",
                            mary_pack_report_json(in->packing, &(mary_pack_files){.input = "", .output = in->path}));
    return mary_json_write(root, NULL);
}

static mary_status describe_packing(inspection *in)
{
    void *bytes;
    size_t size;
    if (!in->model->packed)
        return MARY_OK;
    MARY_TRY(mary_cli_read_file(in->path, &bytes, &size));
    mary_status status = mary_pack_describe(bytes, size, &in->packing);
    mary_free(bytes);
    return status;
}

static mary_status inspect(const arguments *given)
{
    mary_model *model = NULL;
    inspection in = {.path = given->model};
    mary_status status = mary_model_load(given->model, &model);
    if (status != MARY_OK)
        return status;
    in.model = model;
    MARY_TRY_GOTO(mary_graph_index_create(model->proto->graph, &in.index), done);
    MARY_TRY_GOTO(mary_cli_model_bytes(model, given->model, &in.file_bytes), done);
    MARY_TRY_GOTO(inspect_layers(&in), done);
    MARY_TRY_GOTO(describe_packing(&in), done);
    status = given->json ? print_json(&in) : print(&in);
done:
    mary_pack_report_free(&in.packing);
    mary_free(in.layers);
    mary_graph_index_free(&in.index);
    mary_model_free(&model);
    return status;
}

int mary_cli_inspect(int argc, char **argv)
{
    arguments given = {0};
    mary_status status = mary_cli_parse(&argp, argc, argv, &given);
    if (status != MARY_OK)
        return status;
    return mary_cli_finish("mary inspect", inspect(&given));
}
