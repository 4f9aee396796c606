/* MaxPool, AveragePool, LpPool and their Global forms. */
#include "ops/pool.h"

#include <math.h>
#include <string.h>

#include "onnx/memory.h"
#include "ops/qlinear_pool.h"

typedef enum pool_kind { POOL_MAX, POOL_MEAN, POOL_LP } pool_kind;

typedef struct pool {
    mary_window_attributes attributes;
    mary_cpu cpu;
    const mary_qlinear_kernels *kernels; /* u8 */
    pool_kind kind;
    bool global, count_include_pad, column_major;
    double p; /* POOL_LP */
} pool;

/* One call: the node's attributes and the window of its shapes. */
typedef struct pool_run {
    mary_window window;
    pool_kind kind;
    bool count_include_pad, column_major;
    double p;
    mary_pool_function *function; /* channels last */
    mary_pool_kind function_kind;
    mary_type type;
    int64_t channels;
    const char *x;
    char *y;
    int64_t *indices;                  /* NULL: not wanted */
    int64_t x_stride, y_stride;        /* channels last */
    int64_t channel_blocks;            /* channels last, global: jobs per image */
    int64_t first_column, last_column; /* plain: kernel columns that touch the image at all */
} pool_run;

static mary_status prepare(mary_op_node *node)
{
    const char *type = node->op->type;
    pool *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    state->kernels = mary_qlinear_kernels_for(state->cpu);
    state->global = strncmp(type, "Global", 6) == 0;
    type += state->global ? 6 : 0;
    state->kind = strcmp(type, "MaxPool") == 0 ? POOL_MAX : strcmp(type, "AveragePool") == 0 ? POOL_MEAN : POOL_LP;
    if (!state->global)
        MARY_TRY(mary_window_parse(node, &state->attributes));
    int64_t include = 0, order = 0, power = 2;
    MARY_TRY(mary_attribute_int(node->proto, "count_include_pad", 0, &include));
    MARY_TRY(mary_attribute_int(node->proto, "storage_order", 0, &order));
    state->count_include_pad = include != 0;
    state->column_major = order != 0;
    if (state->kind == POOL_LP && node->opset < 2) {
        float p;
        MARY_TRY(mary_attribute_float(node->proto, "p", 2.0f, &p));
        state->p = (double)p;
    } else if (state->kind == POOL_LP) {
        MARY_TRY(mary_attribute_int(node->proto, "p", 2, &power));
        state->p = (double)power;
    }
    if (state->kind == POOL_LP && !(state->p >= 1 && state->p < 1e6))
        return mary_op_fail(node, MARY_ERROR_INVALID, "p is %g", state->p);
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, pool_run *r)
{
    const pool *state = node->state;
    const mary_tensor *x = call->inputs[0];
    memset(r, 0, sizeof *r);
    if (state->global) {
        MARY_TRY(mary_window_of_image(node, &x->shape, &r->window));
    } else {
        MARY_TRY(mary_window_resolve(node, &state->attributes, &x->shape, NULL, &r->window));
        MARY_TRY(mary_window_expect_small_pads(node, &r->window));
    }
    r->kind = state->kind;
    r->count_include_pad = state->count_include_pad;
    r->column_major = state->column_major;
    r->p = state->p;
    r->type = x->type;
    r->channels = x->shape.dims[1];
    const mary_window *w = &r->window;
    int64_t before = w->pad[2] - (w->output[2] - 1) * w->stride[2], inside = w->input[2] + w->pad[2];
    r->first_column = before > 0 ? (before + w->dilation[2] - 1) / w->dilation[2] : 0;
    r->last_column = (inside + w->dilation[2] - 1) / w->dilation[2];
    if (r->last_column > w->kernel[2])
        r->last_column = w->kernel[2];
    return MARY_OK;
}

mary_status mary_pool_describe(const mary_op_node *node, const mary_op_call *call, mary_pool_shape *shape)
{
    pool_run r;
    MARY_TRY(describe(node, call, &r));
    *shape = (mary_pool_shape){r.window, r.kind == POOL_MAX, r.count_include_pad};
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const pool *state = node->state;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    const mary_tensor *x = call->inputs[0];
    bool small = x->type == MARY_INT8 || x->type == MARY_UINT8;
    if (x->type != MARY_FLOAT && x->type != MARY_DOUBLE && !(small && state->kind == POOL_MAX && !state->global))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input is %s", mary_type_name(x->type));
    pool_run r;
    MARY_TRY(describe(node, call, &r));
    mary_shape y = mary_window_output_shape(&r.window, x->shape.dims[0], r.channels);
    if (state->global) {
        y.rank = x->shape.rank;
        for (int i = 2; i < y.rank; i++)
            y.dims[i] = 1;
    }
    MARY_TRY(mary_op_set_output(node, call, 0, x->type, &y));
    return mary_op_set_output(node, call, 1, MARY_INT64, &y);
}

