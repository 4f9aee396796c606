/* Trilu and ReverseSequence: parts of matrices cleared, starts of sequences turned round. */
#include "ops/copy.h"

#include <string.h>

typedef struct trilu_state {
    bool upper;
} trilu_state;

static mary_status trilu_prepare(mary_op_node *node)
{
    int64_t upper;
    MARY_TRY(mary_op_state(node, sizeof(trilu_state)));
    trilu_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "upper", 1, &upper));
    state->upper = upper != 0;
    return MARY_OK;
}

static mary_status trilu_infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 1, 2, 1));
    const mary_tensor *diagonal = call->input_count > 1 ? call->inputs[1] : NULL;
    if (call->inputs[0]->shape.rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input has rank %d, 2 is the least", call->inputs[0]->shape.rank);
    if (diagonal != NULL && (diagonal->type != MARY_INT64 || mary_shape_count(&diagonal->shape) != 1))
        return mary_op_fail(node, MARY_ERROR_INVALID, "k must be one int64");
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &call->inputs[0]->shape);
}

static mary_status trilu_run(const mary_op_node *node, mary_op_call *call)
{
    const trilu_state *state = node->state;
    const mary_tensor *x = call->inputs[0];
    int64_t element = (int64_t)mary_type_size(x->type), count = mary_shape_count(&x->shape);
    int64_t columns = x->shape.dims[x->shape.rank - 1], rows = x->shape.dims[x->shape.rank - 2];
    int64_t k = call->input_count > 1 && call->inputs[1] != NULL ? mary_tensor_int(call->inputs[1], 0) : 0;
    k = k > columns ? columns : k < -rows ? -rows : k;
    if (count == 0)
        return MARY_OK;
    for (int64_t row = 0; row < count / columns; row++) {
        const char *from = (const char *)x->data + row * columns * element;
        char *to = (char *)call->outputs[0]->data + row * columns * element;
        int64_t edge = row % rows + k + (state->upper ? 0 : 1); /* what is kept starts, or ends, here */
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        int64_t begin = state->upper ? edge : 0, end = state->upper ? columns : edge;
        memmove(to + begin * element, from + begin * element, (size_t)((end - begin) * element));
        memset(to, 0, (size_t)(begin * element));
        memset(to + end * element, 0, (size_t)((columns - end) * element));
    }
    return MARY_OK;
}

typedef struct reverse_state {
    int64_t time_axis, batch_axis;
} reverse_state;

static mary_status reverse_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(reverse_state)));
    reverse_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "time_axis", 0, &state->time_axis));
    MARY_TRY(mary_attribute_int(node->proto, "batch_axis", 1, &state->batch_axis));
    bool fits = (state->time_axis == 0 && state->batch_axis == 1) || (state->time_axis == 1 && state->batch_axis == 0);
    if (!fits)
        return mary_op_fail(node, MARY_ERROR_INVALID, "time_axis %lld and batch_axis %lld must be 0 and 1",
                            (long long)state->time_axis, (long long)state->batch_axis);
    return MARY_OK;
}

static mary_status reverse_infer(const mary_op_node *node, mary_op_call *call)
{
    const reverse_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_shape *shape = &call->inputs[0]->shape;
    const mary_tensor *lengths = call->inputs[1];
    if (shape->rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input has rank %d, 2 is the least", shape->rank);
    if (lengths->type != MARY_INT64 || lengths->shape.rank != 1 ||
        lengths->shape.dims[0] != shape->dims[state->batch_axis])
        return mary_op_fail(node, MARY_ERROR_INVALID, "sequence_lens must be %lld int64",
                            (long long)shape->dims[state->batch_axis]);
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, shape);
}

static mary_status reverse_run(const mary_op_node *node, mary_op_call *call)
{
    const reverse_state *state = node->state;
    const mary_tensor *x = call->inputs[0];
    int64_t times = x->shape.dims[state->time_axis], batches = x->shape.dims[state->batch_axis];
    int64_t run = mary_shape_count_range(&x->shape, 2, x->shape.rank) * (int64_t)mary_type_size(x->type);
    int64_t time_step = run * (state->time_axis == 0 ? batches : 1);
    int64_t batch_step = run * (state->time_axis == 0 ? 1 : times);
    for (int64_t b = 0; b < batches; b++) {
        int64_t length = mary_tensor_int(call->inputs[1], b);
        if (length < 0 || length > times)
            return mary_op_fail(node, MARY_ERROR_INVALID, "sequence %lld has length %lld of %lld", (long long)b,
                                (long long)length, (long long)times);
        for (int64_t t = 0; t < times; t++)
            memcpy((char *)call->outputs[0]->data + b * batch_step + t * time_step,
                   (const char *)x->data + b * batch_step + (t < length ? length - 1 - t : t) * time_step, (size_t)run);
    }
    return MARY_OK;
}

const mary_op mary_ops_trilu[] = {
    {.domain = "",
     .type = "Trilu",
     .since = 14,
     .flags = MARY_OP_IN_PLACE | MARY_OP_HALF,
     .prepare = trilu_prepare,
     .infer = trilu_infer,
     .run = trilu_run},
    {.domain = "",
     .type = "ReverseSequence",
     .since = 10,
     .flags = MARY_OP_HALF,
     .prepare = reverse_prepare,
     .infer = reverse_infer,
     .run = reverse_run},
    MARY_OP_END,
};
