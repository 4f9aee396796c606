/* com.microsoft QLinearAveragePool and QLinearGlobalAveragePool (x, x_scale, x_zero_point, y_scale, y_zero_point), and
 * the driver that MaxPool of u8 uses as well. With S the sum of the taps inside the image and n the number that is
 * divided by:
 *
 *     y = requantise((float)(S - taps inside * x_zero_point) * (x_scale / y_scale / (float)n))
 */
#include "ops/qlinear_pool.h"

#include <string.h>

#include "ops/copy.h"

enum { X = 0, X_SCALE = 1, Y_SCALE = 3, CHANNEL_BLOCK = 256 };

/* ---- the driver ---- */

typedef struct pool_run {
    const mary_qpool *pool;
    const uint8_t *x;
    uint8_t *y;
    int64_t channels, x_stride, y_stride; /* of a pixel */
    int64_t x_image, y_image;             /* from one job's image to the next */
    int64_t blocks, block;                /* channels are cut into `blocks` of `block` when outputs are few */
} pool_run;

static void pool_pixel(const pool_run *r, mary_qpool_call *call, const uint8_t *x, uint8_t *y, const int64_t *o)
{
    const mary_window *w = &r->pool->window;
    int64_t begin[MARY_WINDOW_AXES], end[MARY_WINDOW_AXES], at[MARY_WINDOW_AXES];
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        mary_window_clip(w, axis, o[axis], &begin[axis], &end[axis]);
        at[axis] = o[axis] * w->stride[axis] - w->pad[axis] + begin[axis] * w->dilation[axis];
    }
    call->planes = end[0] - begin[0];
    call->lines = end[1] - begin[1];
    call->taps = end[2] - begin[2];
    int64_t taps = call->planes * call->lines * call->taps;
    call->x = taps == 0 ? x : x + ((at[0] * w->input[1] + at[1]) * w->input[2] + at[2]) * r->x_stride;
    call->y = y;
    if (!r->pool->mean) {
        r->pool->kernels->pool_max(call);
        return;
    }
    double count = mary_window_count(w, o, r->pool->count_include_pad);
    call->offset = (int32_t)(taps * r->pool->from.zero);
    call->ratio = count > 0 ? r->pool->ratio / (float)count : 0;
    r->pool->kernels->pool_mean(call);
}

/* Jobs are (image, row of output pixels, block of channels); a plain image is one channel. */
static void pool_task(void *context, int64_t begin, int64_t end, int thread)
{
    const pool_run *r = context;
    const mary_window *w = &r->pool->window;
    int64_t line = w->input[2] * r->x_stride, rows = w->output[0] * w->output[1];
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        int64_t channel = job % r->blocks * r->block, row = job / r->blocks % rows, image = job / r->blocks / rows;
        mary_qpool_call call = {.plane_step = w->dilation[0] * w->input[1] * line,
                                .line_step = w->dilation[1] * line,
                                .tap_step = w->dilation[2] * r->x_stride,
                                .channels = r->channels - channel < r->block ? r->channels - channel : r->block,
                                .to = r->pool->to};
        const uint8_t *x = r->x + image * r->x_image + channel;
        uint8_t *y = r->y + image * r->y_image + row * w->output[2] * r->y_stride + channel;
        int64_t o[MARY_WINDOW_AXES] = {row / w->output[1], row % w->output[1], 0};
        for (; o[2] < w->output[2]; o[2]++, y += r->y_stride)
            pool_pixel(r, &call, x, y, o);
    }
}

void mary_qpool_run(const mary_qpool *pool, const mary_tensor *x, const mary_tensor *y, const mary_parallel *parallel)
{
    const mary_window *w = &pool->window;
    bool last = x->layout == MARY_LAYOUT_CHANNELS_LAST;
    pool_run r = {.pool = pool, .x = x->data, .y = y->data, .channels = 1, .x_stride = 1, .y_stride = 1};
    int64_t images = x->shape.dims[0];
    if (mary_shape_count(&y->shape) == 0)
        return;
    if (last) {
        r.channels = x->shape.dims[1];
        r.x_stride = x->pixel_stride;
        r.y_stride = y->layout == MARY_LAYOUT_CHANNELS_LAST ? y->pixel_stride : r.channels; /* [N, C] of a mean */
    } else {
        images *= x->shape.dims[1];
    }
    r.x_image = w->input_pixels * r.x_stride;
    r.y_image = w->output_pixels * r.y_stride;
    r.block = w->output_pixels == 1 ? CHANNEL_BLOCK : r.channels;
    r.blocks = (r.channels + r.block - 1) / r.block;
    int64_t channels = r.channels < r.block ? r.channels : r.block;
    int64_t work = (channels / 16 + 1) * (w->taps < 1 << 20 ? w->taps : 1 << 20) * w->output[2]; /* of a job */
    mary_parallel_for(parallel, images * w->output[0] * w->output[1] * r.blocks, 1 + 20000 / (work + 1), pool_task, &r);
}

