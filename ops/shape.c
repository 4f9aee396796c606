/* Shape and Size: known as soon as the input's shape is. */
#include "ops/copy.h"

typedef struct shape_state {
    int64_t start, end;
    bool has_end;
} shape_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(shape_state)));
    shape_state *state = node->state;
    if (node->opset < 15)
        return MARY_OK;
    state->has_end = mary_attribute_find(node->proto, "end") != NULL;
    MARY_TRY(mary_attribute_int(node->proto, "start", 0, &state->start));
    return mary_attribute_int(node->proto, "end", 0, &state->end);
}

static int clip(int64_t value, int rank)
{
    if (value < 0)
        value = value < -(int64_t)rank ? 0 : value + rank;
    return value > rank ? rank : (int)value;
}

static void range(const mary_op_node *node, const mary_op_call *call, int *start, int *end)
{
    const shape_state *state = node->state;
    int rank = call->inputs[0]->shape.rank;
    *start = clip(state->start, rank);
    *end = state->has_end ? clip(state->end, rank) : rank;
    if (*end < *start)
        *end = *start;
}

static mary_status shape_infer(const mary_op_node *node, mary_op_call *call)
{
    int start, end;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    range(node, call, &start, &end);
    return mary_op_set_output(node, call, 0, MARY_INT64, &(mary_shape){1, {end - start}});
}

static mary_status shape_run(const mary_op_node *node, mary_op_call *call)
{
    int start, end;
    int64_t *values = call->outputs[0]->data;
    range(node, call, &start, &end);
    for (int i = start; i < end; i++)
        values[i - start] = call->inputs[0]->shape.dims[i];
    return MARY_OK;
}

static mary_status size_infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    return mary_op_set_output(node, call, 0, MARY_INT64, &(mary_shape){0, {0}});
}

static mary_status size_run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    *(int64_t *)call->outputs[0]->data = mary_shape_count(&call->inputs[0]->shape);
    return MARY_OK;
}

/* Their results depend on the shape alone, so that any layout of the input will do. */
const mary_op mary_ops_shape[] = {
    {.domain = "",
     .type = "Shape",
     .since = 1,
     .flags = MARY_OP_HALF | MARY_OP_SHAPE_ONLY,
     .prepare = prepare,
     .infer = shape_infer,
     .run = shape_run,
     .channels_last = mary_copy_channels_last},
    {.domain = "",
     .type = "Size",
     .since = 1,
     .flags = MARY_OP_HALF | MARY_OP_SHAPE_ONLY,
     .infer = size_infer,
     .run = size_run,
     .channels_last = mary_copy_channels_last},
    MARY_OP_END,
};
