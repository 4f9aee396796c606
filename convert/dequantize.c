/* mary_dequantize: ai.mary nodes back to standard ones with the weights that they stood for. */
#include "convert/dequantize.h"

#include <inttypes.h>
#include <string.h>

#include "convert/codes.h"
#include "onnx/edit.h"

/* One ai.mary node, its payload checked. */
typedef struct coded {
    Onnx__NodeProto *node;
    mary_layer_kind kind;
    mary_layout_rows layout; /* of the float weight */
    int bits;
    mary_constant codes, levels;
} coded;

static void coded_free(coded *c)
{
    mary_constant_free(&c->codes);
    mary_constant_free(&c->levels);
}

static mary_status fail(const coded *c, const char *what)
{
    return mary_fail(MARY_ERROR_INVALID, "node '%s' (%s): %s", mary_node_label(c->node), c->node->op_type, what);
}

static mary_status read_parameter(const mary_model *model, const mary_graph_index *index, const coded *c, size_t slot,
                                  mary_constant *constant)
{
    const char *name = slot < c->node->n_input ? c->node->input[slot] : "";
    ptrdiff_t position = mary_graph_initializer(index, name);
    if (position < 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "node '%s' (%s): '%s' is not a constant", mary_node_label(c->node),
                         c->node->op_type, name);
    return mary_constant_decode(model, model->proto->graph->initializer[position], constant);
}

/* Everything about the node is checked here against the definition in docs/operators.md. */
static mary_status coded_read(const mary_model *model, const mary_graph_index *index, coded *c)
{
    const int64_t *dims;
    size_t rank;
    int64_t bits, row_length;
    mary_shape shape = {0};
    MARY_TRY(mary_attribute_ints(c->node, "weight_shape", &dims, &rank));
    MARY_TRY(mary_attribute_int(c->node, "row_length", 0, &row_length));
    MARY_TRY(mary_attribute_int(c->node, "bits", 0, &bits));
    bool matrix = c->kind == MARY_LAYER_GEMM || c->kind == MARY_LAYER_MATMUL;
    if (rank > MARY_MAX_RANK || (matrix ? rank != 2 : rank < 3))
        return fail(c, "weight_shape has the wrong rank");
    shape.rank = (int)rank;
    memcpy(shape.dims, dims, rank * sizeof *dims);
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8)
        return fail(c, "bits is none of 1, 2, 4, 8");
    c->bits = (int)bits;
    MARY_TRY(mary_shape_check(&shape, "weight_shape"));
    if (mary_shape_count(&shape) == 0)
        return fail(c, "weight_shape is empty");
    if (matrix) { /* stored [N, K]; MatMul's float weight is [K, N], Gemm's is read with transB */
        c->layout = (mary_layout_rows){.kind = c->kind,
                                       .shape = shape,
                                       .group = 1,
                                       .as_stored = c->kind == MARY_LAYER_GEMM,
                                       .rows = shape.dims[0],
                                       .row_length = shape.dims[1]};
        if (c->kind == MARY_LAYER_MATMUL)
            c->layout.shape = (mary_shape){2, {shape.dims[1], shape.dims[0]}};
    } else {
        MARY_TRY(mary_layout_rows_of(c->node, c->kind, &shape, &c->layout));
    }
    if (row_length != c->layout.row_length)
        return fail(c, "row_length does not fit weight_shape");
    MARY_TRY(read_parameter(model, index, c, 1, &c->codes));
    MARY_TRY(read_parameter(model, index, c, 2, &c->levels));
    const mary_tensor *codes = &c->codes.tensor, *levels = &c->levels.tensor;
    if (codes->type != MARY_UINT8 || codes->shape.rank != 2 || codes->shape.dims[0] != c->layout.rows ||
        codes->shape.dims[1] != mary_codes_row_bytes(row_length, c->bits))
        return fail(c, "codes have the wrong type or shape");
    if (!mary_type_is_float(levels->type) || levels->shape.rank != 2 ||
        (levels->shape.dims[0] != 1 && levels->shape.dims[0] != c->layout.rows) ||
        levels->shape.dims[1] != (int64_t)1 << c->bits)
        return fail(c, "levels have the wrong type or shape");
    return MARY_OK;
}

/* Levels stay what they are, bit for bit, so elements are moved as bytes: `matrix` [rows, row_length] of `size`-byte
 * elements. */
