/* Gradients of Conv, channels last, on the tile kernels.
 *
 * Input: a convolution of dY with the weights turned around; where the window moves by more than one pixel, the
 * transposed convolution. Depthwise layers have loops of their own: conv_depthwise_backward.c.
 *
 * Weights: dW[m][c][tap] = sum over images and pixels of dY[pixel][m] * X[pixel moved by tap][c]. That is a matrix
 * product whose sum runs over pixels. Its rows are taps of X, channel by channel: images are turned into planes with
 * their padding, columns sorted by their remainder modulo the stride, so that the pixels that one tap meets in a row of
 * outputs lie side by side; its panel is dY itself, nr channels side by side. So many images are taken at a time as fit
 * into the second-level cache.
 */
#include <string.h>

#include "onnx/memory.h"
#include "ops/conv.h"
#include "ops/gradient.h"
#include "ops/turn.h"

enum { BLOCK_BYTES = 384 * 1024, GRAIN_MACS = 500000 };

/* ---- input ---- */

/* Stride 1, and no more padding than the window reaches: an ordinary convolution. */
static bool is_plain(const mary_window *w)
{
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        if (w->stride[axis] != 1 || w->pad[axis] > (w->kernel[axis] - 1) * w->dilation[axis])
            return false;
    }
    return true;
}

/* Only what the packed order depends on. Padding beyond the window is rare: then there is no stride-1 form, and panels
 * are those of the transposed form; the attribute decides, so that packing needs no input. */
static void kernel_window(const mary_conv_state *state, const mary_shape *w, mary_window *window)
{
    memset(window, 0, sizeof *window);
    int rank = w->rank - 2;
    window->rank = rank;
    window->taps = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int i = axis - (MARY_WINDOW_AXES - rank);
        const mary_window_attributes *a = &state->attributes.window;
        window->kernel[axis] = i >= 0 ? w->dims[2 + i] : 1;
        window->stride[axis] = i >= 0 && a->stride_count > 0 ? a->strides[i] : 1;
        window->dilation[axis] = i >= 0 && a->dilation_count > 0 ? a->dilations[i] : 1;
        window->pad[axis] = i >= 0 && a->pad_count > 0 ? a->pads[i] : 0;
        window->taps *= window->kernel[axis];
    }
}

/* turned[tap'][m][c] for w [M][C/g][taps], tap' = taps - 1 - tap: panels of `depth` columns. */
static void pack_plain(const float *w, int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr,
                       float *panels)
{
    int64_t group_panels = mary_conv_panels(depth, nr), length = taps * filters;
    memset(panels, 0, sizeof(float) * (size_t)(groups * group_panels * length * nr));
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t m = 0; m < filters; m++) {
            const float *from = w + (g * filters + m) * depth * taps;
            for (int64_t tap = 0; tap < taps; tap++) {
                float *to = panels + g * group_panels * length * nr + ((taps - 1 - tap) * filters + m) * nr;
                for (int64_t c = 0; c < depth; c++)
                    to[c / nr * length * nr + c % nr] = from[c * taps + tap];
            }
        }
    }
}

/* Depthwise panels are those of one group: the forward driver's, with the taps turned around where it can be used. */
static mary_status pack_depthwise(const float *w, int64_t groups, int64_t taps, bool turned, int nr, float *panels)
{
    float *copy = mary_alloc((size_t)(groups * taps) * sizeof *copy);
    if (copy == NULL)
        return mary_fail_memory((size_t)(groups * taps) * sizeof *copy);
    for (int64_t i = 0; i < groups * taps; i++)
        copy[i] = w[turned ? i / taps * taps + taps - 1 - i % taps : i];
    mary_conv_panels_pack(copy, groups, 1, 1, taps, nr, panels);
    mary_free(copy);
    return MARY_OK;
}

