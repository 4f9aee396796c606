/* Transposed convolution without a scatter. Output o of an axis meets tap k when o + pad - k*dilation is a multiple of
 * the stride, so outputs with the same remainder modulo the stride meet the same taps, each at a fixed offset in the
 * input: a class of outputs is an ordinary convolution of stride 1 with a part of the taps. Classes are written one
 * after the other, every output once; the tile kernel does the sums and the epilogue.
 *
 * Taps are packed class by class: those with the same (k*dilation) mod stride on every axis are side by side.
 */
#include "ops/conv.h"

#include <string.h>

#include "onnx/memory.h"

enum { DECODE_BYTES = 256 * 1024, GRAIN_MACS = 500000 };

/* The taps of one axis that belong to one class: `count` of them, `start` taps of the axis come in earlier classes; k =
 * first, first + step, ... */
typedef struct tap_class {
    int64_t start, count, first, step;
} tap_class;

typedef struct transposed {
    const mary_conv_problem *p;
    const mary_tile_kernel *kernel;
    int64_t group_panels;
    int64_t classes[MARY_WINDOW_AXES], class_count; /* remainders that outputs have, per axis and in all */
    int64_t rows;                                   /* of one class, at most, over the batch */
    int64_t most_taps;                              /* of one class */
    int64_t slice_taps, slice_depth;                /* what is decoded at once */
    float *zeros;                                   /* depth */
    char *threads;
    size_t thread_bytes, rows_bytes;
} transposed;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static int thread_count(const mary_conv_problem *p)
{
    return p->parallel != NULL ? p->parallel->threads : 1;
}

static tap_class class_taps(const mary_window *w, int axis, int64_t remainder)
{
    tap_class t = {0, 0, 0, 1};
    int64_t stride = w->stride[axis];
    for (int64_t k = 0; k < w->kernel[axis]; k++) {
        int64_t class = k * w->dilation[axis] % stride;
        t.start += class < remainder;
        if (class != remainder)
            continue;
        if (t.count == 0)
            t.first = k;
        else if (t.count == 1)
            t.step = k - t.first;
        t.count++;
    }
    return t;
}

/* Where the taps of a class begin in the packed order. */
static int64_t class_start(const mary_window *w, const tap_class t[MARY_WINDOW_AXES])
{
    return (t[0].start * w->kernel[1] + t[0].count * t[1].start) * w->kernel[2] + t[0].count * t[1].count * t[2].start;
}

bool mary_conv_transpose_panels_size(int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr,
                                     size_t *floats)
{
    return mary_size_mul((size_t)groups, (size_t)mary_conv_panels(filters, nr), floats) &&
           mary_size_mul(*floats, (size_t)nr, floats) && mary_size_mul(*floats, (size_t)depth, floats) &&
           mary_size_mul(*floats, (size_t)taps, floats) && *floats <= PTRDIFF_MAX / sizeof(float);
}

void mary_conv_transpose_pack(const float *w, int64_t groups, int64_t filters, int64_t depth, const mary_window *window,
                              int nr, float *panels)
{
    int64_t count = window->taps, length = count * depth, group_panels = mary_conv_panels(filters, nr);
    memset(panels, 0, sizeof(float) * (size_t)(groups * group_panels * length * nr));
    for (int64_t tap = 0; tap < count; tap++) {
        int64_t k[MARY_WINDOW_AXES] = {tap / window->kernel[2] / window->kernel[1],
                                       tap / window->kernel[2] % window->kernel[1], tap % window->kernel[2]};
        tap_class t[MARY_WINDOW_AXES];
        int64_t at = 0;
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
            t[axis] = class_taps(window, axis, k[axis] * window->dilation[axis] % window->stride[axis]);
            at = at * t[axis].count + (k[axis] - t[axis].first) / t[axis].step;
        }
        at += class_start(window, t);
        for (int64_t c = 0; c < groups * depth; c++) {
            const float *from = w + c * filters * count + tap;
            float *to = panels + c / depth * group_panels * length * nr + (at * depth + c % depth) * nr;
            for (int64_t m = 0; m < filters; m++)
                to[m / nr * length * nr + m % nr] = from[m * count];
        }
    }
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void plan(const mary_conv_problem *p, transposed *t)
{
    const mary_window *w = &p->window;
    memset(t, 0, sizeof *t);
    t->p = p;
    t->kernel = mary_tile_kernel_for(p->cpu);
    t->group_panels = mary_conv_panels(p->filters, t->kernel->nr);
    t->class_count = 1;
    t->rows = p->batch;
    t->most_taps = 1;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        int64_t stride = w->stride[axis];
        t->classes[axis] = stride < w->output[axis] ? stride : w->output[axis];
        t->class_count *= t->classes[axis];
        if (axis < 2)
            t->rows *= (w->output[axis] + stride - 1) / stride;
        int64_t step = stride / greatest_divisor(stride, w->dilation[axis] % stride);
        t->most_taps *= (w->kernel[axis] + step - 1) / step;
    }
    int64_t budget = DECODE_BYTES / ((int64_t)sizeof(float) * t->kernel->nr);
    t->slice_taps = t->most_taps;
    t->slice_depth = p->depth;
    if (t->most_taps * p->depth > budget) {
        t->slice_taps = p->depth <= budget ? budget / p->depth : 1;
        t->slice_depth = p->depth <= budget ? p->depth : budget;
    }
}

