/* Integer convolution and matrix product through the tile kernels. As in ops/conv_tiles.c nothing is copied: a tile of
 * pixels is a table of pointers into the activations, one for each pixel and run; padding points at a row of the zero
 * point. Only windows on few channels, whose quads would be mostly padding, are copied into one run each (patches).
 *
 * The loops: a chunk of panels, decoded into the second-level cache, then tiles of pixels, then the chunk's panels.
 * Threads share pixels, or panels when pixels are so few that decoding all panels in every thread would cost more than
 * an uneven cut does. Sums are integers, so no cut changes a result.
 */
#include "ops/mary/qkernels.h"
#include "ops/mary/qproduct.h"

#include <string.h>

#include "onnx/memory.h"
#include "ops/qlinear.h"

enum {
    CHUNK_BYTES = 384 * 1024, /* of decoded panels, per thread */
    GRAIN_MACS = 2000000,     /* waking a thread costs about as much */
    FEW_PIXELS = 1024,        /* fewer: decoding weighs */
    PATCHED_DEPTH = 16,
    COPY = 16,               /* bytes that a line of a patch is copied by */
    GROUP_BYTES = 16 * 1024, /* of activations: what tiles that share row pointers read, in the first-level cache */
    MOST_TILES = 8           /* such tiles */
};

typedef struct tiles {
    const mary_qproduct *p;
    const mary_qweights *w;
    const mary_qkernels *kernels;
    mary_table_function *table;
    int64_t chunk;                           /* panels decoded at once */
    int64_t pixels;                          /* of the whole batch */
    bool patched;                            /* a window is one run, a copy */
    int64_t lines, line_bytes, patch_stride; /* of its copy: kernel lines, bytes of each, distance of patches */
    bool matrix;                             /* output pixel i is input pixel i */
    bool by_panel;                           /* threads share panels, not pixels */
    int most_pixels;                         /* that share row pointers, for any number of strips */
    int64_t run_bytes;                       /* that a kernel reads of a run: run_depth padded */
    int64_t x_stride;                        /* of the dense copy, if there is one */
    const uint8_t *x;                        /* the product's, or its dense copy */
    const uint8_t *x_end;                    /* nothing is read from here on */
    int64_t extent[MARY_WINDOW_AXES];
    /* scratch */
    int64_t *offsets; /* runs (patched: lines), from the window's first pixel */
    int64_t reach;    /* the largest of them */
    uint8_t *zeros;   /* run_bytes of the zero point */
    uint8_t *dense;
    char *threads; /* of thread_bytes each: row pointers, edges, decoded panels */
    size_t thread_bytes, rows_bytes, edge_bytes;
} tiles;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static int64_t thread_count(const mary_qproduct *p)
{
    return p->parallel != NULL ? p->parallel->threads : 1;
}

static int64_t quads_of(int64_t bytes)
{
    return (bytes + MARY_Q_QUAD - 1) / MARY_Q_QUAD;
}

bool mary_qproduct_patches(int64_t groups, int64_t depth, int64_t taps, int64_t dilation_width)
{
    return groups == 1 && dilation_width == 1 && taps > 1 && depth > 0 && depth < PATCHED_DEPTH &&
           quads_of(taps * depth) < taps * quads_of(depth);
}

/* Pixels or panels? With few pixels each panel is used little, and decoding it in every thread costs. */
static bool splits_panels(const tiles *t)
{
    int64_t threads = thread_count(t->p), panels = t->p->groups * t->w->group_panels;
    if (threads == 1 || panels < threads)
        return t->pixels < 2 * threads && threads > 1;
    bool even = panels % threads == 0 || panels >= 8 * threads;
    return t->pixels <= FEW_PIXELS && (even || t->pixels < 4 * threads);
}

/* Whole tiles whose row pointers are made together. */
static int group_pixels(const tiles *t, int strips)
{
    const int mr = t->kernels->mr[strips - 1];
    const int64_t tile_bytes = t->w->quads * MARY_Q_QUAD * mr;
    int64_t count = tile_bytes > 0 ? GROUP_BYTES / tile_bytes : MOST_TILES;
    return mr * (int)(count < 1 ? 1 : count > MOST_TILES ? MOST_TILES : count);
}

