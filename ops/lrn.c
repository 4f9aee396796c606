/* LRN: every element is divided by a power of the sum of squares in a window of channels around its own. */
#include <math.h>
#include <string.h>

#include "ops/rows.h"

enum { BLOCK = 256 };

typedef struct lrn_state {
    int64_t size;
    float alpha, beta, bias; /* alpha is already divided by size */
    const mary_rows *rows;
} lrn_state;

static mary_status prepare(mary_op_node *node)
{
    lrn_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->rows = mary_rows_current();
    MARY_TRY(mary_attribute_int(node->proto, "size", 0, &state->size));
    if (state->size < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "size is %lld", (long long)state->size);
    MARY_TRY(mary_attribute_float(node->proto, "alpha", 1e-4f, &state->alpha));
    MARY_TRY(mary_attribute_float(node->proto, "beta", 0.75f, &state->beta));
    MARY_TRY(mary_attribute_float(node->proto, "bias", 1.0f, &state->bias));
    state->alpha /= (float)state->size;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    mary_type type = call->inputs[0]->type;
    if (type != MARY_FLOAT && type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    if (call->inputs[0]->shape.rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "X has no channels");
    return mary_op_infer_same(node, call);
}

typedef struct work {
    const lrn_state *state;
    const void *x;
    void *y;
    int64_t channels, pixels, x_stride, y_stride;
    int64_t pieces; /* plain: blocks of a plane */
} work;

/* Channels [first, last) of the window around c. */
static void find_window(const work *w, int64_t c, int64_t *first, int64_t *last)
{
    int64_t before = (w->state->size - 1) / 2, after = w->state->size - 1 - before;
    *first = c > before ? c - before : 0;
    *last = after < w->channels - c ? c + after + 1 : w->channels;
}

/* Plain: items are blocks of pixels of one channel; their windows are columns. */
static void run_planes(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const lrn_state *s = w->state;
    float squares[BLOCK];
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t pixel = i % w->pieces * BLOCK, c = i / w->pieces % w->channels, first, last;
        int64_t count = w->pixels - pixel < BLOCK ? w->pixels - pixel : BLOCK;
        int64_t image = i / w->pieces / w->channels * w->channels * w->pixels + pixel;
        const float *x = (const float *)w->x + image;
        find_window(w, c, &first, &last);
        memset(squares, 0, sizeof squares);
        s->rows->fold_columns[MARY_FOLD_SQUARE](squares, x + first * w->pixels, count, last - first, w->pixels, NULL);
        s->rows->scale_by_power(x + c * w->pixels, squares, (float *)w->y + image + c * w->pixels, count, s->alpha,
                                s->bias, s->beta);
    }
}

/* Channels last: items are pixels; sums slide along their channels. */
static void run_pixels(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const lrn_state *s = w->state;
    float squares[BLOCK];
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        const float *x = (const float *)w->x + i * w->x_stride;
        float *y = (float *)w->y + i * w->y_stride;
        for (int64_t c = 0; c < w->channels; c += BLOCK) {
            int64_t count = w->channels - c < BLOCK ? w->channels - c : BLOCK;
            for (int64_t k = 0; k < count; k++) {
                int64_t first, last;
                float sum = 0;
                find_window(w, c + k, &first, &last);
                for (int64_t j = first; j < last; j++)
                    sum += x[j] * x[j];
                squares[k] = sum;
            }
            s->rows->scale_by_power(x + c, squares, y + c, count, s->alpha, s->bias, s->beta);
        }
    }
}

/* Items are elements. */
static void run_doubles(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    const lrn_state *s = w->state;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i / w->pixels % w->channels, first, last;
        const double *x = (const double *)w->x + i - c * w->pixels;
        double sum = 0;
        find_window(w, c, &first, &last);
        for (int64_t j = first; j < last; j++)
            sum += x[j * w->pixels] * x[j * w->pixels];
        ((double *)w->y)[i] = x[c * w->pixels] * pow((double)s->bias + (double)s->alpha * sum, -(double)s->beta);
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0], *y = call->outputs[0];
    work w = {.state = node->state, .x = x->data, .y = y->data, .channels = x->shape.dims[1]};
    int64_t batch = x->shape.dims[0];
    w.pixels = mary_shape_count_range(&x->shape, 2, x->shape.rank);
    if (x->type == MARY_DOUBLE) {
        mary_parallel_for(call->parallel, mary_shape_count(&x->shape), 4096, run_doubles, &w);
    } else if (x->layout == MARY_LAYOUT_CHANNELS_LAST) {
        w.x_stride = x->pixel_stride;
        w.y_stride = y->pixel_stride;
        mary_parallel_for(call->parallel, batch * w.pixels, 4096 / (w.channels + 1) + 1, run_pixels, &w);
    } else {
        w.pieces = (w.pixels + BLOCK - 1) / BLOCK;
        mary_parallel_for(call->parallel, batch * w.channels * w.pieces, 16, run_planes, &w);
    }
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    *wants = false;
    return call->inputs[0]->type == MARY_FLOAT && call->inputs[0]->shape.rank >= 3;
}

const mary_op mary_ops_lrn[] = {
    {.domain = "",
     .type = "LRN",
     .since = 1,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = channels_last},
    MARY_OP_END,
};