mary_status mary_qpool_check(const mary_op_node *node, const mary_window *window)
{
    int64_t taps = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        taps *= window->kernel[axis] < window->input[axis] ? window->kernel[axis] : window->input[axis];
    if (taps <= MARY_QLINEAR_MOST_TAPS)
        return MARY_OK;
    return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "a mean of %lld uint8 values, %d are the most", (long long)taps,
                        MARY_QLINEAR_MOST_TAPS);
}

/* ---- the operators ---- */

typedef struct pool_state {
    const mary_qlinear_kernels *kernels;
    mary_window_attributes attributes;
    bool global, flat, count_include_pad; /* flat: the output is [N, C] */
} pool_state;

static mary_status prepare(mary_op_node *node)
{
    int64_t last = 0, include = 0;
    MARY_TRY(mary_op_state(node, sizeof(pool_state)));
    pool_state *state = node->state;
    state->kernels = mary_qlinear_kernels_for(mary_cpu_current());
    state->global = strcmp(node->op->type, "QLinearGlobalAveragePool") == 0;
    MARY_TRY(mary_attribute_int(node->proto, "channels_last", 0, &last));
    if (last != 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "channels_last is %lld, only 0 is supported",
                            (long long)last);
    if (strcmp(node->op->type, "SpatialMean") == 0) {
        int64_t keep = 1;
        MARY_TRY(mary_attribute_int(node->proto, "keepdims", 1, &keep));
        state->global = true;
        state->flat = keep == 0;
    }
    if (state->global)
        return MARY_OK;
    MARY_TRY(mary_attribute_int(node->proto, "count_include_pad", 0, &include));
    state->count_include_pad = include != 0;
    return mary_window_parse(node, &state->attributes);
}

static mary_status window_of(const mary_op_node *node, const mary_op_call *call, mary_window *window)
{
    const pool_state *state = node->state;
    if (state->global)
        return mary_window_of_image(node, &call->inputs[X]->shape, window);
    MARY_TRY(mary_window_resolve(node, &state->attributes, &call->inputs[X]->shape, NULL, window));
    return mary_window_expect_small_pads(node, window);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const pool_state *state = node->state;
    mary_window window;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 5));
    MARY_TRY(mary_qlinear_expect_u8(node, call, X, "x"));
    MARY_TRY(mary_quantisation_check(node, call, X_SCALE, "x"));
    MARY_TRY(mary_quantisation_check(node, call, Y_SCALE, "y"));
    MARY_TRY(window_of(node, call, &window));
    MARY_TRY(mary_qpool_check(node, &window));
    const mary_shape *x = &call->inputs[X]->shape;
    mary_shape y = mary_window_output_shape(&window, x->dims[0], x->dims[1]);
    if (state->global) {
        y.rank = state->flat ? 2 : x->rank;
        for (int i = 2; i < y.rank; i++)
            y.dims[i] = 1;
    }
    return mary_op_set_output(node, call, 0, MARY_UINT8, &y);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const pool_state *state = node->state;
    mary_quantisation y;
    mary_qpool pool = {.kernels = state->kernels, .mean = true, .count_include_pad = state->count_include_pad};
    MARY_TRY(mary_quantisation_read(node, call, X_SCALE, "x", &pool.from));
    MARY_TRY(mary_quantisation_read(node, call, Y_SCALE, "y", &y));
    MARY_TRY(window_of(node, call, &pool.window));
    pool.to = mary_requantisation_to(y.zero);
    pool.ratio = pool.from.scale / y.scale;
    mary_qpool_run(&pool, call->inputs[X], call->outputs[0], call->parallel);
    return MARY_OK;
}

#define OPERATOR(in, name, how)                                                                                        \
    {                                                                                                                  \
        .domain = in, .type = name, .since = 1, .flags = how, .prepare = prepare, .infer = infer, .run = run,          \
        .channels_last = mary_copy_channels_last                                                                       \
    }

/* SpatialMean is what the executor makes of ReduceMean over all axes behind the channels; the output may lack them. */
const mary_op mary_ops_qlinear_pool[] = {
    OPERATOR("com.microsoft", "QLinearAveragePool", 0), OPERATOR("com.microsoft", "QLinearGlobalAveragePool", 0),
    OPERATOR(MARY_INTERNAL_DOMAIN, "SpatialMean", MARY_OP_READS_ANY_LAYOUT), MARY_OP_END};
