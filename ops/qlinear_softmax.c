/* com.microsoft QLinearSoftmax: X, X_scale, X_zero_point, Y_scale, Y_zero_point. exp(x - max) of a u8 is one of 256
 * numbers. The attribute `opset` says which definition of Softmax is meant: up to 12 rows go from the axis to the end.
 */
#include <math.h>

#include "ops/copy.h"
#include "ops/qlinear.h"

enum { X = 0, X_SCALE = 1, Y_SCALE = 3, LEVELS = 256 };

typedef struct softmax_state {
    int64_t axis, opset;
} softmax_state;

/* x is [outer, count, inner]; the middle is normalised. */
typedef struct softmax_job {
    const uint8_t *x;
    uint8_t *y;
    int64_t count, inner;
    double powers[LEVELS]; /* exp(-scale * distance from the maximum) */
    double y_scale;
    mary_requantisation to;
} softmax_job;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(softmax_state)));
    softmax_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "opset", 13, &state->opset));
    return mary_attribute_int(node->proto, "axis", state->opset < 13 ? 1 : -1, &state->axis);
}

static mary_status split(const mary_op_node *node, const mary_shape *shape, int64_t *outer, int64_t *count,
                         int64_t *inner)
{
    const softmax_state *state = node->state;
    int axis = shape->rank;
    bool rows = state->opset < 13;
    if (!rows || state->axis != shape->rank) /* rows of one */
        MARY_TRY(mary_copy_axis(node, state->axis, shape->rank, &axis));
    *outer = mary_shape_count_range(shape, 0, axis);
    *count = axis == shape->rank ? 1 : mary_shape_count_range(shape, axis, rows ? shape->rank : axis + 1);
    *inner = rows ? 1 : mary_shape_count_range(shape, axis + 1, shape->rank);
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    int64_t outer, count, inner;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 5));
    MARY_TRY(mary_qlinear_expect_u8(node, call, X, "X"));
    MARY_TRY(mary_quantisation_check(node, call, X_SCALE, "X"));
    MARY_TRY(mary_quantisation_check(node, call, Y_SCALE, "Y"));
    MARY_TRY(split(node, &call->inputs[X]->shape, &outer, &count, &inner));
    return mary_op_set_output(node, call, 0, MARY_UINT8, &call->inputs[X]->shape);
}

static void softmax_task(void *context, int64_t begin, int64_t end, int thread)
{
    const softmax_job *job = context;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t first = row / job->inner * job->count * job->inner + row % job->inner, step = job->inner;
        const uint8_t *x = job->x + first;
        uint8_t *y = job->y + first, most = 0;
        double sum = 0;
        for (int64_t i = 0; i < job->count; i++)
            most = x[i * step] > most ? x[i * step] : most;
        for (int64_t i = 0; i < job->count; i++)
            sum += job->powers[most - x[i * step]];
        double factor = 1 / (sum * job->y_scale);
        for (int64_t i = 0; i < job->count; i++)
            y[i * step] = mary_requantise((float)(job->powers[most - x[i * step]] * factor), &job->to);
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    int64_t outer;
    softmax_job job = {.x = call->inputs[X]->data, .y = call->outputs[0]->data};
    mary_quantisation x, y;
    MARY_TRY(mary_quantisation_read(node, call, X_SCALE, "X", &x));
    MARY_TRY(mary_quantisation_read(node, call, Y_SCALE, "Y", &y));
    MARY_TRY(split(node, &call->inputs[X]->shape, &outer, &job.count, &job.inner));
    for (int i = 0; i < LEVELS; i++)
        job.powers[i] = exp(-(double)x.scale * i);
    job.y_scale = (double)y.scale;
    job.to = mary_requantisation_to(y.zero);
    if (job.count > 0 && job.inner > 0)
        mary_parallel_for(call->parallel, outer * job.inner, 1 + 4096 / job.count, softmax_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_qlinear_softmax[] = {
    {.domain = "com.microsoft",
     .type = "QLinearSoftmax",
     .since = 1,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .run = run},
    MARY_OP_END,
};
