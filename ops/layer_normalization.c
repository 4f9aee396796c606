/* LayerNormalization and RMSNormalization: rows of all dims from `axis` on are normalised, then scaled and shifted
 * element by element. */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/normalise_backward.h"
#include "ops/rows.h"

typedef struct layer_state {
    bool centred; /* LayerNormalization; RMSNormalization leaves the mean in */
    int64_t axis;
    float epsilon;
    const mary_rows *rows;
} layer_state;

static mary_status prepare(mary_op_node *node)
{
    layer_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->centred = strcmp(node->op->type, "LayerNormalization") == 0;
    state->rows = mary_rows_current();
    MARY_TRY(mary_attribute_int(node->proto, "axis", -1, &state->axis));
    return mary_attribute_float(node->proto, "epsilon", 1e-5f, &state->epsilon);
}

static mary_status find_axis(const mary_op_node *node, const mary_tensor *x, int *axis)
{
    const layer_state *state = node->state;
    mary_status status = mary_axis_normalise(state->axis, x->shape.rank, "axis", axis);
    return status == MARY_OK ? MARY_OK : mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
}

static const mary_tensor *parameter(const mary_op_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

/* The shape of one normalised row. */
static mary_shape row_shape(const mary_tensor *x, int axis)
{
    mary_shape shape = {.rank = x->shape.rank - axis};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = x->shape.dims[axis + i];
    return shape;
}

/* A parameter without leading ones; false when it does not broadcast to a row. */
static bool fit_to_row(const mary_tensor *p, const mary_shape *row, mary_tensor *fitted)
{
    mary_shape common;
    *fitted = *p;
    while (fitted->shape.rank > row->rank) {
        if (fitted->shape.dims[0] != 1)
            return false;
        memmove(fitted->shape.dims, fitted->shape.dims + 1,
                sizeof fitted->shape.dims[0] * (size_t)(--fitted->shape.rank));
    }
    return mary_shape_broadcast(row, &fitted->shape, &common) == MARY_OK && mary_shape_equal(&common, row);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const layer_state *state = node->state;
    mary_tensor fitted;
    int axis;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, state->centred ? 3 : 2));
    const mary_tensor *x = call->inputs[0];
    if (x->type != MARY_FLOAT && x->type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(x->type));
    MARY_TRY(find_axis(node, x, &axis));
    mary_shape row = row_shape(x, axis);
    for (int i = 1; i < 3; i++) {
        const mary_tensor *p = parameter(call, i);
        if (p == NULL)
            continue;
        if (p->type != x->type)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "X is %s and input %d is %s", mary_type_name(x->type), i,
                                mary_type_name(p->type));
        if (!fit_to_row(p, &row, &fitted))
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d does not broadcast to the normalised dimensions",
                                i);
    }
    mary_shape statistics = x->shape;
    for (int i = axis; i < statistics.rank; i++)
        statistics.dims[i] = 1;
    MARY_TRY(mary_op_set_output(node, call, 0, x->type, &x->shape));
    MARY_TRY(mary_op_set_output(node, call, 1, MARY_FLOAT, &statistics));
    return mary_op_set_output(node, call, 2, MARY_FLOAT, &statistics);
}

/* Room for both parameters in the shape of a row. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    int axis;
    MARY_TRY(find_axis(node, call->inputs[0], &axis));
    mary_shape row = row_shape(call->inputs[0], axis);
    *bytes = 2 * (size_t)mary_shape_count(&row) * mary_type_size(call->inputs[0]->type);
    return MARY_OK;
}

static void copy_floats(const void *context, const void *const *x, const int64_t *step, void *to, int64_t count)
{
    (void)context;
    for (int64_t i = 0; i < count; i++)
        ((float *)to)[i] = ((const float *)x[0])[i * step[0]];
}

static void copy_doubles(const void *context, const void *const *x, const int64_t *step, void *to, int64_t count)
{
    (void)context;
    for (int64_t i = 0; i < count; i++)
        ((double *)to)[i] = ((const double *)x[0])[i * step[0]];
}

/* The parameter's values in the shape of a row: its own memory, or spread out into `room`. */
static const void *spread(const mary_tensor *p, const mary_shape *row, void *room)
{
    mary_tensor fitted;
    if (p == NULL)
        return NULL;
    if (!fit_to_row(p, row, &fitted) || mary_shape_count(&p->shape) == mary_shape_count(row))
        return p->data;
    const mary_tensor *inputs[1] = {&fitted};
    const mary_tensor whole = {.type = p->type, .shape = *row, .data = room};
    mary_broadcast_run(NULL, p->type == MARY_FLOAT ? copy_floats : copy_doubles, NULL, inputs, 1, &whole);
    return room;
}

typedef struct work {
    const layer_state *state;
    const void *x;
    void *y;
    const void *scale, *shift;
    float *mean, *inverse; /* optional outputs, one a row */
    int64_t length;
} work;

