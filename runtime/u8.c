/* Operators between DequantizeLinear and QuantizeLinear that have a form on u8: arithmetic with scales as parameters,
 * and those that only move or compare values, which are exact on the integers. */
#include "runtime/u8.h"

#include <string.h>

bool mary_u8_is(const mary_program_node *node, const char *domain, const char *type)
{
    return !node->removed && strcmp(node->node.op->domain, domain) == 0 && strcmp(node->node.op->type, type) == 0;
}

static const mary_tensor *scalar(const mary_program *program, int value, mary_type type)
{
    if (value < 0 || !program->values[value].constant)
        return NULL;
    const mary_tensor *tensor = &program->values[value].tensor;
    return tensor->type == type && tensor->data != NULL && mary_shape_count(&tensor->shape) == 1 ? tensor : NULL;
}

bool mary_u8_float(const mary_program *program, int value, float *result)
{
    const mary_tensor *tensor = scalar(program, value, MARY_FLOAT);
    if (tensor != NULL)
        *result = *(const float *)tensor->data;
    return tensor != NULL;
}

bool mary_u8_byte(const mary_program *program, int value, uint8_t *result)
{
    const mary_tensor *tensor = scalar(program, value, MARY_UINT8);
    if (tensor != NULL)
        *result = *(const uint8_t *)tensor->data;
    return tensor != NULL;
}

static bool has_parameters(const mary_program *program, const mary_program_node *node)
{
    float scale;
    uint8_t zero_point;
    return node->input_count >= 3 && node->inputs[0] >= 0 && !program->values[node->inputs[0]].constant &&
           mary_u8_float(program, node->inputs[1], &scale) && mary_u8_byte(program, node->inputs[2], &zero_point);
}

bool mary_u8_dequantized(const mary_program *program, int value, mary_quantized_value *from)
{
    if (value < 0 || program->values[value].producer < 0)
        return false;
    const mary_program_node *node = &program->nodes[program->values[value].producer];
    if (!mary_u8_is(node, "", "DequantizeLinear") || !has_parameters(program, node))
        return false;
    *from = (mary_quantized_value){node->inputs[0], node->inputs[1], node->inputs[2]};
    return true;
}

bool mary_u8_quantizes(const mary_program *program, const mary_program_node *node, mary_quantized_value *to)
{
    if (!mary_u8_is(node, "", "QuantizeLinear") || !has_parameters(program, node))
        return false;
    *to = (mary_quantized_value){node->outputs[0], node->inputs[1], node->inputs[2]};
    return true;
}

bool mary_u8_same_parameters(const mary_program *program, const mary_quantized_value *a, const mary_quantized_value *b)
{
    float scales[2];
    uint8_t zero_points[2];
    return mary_u8_float(program, a->scale, &scales[0]) && mary_u8_float(program, b->scale, &scales[1]) &&
           mary_u8_byte(program, a->zero_point, &zero_points[0]) &&
           mary_u8_byte(program, b->zero_point, &zero_points[1]) && scales[0] == scales[1] &&
           zero_points[0] == zero_points[1];
}

bool mary_u8_same_shape(const mary_u8_graph *graph, int a, int b)
{
    for (int probe = 0; probe < 2; probe++) {
        const mary_tensor *ta = &graph->probes[probe].tensors[a], *tb = &graph->probes[probe].tensors[b];
        if (ta->type == MARY_UNDEFINED || tb->type == MARY_UNDEFINED || !mary_shape_equal(&ta->shape, &tb->shape))
            return false;
    }
    return true;
}

mary_status mary_u8_set_inputs(mary_program *program, mary_program_node *node, const int *inputs, int count)
{
    int *list = mary_calloc((size_t)count + 1, sizeof *list);
    if (list == NULL)
        return mary_fail_memory((size_t)count * sizeof *list);
    memcpy(list, inputs, (size_t)count * sizeof *list);
    for (int i = 0; i < count; i++) {
        if (list[i] >= 0)
            program->values[list[i]].uses++;
    }
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0)
            mary_program_release_use(program, node->inputs[i]);
    }
    mary_free(node->inputs);
    node->inputs = list;
    node->input_count = node->node.input_count = count;
    return MARY_OK;
}

