/* Softmax, LogSoftmax, Hardmax. Up to opset 12 the axis splits the tensor into a matrix [prod(dims before), prod(dims
 * from axis on)] and rows are normalised; from 13 on it is the one axis. */
#include <math.h>
#include <string.h>

#include "ops/gradient.h"
#include "ops/rows.h"

enum { COLUMNS = 128 };
typedef enum softmax_kind { SOFTMAX, LOG_SOFTMAX, HARDMAX } softmax_kind;

typedef struct softmax_state {
    softmax_kind kind;
    bool matrix; /* opset <= 12 */
    int64_t axis;
    const mary_rows *rows;
} softmax_state;

static mary_status prepare(mary_op_node *node)
{
    softmax_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->kind = strcmp(node->op->type, "Softmax") == 0      ? SOFTMAX
                  : strcmp(node->op->type, "LogSoftmax") == 0 ? LOG_SOFTMAX
                                                              : HARDMAX;
    state->matrix = node->opset < 13;
    state->rows = mary_rows_current();
    return mary_attribute_int(node->proto, "axis", state->matrix ? 1 : -1, &state->axis);
}

/* x is [outer, count, inner]; the middle is normalised. */
typedef struct split {
    int64_t outer, count, inner;
} split;

static mary_status find_split(const mary_op_node *node, const mary_shape *shape, split *s)
{
    const softmax_state *state = node->state;
    int axis = 0;
    if (state->matrix && state->axis == shape->rank) { /* a matrix with rows of one */
        *s = (split){mary_shape_count(shape), 1, 1};
        return MARY_OK;
    }
    mary_status status = mary_axis_normalise(state->axis, shape->rank, "axis", &axis);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    s->outer = mary_shape_count_range(shape, 0, axis);
    s->count = mary_shape_count_range(shape, axis, state->matrix ? shape->rank : axis + 1);
    s->inner = state->matrix ? 1 : mary_shape_count_range(shape, axis + 1, shape->rank);
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    split s;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    mary_type type = call->inputs[0]->type;
    if (type != MARY_FLOAT && type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    MARY_TRY(find_split(node, &call->inputs[0]->shape, &s));
    return mary_op_infer_same(node, call);
}

typedef struct work {
    const softmax_state *state;
    split s;
    const void *x;
    void *y;
    int64_t x_stride, y_stride; /* from row to row, when inner is 1 */
    int64_t pieces;             /* of at most COLUMNS columns */
} work;

static void run_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        w->state->rows->softmax((const float *)w->x + i * w->x_stride, (float *)w->y + i * w->y_stride, w->s.count,
                                w->state->kind == LOG_SOFTMAX);
}

static void run_columns(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % w->pieces * COLUMNS, at = i / w->pieces * w->s.count * w->s.inner + first;
        int64_t columns = w->s.inner - first < COLUMNS ? w->s.inner - first : COLUMNS;
        w->state->rows->softmax_columns((const float *)w->x + at, (float *)w->y + at, columns, w->s.count, w->s.inner,
                                        w->state->kind == LOG_SOFTMAX);
    }
}

static void softmax_double(const double *x, double *y, int64_t count, int64_t stride, bool log_wanted)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, x[i * stride]);
    for (int64_t i = 0; i < count; i++)
        sum += exp(x[i * stride] - largest);
    for (int64_t i = 0; i < count; i++) {
        double shifted = x[i * stride] - largest;
        y[i * stride] = log_wanted ? shifted - log(sum) : exp(shifted) / sum;
    }
}

static void run_double(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i / w->s.inner * w->s.count * w->s.inner + i % w->s.inner;
        softmax_double((const double *)w->x + at, (double *)w->y + at, w->s.count, w->s.inner,
                       w->state->kind == LOG_SOFTMAX);
    }
}

/* 1 at the first of the largest, 0 elsewhere. */
#define HARD(name, T)                                                                                                  \
    static void name(void *context, int64_t begin, int64_t end, int thread)                                            \
    {                                                                                                                  \
        const work *w = context;                                                                                       \
        (void)thread;                                                                                                  \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            int64_t at = i / w->s.inner * w->s.count * w->s.inner + i % w->s.inner, best = 0;                          \
            const T *x = (const T *)w->x + at;                                                                         \
            T *y = (T *)w->y + at;                                                                                     \
            for (int64_t k = 1; k < w->s.count; k++)                                                                   \
                best = x[k * w->s.inner] > x[best * w->s.inner] ? k : best;                                            \
            for (int64_t k = 0; k < w->s.count; k++)                                                                   \
                y[k * w->s.inner] = k == best ? 1 : 0;                                                                 \
        }                                                                                                              \
    }
