/* Concat: inputs side by side along one axis. */
#include "ops/copy.h"

typedef struct concat_state {
    int64_t axis;
} concat_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(concat_state)));
    concat_state *state = node->state;
    if (node->opset >= 4 && mary_attribute_find(node->proto, "axis") == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'axis' is missing");
    return mary_attribute_int(node->proto, "axis", 1, &state->axis);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const concat_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, call->input_count > 0 ? call->input_count : 1, INT32_MAX, 1));
    mary_shape shape = call->inputs[0]->shape;
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, shape.rank, &axis));
    for (int i = 1; i < call->input_count; i++) {
        const mary_shape *other = &call->inputs[i]->shape;
        bool same = call->inputs[i]->type == call->inputs[0]->type && other->rank == shape.rank;
        for (int d = 0; same && d < shape.rank; d++)
            same = d == axis || other->dims[d] == shape.dims[d];
        if (!same) {
            char first[96], text[96];
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d (%s %s) does not fit input 0 (%s %s) along axis %d",
                                i, mary_type_name(call->inputs[i]->type), mary_shape_format(other, text, sizeof text),
                                mary_type_name(call->inputs[0]->type),
                                mary_shape_format(&call->inputs[0]->shape, first, sizeof first), axis);
        }
        if (__builtin_add_overflow(shape.dims[axis], other->dims[axis], &shape.dims[axis]))
            return mary_op_fail(node, MARY_ERROR_INVALID, "output is too large along axis %d", axis);
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

/* Input i goes *offset elements into the output; moved on to the next. */
static void describe(const mary_op_call *call, int i, int axis, mary_copy *copy, int64_t *next)
{
    const mary_tensor *input = call->inputs[i];
    int64_t to[MARY_MAX_RANK], from[MARY_MAX_RANK];
    *copy = (mary_copy){0};
    mary_tensor_strides(call->outputs[0], to);
    mary_tensor_strides(input, from);
    for (int d = 0; d < input->shape.rank; d++)
        mary_copy_add(copy, input->shape.dims[d], from[d], to[d]);
    *next += input->shape.dims[axis] * to[axis];
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const concat_state *state = node->state;
    mary_tensor *output = call->outputs[0];
    size_t element = mary_type_size(output->type);
    int64_t offset = 0;
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, output->shape.rank, &axis));
    for (int i = 0; i < call->input_count; i++) {
        const mary_tensor *input = call->inputs[i];
        void *target = mary_advance(output->data, offset, element);
        mary_copy copy;
        describe(call, i, axis, &copy, &offset);
        if (input->data != target) /* a producer may have written it there: see joins_channels */
            mary_copy_run(&copy, element, input->data, target, call->parallel);
    }
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const concat_state *state = node->state;
    const float *from = call->output_gradients[0]->data;
    int64_t offset = 0;
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, call->forward->outputs[0]->shape.rank, &axis));
    for (int i = 0; i < call->forward->input_count; i++) {
        float *to = mary_copy_gradient(call, i);
        const int64_t here = offset;
        mary_copy copy;
        describe(call->forward, i, axis, &copy, &offset);
        if (to != NULL)
            mary_copy_add_back(&copy, from + here, to, 1.0f);
    }
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = ~(uint64_t)0, .backward = backward};

static bool joins_channels(const mary_op_node *node, const mary_op_call *call)
{
    const concat_state *state = node->state;
    int axis;
    return mary_copy_axis(node, state->axis, call->inputs[0]->shape.rank, &axis) == MARY_OK && axis == 1;
}

const mary_op mary_ops_concat[] = {
    {.domain = "",
     .type = "Concat",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last,
     .joins_channels = joins_channels,
     .gradient = &gradient},
    MARY_OP_END,
};