mary_status mary_u8_become(mary_program_node *node, const mary_op *op, const mary_program_node *attributes)
{
    if (node->node.op->release != NULL)
        node->node.op->release(&node->node);
    else
        mary_free(node->node.state);
    node->node.state = NULL;
    node->node.op = op;
    node->node.proto = attributes->node.proto;
    return op->prepare != NULL ? op->prepare(&node->node) : MARY_OK;
}

mary_status mary_u8_constant(mary_program *program, mary_type type, int64_t count, void *data, int *value)
{
    mary_status status = mary_program_add_value(program, "", value);
    if (status != MARY_OK) {
        mary_free(data);
        return status;
    }
    program->values[*value] = (mary_program_value){.name = "",
                                                   .tensor = {.type = type, .shape = {1, {count}}, .data = data},
                                                   .owned = data,
                                                   .constant = true,
                                                   .producer = -1};
    return MARY_OK;
}

mary_status mary_u8_label(mary_program_node *node, const char *type)
{
    char *label = mary_strdup(type);
    if (label == NULL)
        return mary_fail_memory(strlen(type) + 1);
    mary_free(node->label);
    node->label = label;
    return MARY_OK;
}

/* ---- patterns ---- */

/* The node whose result `quantize` rounds, when nobody else reads it; a Relu that the range of the result makes
 * redundant (zero_point 0) is looked through. */
static mary_program_node *rounded(const mary_u8_graph *graph, const mary_quantized_value *to, int value)
{
    const mary_program *program = graph->program;
    for (int hops = 0; hops < 2; hops++) {
        const mary_program_value *v = &program->values[value];
        if (v->uses != 1 || v->graph_output || v->producer < 0)
            return NULL;
        mary_program_node *node = &program->nodes[v->producer];
        uint8_t zero_point = 255;
        if (!mary_u8_is(node, "", "Relu"))
            return node;
        if (!mary_u8_byte(program, to->zero_point, &zero_point) || zero_point != 0)
            return NULL;
        value = node->inputs[0];
    }
    return NULL;
}

void mary_u8_take_result(mary_program *program, mary_program_node *node, mary_program_node *quantize)
{
    program->values[node->outputs[0]].producer = -1;
    node->outputs[0] = quantize->outputs[0];
    program->values[node->outputs[0]].producer = (int)(node - program->nodes);
    quantize->removed = true;
    for (int i = 0; i < quantize->input_count; i++) {
        if (quantize->inputs[i] >= 0)
            mary_program_release_use(program, quantize->inputs[i]);
    }
}

/* Float operators whose u8 form takes (data, scale, zero point) of every operand, then those of the result. */
static const struct {
    const char *type, *graph;
    int operands;
} arithmetic[] = {{"Add", "QLinearAdd", 2},
                  {"Mul", "QLinearMul", 2},
                  {"AveragePool", "QLinearAveragePool", 1},
                  {"GlobalAveragePool", "QLinearGlobalAveragePool", 1},
                  {"Softmax", "QLinearSoftmax", 1}};

static mary_status try_arithmetic(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node,
                                  const mary_quantized_value *to, bool *done)
{
    mary_program *program = graph->program;
    for (size_t k = 0; k < sizeof arithmetic / sizeof arithmetic[0]; k++) {
        if (!mary_u8_is(node, "", arithmetic[k].type) || node->input_count != arithmetic[k].operands ||
            node->output_count != 1)
            continue;
        int inputs[8], count = 0;
        for (int i = 0; i < node->input_count; i++) {
            mary_quantized_value from;
            if (!mary_u8_dequantized(program, node->inputs[i], &from))
                return MARY_OK;
            inputs[count++] = from.value;
            inputs[count++] = from.scale;
            inputs[count++] = from.zero_point;
        }
        inputs[count++] = to->scale;
        inputs[count++] = to->zero_point;
        const mary_op *op = mary_op_find("com.microsoft", arithmetic[k].graph, 1);
        if (op == NULL)
            return MARY_OK;
        MARY_TRY(mary_u8_set_inputs(program, node, inputs, count));
        MARY_TRY(mary_u8_become(node, op, node));
        MARY_TRY(mary_u8_label(node, op->type));
        mary_u8_take_result(program, node, quantize);
        *done = true;
        return MARY_OK;
    }
    return MARY_OK;
}