static void decode_rows(const coded *c, uint8_t *row_codes, size_t size, char *matrix)
{
    int64_t row_bytes = c->codes.tensor.shape.dims[1], length = c->layout.row_length;
    for (int64_t r = 0; r < c->layout.rows; r++) {
        const char *levels = c->levels.tensor.data;
        if (c->levels.tensor.shape.dims[0] > 1)
            levels += ((size_t)r << c->bits) * size;
        mary_codes_unpack((const uint8_t *)c->codes.tensor.data + r * row_bytes, length, c->bits, row_codes);
        for (int64_t k = 0; k < length; k++)
            memcpy(matrix + (size_t)(r * length + k) * size, levels + row_codes[k] * size, size);
    }
}

/* The matrix into the float weight's tensor: mary_layout_from_rows for elements of any size. */
static void place(const coded *c, size_t size, const char *matrix, char *tensor)
{
    const mary_layout_rows *layout = &c->layout;
    int64_t rows = layout->rows, length = layout->row_length;
    if (layout->as_stored) {
        memcpy(tensor, matrix, (size_t)(rows * length) * size);
    } else if (layout->kind == MARY_LAYER_MATMUL) {
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t k = 0; k < length; k++)
                memcpy(tensor + (size_t)(k * rows + r) * size, matrix + (size_t)(r * length + k) * size, size);
        }
    } else {
        int64_t group_inputs = layout->shape.dims[0] / layout->group, group_rows = layout->shape.dims[1];
        int64_t taps = length / group_inputs;
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t i = 0; i < group_inputs; i++) {
                int64_t input = r / group_rows * group_inputs + i;
                memcpy(tensor + (size_t)((input * group_rows + r % group_rows) * taps) * size,
                       matrix + (size_t)(r * length + i * taps) * size, (size_t)taps * size);
            }
        }
    }
}

static mary_status add_weight(mary_model *model, const coded *c, const char *name)
{
    mary_type type = c->levels.tensor.type;
    size_t size = mary_type_size(type), bytes;
    if (!mary_size_mul((size_t)mary_shape_count(&c->layout.shape), size, &bytes))
        return mary_fail_memory(SIZE_MAX);
    mary_status status = MARY_OK;
    uint8_t *row_codes = mary_alloc((size_t)c->layout.row_length);
    char *matrix = mary_alloc(bytes), *tensor = mary_alloc(bytes);
    Onnx__TensorProto *message = NULL;
    if (row_codes == NULL || matrix == NULL || tensor == NULL) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    decode_rows(c, row_codes, size, matrix);
    place(c, size, matrix, tensor);
    mary_tensor value = {.type = type, .shape = c->layout.shape, .data = tensor};
    MARY_TRY_GOTO(mary_constant_encode(&value, name, &message), done);
    status = mary_graph_add_initializer(model->proto->graph, message);
    if (status != MARY_OK)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
done:
    mary_free(row_codes);
    mary_free(matrix);
    mary_free(tensor);
    return status;
}

/* "conv1.weight_codes" was "conv1.weight". */
static char *weight_name(mary_graph_index *index, const char *codes)
{
    size_t length = strlen(codes), suffix = strlen("_codes");
    if (length <= suffix || strcmp(codes + length - suffix, "_codes") != 0)
        return mary_graph_unique_name(index, codes);
    char *stem = mary_strdup(codes);
    if (stem == NULL)
        return NULL;
    stem[length - suffix] = '\0';
    char *name = mary_graph_unique_name(index, stem);
    mary_free(stem);
    return name;
}

static mary_status rewrite(coded *c, const char *weight)
{
    Onnx__NodeProto *node = c->node;
    bool biased = node->n_input > 3 && node->input[3][0] != '\0';
    MARY_TRY(mary_node_set_input(node, 1, weight));
    if (biased)
        MARY_TRY(mary_node_set_input(node, 2, node->input[3]));
    size_t kept = biased ? 3 : 2;
    while (node->n_input > kept) {
        char *last = node->input[--node->n_input];
        if (last != (char *)protobuf_c_empty_string)
            mary_free(last);
    }
    mary_node_remove_attribute(node, "weight_shape");
    mary_node_remove_attribute(node, "row_length");
    mary_node_remove_attribute(node, "bits");
    if (c->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_node_set_int(node, "transB", 1));
    MARY_TRY(mary_edit_string(&node->domain, ""));
    return mary_edit_string(&node->op_type, mary_layer_op(c->kind));
}

/* A weight that was made already: nodes that shared a payload share the weight again. */
typedef struct made_weight {
    char *codes, *levels, *weight;
    mary_layer_kind kind;
} made_weight;

