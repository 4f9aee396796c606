/* LpNormalization (along one axis) and MeanVarianceNormalization (over any axes): rare, so plain loops in double. */
#include <math.h>
#include <string.h>

#include "ops/op.h"

typedef struct norm_state {
    int64_t axis, p; /* LpNormalization */
    int axis_count;  /* MeanVarianceNormalization */
    int64_t axes[MARY_MAX_RANK];
} norm_state;

static mary_status make_state(mary_op_node *node, norm_state **state)
{
    *state = node->state = mary_calloc(1, sizeof **state);
    return *state == NULL ? mary_fail_memory(sizeof **state) : MARY_OK;
}

static mary_status expect_real(const mary_op_node *node, const mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    mary_type type = call->inputs[0]->type;
    if (type != MARY_FLOAT && type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    return MARY_OK;
}

static mary_status normalise_axis(const mary_op_node *node, int64_t value, int rank, int *axis)
{
    mary_status status = mary_axis_normalise(value, rank, "axis", axis);
    return status == MARY_OK ? MARY_OK : mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
}

static void store(const mary_tensor *tensor, int64_t index, double value)
{
    if (tensor->type == MARY_FLOAT)
        ((float *)tensor->data)[index] = (float)value;
    else
        ((double *)tensor->data)[index] = value;
}

/* ---- LpNormalization ---- */

static mary_status prepare_lp(mary_op_node *node)
{
    norm_state *state;
    MARY_TRY(make_state(node, &state));
    MARY_TRY(mary_attribute_int(node->proto, "axis", -1, &state->axis));
    MARY_TRY(mary_attribute_int(node->proto, "p", 2, &state->p));
    if (state->p != 1 && state->p != 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "p is %lld, it must be 1 or 2", (long long)state->p);
    return MARY_OK;
}

static mary_status infer_lp(const mary_op_node *node, mary_op_call *call)
{
    const norm_state *state = node->state;
    int axis;
    MARY_TRY(expect_real(node, call));
    MARY_TRY(normalise_axis(node, state->axis, call->inputs[0]->shape.rank, &axis));
    return mary_op_infer_same(node, call);
}

typedef struct lp_work {
    const mary_tensor *x, *y;
    int64_t p, count, inner;
} lp_work;

static void run_lines(void *context, int64_t begin, int64_t end, int thread)
{
    const lp_work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i / w->inner * w->count * w->inner + i % w->inner;
        double norm = 0;
        for (int64_t k = 0; k < w->count; k++) {
            double v = mary_tensor_double(w->x, at + k * w->inner);
            norm += w->p == 1 ? fabs(v) : v * v;
        }
        norm = w->p == 1 ? norm : sqrt(norm);
        for (int64_t k = 0; k < w->count; k++) {
            double v = mary_tensor_double(w->x, at + k * w->inner);
            store(w->y, at + k * w->inner, norm == 0 ? 0 : v / norm);
        }
    }
}

static mary_status run_lp(const mary_op_node *node, mary_op_call *call)
{
    const norm_state *state = node->state;
    lp_work w = {.x = call->inputs[0], .y = call->outputs[0], .p = state->p};
    int axis;
    MARY_TRY(normalise_axis(node, state->axis, w.x->shape.rank, &axis));
    w.count = w.x->shape.dims[axis];
    w.inner = mary_shape_count_range(&w.x->shape, axis + 1, w.x->shape.rank);
    if (mary_shape_count(&w.x->shape) > 0)
        mary_parallel_for(call->parallel, mary_shape_count(&w.x->shape) / w.count, 4096 / w.count + 1, run_lines, &w);
    return MARY_OK;
}

/* ---- MeanVarianceNormalization ---- */

static mary_status prepare_mvn(mary_op_node *node)
{
    static const int64_t usual[] = {0, 2, 3};
    norm_state *state;
    const int64_t *axes;
    size_t count;
    MARY_TRY(make_state(node, &state));
    MARY_TRY(mary_attribute_ints(node->proto, "axes", &axes, &count));
    if (mary_attribute_find(node->proto, "axes") == NULL) {
        axes = usual;
        count = 3;
    }
    if (count > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%zu axes, the most is %d", count, MARY_MAX_RANK);
    state->axis_count = (int)count;
    for (size_t i = 0; i < count; i++)
        state->axes[i] = axes[i];
    return MARY_OK;
}

static mary_status infer_mvn(const mary_op_node *node, mary_op_call *call)
{
    const norm_state *state = node->state;
    int axis;
    MARY_TRY(expect_real(node, call));
    for (int i = 0; i < state->axis_count; i++)
        MARY_TRY(normalise_axis(node, state->axes[i], call->inputs[0]->shape.rank, &axis));
    return mary_op_infer_same(node, call);
}

/* For each axis its stride in the array of statistics: 0 where they are taken over it. Returns the length of that
 * array. */
static int64_t statistics_strides(const norm_state *state, const mary_shape *shape, int64_t *strides)
{
    int64_t stride = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        bool reduced = false;
        for (int i = 0; i < state->axis_count; i++)
            reduced |= state->axes[i] == d || state->axes[i] + shape->rank == d;
        strides[d] = reduced ? 0 : stride;
        stride *= reduced ? 1 : shape->dims[d];
    }
    return stride;
}

static mary_status scratch_mvn(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    int64_t strides[MARY_MAX_RANK];
    *bytes = 2 * sizeof(double) * (size_t)statistics_strides(node->state, &call->inputs[0]->shape, strides);
    return MARY_OK;
}

static int64_t statistics_index(const mary_shape *shape, const int64_t *strides, int64_t element)
{
    int64_t index = 0;
    for (int d = shape->rank - 1; d >= 0; d--) {
        index += element % shape->dims[d] * strides[d];
        element /= shape->dims[d];
    }
    return index;
}

static mary_status run_mvn(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    int64_t strides[MARY_MAX_RANK], elements = mary_shape_count(&x->shape);
    int64_t groups = statistics_strides(node->state, &x->shape, strides);
    double *mean = call->scratch, *variance = mean + groups, count = (double)elements / (double)groups;
    if (elements == 0)
        return MARY_OK;
    for (int64_t g = 0; g < groups; g++)
        mean[g] = variance[g] = 0;
    for (int64_t i = 0; i < elements; i++)
        mean[statistics_index(&x->shape, strides, i)] += mary_tensor_double(x, i) / count;
    for (int64_t i = 0; i < elements; i++) {
        int64_t g = statistics_index(&x->shape, strides, i);
        double d = mary_tensor_double(x, i) - mean[g];
        variance[g] += d * d / count;
    }
    for (int64_t i = 0; i < elements; i++) {
        int64_t g = statistics_index(&x->shape, strides, i);
        store(call->outputs[0], i, (mary_tensor_double(x, i) - mean[g]) / (sqrt(variance[g]) + 1e-9));
    }
    return MARY_OK;
}

const mary_op mary_ops_lp_normalization[] = {
    {.domain = "",
     .type = "LpNormalization",
     .since = 1,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare_lp,
     .infer = infer_lp,
     .run = run_lp},
    {.domain = "",
     .type = "MeanVarianceNormalization",
     .since = 1,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare_mvn,
     .infer = infer_mvn,
     .scratch = scratch_mvn,
     .run = run_mvn},
    MARY_OP_END,
};
