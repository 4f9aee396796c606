/* Split: slices along one axis; their lengths come from an attribute (until opset 12), an input (1, 13+), or their
 * number. */
#include "ops/copy.h"

typedef struct split_state {
    int64_t axis;
    int64_t count;    /* num_outputs; 0: none given */
    int64_t *lengths; /* the attribute */
    size_t length_count;
} split_state;

static mary_status prepare(mary_op_node *node)
{
    const int64_t *lengths;
    MARY_TRY(mary_op_state(node, sizeof(split_state)));
    split_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "axis", 0, &state->axis));
    if (node->opset >= 18) {
        MARY_TRY(mary_attribute_int(node->proto, "num_outputs", 0, &state->count));
        if (state->count < 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "num_outputs is %lld", (long long)state->count);
    }
    if (node->opset >= 13)
        return MARY_OK;
    MARY_TRY(mary_attribute_ints(node->proto, "split", &lengths, &state->length_count));
    if (state->length_count > 0) {
        state->lengths = mary_calloc(state->length_count, sizeof *state->lengths);
        if (state->lengths == NULL)
            return mary_fail_memory(state->length_count * sizeof *state->lengths);
        for (size_t i = 0; i < state->length_count; i++)
            state->lengths[i] = lengths[i];
    }
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    split_state *state = node->state;
    if (state != NULL)
        mary_free(state->lengths);
    mary_free(state);
}

/* Lengths come as an input in opset 1 and again since 13. */
static const mary_tensor *lengths_input(const mary_op_node *node, const mary_op_call *call)
{
    return (node->opset < 2 || node->opset >= 13) && call->input_count > 1 ? call->inputs[1] : NULL;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const split_state *state = node->state;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, node->opset < 2 || node->opset >= 13 ? 2 : 1));
    const mary_tensor *input = call->inputs[0];
    int outputs = call->output_count, axis;
    if (mary_type_size(input->type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input 0 is of type %s, which is not supported",
                            mary_type_name(input->type));
    MARY_TRY(mary_copy_axis(node, state->axis, input->shape.rank, &axis));
    const mary_tensor *given = lengths_input(node, call);
    mary_shape shape = input->shape;
    int64_t total = shape.dims[axis], sum = 0, even = 0;
    if (given != NULL) {
        if (given->shape.rank != 1 || given->type == MARY_BOOL || mary_type_is_float(given->type) ||
            mary_type_size(given->type) == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'split' must be a 1-D integer tensor");
        if (given->shape.dims[0] != outputs)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'split' has %lld values for %d outputs",
                                (long long)given->shape.dims[0], outputs);
        if (given->data == NULL)
            return MARY_DEFERRED;
    } else if (state->lengths != NULL) {
        if (state->length_count != (size_t)outputs)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'split' has %zu values for %d outputs", state->length_count,
                                outputs);
    } else {
        if (state->count != 0 && state->count != outputs)
            return mary_op_fail(node, MARY_ERROR_INVALID, "num_outputs is %lld, the node has %d outputs",
                                (long long)state->count, outputs);
        if (outputs < 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "has no outputs");
        if (node->opset < 18 && total % outputs != 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "dimension %lld does not split into %d equal parts",
                                (long long)total, outputs);
        even = total / outputs + (total % outputs != 0);
    }
    for (int i = 0; i < outputs; i++) {
        int64_t left = total - sum, length = even < left ? even : left;
        if (given != NULL)
            length = mary_tensor_int(given, i);
        else if (state->lengths != NULL)
            length = state->lengths[i];
        if (length < 0 || length > left)
            return mary_op_fail(node, MARY_ERROR_INVALID, "part %d of length %lld does not fit: %lld of %lld are left",
                                i, (long long)length, (long long)left, (long long)total);
        sum += length;
        shape.dims[axis] = length;
        MARY_TRY(mary_op_set_output(node, call, i, input->type, &shape));
    }
    if (sum != total)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the parts add up to %lld, the dimension is %lld", (long long)sum,
                            (long long)total);
    return MARY_OK;
}

/* The length of part i, whether or not anybody uses that output. */
static int64_t part_length(const mary_op_node *node, const mary_op_call *call, int i, int64_t total, int64_t sum)
{
    const split_state *state = node->state;
    if (lengths_input(node, call) != NULL)
        return mary_tensor_int(call->inputs[1], i);
    if (state->lengths != NULL)
        return state->lengths[i];
    int64_t even = total / call->output_count + (total % call->output_count != 0);
    return even < total - sum ? even : total - sum;
}

/* Part i begins *offset elements into the input; `begin` is its place along the axis, moved on to the next part. */
static void describe(const mary_op_node *node, const mary_op_call *call, int i, int axis, int64_t *begin,
                     mary_copy *copy, int64_t *offset)
{
    const mary_tensor *input = call->inputs[0], *output = call->outputs[i];
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    int64_t length = part_length(node, call, i, input->shape.dims[axis], *begin);
    *copy = (mary_copy){0};
    mary_tensor_strides(input, from);
    *offset = *begin * from[axis];
    *begin += length;
    if (output == NULL)
        return;
    mary_tensor_strides(output, to);
    for (int d = 0; d < input->shape.rank; d++)
        mary_copy_add(copy, output->shape.dims[d], from[d], to[d]);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const split_state *state = node->state;
    const mary_tensor *input = call->inputs[0];
    size_t element = mary_type_size(input->type);
    int64_t begin = 0, offset;
    mary_copy copy;
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, input->shape.rank, &axis));
    for (int i = 0; i < call->output_count; i++) {
        describe(node, call, i, axis, &begin, &copy, &offset);
        if (call->outputs[i] != NULL)
            mary_copy_run(&copy, element, mary_advance_const(input->data, offset, element), call->outputs[i]->data,
                          call->parallel);
    }
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const split_state *state = node->state;
    float *to = mary_copy_gradient(call, 0);
    int64_t begin = 0, offset;
    mary_copy copy;
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, call->forward->inputs[0]->shape.rank, &axis));
    for (int i = 0; i < call->forward->output_count; i++) {
        describe(node, call->forward, i, axis, &begin, &copy, &offset);
        if (to != NULL && call->output_gradients[i] != NULL)
            mary_copy_add_back(&copy, call->output_gradients[i]->data, to + offset, 1.0f);
    }
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .reads_inputs = 1 << 1, .backward = backward};

const mary_op mary_ops_split[] = {
    {.domain = "",
     .type = "Split",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .release = release,
     .channels_last = mary_copy_channels_last,
     .gradient = &gradient},
    MARY_OP_END,
};
