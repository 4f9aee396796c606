/* What follows a MaryQLinear* node on u8 is computed while its result is in registers: the addition of a residual, then
 * a table. */
#include <string.h>

#include "ops/mary/qlinear.h"
#include "runtime/u8.h"

static bool is_mary_linear(const mary_program_node *node)
{
    return mary_u8_is(node, "ai.mary", "MaryQLinearConv") || mary_u8_is(node, "ai.mary", "MaryQLinearGemm") ||
           mary_u8_is(node, "ai.mary", "MaryQLinearMatMul");
}

/* The MaryQLinear* node that makes `value` for one reader alone. */
static mary_program_node *maker(const mary_program *program, int value)
{
    if (value < 0)
        return NULL;
    const mary_program_value *v = &program->values[value];
    if (v->uses != 1 || v->graph_output || v->producer < 0)
        return NULL;
    mary_program_node *node = &program->nodes[v->producer];
    return is_mary_linear(node) ? node : NULL;
}

/* `node` reads `extra` from input `first` on, and makes what `absorbed` made. */
static mary_status absorb(mary_program *program, mary_program_node *node, mary_program_node *absorbed, int first,
                          const int *extra, int count)
{
    int inputs[MARY_QLINEAR_INPUTS];
    for (int i = 0; i < MARY_QLINEAR_INPUTS; i++)
        inputs[i] = i < node->input_count ? node->inputs[i] : -1;
    memcpy(inputs + first, extra, (size_t)count * sizeof *extra);
    MARY_TRY(mary_u8_set_inputs(program, node, inputs, first + count));
    program->values[node->outputs[0]].producer = -1;
    node->outputs[0] = absorbed->outputs[0];
    program->values[node->outputs[0]].producer = (int)(node - program->nodes);
    absorbed->removed = true;
    for (int i = 0; i < absorbed->input_count; i++) {
        if (absorbed->inputs[i] >= 0)
            mary_program_release_use(program, absorbed->inputs[i]);
    }
    char *label = mary_asprintf("%s+%s", node->label, absorbed->label);
    if (label == NULL)
        return mary_fail_memory(strlen(node->label) + strlen(absorbed->label) + 2);
    mary_free(node->label);
    node->label = label;
    return MARY_OK;
}

/* Inputs of a QLinearAdd: value, scale, zero point of both operands, scale and zero point of the sum. */
static mary_status absorb_addition(mary_u8_graph *graph, mary_program_node *add)
{
    mary_program *program = graph->program;
    mary_program_node *best = NULL;
    int best_side = 0;
    for (int side = 0; side < 2; side++) {
        mary_program_node *node = maker(program, add->inputs[3 * side]);
        int other = add->inputs[3 * (1 - side)];
        const mary_quantized_value made = {add->inputs[0], add->inputs[3 * side + 1], add->inputs[3 * side + 2]};
        if (node == NULL || node->input_count > MARY_QLINEAR_RESIDUAL || program->values[other].constant ||
            program->values[other].producer >= (int)(node - program->nodes) ||
            !mary_u8_same_shape(graph, node->outputs[0], other) ||
            !mary_u8_same_shape(graph, node->outputs[0], add->outputs[0]))
            continue;
        const mary_quantized_value stored = {add->inputs[0], node->inputs[MARY_QLINEAR_Y_SCALE],
                                             node->inputs[MARY_QLINEAR_Y_ZERO]};
        if (mary_u8_same_parameters(program, &made, &stored)) {
            best = node;
            best_side = side;
        }
    }
    if (best == NULL)
        return MARY_OK;
    const int *other = add->inputs + 3 * (1 - best_side);
    const int extra[] = {other[0], other[1], other[2], add->inputs[6], add->inputs[7]};
    return absorb(program, best, add, MARY_QLINEAR_RESIDUAL, extra, 5);
}

static mary_status absorb_table(mary_u8_graph *graph, mary_program_node *table)
{
    mary_program_node *node = maker(graph->program, table->inputs[0]);
    if (node == NULL || node->input_count > MARY_QLINEAR_TABLE)
        return MARY_OK;
    return absorb(graph->program, node, table, MARY_QLINEAR_TABLE, &table->inputs[1], 1);
}

mary_status mary_u8_epilogues(mary_u8_graph *graph)
{
    mary_program *program = graph->program;
    for (size_t i = 0; i < program->node_count; i++) {
        mary_program_node *node = &program->nodes[i];
        if (mary_u8_is(node, "com.microsoft", "QLinearAdd") && node->input_count == 8)
            MARY_TRY(absorb_addition(graph, node));
        else if (mary_u8_is(node, "ai.mary.internal", "Table"))
            MARY_TRY(absorb_table(graph, node));
    }
    return MARY_OK;
}
