/* CumSum and CumProd along one axis, which is an input. */
#include <string.h>

#include "ops/op.h"

typedef struct cumulative_state {
    bool product, exclusive, reverse;
} cumulative_state;

typedef struct work {
    const cumulative_state *state;
    const void *x;
    void *y;
    int64_t count, inner;
} work;

/* Integers go through uint64_t, where overflow wraps. */
#define CUMULATE(name, T, A)                                                                                           \
    static void name(void *context, int64_t begin, int64_t end, int thread)                                            \
    {                                                                                                                  \
        const work *w = context;                                                                                       \
        const cumulative_state *s = w->state;                                                                          \
        (void)thread;                                                                                                  \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            int64_t at = i / w->inner * w->count * w->inner + i % w->inner, step = w->inner;                           \
            if (s->reverse) {                                                                                          \
                at += (w->count - 1) * w->inner;                                                                       \
                step = -step;                                                                                          \
            }                                                                                                          \
            const T *x = (const T *)w->x + at;                                                                         \
            T *y = (T *)w->y + at;                                                                                     \
            A total = s->product ? 1 : 0;                                                                              \
            for (int64_t k = 0; k < w->count; k++) {                                                                   \
                A v = (A)x[k * step], next = s->product ? total * v : total + v;                                       \
                y[k * step] = (T)(s->exclusive ? total : next);                                                        \
                total = next;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }
CUMULATE(cumulate_f32, float, float)
CUMULATE(cumulate_f64, double, double)
CUMULATE(cumulate_i32, int32_t, uint64_t)
CUMULATE(cumulate_i64, int64_t, uint64_t)
CUMULATE(cumulate_u32, uint32_t, uint64_t)
CUMULATE(cumulate_u64, uint64_t, uint64_t)

static mary_task *task_for(mary_type type)
{
    switch (type) {
    case MARY_FLOAT:
        return cumulate_f32;
    case MARY_DOUBLE:
        return cumulate_f64;
    case MARY_INT32:
        return cumulate_i32;
    case MARY_INT64:
        return cumulate_i64;
    case MARY_UINT32:
        return cumulate_u32;
    case MARY_UINT64:
        return cumulate_u64;
    default:
        return NULL;
    }
}

static mary_status prepare(mary_op_node *node)
{
    int64_t exclusive, reverse;
    cumulative_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->product = strcmp(node->op->type, "CumProd") == 0;
    MARY_TRY(mary_attribute_int(node->proto, "exclusive", 0, &exclusive));
    MARY_TRY(mary_attribute_int(node->proto, "reverse", 0, &reverse));
    state->exclusive = exclusive != 0;
    state->reverse = reverse != 0;
    return MARY_OK;
}

static mary_status find_axis(const mary_op_node *node, const mary_op_call *call, int *axis)
{
    int64_t value;
    int count;
    MARY_TRY(mary_op_ints(node, call->inputs[1], "axis", &value, 1, &count));
    if (count != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "axis has no value");
    mary_status status = mary_axis_normalise(value, call->inputs[0]->shape.rank, "axis", axis);
    return status == MARY_OK ? MARY_OK : mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    int axis;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 2));
    if (task_for(call->inputs[0]->type) == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(call->inputs[0]->type));
    mary_status status = find_axis(node, call, &axis);
    if (status != MARY_OK && status != MARY_DEFERRED) /* the shape does not depend on the axis */
        return status;
    return mary_op_infer_same(node, call);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    work w = {.state = node->state, .x = x->data, .y = call->outputs[0]->data};
    int axis;
    MARY_TRY(find_axis(node, call, &axis));
    w.count = x->shape.dims[axis];
    w.inner = mary_shape_count_range(&x->shape, axis + 1, x->shape.rank);
    if (mary_shape_count(&x->shape) > 0)
        mary_parallel_for(call->parallel, mary_shape_count(&x->shape) / w.count, 16384 / w.count + 1, task_for(x->type),
                          &w);
    return MARY_OK;
}

const mary_op mary_ops_cumulative[] = {
    {.domain = "", .type = "CumSum", .since = 11, .prepare = prepare, .infer = infer, .run = run},
    {.domain = "", .type = "CumProd", .since = 26, .prepare = prepare, .infer = infer, .run = run},
    MARY_OP_END,
};