static void plan(const mary_qproduct *p, tiles *t)
{
    memset(t, 0, sizeof *t);
    const mary_window *v = &p->window;
    t->p = p;
    t->w = p->weights;
    t->kernels = t->w->kernels;
    t->table = mary_table_function_for(p->cpu);
    t->pixels = p->batch * v->output_pixels;
    t->patched = t->w->run_depth != p->depth;
    t->lines = v->kernel[0] * v->kernel[1];
    t->line_bytes = v->kernel[2] * p->depth;
    t->run_bytes = t->w->run_quads * MARY_Q_QUAD;
    t->patch_stride = (t->run_bytes + 2 * COPY - 1) / COPY * COPY;
    t->x_stride = t->patched ? p->groups * p->depth : p->x_stride;
    t->matrix = v->taps == 1 && v->input_pixels == v->output_pixels;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        t->extent[axis] = (v->kernel[axis] - 1) * v->dilation[axis] + 1;
        t->matrix = t->matrix && v->stride[axis] == 1 && v->pad[axis] == 0;
    }
    for (int strips = 1; strips <= MARY_Q_MOST_STRIPS; strips++) {
        int pixels = group_pixels(t, strips);
        t->most_pixels = pixels > t->most_pixels ? pixels : t->most_pixels;
    }
    int64_t panel = mary_qweights_panel_size(t->w, t->w->nr / MARY_Q_STRIP);
    t->chunk = panel > 0 ? CHUNK_BYTES / panel : t->w->group_panels;
    t->chunk = t->chunk > t->w->group_panels ? t->w->group_panels : t->chunk;
    t->chunk = t->chunk < 1 ? 1 : t->chunk;
    t->by_panel = splits_panels(t);
}

/* Sizes of the scratch and, when `scratch` is given, where its parts are. */
static mary_status lay_out(tiles *t, bool dense, char *scratch, size_t *bytes)
{
    const mary_qproduct *p = t->p;
    size_t rows, decoded = 0, copy = 0;
    size_t offsets = align_up((size_t)(t->patched ? t->lines : t->w->runs) * sizeof(int64_t)),
           zeros = align_up((size_t)t->run_bytes);
    if (!mary_size_mul((size_t)t->w->runs, (size_t)t->most_pixels, &rows) ||
        !mary_size_mul(rows, sizeof(uint8_t *), &t->rows_bytes) ||
        !mary_size_mul(rows, (size_t)(t->patched ? t->patch_stride : t->run_bytes), &t->edge_bytes) ||
        t->edge_bytes > PTRDIFF_MAX / 8 ||
        (t->w->bits != 8 &&
         !mary_size_mul((size_t)mary_qweights_panel_size(t->w, t->w->nr / MARY_Q_STRIP), (size_t)t->chunk, &decoded)))
        return mary_fail_memory(SIZE_MAX);
    if (!t->patched && t->w->run_depth % MARY_Q_QUAD == 0)
        t->edge_bytes = 0;
    if (dense && (!mary_size_mul((size_t)(p->batch * p->window.input_pixels), (size_t)t->x_stride, &copy)))
        return mary_fail_memory(SIZE_MAX);
    copy = align_up(copy);
    t->rows_bytes = align_up(t->rows_bytes);
    t->edge_bytes = align_up(t->edge_bytes);
    t->thread_bytes = t->rows_bytes + t->edge_bytes + align_up(decoded);
    if (!mary_size_mul(t->thread_bytes, (size_t)thread_count(p), bytes) ||
        !mary_size_add(*bytes, offsets + zeros, bytes) || !mary_size_add(*bytes, copy, bytes))
        return mary_fail_memory(SIZE_MAX);
    if (scratch != NULL) {
        t->offsets = (int64_t *)(void *)scratch;
        t->zeros = (uint8_t *)scratch + offsets;
        t->dense = (uint8_t *)scratch + offsets + zeros;
        t->threads = scratch + offsets + zeros + copy;
    }
    return MARY_OK;
}

mary_status mary_qtiles_scratch(const mary_qproduct *product, size_t *bytes)
{
    tiles t;
    plan(product, &t);
    return lay_out(&t, t.patched, NULL, bytes); /* a planner may settle the stride later: room for the dense copy */
}

/* Where one thread is. */
typedef struct place {
    const uint8_t **rows; /* [runs][stride] */
    int64_t stride;       /* pixels that they are for */
    uint8_t *edges;       /* [runs][stride][run_bytes]: runs that cross the tensor's end; or patches */
    int8_t *decoded;
    int64_t position[MARY_WINDOW_AXES]; /* of the next pixel */
    const uint8_t *image;               /* its image, the group's first channel */
} place;

