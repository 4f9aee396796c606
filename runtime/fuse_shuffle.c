/* Reshape -> Transpose -> Reshape that only permutes channels, the way exporters write a channel shuffle: as one
 * operator it can stay channels last. */
#include <string.h>

#include "onnx/model.h"
#include "ops/channel_shuffle.h"
#include "runtime/u8.h"

/* What `value` is made by when nobody else reads it. */
static mary_program_node *only_maker(const mary_program *program, int value, const char *type)
{
    if (value < 0 || program->values[value].uses != 1 || program->values[value].graph_output ||
        program->values[value].producer < 0)
        return NULL;
    mary_program_node *node = &program->nodes[program->values[value].producer];
    return mary_u8_is(node, "", type) ? node : NULL;
}

static bool swaps_axes_1_and_2(const mary_program_node *node)
{
    int64_t perm[MARY_MAX_RANK];
    const Onnx__AttributeProto *attribute = mary_attribute_find(node->node.proto, "perm");
    if (attribute == NULL || attribute->n_ints < 4 || attribute->n_ints > MARY_MAX_RANK)
        return false;
    memcpy(perm, attribute->ints, attribute->n_ints * sizeof *perm);
    bool swaps = perm[0] == 0 && perm[1] == 2 && perm[2] == 1;
    for (size_t i = 3; i < attribute->n_ints; i++)
        swaps = swaps && perm[i] == (int64_t)i;
    return swaps;
}

/* x [N, C, ...] seen as [N, groups, C/groups, ...]; 0: it is not. */
static int64_t groups_of(const mary_tensor *x, const mary_tensor *split)
{
    if (x->type == MARY_UNDEFINED || split->type == MARY_UNDEFINED || x->shape.rank < 3 ||
        split->shape.rank != x->shape.rank + 1 || x->shape.dims[0] != split->shape.dims[0] ||
        split->shape.dims[1] <= 1 || split->shape.dims[1] * split->shape.dims[2] != x->shape.dims[1])
        return 0;
    for (int i = 2; i < x->shape.rank; i++) {
        if (x->shape.dims[i] != split->shape.dims[i + 1])
            return 0;
    }
    return split->shape.dims[1];
}

static mary_status try_shuffle(mary_u8_graph *graph, mary_program_node *last)
{
    mary_program *program = graph->program;
    const mary_op *op = mary_op_find("ai.mary.internal", "ChannelShuffle", 1);
    if (op == NULL || !mary_u8_is(last, "", "Reshape"))
        return MARY_OK;
    mary_program_node *transpose = only_maker(program, last->inputs[0], "Transpose");
    mary_program_node *first = transpose == NULL ? NULL : only_maker(program, transpose->inputs[0], "Reshape");
    if (first == NULL || !swaps_axes_1_and_2(transpose))
        return MARY_OK;
    const int x = first->inputs[0], split = first->outputs[0];
    const int64_t groups = groups_of(&graph->probes[0].tensors[x], &graph->probes[0].tensors[split]);
    if (groups == 0 || groups != groups_of(&graph->probes[1].tensors[x], &graph->probes[1].tensors[split]) ||
        !mary_u8_same_shape(graph, x, last->outputs[0]))
        return MARY_OK;
    MARY_TRY(mary_u8_set_inputs(program, last, &x, 1));
    MARY_TRY(mary_u8_become(last, op, last));
    MARY_TRY(mary_channel_shuffle_set(&last->node, groups));
    return mary_u8_label(last, op->type);
}

mary_status mary_program_shuffle(mary_program *program)
{
    bool candidate = false;
    for (size_t i = 0; i < program->node_count; i++)
        candidate =
            candidate || (mary_u8_is(&program->nodes[i], "", "Transpose") && swaps_axes_1_and_2(&program->nodes[i]));
    mary_u8_graph graph = {.program = program};
    mary_status status = MARY_OK;
    if (candidate && mary_u8_probe(&graph)) {
        for (size_t i = 0; status == MARY_OK && i < program->node_count; i++)
            status = try_shuffle(&graph, &program->nodes[i]);
        if (status == MARY_OK)
            mary_program_remove_unused(program);
    }
    mary_u8_free(&graph);
    return status;
}
