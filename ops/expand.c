/* Expand and Tile: an input repeated along its axes. */
#include "ops/copy.h"

static mary_status expand_infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape wanted = {0}, shape;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    MARY_TRY(mary_op_ints(node, call->inputs[1], "'shape'", wanted.dims, MARY_MAX_RANK, &wanted.rank));
    for (int i = 0; i < wanted.rank; i++) {
        if (wanted.dims[i] < 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' has %lld at %d", (long long)wanted.dims[i], i);
    }
    mary_status status = mary_shape_broadcast(&call->inputs[0]->shape, &wanted, &shape);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    return mary_copy_set_output(node, call, call->inputs[0]->type, &shape);
}

static mary_copy expand_describe(const mary_op_call *call)
{
    const mary_tensor *input = call->inputs[0], *output = call->outputs[0];
    int more = output->shape.rank - input->shape.rank;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    mary_copy copy = {0};
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    for (int i = 0; i < output->shape.rank; i++)
        mary_copy_add(&copy, output->shape.dims[i], i < more || input->shape.dims[i - more] == 1 ? 0 : from[i - more],
                      to[i]);
    return copy;
}

static mary_status expand_run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    const mary_copy copy = expand_describe(call);
    mary_copy_run(&copy, mary_type_size(call->inputs[0]->type), call->inputs[0]->data, call->outputs[0]->data,
                  call->parallel);
    return MARY_OK;
}

static mary_status expand_backward(const mary_op_node *node, const mary_gradient_call *call)
{
    (void)node;
    float *to = mary_copy_gradient(call, 0);
    const mary_copy copy = expand_describe(call->forward);
    if (to != NULL)
        mary_copy_add_back(&copy, call->output_gradients[0]->data, to, 1.0f);
    return MARY_OK;
}

static const mary_op_gradient expand_gradient = {.inputs = 1, .backward = expand_backward};

static mary_status tile_infer(const mary_op_node *node, mary_op_call *call)
{
    int count;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    mary_shape shape = call->inputs[0]->shape;
    int64_t repeats[MARY_MAX_RANK];
    MARY_TRY(mary_op_ints(node, call->inputs[1], "'repeats'", repeats, MARY_MAX_RANK, &count));
    if (count != shape.rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'repeats' has %d values for rank %d", count, shape.rank);
    for (int i = 0; i < count; i++) {
        if (repeats[i] < 0 || __builtin_mul_overflow(shape.dims[i], repeats[i], &shape.dims[i]))
            return mary_op_fail(node, MARY_ERROR_INVALID, "'repeats' has %lld at %d", (long long)repeats[i], i);
    }
    return mary_copy_set_output(node, call, call->inputs[0]->type, &shape);
}

static mary_status tile_run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    const mary_tensor *input = call->inputs[0];
    mary_tensor *output = call->outputs[0];
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    mary_copy copy = {0};
    if (mary_shape_count(&output->shape) == 0)
        return MARY_OK;
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    for (int i = 0; i < output->shape.rank; i++) {
        int64_t dim = input->shape.dims[i];
        mary_copy_add(&copy, output->shape.dims[i] / dim, 0, dim * to[i]);
        mary_copy_add(&copy, dim, from[i], to[i]);
    }
    mary_copy_run(&copy, mary_type_size(input->type), input->data, output->data, call->parallel);
    return MARY_OK;
}

const mary_op mary_ops_expand[] = {
    {.domain = "",
     .type = "Expand",
     .since = 8,
     .flags = MARY_OP_HALF,
     .infer = expand_infer,
     .run = expand_run,
     .gradient = &expand_gradient},
    {.domain = "",
     .type = "Tile",
     .since = 6,
     .flags = MARY_OP_HALF,
     .infer = tile_infer,
     .run = tile_run,
     .channels_last = mary_copy_channels_last},
    MARY_OP_END,
};