static void go_to(const tiles *t, place *at, int64_t pixel, int64_t group)
{
    const mary_window *v = &t->p->window;
    int64_t rest = pixel;
    for (int axis = MARY_WINDOW_AXES - 1; axis >= 0; axis--) {
        at->position[axis] = rest % v->output[axis];
        rest /= v->output[axis];
    }
    at->image = t->x + rest * v->input_pixels * t->x_stride + group * t->p->depth;
}

/* `from`, or a copy of `count` bytes of it when the padding behind could be outside the tensor. */
static const uint8_t *guard(const tiles *t, const uint8_t *from, int64_t count, uint8_t *edge)
{
    if (t->x_end - from >= t->run_bytes)
        return from;
    memcpy(edge, from, (size_t)count);
    memset(edge + count, 0, (size_t)(t->run_bytes - count));
    return edge;
}

/* The lines of a window inside the image, side by side. Whole vectors are copied: the excess is overwritten by the next
 * line, or lies between the patches. */
static void copy_patch(const tiles *t, const uint8_t *from, uint8_t *to)
{
    const int64_t lines = t->lines, bytes = t->line_bytes, *const offsets = t->offsets;
    for (int64_t line = 0; line < lines; line++, to += bytes) {
        const uint8_t *start = from + offsets[line];
        memcpy(to, start, COPY);
        if (bytes > COPY)
            memcpy(to + COPY, start + COPY, COPY);
        for (int64_t i = 2 * COPY; i < bytes; i += COPY)
            memcpy(to + i, start + i, COPY);
    }
}

/* The same where the window lies partly outside, or near the tensor's end. */
static void copy_border(const tiles *t, const uint8_t *image, const int64_t first[MARY_WINDOW_AXES], uint8_t *to)
{
    const mary_window *v = &t->p->window;
    const int64_t depth = t->p->depth;
    int64_t begin = first[2] < 0 ? 0 : first[2], end = first[2] + v->kernel[2];
    end = end < v->input[2] ? end : v->input[2];
    memset(to, t->p->x_zero, (size_t)t->run_bytes);
    for (int64_t line = 0; line < t->lines && begin < end; line++, to += t->line_bytes) {
        int64_t d = first[0] + line / v->kernel[1] * v->dilation[0],
                h = first[1] + line % v->kernel[1] * v->dilation[1];
        if (d >= 0 && d < v->input[0] && h >= 0 && h < v->input[1])
            memcpy(to + (begin - first[2]) * depth, image + ((d * v->input[1] + h) * v->input[2] + begin) * depth,
                   (size_t)((end - begin) * depth));
    }
}

/* Pointers of a window that lies partly outside: run by run. `first` is the input position of its first tap. */
static void border_rows(const tiles *t, const place *at, const int64_t first[MARY_WINDOW_AXES], int row)
{
    const mary_window *v = &t->p->window;
    int64_t entry = row;
    for (int64_t kd = 0; kd < v->kernel[0]; kd++) {
        int64_t d = first[0] + kd * v->dilation[0];
        for (int64_t kh = 0; kh < v->kernel[1]; kh++) {
            int64_t h = first[1] + kh * v->dilation[1];
            bool inside = d >= 0 && d < v->input[0] && h >= 0 && h < v->input[1];
            const uint8_t *line = inside ? at->image + (d * v->input[1] + h) * v->input[2] * t->x_stride : NULL;
            for (int64_t kw = 0; kw < v->kernel[2]; kw++, entry += at->stride) {
                int64_t x = first[2] + kw * v->dilation[2];
                at->rows[entry] = inside && x >= 0 && x < v->input[2]
                                      ? guard(t, line + x * t->x_stride, t->p->depth, at->edges + entry * t->run_bytes)
                                      : t->zeros;
            }
        }
    }
}

