/* ArgMax and ArgMin: the index of the first (or last) extreme along one axis; NaN is more extreme than any number, as
 * numpy has it. */
#include <string.h>

#include "ops/op.h"

typedef struct arg_state {
    bool largest, last, keep_dims;
    int64_t axis;
} arg_state;

typedef struct work {
    const arg_state *state;
    const void *x;
    int64_t *y;
    int64_t count, inner;
} work;

#define ARG(name, T)                                                                                                   \
    static void name(void *context, int64_t begin, int64_t end, int thread)                                            \
    {                                                                                                                  \
        const work *w = context;                                                                                       \
        const bool last = w->state->last, largest = w->state->largest;                                                 \
        (void)thread;                                                                                                  \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            const T *x = (const T *)w->x + i / w->inner * w->count * w->inner + i % w->inner;                          \
            T best = x[0];                                                                                             \
            int64_t index = 0;                                                                                         \
            for (int64_t k = 1; k < w->count; k++) {                                                                   \
                T v = x[k * w->inner];                                                                                 \
                bool better = largest ? v > best : v < best;                                                           \
                bool as_good = last && v == best;                                                                      \
                bool nan = v != v && (best == best || last);                                                           \
                if (better || as_good || nan) {                                                                        \
                    best = v;                                                                                          \
                    index = k;                                                                                         \
                }                                                                                                      \
            }                                                                                                          \
            w->y[i] = index;                                                                                           \
        }                                                                                                              \
    }
ARG(arg_f32, float)
ARG(arg_f64, double)
ARG(arg_i8, int8_t)
ARG(arg_i16, int16_t)
ARG(arg_i32, int32_t)
ARG(arg_i64, int64_t)
ARG(arg_u8, uint8_t)
ARG(arg_u16, uint16_t)
ARG(arg_u32, uint32_t)
ARG(arg_u64, uint64_t)

static mary_task *const tasks[MARY_BFLOAT16 + 1] = {
    [MARY_FLOAT] = arg_f32,  [MARY_DOUBLE] = arg_f64, [MARY_INT8] = arg_i8,  [MARY_INT16] = arg_i16,
    [MARY_INT32] = arg_i32,  [MARY_INT64] = arg_i64,  [MARY_UINT8] = arg_u8, [MARY_UINT16] = arg_u16,
    [MARY_UINT32] = arg_u32, [MARY_UINT64] = arg_u64,
};

static mary_status prepare(mary_op_node *node)
{
    int64_t keep, last;
    arg_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->largest = strcmp(node->op->type, "ArgMax") == 0;
    MARY_TRY(mary_attribute_int(node->proto, "axis", 0, &state->axis));
    MARY_TRY(mary_attribute_int(node->proto, "keepdims", 1, &keep));
    MARY_TRY(mary_attribute_int(node->proto, "select_last_index", 0, &last));
    state->keep_dims = keep != 0;
    state->last = last != 0;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const arg_state *state = node->state;
    int axis;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    const mary_tensor *x = call->inputs[0];
    if ((unsigned)x->type > MARY_BFLOAT16 || tasks[x->type] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(x->type));
    mary_status status = mary_axis_normalise(state->axis, x->shape.rank, "axis", &axis);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    mary_shape shape = {.rank = 0};
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != axis)
            shape.dims[shape.rank++] = x->shape.dims[i];
        else if (state->keep_dims)
            shape.dims[shape.rank++] = 1;
    }
    if (x->shape.dims[axis] == 0 && mary_shape_count(&shape) != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is empty", axis);
    return mary_op_set_output(node, call, 0, MARY_INT64, &shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    work w = {.state = node->state, .x = x->data, .y = call->outputs[0]->data};
    int axis;
    MARY_TRY(mary_axis_normalise(w.state->axis, x->shape.rank, "axis", &axis));
    w.count = x->shape.dims[axis];
    w.inner = mary_shape_count_range(&x->shape, axis + 1, x->shape.rank);
    mary_parallel_for(call->parallel, mary_shape_count(&call->outputs[0]->shape), 16384 / (w.count + 1) + 1,
                      tasks[x->type], &w);
    return MARY_OK;
}

const mary_op mary_ops_arg_reduce[] = {
    {.domain = "", .type = "ArgMax", .since = 1, .prepare = prepare, .infer = infer, .run = run},
    {.domain = "", .type = "ArgMin", .since = 1, .prepare = prepare, .infer = infer, .run = run},
    MARY_OP_END,
};
