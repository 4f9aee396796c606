/* MaryQLinear* nodes back to DequantizeLinear -> Conv, Gemm or MatMul with float weights -> QuantizeLinear. Activations
 * stay as coarse as they were: their saturation is part of what the model computes (it may be a ReLU). */
#include "convert/dequantize.h"

#include <inttypes.h>
#include <string.h>

#include "convert/codes.h"
#include "convert/integer/emit.h"

enum { INPUT_CODES = 3, INPUT_LEVELS, INPUT_SCALE, INPUT_ZERO, INPUT_Y_SCALE, INPUT_Y_ZERO, INPUT_BIAS };

/* One node, its payload checked. */
typedef struct integer_node {
    Onnx__NodeProto *node;
    mary_layer_kind kind;
    int bits;
    mary_shape shape; /* weight_shape */
    int64_t rows, row_length;
    mary_constant codes, levels, scale, x_scale, bias;
    bool biased;
} integer_node;

static void integer_node_free(integer_node *n)
{
    mary_constant_free(&n->codes);
    mary_constant_free(&n->levels);
    mary_constant_free(&n->scale);
    mary_constant_free(&n->x_scale);
    mary_constant_free(&n->bias);
}

static mary_status fail(const integer_node *n, const char *what)
{
    return mary_fail(MARY_ERROR_INVALID, "node '%s' (%s): %s", mary_node_label(n->node), n->node->op_type, what);
}

static mary_status read_constant(const mary_model *model, const mary_graph_index *index, const integer_node *n,
                                 size_t slot, mary_type type, int64_t least, mary_constant *constant)
{
    const char *name = slot < n->node->n_input ? n->node->input[slot] : "";
    ptrdiff_t position = mary_graph_initializer(index, name);
    if (position < 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "node '%s' (%s): '%s' is not a constant", mary_node_label(n->node),
                         n->node->op_type, name);
    MARY_TRY(mary_constant_decode(model, model->proto->graph->initializer[position], constant));
    if (constant->tensor.type != type || mary_shape_count(&constant->tensor.shape) < least)
        return mary_fail(MARY_ERROR_INVALID, "node '%s' (%s): '%s' has the wrong type or shape",
                         mary_node_label(n->node), n->node->op_type, name);
    return MARY_OK;
}

static mary_status read_node(const mary_model *model, const mary_graph_index *index, integer_node *n)
{
    const int64_t *dims;
    size_t rank;
    int64_t bits, row_length;
    MARY_TRY(mary_attribute_ints(n->node, "weight_shape", &dims, &rank));
    MARY_TRY(mary_attribute_int(n->node, "row_length", 0, &row_length));
    MARY_TRY(mary_attribute_int(n->node, "bits", 0, &bits));
    if (n->node->n_input <= INPUT_Y_ZERO || n->node->n_output < 1)
        return fail(n, "inputs are missing");
    if (rank > MARY_MAX_RANK || (n->kind == MARY_LAYER_CONV ? rank < 3 : rank != 2))
        return fail(n, "weight_shape has the wrong rank");
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8)
        return fail(n, "bits is none of 1, 2, 4, 8");
    n->shape.rank = (int)rank;
    memcpy(n->shape.dims, dims, rank * sizeof *dims);
    n->bits = (int)bits;
    MARY_TRY(mary_shape_check(&n->shape, "weight_shape"));
    int64_t count = mary_shape_count(&n->shape);
    if (count == 0 || row_length != count / n->shape.dims[0])
        return fail(n, "row_length does not fit weight_shape");
    n->rows = n->shape.dims[0];
    n->row_length = row_length;
    MARY_TRY(read_constant(model, index, n, INPUT_CODES, MARY_UINT8,
                           n->rows * mary_codes_row_bytes(row_length, n->bits), &n->codes));
    MARY_TRY(read_constant(model, index, n, INPUT_LEVELS, MARY_INT8, (int64_t)1 << bits, &n->levels));
    int64_t sets = n->levels.tensor.shape.rank == 2 ? n->levels.tensor.shape.dims[0] : 0;
    if ((sets != 1 && sets != n->rows) || n->levels.tensor.shape.dims[1] != (int64_t)1 << bits)
        return fail(n, "levels have the wrong shape");
    MARY_TRY(read_constant(model, index, n, INPUT_SCALE, MARY_FLOAT, n->rows, &n->scale));
    n->biased = n->node->n_input > INPUT_BIAS && n->node->input[INPUT_BIAS][0] != '\0';
    if (!n->biased)
        return MARY_OK;
    MARY_TRY(read_constant(model, index, n, 1, MARY_FLOAT, 1, &n->x_scale));
    return read_constant(model, index, n, INPUT_BIAS, MARY_INT32, n->rows, &n->bias);
}

