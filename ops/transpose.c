/* Transpose: the strided copy finds the fast path (blocks in registers for 4-byte elements, whole runs where the last
 * axis stays). */
#include "ops/copy.h"

typedef struct transpose_state {
    int64_t order[MARY_MAX_RANK];
    int count; /* -1: reverse all axes */
} transpose_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(transpose_state)));
    transpose_state *state = node->state;
    return mary_copy_attribute(node, "perm", state->order, MARY_MAX_RANK, &state->count);
}

static int source_axis(const transpose_state *state, int rank, int axis)
{
    return state->count < 0 ? rank - 1 - axis : (int)state->order[axis];
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const transpose_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    const mary_shape *from = &call->inputs[0]->shape;
    mary_shape shape = {.rank = from->rank};
    bool seen[MARY_MAX_RANK] = {false};
    if (state->count >= 0 && state->count != from->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'perm' has %d values, the input has rank %d", state->count,
                            from->rank);
    for (int i = 0; i < from->rank; i++) {
        if (state->count >= 0 && (state->order[i] < 0 || state->order[i] >= from->rank || seen[state->order[i]]))
            return mary_op_fail(node, MARY_ERROR_INVALID, "'perm' is no permutation: %lld at %d",
                                (long long)state->order[i], i);
        int axis = source_axis(state, from->rank, i);
        seen[axis] = true;
        shape.dims[i] = from->dims[axis];
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

static mary_copy describe(const mary_op_node *node, const mary_op_call *call)
{
    const transpose_state *state = node->state;
    const mary_tensor *input = call->inputs[0], *output = call->outputs[0];
    int rank = input->shape.rank;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    mary_copy copy = {0};
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    for (int i = 0; i < rank; i++)
        mary_copy_add(&copy, output->shape.dims[i], from[source_axis(state, rank, i)], to[i]);
    return copy;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_copy copy = describe(node, call);
    mary_copy_run(&copy, mary_type_size(call->inputs[0]->type), call->inputs[0]->data, call->outputs[0]->data,
                  call->parallel);
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    float *to = mary_copy_gradient(call, 0);
    const mary_copy copy = describe(node, call->forward);
    if (to != NULL)
        mary_copy_add_back(&copy, call->output_gradients[0]->data, to, 1.0f);
    return MARY_OK;
}

static const mary_op_gradient gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .backward = backward};

const mary_op mary_ops_transpose[] = {
    {.domain = "",
     .type = "Transpose",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last,
     .gradient = &gradient},
    MARY_OP_END,
};