static mary_status lay_out(transposed *t, char *scratch, size_t *bytes)
{
    const mary_conv_problem *p = t->p;
    size_t zeros = align_up((size_t)p->depth * sizeof(float)), decoded = 0;
    if (!mary_size_mul((size_t)t->most_taps, (size_t)t->kernel->mr * sizeof(float *), &t->rows_bytes))
        return mary_fail_memory(SIZE_MAX);
    t->rows_bytes = align_up(t->rows_bytes);
    if (p->panels == NULL)
        decoded = align_up((size_t)(t->slice_taps * t->slice_depth * t->kernel->nr) * sizeof(float));
    t->thread_bytes = t->rows_bytes + decoded;
    if (!mary_size_mul(t->thread_bytes, (size_t)thread_count(p), bytes) || !mary_size_add(*bytes, zeros, bytes))
        return mary_fail_memory(SIZE_MAX);
    if (scratch != NULL) {
        t->zeros = (float *)(void *)scratch;
        t->threads = scratch + zeros;
    }
    return MARY_OK;
}

mary_status mary_conv_transpose_scratch(const mary_conv_problem *problem, size_t *bytes)
{
    transposed t;
    plan(problem, &t);
    return lay_out(&t, NULL, bytes);
}

/* One (group, panel, class) at a time. */
typedef struct part {
    int64_t group, panel;
    int64_t remainder[MARY_WINDOW_AXES]; /* outputs remainder, remainder + stride, ... */
    int64_t size[MARY_WINDOW_AXES];      /* how many of them */
    tap_class taps[MARY_WINDOW_AXES];
    int64_t tap_count;
    int64_t begin, end, depth_begin, depth_end; /* taps of the class and channels in this slice */
    const float *weights;                       /* of the slice */
    const float **rows;
} part;

/* Pointers of `m` pixels of the class from `column` on, in the row whose first two positions are given. */
static void part_rows(const transposed *t, const part *c, int64_t n, const int64_t position[2], int64_t column, int m)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int mr = t->kernel->mr;
    const float *image = p->x + n * w->input_pixels * p->x_stride + c->group * p->depth + c->depth_begin;
    for (int64_t tap = c->begin; tap < c->end; tap++) {
        const int64_t index[MARY_WINDOW_AXES] = {tap / c->taps[2].count / c->taps[1].count,
                                                 tap / c->taps[2].count % c->taps[1].count, tap % c->taps[2].count};
        int64_t first[MARY_WINDOW_AXES]; /* input position of output number 0 of the class, per axis */
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
            int64_t k = c->taps[axis].first + index[axis] * c->taps[axis].step;
            first[axis] = (c->remainder[axis] + w->pad[axis] - k * w->dilation[axis]) / w->stride[axis];
        }
        int64_t d = first[0] + position[0], h = first[1] + position[1], x = first[2] + column;
        bool inside = d >= 0 && d < w->input[0] && h >= 0 && h < w->input[1];
        const float **to = c->rows + (tap - c->begin) * mr;
        for (int i = 0; i < m; i++, x++)
            to[i] = inside && x >= 0 && x < w->input[2]
                        ? image + ((d * w->input[1] + h) * w->input[2] + x) * p->x_stride
                        : t->zeros;
    }
}

/* Row number `row` of the class, one slice of the sum. */
static void part_row(const transposed *t, const part *c, int64_t row)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int mr = t->kernel->mr, nr = t->kernel->nr;
    const int64_t position[2] = {row / c->size[1] % c->size[0], row % c->size[1]}, n = row / c->size[1] / c->size[0];
    int64_t line = ((n * w->output[0] + position[0] * w->stride[0] + c->remainder[0]) * w->output[1] +
                    position[1] * w->stride[1] + c->remainder[1]) *
                   w->output[2];
    int64_t channel = c->group * p->filters + c->panel * nr, left = p->filters - c->panel * nr;
    int64_t tiles = (c->size[2] + mr - 1) / mr;
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t column = c->size[2] * tile / tiles;
        int m = (int)(c->size[2] * (tile + 1) / tiles - column);
        int64_t pixel = line + column * w->stride[2] + c->remainder[2];
        part_rows(t, c, n, position, column, m);
        mary_tile_call call = {.rows = c->rows,
                               .taps = c->end - c->begin,
                               .depth = c->depth_end - c->depth_begin,
                               .panel = c->weights,
                               .bias = p->bias != NULL ? p->bias + channel : NULL,
                               .residual =
                                   p->residual != NULL ? p->residual + pixel * p->residual_stride + channel : NULL,
                               .residual_stride = w->stride[2] * p->residual_stride,
                               .out = p->y + pixel * p->y_stride + channel,
                               .out_stride = w->stride[2] * p->y_stride,
                               .m = m,
                               .n = left < nr ? (int)left : nr,
                               .accumulate = c->begin != 0 || c->depth_begin != 0,
                               .partial = c->end < c->tap_count || c->depth_end < p->depth,
                               .epilogue = p->epilogue};
        t->kernel->run(&call);
    }
}