/* The pointers of the next `count` pixels, [row, row + count) of the tile, which lie in one line of the output. */
static void line_rows(const tiles *t, const place *at, int row, int64_t count)
{
    const mary_window *v = &t->p->window;
    int64_t first[MARY_WINDOW_AXES];
    bool inside = true;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        first[axis] = at->position[axis] * v->stride[axis] - v->pad[axis];
        if (axis < 2)
            inside = inside && first[axis] >= 0 && first[axis] + t->extent[axis] <= v->input[axis];
    }
    /* Pixels [begin, end) of the line see nothing but the image, and nothing behind it. */
    const int64_t step = v->stride[2], last = v->input[2] - t->extent[2] - first[2];
    const uint8_t *line = t->x;
    int64_t begin = first[2] < 0 ? (-first[2] + step - 1) / step : 0, end = last < 0 ? 0 : last / step + 1;
    if (inside) {
        line = at->image + ((first[0] * v->input[1] + first[1]) * v->input[2] + first[2]) * t->x_stride;
        int64_t read = t->patched ? (t->line_bytes + COPY - 1) / COPY * COPY : t->run_bytes;
        int64_t spare = t->x_end - line - t->reach - read;
        int64_t safe = spare < 0 ? 0 : t->x_stride == 0 ? count : spare / (step * t->x_stride) + 1;
        end = end < safe ? end : safe;
    }
    end = end < count ? end : count;
    begin = !inside || begin > end ? end : begin;
    end = inside ? end : begin;
    if (t->patched) {
        uint8_t *patch = at->edges + row * t->patch_stride;
        for (int64_t i = begin; i < end; i++)
            copy_patch(t, line + i * step * t->x_stride, patch + i * t->patch_stride);
        for (int64_t i = 0; i < count; i++, first[2] += step, patch += t->patch_stride) {
            at->rows[row + i] = patch;
            if (i < begin || i >= end)
                copy_border(t, at->image, first, patch);
        }
        return;
    }
    for (int64_t run = 0; run < t->w->runs && begin < end; run++) {
        const uint8_t **to = at->rows + run * at->stride + row, *from = line + t->offsets[run];
        for (int64_t i = begin; i < end; i++)
            to[i] = from + i * step * t->x_stride;
    }
    for (int64_t i = 0; i < count; i++, first[2] += step) {
        if (i < begin || i >= end)
            border_rows(t, at, first, row + (int)i);
    }
}

/* The pointers of the next m pixels. */
static void tile_rows(const tiles *t, place *at, int m)
{
    const mary_window *v = &t->p->window;
    for (int row = 0; row < m;) {
        int64_t left = v->output[2] - at->position[2], count = m - row < left ? m - row : left;
        line_rows(t, at, row, count);
        row += (int)count;
        at->position[2] += count;
        if (count < left)
            continue;
        int axis = MARY_WINDOW_AXES - 1;
        while (axis >= 0 && at->position[axis] == v->output[axis]) {
            at->position[axis] = 0;
            if (--axis >= 0)
                at->position[axis]++;
        }
        if (axis < 0)
            at->image += v->input_pixels * t->x_stride;
    }
}

/* The same where output pixel i is input pixel i. */
static void matrix_rows(const tiles *t, const place *at, int64_t pixel, int m, int64_t group)
{
    const uint8_t *from = t->x + pixel * t->x_stride + group * t->p->depth;
    for (int i = 0; i < m; i++, from += t->x_stride)
        at->rows[i] = guard(t, from, t->p->depth, at->edges + i * t->run_bytes);
}

/* Panels of one width, decoded, times pixels [begin, end). */
static void multiply(const tiles *t, place *at, int64_t group, int64_t first, const int8_t *const *panels,
                     int64_t panel_step, int64_t count, int64_t begin, int64_t end)
{
    const mary_qproduct *p = t->p;
    const int strips = mary_qweights_strips(t->w, first), mr = t->kernels->mr[strips - 1];
    at->stride = group_pixels(t, strips);
    go_to(t, at, begin, group);
    for (int64_t pixel = begin, left_tiles = (end - begin + mr - 1) / mr; left_tiles > 0;) {
        /* Tiles of nearly the same size, for the kernel to cut. */
        const int64_t now = left_tiles < at->stride / mr ? left_tiles : at->stride / mr;
        const int m = (int)(((end - pixel) * now + left_tiles - 1) / left_tiles);
        left_tiles -= now;
        if (t->matrix)
            matrix_rows(t, at, pixel, m, group);
        else
            tile_rows(t, at, m);
        for (int64_t i = 0; i < count; i++) {
            int64_t row = (first + i) * t->w->nr, channel = group * p->filters + row, left = p->filters - row;
            mary_qtile_call call = {.rows = at->rows,
                                    .rows_stride = at->stride,
                                    .runs = t->w->runs,
                                    .run_quads = t->w->run_quads,
                                    .panel = *panels + i * panel_step,
                                    .strips = strips,
                                    .m = m,
                                    .n = left < t->w->nr ? (int)left : t->w->nr,
                                    .epilogue = p->epilogue,
                                    .row = channel,
                                    .residual =
                                        p->residual != NULL ? p->residual + pixel * p->residual_stride + channel : NULL,
                                    .residual_stride = p->residual_stride,
                                    .out = p->y + pixel * p->y_stride + channel,
                                    .out_stride = p->y_stride};
            t->kernels->tile(&call);
            for (int j = 0; j < m && p->epilogue->table != NULL; j++) /* still in the first-level cache */
                t->table(p->epilogue->table, call.out + j * call.out_stride, call.out + j * call.out_stride, call.n);
        }
        pixel += m;
    }
}

