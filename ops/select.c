/* NonZero and Compress: how much they keep depends on data, so that infer waits for it. */
#include "ops/copy.h"

#include <string.h>

static bool is_zero(const mary_tensor *tensor, int64_t i)
{
    if (tensor->type == MARY_FLOAT)
        return ((const float *)tensor->data)[i] == 0;
    return mary_type_is_float(tensor->type) ? mary_tensor_double(tensor, i) == 0 : mary_tensor_int(tensor, i) == 0;
}

/* ---- NonZero: [rank, count] coordinates, in row-major order ---- */

static mary_status nonzero_infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    const mary_tensor *x = call->inputs[0];
    int64_t count = 0, total = mary_shape_count(&x->shape);
    if (x->data == NULL && total > 0)
        return MARY_DEFERRED;
    for (int64_t i = 0; i < total; i++)
        count += !is_zero(x, i);
    return mary_op_set_output(node, call, 0, MARY_INT64, &(mary_shape){2, {x->shape.rank, count}});
}

static mary_status nonzero_run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    int64_t *out = call->outputs[0]->data, count = call->outputs[0]->shape.dims[1], next = 0;
    int64_t total = mary_shape_count(&x->shape);
    for (int64_t i = 0; i < total; i++) {
        if (is_zero(x, i))
            continue;
        if (next == count)
            return mary_op_fail(node, MARY_ERROR_INTERNAL, "more than %lld elements are not zero", (long long)count);
        int64_t rest = i;
        for (int d = x->shape.rank - 1; d >= 0; d--) {
            out[d * count + next] = rest % x->shape.dims[d];
            rest /= x->shape.dims[d];
        }
        next++;
    }
    return MARY_OK;
}

/* ---- Compress: slices along an axis, or elements, whose condition is true ---- */

typedef struct compress_state {
    int64_t axis;
    bool has_axis;
} compress_state;

static mary_status compress_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(compress_state)));
    compress_state *state = node->state;
    state->has_axis = mary_attribute_find(node->proto, "axis") != NULL;
    return mary_attribute_int(node->proto, "axis", 0, &state->axis);
}

static mary_status compress_infer(const mary_op_node *node, mary_op_call *call)
{
    const compress_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_tensor *condition = call->inputs[1];
    mary_shape shape = call->inputs[0]->shape;
    int axis = 0;
    if (state->has_axis)
        MARY_TRY(mary_copy_axis(node, state->axis, shape.rank, &axis));
    else
        shape = (mary_shape){1, {mary_shape_count(&shape)}};
    if (condition->type != MARY_BOOL || condition->shape.rank != 1 || condition->shape.dims[0] > shape.dims[axis])
        return mary_op_fail(node, MARY_ERROR_INVALID, "the condition must be at most %lld bools in one axis",
                            (long long)shape.dims[axis]);
    if (condition->data == NULL)
        return MARY_DEFERRED;
    int64_t count = 0;
    for (int64_t i = 0; i < condition->shape.dims[0]; i++)
        count += mary_tensor_int(condition, i) != 0;
    shape.dims[axis] = count;
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

static mary_status compress_run(const mary_op_node *node, mary_op_call *call)
{
    const compress_state *state = node->state;
    const mary_tensor *x = call->inputs[0], *condition = call->inputs[1];
    int64_t outer = 1, length = mary_shape_count(&x->shape), inner = 1;
    int axis;
    if (state->has_axis) {
        MARY_TRY(mary_copy_axis(node, state->axis, x->shape.rank, &axis));
        outer = mary_shape_count_range(&x->shape, 0, axis);
        length = x->shape.dims[axis];
        inner = mary_shape_count_range(&x->shape, axis + 1, x->shape.rank);
    }
    int64_t run = inner * (int64_t)mary_type_size(x->type);
    const char *from = x->data;
    char *to = call->outputs[0]->data;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < condition->shape.dims[0]; i++) {
            if (mary_tensor_int(condition, i) != 0) {
                memcpy(to, from + (o * length + i) * run, (size_t)run);
                to += run;
            }
        }
    }
    return MARY_OK;
}

const mary_op mary_ops_select[] = {
    {.domain = "", .type = "NonZero", .since = 9, .flags = MARY_OP_HALF, .infer = nonzero_infer, .run = nonzero_run},
    {.domain = "",
     .type = "Compress",
     .since = 9,
     .flags = MARY_OP_HALF,
     .prepare = compress_prepare,
     .infer = compress_infer,
     .run = compress_run},
    MARY_OP_END,
};