/* The float weight, [K, N] for MatMul, else as weight_shape says. */
static mary_status add_weight(mary_model *model, const integer_node *n, const char *name)
{
    size_t bytes;
    if (!mary_size_mul((size_t)mary_shape_count(&n->shape), sizeof(float), &bytes))
        return mary_fail_memory(SIZE_MAX);
    float *weight = mary_alloc(bytes);
    uint8_t *codes = mary_alloc((size_t)n->row_length);
    mary_status status = MARY_OK;
    if (weight == NULL || codes == NULL) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    const int8_t *levels = n->levels.tensor.data;
    const float *scales = n->scale.tensor.data;
    bool turned = n->kind == MARY_LAYER_MATMUL;
    for (int64_t r = 0; r < n->rows; r++) {
        const int8_t *row = n->levels.tensor.shape.dims[0] > 1 ? levels + ((size_t)r << n->bits) : levels;
        mary_codes_unpack((const uint8_t *)n->codes.tensor.data + r * mary_codes_row_bytes(n->row_length, n->bits),
                          n->row_length, n->bits, codes);
        for (int64_t k = 0; k < n->row_length; k++)
            weight[turned ? k * n->rows + r : r * n->row_length + k] = scales[r] * (float)row[codes[k]];
    }
    mary_shape shape = n->shape;
    if (turned)
        shape = (mary_shape){2, {n->row_length, n->rows}};
    status = mary_integer_add_constant(model, name, MARY_FLOAT, &shape, weight);
done:
    mary_free(weight);
    mary_free(codes);
    return status;
}

static mary_status add_bias(mary_model *model, const integer_node *n, const char *name)
{
    const mary_shape shape = {1, {n->rows}};
    float *bias = mary_alloc((size_t)n->rows * sizeof *bias);
    if (bias == NULL)
        return mary_fail_memory((size_t)n->rows * sizeof *bias);
    float x_scale = *(const float *)n->x_scale.tensor.data;
    for (int64_t r = 0; r < n->rows; r++)
        bias[r] =
            (float)((const int32_t *)n->bias.tensor.data)[r] * (x_scale * ((const float *)n->scale.tensor.data)[r]);
    mary_status status = mary_integer_add_constant(model, name, MARY_FLOAT, &shape, bias);
    mary_free(bias);
    return status;
}

static mary_status insert_conversion(mary_model *model, size_t position, const char *op, const char *const *inputs,
                                     const char *output)
{
    Onnx__NodeProto *node = NULL;
    MARY_TRY(mary_node_create("", op, "", inputs, 3, &output, 1, &node));
    mary_status status = mary_graph_insert_node(model->proto->graph, position, node);
    if (status != MARY_OK)
        mary_node_free(node);
    return status;
}

static char *fresh(mary_graph_index *index, const char *stem, const char *suffix)
{
    char *whole = mary_asprintf("%s_%s", stem, suffix);
    char *name = whole == NULL ? NULL : mary_graph_unique_name(index, whole);
    mary_free(whole);
    return name;
}

static void truncate_inputs(Onnx__NodeProto *node, size_t count)
{
    while (node->n_input > count) {
        char *last = node->input[--node->n_input];
        if (last != (char *)protobuf_c_empty_string)
            mary_free(last);
    }
}