/* Codes are stored tap by tap in the natural order: each tap of the class is decoded by itself. */
static void decode(const transposed *t, const part *c, float *to)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int nr = t->kernel->nr;
    int64_t left = p->filters - c->panel * nr, row = c->group * p->filters + c->panel * nr;
    for (int64_t tap = c->begin; tap < c->end; tap++, to += (c->depth_end - c->depth_begin) * nr) {
        int64_t kd = c->taps[0].first + tap / c->taps[2].count / c->taps[1].count * c->taps[0].step;
        int64_t kh = c->taps[1].first + tap / c->taps[2].count % c->taps[1].count * c->taps[1].step;
        int64_t kw = c->taps[2].first + tap % c->taps[2].count * c->taps[2].step;
        int64_t at = ((kd * w->kernel[1] + kh) * w->kernel[2] + kw) * p->depth;
        mary_weights_decode_panel(p->codes, row, left < nr ? (int)left : nr, at + c->depth_begin, at + c->depth_end, nr,
                                  to);
    }
}

/* Rows [begin, end) of a class. */
static void run_part(const transposed *t, part *c, int64_t begin, int64_t end, float *decoded)
{
    const mary_conv_problem *p = t->p;
    const int nr = t->kernel->nr;
    const float *panel =
        p->panels + (p->panels != NULL ? (c->group * t->group_panels + c->panel) * p->window.taps * p->depth * nr : 0);
    c->begin = c->depth_begin = 0;
    c->end = c->tap_count;
    c->depth_end = p->depth;
    c->weights = panel + (p->panels != NULL ? class_start(&p->window, c->taps) * p->depth * nr : 0);
    do { /* once even when there is nothing to sum */
        if (p->panels == NULL) {
            c->end = c->begin + t->slice_taps < c->tap_count ? c->begin + t->slice_taps : c->tap_count;
            c->depth_end = c->depth_begin + t->slice_depth < p->depth ? c->depth_begin + t->slice_depth : p->depth;
            decode(t, c, decoded);
            c->weights = decoded;
        }
        for (int64_t row = begin; row < end; row++)
            part_row(t, c, row);
        c->depth_begin = c->depth_end;
        if (c->depth_begin == p->depth) {
            c->depth_begin = 0;
            c->begin = c->end;
        }
    } while (c->begin < c->tap_count);
}

/* Jobs are (group, panel, class, row), rows innermost. */
static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const transposed *t = context;
    const mary_window *w = &t->p->window;
    char *memory = t->threads + (size_t)thread * t->thread_bytes;
    part c = {.rows = (const float **)(void *)memory};
    while (begin < end) {
        int64_t row = begin % t->rows, index = begin / t->rows, rows = t->p->batch;
        int64_t last = row + (end - begin) < t->rows ? row + (end - begin) : t->rows;
        begin += last - row;
        int64_t class = index % t->class_count;
        c.panel = index / t->class_count % t->group_panels;
        c.group = index / t->class_count / t->group_panels;
        c.tap_count = 1;
        for (int axis = MARY_WINDOW_AXES - 1; axis >= 0; axis--) {
            c.remainder[axis] = class % t->classes[axis];
            class /= t->classes[axis];
            c.size[axis] = (w->output[axis] - c.remainder[axis] + w->stride[axis] - 1) / w->stride[axis];
            c.taps[axis] = class_taps(w, axis, (c.remainder[axis] + w->pad[axis]) % w->stride[axis]);
            c.tap_count *= c.taps[axis].count;
            rows *= axis < 2 ? c.size[axis] : 1;
        }
        run_part(t, &c, row, last < rows ? last : rows, (float *)(void *)(memory + t->rows_bytes));
    }
}

void mary_conv_transpose_run(const mary_conv_problem *problem, void *scratch)
{
    transposed t;
    size_t bytes;
    plan(problem, &t);
    if (problem->batch == 0 || problem->window.output_pixels == 0 || problem->filters == 0 ||
        lay_out(&t, scratch, &bytes) != MARY_OK)
        return;
    memset(t.zeros, 0, sizeof(float) * (size_t)problem->depth);
    double job = (double)(problem->window.output[2] / problem->window.stride[2] + 1) * (double)t.kernel->nr *
                 (double)t.most_taps * (double)problem->depth;
    int64_t grain = job >= GRAIN_MACS ? 1 : (int64_t)(GRAIN_MACS / (job + 1)) + 1;
    mary_parallel_for(problem->parallel, problem->groups * t.group_panels * t.class_count * t.rows, grain, task, &t);
}