static mary_status try_concat(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node,
                              const mary_quantized_value *to, bool *done)
{
    mary_program *program = graph->program;
    const mary_op *op = mary_op_find("com.microsoft", "QLinearConcat", 1);
    if (!mary_u8_is(node, "", "Concat"))
        return MARY_OK;
    int *inputs = mary_calloc((size_t)node->input_count * 3 + 2, sizeof *inputs), count = 0;
    if (inputs == NULL)
        return mary_fail_memory((size_t)node->input_count * 3 * sizeof *inputs);
    bool same = true;
    mary_status status = MARY_OK;
    inputs[count++] = to->scale;
    inputs[count++] = to->zero_point;
    for (int i = 0; i < node->input_count; i++) {
        mary_quantized_value from;
        if (!mary_u8_dequantized(program, node->inputs[i], &from))
            goto done;
        same = same && mary_u8_same_parameters(program, &from, to);
        inputs[count++] = from.value;
        inputs[count++] = from.scale;
        inputs[count++] = from.zero_point;
    }
    if (!same && op == NULL)
        goto done;
    if (same) { /* a plain Concat, whose inputs can be written in place */
        count = 0;
        for (int i = 0; i < node->input_count; i++)
            inputs[count++] = inputs[2 + 3 * i];
    }
    MARY_TRY_GOTO(mary_u8_set_inputs(program, node, inputs, count), done);
    if (!same) {
        MARY_TRY_GOTO(mary_u8_become(node, op, node), done);
        MARY_TRY_GOTO(mary_u8_label(node, op->type), done);
    }
    mary_u8_take_result(program, node, quantize);
    *done = true;
done:
    mary_free(inputs);
    return status;
}

/* Operators that move, repeat or compare values of input 0 without computing new ones, and Resize, whose weights sum to
 * one: the same on u8 where scale and zero point do not change. */
static bool moves_values(const mary_program_node *node)
{
    static const char *const types[] = {
        "MaxPool", "Reshape",      "Flatten",      "Squeeze", "Unsqueeze", "Transpose",      "Slice",    "Split",
        "Gather",  "DepthToSpace", "SpaceToDepth", "Expand",  "Tile",      "GatherElements", "Identity", "Resize"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (mary_u8_is(node, "", types[i]))
            return true;
    }
    return false;
}

/* Pad with zeros: on u8 that is the zero point. MARY_OK with *pads false: it is not that. */
static mary_status pads_with_zero(const mary_u8_graph *graph, const mary_program_node *node, bool *pads)
{
    const char *mode;
    float value = 0;
    *pads = false;
    if (!mary_u8_is(node, "", "Pad") || node->node.opset < 11)
        return MARY_OK;
    MARY_TRY(mary_attribute_string(node->node.proto, "mode", "constant", &mode));
    *pads = strcmp(mode, "constant") == 0 && (node->input_count < 3 || node->inputs[2] < 0 ||
                                              (mary_u8_float(graph->program, node->inputs[2], &value) && value == 0));
    return MARY_OK;
}

/* The QuantizeLinear that is the only reader of a value. */
static mary_program_node *only_quantize(const mary_u8_graph *graph, int value, mary_quantized_value *to)
{
    const mary_program *program = graph->program;
    if (value < 0 || (size_t)value >= graph->reader_count || graph->readers[value] < 0 ||
        program->values[value].uses != 1 || program->values[value].graph_output)
        return NULL;
    mary_program_node *node = &program->nodes[graph->readers[value]];
    return mary_u8_quantizes(program, node, to) && node->inputs[0] == value ? node : NULL;
}

static mary_status try_move(mary_u8_graph *graph, mary_program_node *node)
{
    mary_program *program = graph->program;
    mary_quantized_value from, to;
    bool pads = false;
    if (node->removed || node->input_count < 1 || !mary_u8_dequantized(program, node->inputs[0], &from))
        return MARY_OK;
    MARY_TRY(pads_with_zero(graph, node, &pads));
    if (!pads && !moves_values(node))
        return MARY_OK;
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 &&
            (only_quantize(graph, node->outputs[i], &to) == NULL || !mary_u8_same_parameters(program, &from, &to)))
            return MARY_OK;
    }
    int inputs[4] = {from.value, node->input_count > 1 ? node->inputs[1] : -1, from.zero_point,
                     node->input_count > 3 ? node->inputs[3] : -1};
    if (pads) {
        MARY_TRY(mary_u8_set_inputs(program, node, inputs, node->input_count > 3 ? 4 : 3));
    } else {
        program->values[from.value].uses++;
        mary_program_release_use(program, node->inputs[0]);
        node->inputs[0] = from.value;
    }
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] < 0)
            continue;
        mary_program_node *quantize = only_quantize(graph, node->outputs[i], &to);
        program->values[node->outputs[i]].producer = -1;
        node->outputs[i] = to.value;
        program->values[to.value].producer = (int)(node - program->nodes);
        quantize->removed = true;
        for (int k = 0; k < quantize->input_count; k++) {
            if (quantize->inputs[k] >= 0)
                mary_program_release_use(program, quantize->inputs[k]);
        }
    }
    return MARY_OK;
}