/* The node at `position` becomes three; *position is then that of the last. */
static mary_status replace(mary_model *model, mary_graph_index *index, integer_node *n, const char *weight,
                           size_t *position)
{
    Onnx__NodeProto *node = n->node;
    mary_status status = MARY_OK;
    char *x = fresh(index, node->input[0], "dequantized"), *y = fresh(index, node->output[0], "float");
    char *bias = n->biased ? fresh(index, node->output[0], "bias") : NULL;
    if (x == NULL || y == NULL || (n->biased && bias == NULL)) {
        status = mary_fail_memory(1);
        goto done;
    }
    const char *from[] = {node->input[0], node->input[1], node->input[2]};
    const char *to[] = {y, node->input[INPUT_Y_SCALE], node->input[INPUT_Y_ZERO]};
    MARY_TRY_GOTO(insert_conversion(model, *position + 1, "QuantizeLinear", to, node->output[0]), done);
    MARY_TRY_GOTO(insert_conversion(model, *position, "DequantizeLinear", from, x), done);
    *position += 2;
    MARY_TRY_GOTO(mary_edit_string(&node->output[0], y), done);
    MARY_TRY_GOTO(mary_node_set_input(node, 0, x), done);
    MARY_TRY_GOTO(mary_node_set_input(node, 1, weight), done);
    if (n->biased) {
        MARY_TRY_GOTO(add_bias(model, n, bias), done);
        MARY_TRY_GOTO(mary_node_set_input(node, 2, bias), done);
    }
    truncate_inputs(node, n->biased ? 3 : 2);
    mary_node_remove_attribute(node, "weight_shape");
    mary_node_remove_attribute(node, "row_length");
    mary_node_remove_attribute(node, "bits");
    if (n->kind == MARY_LAYER_GEMM)
        MARY_TRY_GOTO(mary_node_set_int(node, "transB", 1), done);
    MARY_TRY_GOTO(mary_edit_string(&node->domain, ""), done);
    status = mary_edit_string(&node->op_type, mary_layer_op(n->kind));
done:
    mary_free(x);
    mary_free(y);
    mary_free(bias);
    return status;
}

/* Weights that were made already, by what they are made of. */
typedef struct made_weight {
    char *codes, *scale, *weight;
    mary_layer_kind kind;
} made_weight;

typedef struct made_weights {
    made_weight *items;
    size_t count, capacity;
} made_weights;

static mary_status weight_for(mary_model *model, mary_graph_index *index, made_weights *made, const integer_node *n,
                              const char **weight)
{
    const char *codes = n->node->input[INPUT_CODES], *scale = n->node->input[INPUT_SCALE];
    for (size_t i = 0; i < made->count; i++) {
        const made_weight *item = &made->items[i];
        if (item->kind == n->kind && strcmp(item->codes, codes) == 0 && strcmp(item->scale, scale) == 0) {
            *weight = item->weight;
            return MARY_OK;
        }
    }
    if (!mary_reserve((void **)&made->items, &made->capacity, made->count + 1, sizeof *made->items))
        return mary_fail_memory(sizeof *made->items);
    made_weight *item = &made->items[made->count++];
    *item = (made_weight){mary_strdup(codes), mary_strdup(scale), fresh(index, codes, "float"), n->kind};
    if (item->codes == NULL || item->scale == NULL || item->weight == NULL)
        return mary_fail_memory(1);
    *weight = item->weight;
    return add_weight(model, n, item->weight);
}

mary_status mary_dequantize_integers(mary_model *model)
{
    Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    made_weights made = {0};
    mary_status status = mary_graph_index_create(graph, &index);
    size_t constants = graph->n_initializer;
    for (size_t i = 0; i < graph->n_node && status == MARY_OK; i++) {
        integer_node n = {.node = graph->node[i], .kind = mary_layer_kind_of_integer(graph->node[i])};
        const char *weight = NULL;
        if (n.kind == MARY_LAYER_NONE)
            continue;
        status = read_node(model, index, &n);
        if (status == MARY_OK)
            status = weight_for(model, index, &made, &n, &weight);
        if (status == MARY_OK)
            status = replace(model, index, &n, weight, &i);
        integer_node_free(&n);
    }
    mary_graph_index *after = NULL;
    if (status == MARY_OK)
        status = mary_graph_index_create(graph, &after);
    for (size_t i = constants; status == MARY_OK && i-- > 0;) { /* what only the nodes that are gone used */
        const char *name = graph->initializer[i]->name;
        if (mary_graph_use_count(index, name) > 0 && mary_graph_use_count(after, name) == 0)
            mary_graph_remove_initializer(graph, i);
    }
    for (size_t i = 0; i < made.count; i++) {
        mary_free(made.items[i].codes);
        mary_free(made.items[i].scale);
        mary_free(made.items[i].weight);
    }
    mary_free(made.items);
    mary_graph_index_free(&after);
    mary_graph_index_free(&index);
    return status;
}