/* What a sum is multiplied by. */
static double mean_scale(const pool_run *r, int64_t od, int64_t oh, int64_t ow)
{
    double count = mary_window_count(&r->window, (const int64_t[]){od, oh, ow}, r->count_include_pad);
    return count > 0 ? 1 / count : 0;
}

static double power(const pool_run *r, double x)
{
    x = fabs(x);
    return r->p == 2 ? x * x : r->p == 1 ? x : pow(x, r->p);
}

static double root(const pool_run *r, double sum)
{
    return r->p == 2 ? sqrt(sum) : r->p == 1 ? sum : pow(sum, 1 / r->p);
}

/* Output columns [*first, *last) for which column*stride + shift is inside the input. */
static void columns_inside(const mary_window *w, int64_t shift, int64_t *first, int64_t *last)
{
    int64_t stride = w->stride[2], room = w->input[2] - shift;
    *first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    *last = room <= 0 ? 0 : (room + stride - 1) / stride;
    if (*last > w->output[2])
        *last = w->output[2];
}

#define POOL_TYPE   float
#define POOL_LOWEST -INFINITY
#define POOL_PLANE  plane_float
#include "ops/pool_plain.h"
#define POOL_TYPE   double
#define POOL_LOWEST -INFINITY
#define POOL_PLANE  plane_double
#include "ops/pool_plain.h"
#define POOL_TYPE   int8_t
#define POOL_LOWEST INT8_MIN
#define POOL_PLANE  plane_int8
#include "ops/pool_plain.h"
#define POOL_TYPE   uint8_t
#define POOL_LOWEST 0
#define POOL_PLANE  plane_uint8
#include "ops/pool_plain.h"

#define POOL_TYPE    float
#define POOL_LOWEST  -INFINITY
#define POOL_INDICES indices_float
#include "ops/pool_indices.h"
#define POOL_TYPE    double
#define POOL_LOWEST  -INFINITY
#define POOL_INDICES indices_double
#include "ops/pool_indices.h"
#define POOL_TYPE    int8_t
#define POOL_LOWEST  INT8_MIN
#define POOL_INDICES indices_int8
#include "ops/pool_indices.h"
#define POOL_TYPE    uint8_t
#define POOL_LOWEST  0
#define POOL_INDICES indices_uint8
#include "ops/pool_indices.h"

static void plain_task(void *context, int64_t begin, int64_t end, int thread)
{
    const pool_run *r = context;
    (void)thread;
    size_t size = mary_type_size(r->type);
    for (int64_t job = begin; job < end; job++) {
        const char *x = r->x + (size_t)(job * r->window.input_pixels) * size;
        char *y = r->y + (size_t)(job * r->window.output_pixels) * size;
        int64_t *indices = r->indices != NULL ? r->indices + job * r->window.output_pixels : NULL;
        int64_t first = job * r->window.input_pixels;
        switch (r->type) {
        case MARY_FLOAT:
            indices != NULL ? indices_float(r, x, y, indices, first) : plane_float(r, x, y);
            break;
        case MARY_DOUBLE:
            indices != NULL ? indices_double(r, x, y, indices, first) : plane_double(r, x, y);
            break;
        case MARY_INT8:
            indices != NULL ? indices_int8(r, x, y, indices, first) : plane_int8(r, x, y);
            break;
        default:
            indices != NULL ? indices_uint8(r, x, y, indices, first) : plane_uint8(r, x, y);
        }
    }
}

/* Jobs are rows of output pixels. */
static void last_task(void *context, int64_t begin, int64_t end, int thread)
{
    const pool_run *r = context;
    const mary_window *w = &r->window;
    (void)thread;
    int64_t line = w->input[2] * r->x_stride;
    mary_pool_call call = {.kind = r->function_kind,
                           .plane_step = w->dilation[0] * w->input[1] * line,
                           .line_step = w->dilation[1] * line,
                           .tap_step = w->dilation[2] * r->x_stride,
                           .channels = r->channels};
    for (int64_t job = begin; job < end; job++) {
        int64_t oh = job % w->output[1], od = job / w->output[1] % w->output[0], n = job / w->output[1] / w->output[0];
        int64_t d0, d1, h0, h1, w0, w1;
        mary_window_clip(w, 0, od, &d0, &d1);
        mary_window_clip(w, 1, oh, &h0, &h1);
        call.planes = d1 - d0;
        call.lines = h1 - h0;
        const float *x = (const float *)(const void *)r->x + n * w->input_pixels * r->x_stride;
        for (int64_t ow = 0; ow < w->output[2]; ow++) {
            mary_window_clip(w, 2, ow, &w0, &w1);
            call.taps = w1 - w0;
            bool empty = call.planes == 0 || call.lines == 0 || call.taps == 0;
            int64_t d = od * w->stride[0] - w->pad[0] + d0 * w->dilation[0];
            int64_t h = oh * w->stride[1] - w->pad[1] + h0 * w->dilation[1];
            int64_t i = ow * w->stride[2] - w->pad[2] + w0 * w->dilation[2];
            call.x = empty ? x : x + ((d * w->input[1] + h) * w->input[2] + i) * r->x_stride;
            call.scale = r->kind == POOL_MEAN ? (float)mean_scale(r, od, oh, ow) : 1.0f;
            call.y = (float *)(void *)r->y + (job * w->output[2] + ow) * r->y_stride;
            r->function(&call);
        }
    }
}