static mary_status pack_turned(mary_conv_state *state, const mary_tensor *w, const float *values, float **panels)
{
    int64_t groups = state->attributes.group, filters = w->shape.dims[0] / groups, depth = w->shape.dims[1];
    int nr = mary_tile_kernel_for(state->cpu)->nr;
    bool depthwise = mary_conv_is_depthwise(groups, depth, filters);
    mary_window window;
    size_t floats;
    kernel_window(state, &w->shape, &window);
    if (depthwise ? !mary_conv_panels_size(groups, 1, 1, window.taps, nr, &floats)
                  : !mary_conv_transpose_panels_size(groups, depth, filters, window.taps, nr, &floats))
        return mary_fail(MARY_ERROR_INVALID, "the weights are too large");
    if (*panels == NULL)
        *panels = mary_alloc_aligned(floats * sizeof(float));
    if (*panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    if (depthwise)
        return pack_depthwise(values, groups, window.taps, is_plain(&window), nr, *panels);
    if (is_plain(&window))
        pack_plain(values, groups, filters, depth, window.taps, nr, *panels);
    else
        mary_conv_transpose_pack(values, groups, depth, filters, &window, nr, *panels);
    return MARY_OK;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, bool second)
{
    mary_conv_state *state = node->state;
    const mary_tensor *w = constants[1];
    uint64_t consumed = 0;
    MARY_TRY(node->op->pack(node, constants, &consumed));
    if (state->panels == NULL)
        return MARY_OK;
    MARY_TRY(pack_turned(state, w, w->data, &state->turned[0]));
    if (!second)
        return MARY_OK;
    int64_t count = mary_shape_count(&w->shape);
    float *squares = mary_alloc_aligned((size_t)count * sizeof *squares);
    if (squares == NULL)
        return mary_fail_memory((size_t)count * sizeof *squares);
    mary_gradient_square(squares, w->data, count);
    mary_status status = pack_turned(state, w, squares, &state->turned[1]);
    mary_free(squares);
    return status;
}

/* The convolution that gives the gradient of the input of `p`. */
static mary_conv_problem turn(const mary_conv_state *state, const mary_conv_problem *p, bool second)
{
    const mary_window *w = &p->window;
    mary_window window;
    kernel_window(state, &state->w, &window);
    bool plain = is_plain(&window) && is_plain(w);
    mary_conv_problem t = {.window = *w,
                           .batch = p->batch,
                           .groups = p->groups,
                           .depth = p->filters,
                           .filters = p->depth,
                           .transposed = !plain,
                           .cpu = p->cpu,
                           .panels = state->turned[second],
                           .x_stride = p->groups * p->filters,
                           .y_stride = p->groups * p->depth,
                           .residual_stride = p->groups * p->depth,
                           .parallel = p->parallel};
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        t.window.input[axis] = w->output[axis];
        t.window.output[axis] = w->input[axis];
        if (plain)
            t.window.pad[axis] = (w->kernel[axis] - 1) * w->dilation[axis] - w->pad[axis];
    }
    t.window.input_pixels = w->output_pixels;
    t.window.output_pixels = w->input_pixels;
    return t;
}

static bool is_depthwise(const mary_conv_problem *p)
{
    return mary_conv_is_depthwise(p->groups, p->depth, p->filters);
}

static mary_status turned_scratch(const mary_conv_problem *t, size_t *bytes)
{
    *bytes = 0;
    return t->transposed && is_depthwise(t) ? MARY_OK : mary_conv_scratch(t, bytes);
}

/* ---- weights ---- */