/* Panels [first, last) of a group times pixels [begin, end), chunk by chunk. A narrower last panel is a chunk of its
 * own: its tiles have more pixels. */
static void run_panels(const tiles *t, place *at, int64_t group, int64_t first, int64_t last, int64_t begin,
                       int64_t end)
{
    const int full = t->w->nr / MARY_Q_STRIP;
    while (first < last && begin < end) {
        int strips = mary_qweights_strips(t->w, first);
        int64_t count = last - first < t->chunk ? last - first : t->chunk;
        if (strips == full && mary_qweights_strips(t->w, first + count - 1) != full)
            count--;
        int64_t step = mary_qweights_panel_size(t->w, strips);
        const int8_t *panels = NULL;
        for (int64_t i = 0; i < count; i++) {
            const int8_t *panel = mary_qweights_panel(t->w, group, first + i, at->decoded + i * step);
            panels = i == 0 ? panel : panels;
        }
        multiply(t, at, group, first, &panels, step, count, begin, end);
        first += count;
    }
}

static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const tiles *t = context;
    char *memory = t->threads + (size_t)thread * t->thread_bytes;
    place at = {.rows = (const uint8_t **)(void *)memory,
                .edges = (uint8_t *)memory + t->rows_bytes,
                .decoded = (int8_t *)memory + t->rows_bytes + t->edge_bytes};
    const int64_t panels = t->w->group_panels;
    if (!t->by_panel) {
        for (int64_t group = 0; group < t->p->groups; group++)
            run_panels(t, &at, group, 0, panels, begin, end);
        return;
    }
    while (begin < end) {
        int64_t group = begin / panels, first = begin % panels;
        int64_t last = first + (end - begin) < panels ? first + (end - begin) : panels;
        run_panels(t, &at, group, first, last, 0, t->pixels);
        begin += last - first;
    }
}

/* Pixels next to each other, for patches. */
static void make_dense(const tiles *t)
{
    const mary_qproduct *p = t->p;
    int64_t pixels = p->batch * p->window.input_pixels;
    for (int64_t i = 0; i < pixels; i++)
        memcpy(t->dense + i * t->x_stride, p->x + i * p->x_stride, (size_t)t->x_stride);
}

void mary_qtiles_run(const mary_qproduct *product, void *scratch)
{
    tiles t;
    size_t bytes;
    plan(product, &t);
    const mary_window *v = &product->window;
    if (t.pixels == 0 || t.w->group_panels == 0 || lay_out(&t, t.patched, scratch, &bytes) != MARY_OK)
        return;
    t.x = product->x;
    if (t.patched && product->x_stride != t.x_stride) {
        make_dense(&t);
        t.x = t.dense;
    }
    t.x_end = t.x;
    if (v->input_pixels > 0)
        t.x_end += (product->batch * v->input_pixels - 1) * t.x_stride + product->groups * product->depth;
    int64_t *offset = t.offsets;
    for (int64_t kd = 0; kd < v->kernel[0]; kd++) {
        for (int64_t kh = 0; kh < v->kernel[1]; kh++) {
            int64_t line = (kd * v->dilation[0] * v->input[1] + kh * v->dilation[1]) * v->input[2];
            for (int64_t kw = 0; kw < (t.patched ? 1 : v->kernel[2]); kw++)
                *offset++ = t.reach = (line + kw * v->dilation[2]) * t.x_stride;
        }
    }
    memset(t.zeros, product->x_zero, (size_t)t.run_bytes);
    double macs = (double)t.pixels * (double)(product->groups * product->filters) * (double)t.w->quads * MARY_Q_QUAD;
    int64_t jobs = t.by_panel ? product->groups * t.w->group_panels : t.pixels;
    double job = macs / (double)jobs;
    int64_t grain = job >= GRAIN_MACS ? 1 : (int64_t)(GRAIN_MACS / (job + 1)) + 1;
    mary_parallel_for(product->parallel, jobs, grain, task, &t);
}