enum { CHANNEL_BLOCK = 64 };

/* Jobs are (image, block of channels): a global pool has one output pixel. */
static void global_task(void *context, int64_t begin, int64_t end, int thread)
{
    const pool_run *r = context;
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        int64_t n = job / r->channel_blocks, channel = job % r->channel_blocks * CHANNEL_BLOCK;
        int64_t left = r->channels - channel, pixels = r->window.input_pixels;
        mary_pool_call call = {.kind = r->function_kind,
                               .x = (const float *)(const void *)r->x + n * pixels * r->x_stride + channel,
                               .planes = 1,
                               .lines = 1,
                               .taps = pixels,
                               .tap_step = r->x_stride,
                               .channels = left < CHANNEL_BLOCK ? left : CHANNEL_BLOCK,
                               .scale = pixels > 0 ? 1.0f / (float)pixels : 0.0f,
                               .y = (float *)(void *)r->y + n * r->y_stride + channel};
        r->function(&call);
    }
}

static mary_pool_function *function_for(mary_cpu cpu)
{
    switch (mary_cpu_base(cpu)) {
#if defined(__x86_64__)
    case MARY_CPU_AVX512:
        return mary_pool_avx512;
    case MARY_CPU_AVX2:
        return mary_pool_avx2;
#endif
    default:
        return mary_pool_scalar;
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const pool *state = node->state;
    pool_run r;
    MARY_TRY(describe(node, call, &r));
    const mary_tensor *x = call->inputs[0];
    mary_tensor *indices = call->output_count > 1 ? call->outputs[1] : NULL, *y = call->outputs[0];
    if (y == NULL || mary_shape_count(&y->shape) == 0)
        return MARY_OK;
    r.x = x->data;
    r.y = y->data;
    if (!node->channels_last) {
        r.indices = indices != NULL ? indices->data : NULL;
        mary_parallel_for(call->parallel, x->shape.dims[0] * r.channels, 1 + 50000 / (r.window.output_pixels + 1),
                          plain_task, &r);
        return MARY_OK;
    }
    if (x->type == MARY_UINT8) {
        mary_qpool_run(&(mary_qpool){.kernels = state->kernels, .window = r.window}, x, y, call->parallel);
        return MARY_OK;
    }
    r.x_stride = x->pixel_stride;
    r.y_stride = y->pixel_stride;
    r.function = function_for(state->cpu);
    r.function_kind = r.kind == POOL_MAX    ? MARY_POOL_MAX
                      : r.kind == POOL_MEAN ? MARY_POOL_MEAN
                      : r.p == 1            ? MARY_POOL_L1
                                            : MARY_POOL_L2;
    int64_t work = r.channels * r.window.taps + 1; /* per output pixel */
    if (state->global) {
        r.channel_blocks = (r.channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
        mary_parallel_for(call->parallel, x->shape.dims[0] * r.channel_blocks,
                          1 + 200000 / (CHANNEL_BLOCK * r.window.taps + 1), global_task, &r);
    } else {
        mary_parallel_for(call->parallel, x->shape.dims[0] * r.window.output[0] * r.window.output[1],
                          1 + 200000 / (work * r.window.output[2]), last_task, &r);
    }
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const pool *state = node->state;
    *wants = false;
    return (call->inputs[0]->type == MARY_FLOAT || call->inputs[0]->type == MARY_UINT8) &&
           (call->output_count < 2 || call->outputs[1] == NULL) &&
           (state->kind != POOL_LP || state->p == 1 || state->p == 2);
}

#define POOL(name, slope)                                                                                              \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .prepare = prepare, .infer = infer, .run = run,                        \
        .channels_last = channels_last, .gradient = slope                                                              \
    }

const mary_op mary_ops_pool[] = {POOL("MaxPool", &mary_pool_gradient),
                                 POOL("AveragePool", &mary_pool_gradient),
                                 POOL("LpPool", NULL),
                                 POOL("GlobalMaxPool", &mary_pool_gradient),
                                 POOL("GlobalAveragePool", &mary_pool_gradient),
                                 POOL("GlobalLpPool", NULL),
                                 MARY_OP_END};