typedef struct weights {
    const mary_conv_problem *p;
    const mary_tile_kernel *kernel;
    const float *x, *dy;
    bool squared;
    int64_t images;           /* at a time */
    int64_t rows, row_blocks; /* taps of all channels of a group, in tiles */
    int64_t panels;           /* of one group */
    int64_t span[MARY_WINDOW_AXES], phase_length, plane;
    int64_t tile_taps;
    bool copy; /* dY is copied to panels */
    /* scratch */
    float *planes, *dy_panels, *product;
    char *threads;
    size_t planes_bytes, panels_bytes, product_bytes, thread_bytes;
    /* where the loops are */
    int64_t first, count, group;
    bool accumulate;
} weights;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void plan_weights(const mary_conv_problem *p, weights *t)
{
    const mary_window *w = &p->window;
    memset(t, 0, sizeof *t);
    t->p = p;
    t->kernel = mary_tile_kernel_for(p->cpu);
    const int nr = t->kernel->nr;
    t->rows = p->depth * w->taps;
    t->row_blocks = (t->rows + t->kernel->mr - 1) / t->kernel->mr;
    t->panels = mary_conv_panels(p->filters, nr);
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        t->span[axis] = (w->output[axis] - 1) * w->stride[axis] + (w->kernel[axis] - 1) * w->dilation[axis] + 1;
    t->phase_length = (t->span[2] + w->stride[2] - 1) / w->stride[2];
    t->plane = t->span[0] * t->span[1] * w->stride[2] * t->phase_length;
    int64_t each = p->depth * t->plane + w->output_pixels * t->panels * nr;
    t->images = least(p->batch, BLOCK_BYTES / (int64_t)sizeof(float) / (each + 1) + 1);
    t->copy = !(p->groups == 1 && p->filters == nr);
    t->tile_taps = t->images * w->output[0] * w->output[1];
    t->planes_bytes = mary_gradient_align(sizeof(float) * (size_t)(t->images * p->depth * t->plane));
    if (t->copy)
        t->panels_bytes = mary_gradient_align(sizeof(float) * (size_t)(t->images * w->output_pixels * t->panels * nr));
    t->product_bytes = mary_gradient_align(sizeof(float) * (size_t)(t->rows * t->panels * nr));
    t->thread_bytes = mary_gradient_align(sizeof(float *) * (size_t)(t->tile_taps * t->kernel->mr));
}

static size_t weights_bytes(const weights *t)
{
    size_t threads = t->p->parallel != NULL ? (size_t)t->p->parallel->threads : 1;
    return t->planes_bytes + t->panels_bytes + t->product_bytes + threads * t->thread_bytes;
}

/* Row `line` of the padded planes of one image. */
static void fill_line(const weights *t, int64_t image, int64_t depth_line, int64_t line)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int64_t stride = w->stride[2], length = t->phase_length;
    float *to = t->planes + image * p->depth * t->plane + (depth_line * t->span[1] + line) * stride * length;
    const int64_t d = depth_line - w->pad[0], h = line - w->pad[1];
    if (d < 0 || d >= w->input[0] || h < 0 || h >= w->input[1]) {
        for (int64_t c = 0; c < p->depth; c++)
            memset(to + c * t->plane, 0, sizeof(float) * (size_t)(stride * length));
        return;
    }
    const float *from = t->x + (((t->first + image) * w->input[0] + d) * w->input[1] + h) * w->input[2] * p->x_stride +
                        t->group * p->depth;
    for (int64_t phase = 0; phase < stride; phase++) {
        /* columns phase, phase + stride, ... of the padded row; inside the image from `begin` to `end` */
        int64_t lead = w->pad[2] - phase, room = w->input[2] + w->pad[2] - phase;
        int64_t begin = least(length, lead > 0 ? (lead + stride - 1) / stride : 0);
        int64_t end = least(length, room > 0 ? (room + stride - 1) / stride : 0);
        for (int64_t c = 0; c < p->depth; c++) {
            float *row = to + c * t->plane + phase * length;
            for (int64_t i = 0; i < begin; i++)
                row[i] = 0;
            for (int64_t i = end > begin ? end : begin; i < length; i++)
                row[i] = 0;
        }
        if (end > begin)
            mary_turn(from + (phase - w->pad[2] + begin * stride) * p->x_stride, stride * p->x_stride, end - begin,
                      p->depth, to + phase * length + begin, t->plane, false);
    }
    if (t->squared) {
        for (int64_t c = 0; c < p->depth; c++)
            mary_gradient_square(to + c * t->plane, to + c * t->plane, stride * length);
    }
}

static void planes_task(void *context, int64_t begin, int64_t end, int thread)
{
    const weights *t = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        fill_line(t, i / (t->span[0] * t->span[1]), i / t->span[1] % t->span[0], i % t->span[1]);
}