HARD(hard_float, float)
HARD(hard_double, double)

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    mary_tensor *y = call->outputs[0];
    work w = {.state = node->state, .x = x->data, .y = y->data};
    MARY_TRY(find_split(node, &x->shape, &w.s));
    if (mary_shape_count(&x->shape) == 0)
        return MARY_OK;
    int64_t grain = 8192 / w.s.count + 1;
    bool is_float = x->type == MARY_FLOAT;
    if (x->layout == MARY_LAYOUT_CHANNELS_LAST) {
        w.s.outer *= w.s.inner;
        w.x_stride = x->pixel_stride;
        w.y_stride = y->pixel_stride;
        mary_parallel_for(call->parallel, w.s.outer, grain, run_rows, &w);
    } else if (w.state->kind == HARDMAX || !is_float) {
        mary_parallel_for(call->parallel, w.s.outer * w.s.inner, grain,
                          w.state->kind != HARDMAX ? run_double
                          : is_float               ? hard_float
                                                   : hard_double,
                          &w);
    } else if (w.s.inner == 1) {
        w.x_stride = w.y_stride = w.s.count;
        mary_parallel_for(call->parallel, w.s.outer, grain, run_rows, &w);
    } else {
        w.pieces = (w.s.inner + COLUMNS - 1) / COLUMNS;
        mary_parallel_for(call->parallel, w.s.outer * w.pieces, grain / COLUMNS + 1, run_columns, &w);
    }
    return MARY_OK;
}

/* Over the channels of each pixel. */
static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const softmax_state *state = node->state;
    const mary_shape *shape = &call->inputs[0]->shape;
    *wants = false;
    if (shape->rank < 3 || state->kind == HARDMAX || call->inputs[0]->type != MARY_FLOAT)
        return false;
    bool channels = state->axis == 1 || state->axis == 1 - shape->rank;
    return channels && (!state->matrix || mary_shape_count_range(shape, 2, shape->rank) == 1);
}

/* ---- gradients ---- */

/* One group of values that were normalised together, `step` apart. `firsts` is given for second derivatives. With p the
 * probabilities, y_j has the derivative y_j (d_ij - p_i) by x_i, or d_ij - p_i where y is the logarithm. */
typedef struct slope {
    const float *y, *dy, *firsts;
    float *dx;
    int64_t count, step;
    bool log, accumulate;
} slope;

static void slope_run(const slope *s)
{
    double sum = 0, sum_first = 0;
    for (int64_t k = 0; k < s->count; k++) {
        const double y = (double)s->y[k * s->step], dy = (double)s->dy[k * s->step];
        const double weight = s->log ? 1 : y;
        sum += s->firsts != NULL ? dy * weight * weight : dy * weight;
        if (s->firsts != NULL)
            sum_first += (double)s->firsts[k * s->step] * weight;
    }
    for (int64_t k = 0; k < s->count; k++) {
        const double y = (double)s->y[k * s->step], dy = (double)s->dy[k * s->step];
        const double p = s->log ? exp(y) : y, rest = 1 - p, weight = s->log ? 1 : y;
        double result;
        if (s->firsts == NULL) {
            result = s->log ? dy - p * sum : y * (dy - sum);
        } else {
            const double own = dy * weight * weight, first = (double)s->firsts[k * s->step] * weight;
            result = p * p * (sum - own) + own * rest * rest - sum_first * p * rest;
            if (!s->log)
                result += p * p * (sum_first - first) + first * rest * rest;
        }
        s->dx[k * s->step] = (s->accumulate ? s->dx[k * s->step] : 0.0f) + (float)result;
    }
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const softmax_state *state = node->state;
    const mary_tensor *y = call->forward->outputs[0];
    float *dx = mary_gradient_of(call, 0);
    split s;
    MARY_TRY(find_split(node, &y->shape, &s));
    if (dx == NULL || mary_shape_count(&y->shape) == 0)
        return MARY_OK;
    if (y->layout == MARY_LAYOUT_CHANNELS_LAST) { /* dense: rows of channels */
        s.outer *= s.inner;
        s.inner = 1;
    }
    for (int64_t i = 0; i < s.outer * s.inner; i++) {
        const int64_t at = i / s.inner * s.count * s.inner + i % s.inner;
        const slope one = {.y = (const float *)y->data + at,
                           .dy = (const float *)call->output_gradients[0]->data + at,
                           .firsts = call->second ? (const float *)call->output_firsts[0]->data + at : NULL,
                           .dx = dx + at,
                           .count = s.count,
                           .step = s.inner,
                           .log = state->kind == LOG_SOFTMAX,
                           .accumulate = call->accumulate[0]};
        slope_run(&one);
    }
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT | MARY_GRADIENT_CURVED, .inputs = 1, .reads_outputs = 1, .backward = backward};

#define OPERATOR(name, op_flags, op_gradient)                                                                          \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .flags = op_flags, .prepare = prepare, .infer = infer, .run = run,     \
        .channels_last = channels_last, .gradient = op_gradient                                                        \
    }

const mary_op mary_ops_softmax[] = {
    OPERATOR("Softmax", MARY_OP_IN_PLACE, &gradient),
    OPERATOR("LogSoftmax", MARY_OP_IN_PLACE, &gradient),
    OPERATOR("Hardmax", MARY_OP_IN_PLACE, NULL),
    MARY_OP_END,
};
