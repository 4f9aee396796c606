/* Reshape, Flatten, Squeeze, Unsqueeze: the same bytes under another shape. */
#include "ops/copy.h"
#include "ops/gradient.h"

#include <string.h>

/* What the attributes say; which of them exist depends on the operator and its version. */
typedef struct view_state {
    int64_t values[MARY_MAX_RANK]; /* shape or axes, while they were attributes */
    int count;                     /* -1: absent */
    int64_t axis;
    int64_t allow_zero;
} view_state;

/* The runtime aliases the output; this runs only where it could not. */
static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    if (call->outputs[0]->data != call->inputs[0]->data)
        memcpy(call->outputs[0]->data, call->inputs[0]->data, mary_tensor_bytes(call->outputs[0]));
    return MARY_OK;
}

/* ---- Reshape ---- */

static mary_status reshape_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(view_state)));
    view_state *state = node->state;
    if (node->opset < 5) {
        MARY_TRY(mary_copy_attribute(node, "shape", state->values, MARY_MAX_RANK, &state->count));
        if (state->count < 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'shape' is missing");
    }
    if (node->opset >= 14)
        MARY_TRY(mary_attribute_int(node->proto, "allowzero", 0, &state->allow_zero));
    return MARY_OK;
}

static mary_status reshape_infer(const mary_op_node *node, mary_op_call *call)
{
    const view_state *state = node->state;
    int64_t wanted[MARY_MAX_RANK];
    int rank, open = -1;
    MARY_TRY(mary_copy_expect(node, call, node->opset < 5 ? 1 : 2, node->opset < 5 ? 1 : 2, 1));
    const mary_shape *from = &call->inputs[0]->shape;
    if (node->opset < 5) {
        rank = state->count;
        memcpy(wanted, state->values, sizeof wanted);
    } else {
        if (call->inputs[1]->shape.rank == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' must have rank 1");
        MARY_TRY(mary_op_ints(node, call->inputs[1], "'shape'", wanted, MARY_MAX_RANK, &rank));
    }
    mary_shape shape = {.rank = rank};
    bool zero = false;
    for (int i = 0; i < rank; i++) {
        shape.dims[i] = wanted[i];
        if (wanted[i] == 0 && !state->allow_zero) {
            if (i >= from->rank)
                return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' copies dimension %d of an input of rank %d", i,
                                    from->rank);
            shape.dims[i] = from->dims[i];
        } else if (wanted[i] == 0) {
            zero = true;
        } else if (wanted[i] == -1 && open < 0) {
            open = i;
            shape.dims[i] = 1;
        } else if (wanted[i] < 0) {
            return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' has %lld at %d", (long long)wanted[i], i);
        }
    }
    if (zero && open >= 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' has both 0 and -1 with allowzero");
    mary_status status = mary_shape_check(&shape, "'shape'");
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    int64_t count = mary_shape_count(from), known = mary_shape_count(&shape);
    if (open >= 0 && known > 0 && count % known == 0) {
        shape.dims[open] = count / known;
        known = count;
    } else if (open >= 0 && known == 0 && count == 0) {
        shape.dims[open] = 0;
    } else if (open >= 0) {
        known = count + 1; /* does not divide: report below */
    }
    if (known != count) {
        char text[96], goal[96];
        memcpy(shape.dims, wanted, sizeof wanted);
        return mary_op_fail(node, MARY_ERROR_INVALID, "input of shape %s does not fit shape %s",
                            mary_shape_format(from, text, sizeof text), mary_shape_format(&shape, goal, sizeof goal));
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

/* ---- Flatten ---- */

static mary_status flatten_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(view_state)));
    view_state *state = node->state;
    return mary_attribute_int(node->proto, "axis", 1, &state->axis);
}