/* Jobs are pixels. */
static void panels_task(void *context, int64_t begin, int64_t end, int thread)
{
    const weights *t = context;
    const mary_conv_problem *p = t->p;
    const int nr = t->kernel->nr;
    const int64_t pixels = t->count * p->window.output_pixels;
    (void)thread;
    for (int64_t panel = 0; panel < t->panels; panel++) {
        const int64_t n = least(nr, p->filters - panel * nr);
        const float *from =
            t->dy + t->first * p->window.output_pixels * p->y_stride + t->group * p->filters + panel * nr;
        float *to = t->dy_panels + panel * pixels * nr;
        for (int64_t i = begin; i < end; i++) {
            memcpy(to + i * nr, from + i * p->y_stride, sizeof(float) * (size_t)n);
            if (n % 16 != 0)
                memset(to + i * nr + n, 0, sizeof(float) * (size_t)(nr - n));
        }
    }
}

/* Jobs are tiles of rows. */
static void rows_task(void *context, int64_t begin, int64_t end, int thread)
{
    const weights *t = context;
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int mr = t->kernel->mr, nr = t->kernel->nr;
    const float **rows = (const float **)(void *)(t->threads + (size_t)thread * t->thread_bytes);
    const int64_t line = w->stride[2] * t->phase_length, pixels = t->count * w->output_pixels;
    for (int64_t block = begin; block < end; block++) {
        const int m = (int)least(mr, t->rows - block * mr);
        for (int i = 0; i < m; i++) {
            int64_t row = block * mr + i, channel = row / w->taps, tap = row % w->taps;
            int64_t kd = tap / w->kernel[2] / w->kernel[1] * w->dilation[0];
            int64_t kh = tap / w->kernel[2] % w->kernel[1] * w->dilation[1];
            int64_t kw = tap % w->kernel[2] * w->dilation[2];
            const float **to = rows + i;
            for (int64_t image = 0; image < t->count; image++) {
                const float *plane = t->planes + (image * p->depth + channel) * t->plane + kw / w->stride[2] +
                                     kw % w->stride[2] * t->phase_length;
                for (int64_t d = 0; d < w->output[0]; d++) {
                    const float *at = plane + ((d * w->stride[0] + kd) * t->span[1] + kh) * line;
                    for (int64_t h = 0; h < w->output[1]; h++, to += mr)
                        *to = at + h * w->stride[1] * line;
                }
            }
        }
        for (int64_t panel = 0; panel < t->panels; panel++) {
            mary_tile_call call = {
                .rows = rows,
                .taps = t->count * w->output[0] * w->output[1],
                .depth = w->output[2],
                .panel =
                    t->copy ? t->dy_panels + panel * pixels * nr : t->dy + t->first * w->output_pixels * p->y_stride,
                .out = t->product + block * mr * t->panels * nr + panel * nr,
                .out_stride = t->panels * nr,
                .m = m,
                .n = (int)least(nr, p->filters - panel * nr),
                .accumulate = t->accumulate,
            };
            t->kernel->run(&call);
        }
    }
}

static void run_weights(weights *t, char *scratch, float *dw, bool accumulate)
{
    const mary_conv_problem *p = t->p;
    t->planes = (float *)(void *)scratch;
    t->dy_panels = (float *)(void *)(scratch + t->planes_bytes);
    t->product = (float *)(void *)(scratch + t->planes_bytes + t->panels_bytes);
    t->threads = scratch + t->planes_bytes + t->panels_bytes + t->product_bytes;
    for (t->group = 0; t->group < p->groups; t->group++) {
        for (t->first = 0; t->first < p->batch; t->first += t->images) {
            t->count = least(t->images, p->batch - t->first);
            t->accumulate = t->first > 0;
            mary_parallel_for(p->parallel, t->count * t->span[0] * t->span[1], 64, planes_task, t);
            if (t->copy)
                mary_parallel_for(p->parallel, t->count * p->window.output_pixels, 1024, panels_task, t);
            int64_t work = t->count * p->window.output_pixels * t->kernel->mr * p->filters;
            mary_parallel_for(p->parallel, t->row_blocks, GRAIN_MACS / (work + 1) + 1, rows_task, t);
        }
        mary_turn(t->product, t->panels * t->kernel->nr, t->rows, p->filters, dw + t->group * p->filters * t->rows,
                  t->rows, accumulate);
    }
}