static void run_floats(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const mary_rows *rows = w->state->rows;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const float *x = (const float *)w->x + i * w->length;
        double count = (double)w->length;
        float mean = w->state->centred ? (float)(rows->fold[MARY_FOLD_SUM](x, w->length, 0) / count) : 0;
        double variance = rows->fold[MARY_FOLD_SQUARE](x, w->length, mean) / count;
        float inverse = (float)(1 / sqrt(variance + (double)w->state->epsilon));
        if (w->mean != NULL)
            w->mean[i] = mean;
        if (w->inverse != NULL)
            w->inverse[i] = inverse;
        rows->normalise(x, (float *)w->y + i * w->length, w->length, mean, inverse, w->scale, w->shift);
    }
}

static void run_doubles(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const double *scale = w->scale, *shift = w->shift;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const double *x = (const double *)w->x + i * w->length;
        double *y = (double *)w->y + i * w->length;
        double mean = 0, squares = 0, count = (double)w->length;
        for (int64_t k = 0; w->state->centred && k < w->length; k++)
            mean += x[k] / count;
        for (int64_t k = 0; k < w->length; k++)
            squares += (x[k] - mean) * (x[k] - mean);
        double inverse = 1 / sqrt(squares / count + (double)w->state->epsilon);
        if (w->mean != NULL)
            w->mean[i] = (float)mean;
        if (w->inverse != NULL)
            w->inverse[i] = (float)inverse;
        for (int64_t k = 0; k < w->length; k++) {
            double v = (x[k] - mean) * inverse;
            y[k] = v * (scale != NULL ? scale[k] : 1) + (shift != NULL ? shift[k] : 0);
        }
    }
}

static float *optional_output(const mary_op_call *call, int index)
{
    return index < call->output_count && call->outputs[index] != NULL ? call->outputs[index]->data : NULL;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    work w = {.state = node->state, .x = x->data, .y = call->outputs[0]->data};
    int axis;
    MARY_TRY(find_axis(node, x, &axis));
    mary_shape row = row_shape(x, axis);
    w.length = mary_shape_count(&row);
    char *room = call->scratch;
    w.scale = spread(parameter(call, 1), &row, room);
    w.shift = spread(parameter(call, 2), &row, room + (size_t)w.length * mary_type_size(x->type));
    w.mean = optional_output(call, 1);
    w.inverse = optional_output(call, 2);
    mary_parallel_for(call->parallel, mary_shape_count_range(&x->shape, 0, axis), 8192 / (w.length + 1) + 1,
                      x->type == MARY_FLOAT ? run_floats : run_doubles, &w);
    return MARY_OK;
}

/* ---- gradients ---- */

static bool whole(const mary_tensor *p, int64_t length)
{
    return p == NULL || mary_shape_count(&p->shape) == length;
}

/* Sums for both parameters in double, then the scale in the shape of a row. */
static mary_status backward_scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    int axis;
    MARY_TRY(find_axis(node, call->forward->inputs[0], &axis));
    mary_shape row = row_shape(call->forward->inputs[0], axis);
    const int64_t length = mary_shape_count(&row);
    for (int i = 1; i < 3; i++) {
        if (mary_gradient_wanted(call, i) && !whole(parameter(call->forward, i), length))
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "has no gradient for input %d, which is repeated", i);
    }
    *bytes = (size_t)length * (2 * sizeof(double) + sizeof(float));
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const layer_state *state = node->state;
    const mary_tensor *x = call->forward->inputs[0];
    float *dx = mary_gradient_of(call, 0);
    double *sums = call->scratch;
    int axis;
    MARY_TRY(find_axis(node, x, &axis));
    mary_shape row = row_shape(x, axis);
    const int64_t length = mary_shape_count(&row), rows = mary_shape_count_range(&x->shape, 0, axis);
    const float *scale = spread(parameter(call->forward, 1), &row, sums + 2 * length);
    for (int64_t i = 0; i < 2 * length; i++)
        sums[i] = 0;
    for (int64_t i = 0; i < rows && length > 0; i++) {
        const int64_t at = i * length;
        const mary_normalised group = {.outer = 1,
                                       .inner = length,
                                       .inner_step = 1,
                                       .scale_step = 1,
                                       .centred = state->centred,
                                       .epsilon = (double)state->epsilon,
                                       .x = (const float *)x->data + at,
                                       .dy = (const float *)call->output_gradients[0]->data + at,
                                       .firsts = call->second ? (const float *)call->output_firsts[0]->data + at : NULL,
                                       .scale = scale,
                                       .dx = dx != NULL ? dx + at : NULL,
                                       .accumulate = call->accumulate[0],
                                       .dscale = sums,
                                       .dshift = sums + length};
        mary_normalise_backward(&group);
    }
    for (int k = 0; k < 2; k++) {
        float *to = mary_gradient_of(call, 1 + k);
        for (int64_t i = 0; to != NULL && i < length; i++)
            to[i] = (call->accumulate[1 + k] ? to[i] : 0.0f) + (float)sums[k * length + i];
    }
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_CURVED, .inputs = 7, .reads_inputs = 3, .scratch = backward_scratch, .backward = backward};

const mary_op mary_ops_layer_normalization[] = {
    {.domain = "",
     .type = "LayerNormalization",
     .since = 17,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .gradient = &gradient},
    {.domain = "",
     .type = "RMSNormalization",
     .since = 23,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .gradient = &gradient},
    MARY_OP_END,
};