static mary_status flatten_infer(const mary_op_node *node, mary_op_call *call)
{
    const view_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    const mary_shape *from = &call->inputs[0]->shape;
    if (state->axis < -(int64_t)from->rank || state->axis > from->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "axis %lld is outside [%d, %d]", (long long)state->axis,
                            -from->rank, from->rank);
    int axis = (int)(state->axis < 0 ? state->axis + from->rank : state->axis);
    mary_shape shape = {2, {mary_shape_count_range(from, 0, axis), mary_shape_count_range(from, axis, from->rank)}};
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

/* ---- Squeeze, Unsqueeze: axes are an attribute until opset 12, an input since 13 ---- */

static mary_status axes_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(view_state)));
    view_state *state = node->state;
    state->count = -1;
    if (node->opset < 13)
        MARY_TRY(mary_copy_attribute(node, "axes", state->values, MARY_MAX_RANK, &state->count));
    return MARY_OK;
}

/* Marks the axes, counted in a tensor of `rank`; *count is -1 when none were given. */
static mary_status read_axes(const mary_op_node *node, const mary_op_call *call, int rank_before, bool grows,
                             bool *marked, int *rank, int *count)
{
    const view_state *state = node->state;
    int64_t axes[MARY_MAX_RANK];
    *count = state->count;
    memcpy(axes, state->values, sizeof axes);
    if (node->opset >= 13 && call->input_count > 1 && call->inputs[1] != NULL)
        MARY_TRY(mary_op_ints(node, call->inputs[1], "'axes'", axes, MARY_MAX_RANK, count));
    *rank = rank_before + (grows && *count > 0 ? *count : 0);
    if (*rank > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the output has rank %d, the most is %d", *rank,
                            MARY_MAX_RANK);
    for (int i = 0; i < *count; i++) {
        int axis;
        MARY_TRY(mary_copy_axis(node, axes[i], *rank, &axis));
        if (marked[axis] && grows)
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is given twice", axis);
        marked[axis] = true;
    }
    return MARY_OK;
}

static mary_status squeeze_infer(const mary_op_node *node, mary_op_call *call)
{
    bool marked[MARY_MAX_RANK] = {false};
    int rank, count;
    MARY_TRY(mary_copy_expect(node, call, 1, node->opset < 13 ? 1 : 2, 1));
    const mary_shape *from = &call->inputs[0]->shape;
    MARY_TRY(read_axes(node, call, from->rank, false, marked, &rank, &count));
    mary_shape shape = {0};
    for (int i = 0; i < from->rank; i++) {
        if (marked[i] && from->dims[i] != 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d has length %lld, only 1 can be removed", i,
                                (long long)from->dims[i]);
        if (!marked[i] && (count >= 0 || from->dims[i] != 1))
            shape.dims[shape.rank++] = from->dims[i];
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

static mary_status unsqueeze_infer(const mary_op_node *node, mary_op_call *call)
{
    bool marked[MARY_MAX_RANK] = {false};
    int rank, count;
    MARY_TRY(mary_copy_expect(node, call, node->opset < 13 ? 1 : 2, node->opset < 13 ? 1 : 2, 1));
    const mary_shape *from = &call->inputs[0]->shape;
    MARY_TRY(read_axes(node, call, from->rank, true, marked, &rank, &count));
    if (count < 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'axes' is missing");
    mary_shape shape = {.rank = rank};
    for (int i = 0, next = 0; i < rank; i++)
        shape.dims[i] = marked[i] ? 1 : from->dims[next++];
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

#define VIEW(name, prepare_node, infer_shape)                                                                          \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .flags = MARY_OP_VIEW | MARY_OP_HALF, .prepare = prepare_node,         \
        .infer = infer_shape, .run = run, .gradient = &mary_gradient_view                                              \
    }

const mary_op mary_ops_reshape[] = {
    VIEW("Reshape", reshape_prepare, reshape_infer),
    VIEW("Flatten", flatten_prepare, flatten_infer),
    VIEW("Squeeze", axes_prepare, squeeze_infer),
    VIEW("Unsqueeze", axes_prepare, unsqueeze_infer),
    MARY_OP_END,
};