size_t mary_conv_weights_scratch(const mary_conv_problem *problem)
{
    weights t;
    if (is_depthwise(problem))
        return mary_conv_depthwise_weights_scratch(problem);
    plan_weights(problem, &t);
    return weights_bytes(&t);
}

void mary_conv_weights_run(const mary_conv_problem *problem, const float *x, const float *dy, bool squared, float *dw,
                           bool accumulate, void *scratch)
{
    weights t;
    if (is_depthwise(problem)) {
        mary_conv_depthwise_weights_run(problem, x, dy, squared, dw, accumulate, scratch);
        return;
    }
    plan_weights(problem, &t);
    t.x = x;
    t.dy = dy;
    t.squared = squared;
    if (problem->batch > 0 && problem->window.output_pixels > 0)
        run_weights(&t, scratch, dw, accumulate);
    else if (!accumulate)
        memset(dw, 0, sizeof(float) * (size_t)(problem->groups * problem->filters * t.rows));
}

/* ---- the call ---- */

static mary_status describe(const mary_op_node *node, const mary_gradient_call *call, mary_conv_problem *p)
{
    const mary_conv_state *state = node->state;
    const mary_op_call *forward = call->forward;
    if (!node->channels_last || state->turned[call->second] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "gradients need weights that are parameters or constants");
    /* A residual is not this node's business here. */
    mary_op_node plain = *node;
    plain.epilogue.residual = -1;
    MARY_TRY(mary_conv_describe(&plain, &state->attributes, forward, &forward->inputs[1]->shape, 2, p));
    p->cpu = state->cpu;
    p->x_stride = p->groups * p->depth;
    p->y_stride = p->groups * p->filters;
    p->parallel = call->parallel;
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    mary_conv_problem p;
    MARY_TRY(describe(node, call, &p));
    *bytes = 0;
    if (call->input_gradients[0] != NULL) {
        mary_conv_problem turned = turn(node->state, &p, call->second);
        MARY_TRY(turned_scratch(&turned, bytes));
    }
    const size_t more = call->input_gradients[1] != NULL ? mary_conv_weights_scratch(&p) : 0;
    *bytes = more > *bytes ? more : *bytes;
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const mary_tensor *dy = call->output_gradients[0];
    float *dx = mary_gradient_of(call, 0), *dw = mary_gradient_of(call, 1), *db = mary_gradient_of(call, 2);
    mary_conv_problem p;
    MARY_TRY(describe(node, call, &p));
    if (dw != NULL)
        mary_conv_weights_run(&p, call->forward->inputs[0]->data, dy->data, call->second, dw, call->accumulate[1],
                              call->scratch);
    if (db != NULL)
        mary_gradient_sum_rows(db, dy->data, p.batch * p.window.output_pixels, p.y_stride, p.y_stride, 1.0f,
                               call->accumulate[2]);
    if (dx != NULL) {
        mary_conv_problem turned = turn(node->state, &p, call->second);
        turned.x = dy->data;
        turned.y = dx;
        turned.residual = call->accumulate[0] ? dx : NULL; /* every output is read just before it is written */
        if (turned.transposed && is_depthwise(&p)) {
            p.panels = turned.panels;
            mary_conv_depthwise_input_run(&p, dy->data, dx, call->accumulate[0]);
        } else {
            mary_conv_run(&turned, call->scratch);
        }
    }
    return MARY_OK;
}

const mary_op_gradient mary_conv_gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT,
                                             .inputs = 1 << 0 | 1 << 1 | 1 << 2,
                                             .reads_inputs = 1 << 0,
                                             .pack = pack,
                                             .scratch = scratch,
                                             .backward = backward};
