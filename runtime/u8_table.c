/* A chain of element-wise operators between DequantizeLinear and QuantizeLinear has 256 possible results: it is run
 * once, at load, on all of them. Exactly what the operators compute, whichever they are. */
#include <stdlib.h>
#include <string.h>

#include "runtime/evaluate.h"
#include "runtime/u8.h"

enum { MOST_NODES = 24, VALUES = 256 };

/* The nodes between one u8 value and the QuantizeLinear, in no order. */
typedef struct chain {
    mary_u8_graph *graph;
    int nodes[MOST_NODES];
    int count;
    int source; /* the u8 value; -1: not met yet */
} chain;

static bool is_element_wise(const mary_program_node *node)
{
    static const char *const types[] = {"Relu",       "LeakyRelu",   "Clip",
                                        "Sigmoid",    "HardSigmoid", "HardSwish",
                                        "Tanh",       "Elu",         "Selu",
                                        "Celu",       "Gelu",        "Mish",
                                        "Softplus",   "Softsign",    "Erf",
                                        "Exp",        "Log",         "Sqrt",
                                        "Abs",        "Neg",         "Floor",
                                        "Reciprocal", "Ceil",        "Round",
                                        "Sign",       "Sin",         "Cos",
                                        "PRelu",      "Pow",         "Add",
                                        "Sub",        "Mul",         "Div",
                                        "Min",        "Max",         "Identity",
                                        "Swish",      "QuickGelu",   "ThresholdedRelu"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (mary_u8_is(node, "", types[i]))
            return node->output_count == 1 && node->input_count >= 1;
    }
    return false;
}

static bool collect(chain *c, int value);

static bool collect_node(chain *c, int number)
{
    const mary_program *program = c->graph->program;
    const mary_program_node *node = &program->nodes[number];
    mary_quantized_value from;
    for (int i = 0; i < c->count; i++) {
        if (c->nodes[i] == number)
            return true;
    }
    if (c->count == MOST_NODES)
        return false;
    c->nodes[c->count++] = number;
    if (mary_u8_dequantized(program, node->outputs[0], &from)) {
        if (c->source >= 0 && c->source != from.value)
            return false;
        c->source = from.value;
        return true;
    }
    if (!is_element_wise(node))
        return false;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0 && !collect(c, node->inputs[i]))
            return false;
    }
    return true;
}

static bool collect(chain *c, int value)
{
    const mary_program *program = c->graph->program;
    if (program->values[value].constant) {
        const mary_tensor *tensor = &program->values[value].tensor;
        return tensor->data != NULL && mary_shape_count(&tensor->shape) == 1;
    }
    return program->values[value].producer >= 0 && collect_node(c, program->values[value].producer);
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Runs one node of the chain on VALUES elements; `results[k]` is that of the chain's k-th node. */
static mary_status evaluate(const chain *c, int position, mary_tensor *results, const mary_tensor *source)
{
    const mary_program *program = c->graph->program;
    const mary_program_node *node = &program->nodes[c->nodes[position]];
    const mary_tensor *inputs[16] = {0};
    mary_tensor constants[16], *outputs[1] = {&results[position]};
    if (node->input_count > 16)
        return MARY_DEFERRED;
    for (int i = 0; i < node->input_count; i++) {
        int value = node->inputs[i];
        if (value < 0)
            continue;
        if (program->values[value].constant) {
            constants[i] = program->values[value].tensor;
            constants[i].shape = (mary_shape){0}; /* one element, whatever its rank: the result keeps the source's */
            inputs[i] = &constants[i];
        } else if (value == c->source) {
            inputs[i] = source;
        } else {
            for (int k = 0; k < position; k++) {
                if (program->nodes[c->nodes[k]].outputs[0] == value)
                    inputs[i] = &results[k];
            }
        }
    }
    return mary_node_evaluate(node, inputs, outputs, NULL);
}

/* table[i]: what the chain makes of i. MARY_DEFERRED: it cannot be told, the chain stays. */
static mary_status tabulate(const chain *c, uint8_t table[VALUES])
{
    mary_tensor results[MOST_NODES] = {0};
    uint8_t bytes[VALUES];
    mary_tensor source = {.type = MARY_UINT8, .shape = {1, {VALUES}}, .data = bytes};
    mary_status status = MARY_OK;
    for (int i = 0; i < VALUES; i++)
        bytes[i] = (uint8_t)i;
    for (int i = 0; status == MARY_OK && i < c->count; i++)
        status = evaluate(c, i, results, &source);
    if (status == MARY_OK) {
        const mary_tensor *last = &results[c->count - 1];
        if (last->type == MARY_UINT8 && last->shape.rank == 1 && last->shape.dims[0] == VALUES)
            memcpy(table, last->data, VALUES);
        else
            status = MARY_DEFERRED;
    } else if (status != MARY_ERROR_INTERNAL) {
        status = MARY_DEFERRED; /* the node's own run says what is wrong */
    }
    for (int i = 0; i < c->count; i++)
        mary_free(results[i].data);
    return status;
}

static mary_status add_table(mary_program *program, const uint8_t *table, int *value)
{
    uint8_t *copy = mary_alloc_aligned(VALUES);
    if (copy == NULL)
        return mary_fail_memory(VALUES);
    memcpy(copy, table, VALUES);
    return mary_u8_constant(program, MARY_UINT8, VALUES, copy, value);
}

mary_status mary_u8_table(mary_u8_graph *graph, mary_program_node *quantize, bool *done)
{
    mary_program *program = graph->program;
    chain c = {.graph = graph, .source = -1};
    int number = (int)(quantize - program->nodes);
    *done = false;
    c.nodes[c.count++] = number;
    if (!collect(&c, quantize->inputs[0]) || c.source < 0 || !mary_u8_same_shape(graph, c.source, quantize->outputs[0]))
        return MARY_OK;
    qsort(c.nodes, (size_t)c.count, sizeof c.nodes[0], ascending);
    uint8_t table[VALUES];
    mary_status status = tabulate(&c, table);
    if (status != MARY_OK)
        return status == MARY_DEFERRED ? MARY_OK : status;
    bool identity = true;
    for (int i = 0; i < VALUES; i++)
        identity = identity && table[i] == i;
    const mary_op *op = identity ? mary_op_find("", "Identity", 13) : mary_op_find("ai.mary.internal", "Table", 1);
    if (op == NULL)
        return MARY_OK;
    int inputs[2] = {c.source, -1};
    if (!identity)
        MARY_TRY(add_table(program, table, &inputs[1]));
    MARY_TRY(mary_u8_set_inputs(program, quantize, inputs, identity ? 1 : 2));
    MARY_TRY(mary_u8_become(quantize, op, quantize));
    MARY_TRY(mary_u8_label(quantize, op->type));
    *done = true;
    return MARY_OK;
}
