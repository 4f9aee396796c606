/* InstanceNormalization and GroupNormalization: each image's channels are normalised in groups (of one), then scaled
 * and shifted. GroupNormalization has a scale and bias for each group before opset 21, for each channel from then on.
 */
#include <math.h>
#include <string.h>

#include "ops/rows.h"

typedef struct group_state {
    int64_t groups; /* 0: as many as channels */
    bool per_group; /* the parameters */
    float epsilon;
    const mary_rows *rows;
} group_state;

static mary_status prepare(mary_op_node *node)
{
    group_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->rows = mary_rows_current();
    MARY_TRY(mary_attribute_float(node->proto, "epsilon", 1e-5f, &state->epsilon));
    if (strcmp(node->op->type, "InstanceNormalization") == 0)
        return MARY_OK;
    MARY_TRY(mary_attribute_int(node->proto, "num_groups", 0, &state->groups));
    if (state->groups < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "num_groups is %lld", (long long)state->groups);
    state->per_group = node->opset < 21;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const group_state *state = node->state;
    MARY_TRY(mary_op_expect_inputs(node, call, 3, 3));
    const mary_tensor *x = call->inputs[0];
    if (x->type != MARY_FLOAT && x->type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(x->type));
    if (x->shape.rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "X has rank %d, it needs channels", x->shape.rank);
    int64_t channels = x->shape.dims[1];
    if (state->groups > 0 && channels % state->groups != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld channels are no multiple of %lld groups",
                            (long long)channels, (long long)state->groups);
    int64_t count = state->per_group ? state->groups : channels;
    for (int i = 1; i < 3; i++) {
        const mary_tensor *p = call->inputs[i];
        if (p->type != x->type)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "X is %s and input %d is %s", mary_type_name(x->type), i,
                                mary_type_name(p->type));
        if (p->shape.rank != 1 || p->shape.dims[0] != count)
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d must have %lld values", i, (long long)count);
    }
    return mary_op_infer_same(node, call);
}

typedef struct work {
    const group_state *state;
    const void *x, *scale, *shift;
    void *y;
    int64_t channels, groups, pixels;
} work;

/* Items are groups of one image. */
static void run_floats(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const mary_rows *rows = w->state->rows;
    const int64_t members = w->channels / w->groups, length = members * w->pixels;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const float *x = (const float *)w->x + i * length;
        float *y = (float *)w->y + i * length;
        float mean = (float)(rows->fold[MARY_FOLD_SUM](x, length, 0) / (double)length);
        double variance = rows->fold[MARY_FOLD_SQUARE](x, length, mean) / (double)length;
        double inverse = 1 / sqrt(variance + (double)w->state->epsilon);
        for (int64_t m = 0; m < members; m++) {
            int64_t group = i % w->groups, p = w->state->per_group ? group : group * members + m;
            rows->affine(x + m * w->pixels, y + m * w->pixels, w->pixels, mean,
                         (float)(inverse * (double)((const float *)w->scale)[p]), ((const float *)w->shift)[p]);
        }
    }
}

static void run_doubles(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const int64_t members = w->channels / w->groups, length = members * w->pixels;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const double *x = (const double *)w->x + i * length;
        double *y = (double *)w->y + i * length, mean = 0, squares = 0;
        for (int64_t k = 0; k < length; k++)
            mean += x[k] / (double)length;
        for (int64_t k = 0; k < length; k++)
            squares += (x[k] - mean) * (x[k] - mean);
        double inverse = 1 / sqrt(squares / (double)length + (double)w->state->epsilon);
        for (int64_t k = 0; k < length; k++) {
            int64_t group = i % w->groups, p = w->state->per_group ? group : group * members + k / w->pixels;
            y[k] = (x[k] - mean) * inverse * ((const double *)w->scale)[p] + ((const double *)w->shift)[p];
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    work w = {.state = node->state, .x = x->data, .y = call->outputs[0]->data};
    w.scale = call->inputs[1]->data;
    w.shift = call->inputs[2]->data;
    w.channels = x->shape.dims[1];
    w.groups = w.state->groups > 0 ? w.state->groups : w.channels;
    w.pixels = mary_shape_count_range(&x->shape, 2, x->shape.rank);
    if (mary_shape_count(&x->shape) > 0)
        mary_parallel_for(call->parallel, x->shape.dims[0] * w.groups,
                          8192 / (w.channels / w.groups * w.pixels + 1) + 1,
                          x->type == MARY_FLOAT ? run_floats : run_doubles, &w);
    return MARY_OK;
}

const mary_op mary_ops_group_normalization[] = {
    {.domain = "",
     .type = "InstanceNormalization",
     .since = 6,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .run = run},
    {.domain = "",
     .type = "GroupNormalization",
     .since = 18,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .run = run},
    MARY_OP_END,
};