static mary_status try_quantize(mary_u8_graph *graph, mary_program_node *quantize)
{
    mary_quantized_value to;
    bool done = false;
    if (!mary_u8_quantizes(graph->program, quantize, &to))
        return MARY_OK;
    MARY_TRY(mary_u8_table(graph, quantize, &done));
    if (done)
        return MARY_OK;
    mary_program_node *node = rounded(graph, &to, quantize->inputs[0]);
    if (node == NULL)
        return MARY_OK;
    MARY_TRY(try_arithmetic(graph, quantize, node, &to, &done));
    if (!done)
        MARY_TRY(mary_u8_linear(graph, quantize, node, &done));
    if (!done)
        MARY_TRY(mary_u8_mean(graph, quantize, node, &done));
    if (!done)
        MARY_TRY(mary_u8_affine(graph, quantize, node, &done));
    return done ? MARY_OK : try_concat(graph, quantize, node, &to, &done);
}

/* ---- the whole graph ---- */

static mary_status list_readers(mary_u8_graph *graph)
{
    const mary_program *program = graph->program;
    graph->reader_count = program->value_count;
    graph->readers = mary_alloc(program->value_count * sizeof *graph->readers);
    if (graph->readers == NULL)
        return mary_fail_memory(program->value_count * sizeof *graph->readers);
    for (size_t i = 0; i < program->value_count; i++)
        graph->readers[i] = -1;
    for (size_t n = 0; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        for (int i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                graph->readers[node->inputs[i]] = (int)n;
        }
    }
    return MARY_OK;
}

bool mary_u8_probe(mary_u8_graph *graph)
{
    const mary_program *program = graph->program;
    mary_tensor *inputs = mary_calloc((size_t)program->input_count, sizeof *inputs);
    bool probed = inputs != NULL;
    for (int probe = 0; probe < 2 && probed; probe++)
        probed = mary_shapes_probe(program, probe, inputs) &&
                 mary_shapes_infer(program, inputs, true, NULL, &graph->probes[probe]) == MARY_OK;
    mary_free(inputs);
    return probed;
}

void mary_u8_free(mary_u8_graph *graph)
{
    mary_shapes_free(&graph->probes[0]);
    mary_shapes_free(&graph->probes[1]);
    mary_free(graph->readers);
    graph->readers = NULL;
}

static bool quantizes_anything(const mary_program *program)
{
    mary_quantized_value to;
    for (size_t i = 0; i < program->node_count; i++) {
        if (mary_u8_quantizes(program, &program->nodes[i], &to))
            return true;
    }
    return false;
}

/* One round: what `visit` finds, with readers and shapes as they are now. */
static mary_status each_node(mary_u8_graph *graph, mary_status (*visit)(mary_u8_graph *, mary_program_node *))
{
    mary_status status = list_readers(graph);
    for (size_t i = 0; status == MARY_OK && i < graph->program->node_count; i++)
        status = visit(graph, &graph->program->nodes[i]);
    mary_free(graph->readers);
    graph->readers = NULL;
    return status;
}

mary_status mary_program_u8(mary_program *program)
{
    mary_u8_graph graph = {.program = program};
    mary_status status = MARY_OK;
    if (!quantizes_anything(program) || !mary_u8_probe(&graph))
        goto done; /* without shapes the graph runs as it is written */
    MARY_TRY_GOTO(each_node(&graph, try_move), done);
    MARY_TRY_GOTO(each_node(&graph, try_quantize), done);
    mary_program_remove_unused(program);
    MARY_TRY_GOTO(mary_u8_epilogues(&graph), done);
    mary_program_remove_unused(program);
done:
    mary_u8_free(&graph);
    return status;
}