static const char *find_made(const made_weight *made, size_t count, const coded *c)
{
    for (size_t i = 0; i < count; i++) {
        if (made[i].kind == c->kind && strcmp(made[i].codes, c->node->input[1]) == 0 &&
            strcmp(made[i].levels, c->node->input[2]) == 0)
            return made[i].weight;
    }
    return NULL;
}

static bool is_mary(const char *domain)
{
    return domain != NULL && strcmp(domain, MARY_DOMAIN) == 0;
}

static bool is_ours(const Onnx__FunctionProto *function)
{
    for (int kind = MARY_LAYER_CONV; kind <= MARY_LAYER_MATMUL; kind++) {
        if (function->name != NULL && (strcmp(function->name, mary_layer_mary_op((mary_layer_kind)kind)) == 0 ||
                                       strcmp(function->name, mary_layer_integer_op((mary_layer_kind)kind)) == 0))
            return is_mary(function->domain);
    }
    return false;
}

static void remove_functions(Onnx__ModelProto *proto)
{
    size_t kept = 0;
    bool domain_used = false;
    for (size_t i = 0; i < proto->n_functions; i++) {
        if (is_ours(proto->functions[i]))
            onnx__function_proto__free_unpacked(proto->functions[i], &mary_proto_allocator);
        else
            proto->functions[kept++] = proto->functions[i];
    }
    proto->n_functions = kept;
    for (size_t i = 0; i < proto->graph->n_node; i++)
        domain_used = domain_used || is_mary(proto->graph->node[i]->domain);
    for (size_t i = proto->n_opset_import; !domain_used && i-- > 0;) {
        if (!is_mary(proto->opset_import[i]->domain))
            continue;
        onnx__operator_set_id_proto__free_unpacked(proto->opset_import[i], &mary_proto_allocator);
        proto->n_opset_import--;
        memmove(&proto->opset_import[i], &proto->opset_import[i + 1],
                (proto->n_opset_import - i) * sizeof *proto->opset_import);
    }
}

static mary_status dequantize_graph(mary_model *model, mary_graph_index *index, made_weight *made, size_t *made_count)
{
    Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        coded c = {.node = graph->node[i], .kind = mary_layer_kind_of_mary(graph->node[i])};
        if (c.kind == MARY_LAYER_NONE)
            continue;
        mary_status status = coded_read(model, index, &c);
        const char *weight = status == MARY_OK ? find_made(made, *made_count, &c) : NULL;
        if (status == MARY_OK && weight == NULL) {
            made_weight *fresh = &made[(*made_count)++];
            *fresh = (made_weight){mary_strdup(c.node->input[1]), mary_strdup(c.node->input[2]),
                                   weight_name(index, c.node->input[1]), c.kind};
            if (fresh->codes == NULL || fresh->levels == NULL || fresh->weight == NULL)
                status = mary_fail_memory(1);
            else
                status = add_weight(model, &c, fresh->weight);
            weight = fresh->weight;
        }
        if (status == MARY_OK)
            status = rewrite(&c, weight);
        coded_free(&c);
        MARY_TRY(status);
    }
    return MARY_OK;
}

mary_status mary_dequantize(mary_model *model)
{
    MARY_TRY(mary_dequantize_integers(model));
    Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    size_t made_count = 0;
    made_weight *made = mary_calloc(graph->n_node + 1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(graph->n_node * sizeof *made);
    mary_status status = mary_graph_index_create(graph, &index);
    if (status == MARY_OK)
        status = dequantize_graph(model, index, made, &made_count);
    mary_graph_index_free(&index);
    if (status == MARY_OK)
        status = mary_graph_index_create(graph, &index);
    for (size_t i = graph->n_initializer; status == MARY_OK && i-- > 0;) {
        const char *name = graph->initializer[i]->name;
        for (size_t m = 0; m < made_count; m++) {
            if ((strcmp(made[m].codes, name) == 0 || strcmp(made[m].levels, name) == 0) &&
                mary_graph_use_count(index, name) == 0) {
                mary_graph_remove_initializer(graph, i);
                break;
            }
        }
    }
    if (status == MARY_OK)
        remove_functions(model->proto);
    mary_graph_index_free(&index);
    for (size_t m = 0; m < made_count; m++) {
        mary_free(made[m].codes);
        mary_free(made[m].levels);
        mary_free(made[m].weight);
    }
    mary_free(made);
    return status;
}
