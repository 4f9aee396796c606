/* Convolution as an implicit matrix product: pixels x (taps * channels) times (taps * channels) x filters. Nothing is
 * copied: a tile of pixels is a table of pointers into the activations, one for each pixel and tap; padding points at
 * zeros.
 *
 * The loops: a chunk of panels that stays in the second-level cache, then tiles of pixels, then the chunk's panels.
 * Pixels are cut into tiles of nearly equal size. Neither cut changes a result: every output is one chain of sums. Only
 * a panel of codes too long to decode at once is cut along the sum, always at the same places.
 */
#include "ops/conv.h"

#include <string.h>

#include "onnx/memory.h"

enum {
    CHUNK_BYTES = 512 * 1024,  /* of float panels: half of a second-level cache */
    DECODE_BYTES = 256 * 1024, /* of decoded panels, per thread */
    GRAIN_MACS = 500000,
    RUN_DEPTH = 8 /* fewer channels than this: a kernel row is one run of floats, when pixels are dense */
};

typedef struct tiles {
    const mary_conv_problem *p;
    const mary_tile_kernel *kernel;
    int64_t group_panels;  /* panels of one group */
    int64_t length;        /* taps * depth: floats of a panel's column */
    int64_t chunk, chunks; /* panels in a chunk, chunks of one group */
    int64_t pixels, tiles; /* of the whole batch */
    /* The kernel's view: `runs` pointers per pixel to `run_depth` floats. Normally taps and depth. */
    bool merged; /* a run is a whole kernel row */
    int64_t runs, run_depth;
    int64_t slice_runs, slice_depth;  /* what is decoded at once: some runs, or a part of one */
    int64_t extent[MARY_WINDOW_AXES]; /* of the dilated kernel */
    /* scratch */
    int64_t *offsets; /* runs: from the window's first pixel */
    float *zeros;     /* run_depth */
    char *threads;    /* of thread_bytes each: row pointers, edges, decoded panels */
    size_t thread_bytes, rows_bytes, edge_bytes;
} tiles;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static int thread_count(const mary_conv_problem *p)
{
    return p->parallel != NULL ? p->parallel->threads : 1;
}

static void plan(const mary_conv_problem *p, tiles *t)
{
    memset(t, 0, sizeof *t);
    const mary_window *w = &p->window;
    t->p = p;
    t->kernel = mary_tile_kernel_for(p->cpu);
    const int mr = t->kernel->mr, nr = t->kernel->nr;
    t->group_panels = mary_conv_panels(p->filters, nr);
    t->length = w->taps * p->depth;
    t->pixels = p->batch * w->output_pixels;
    t->tiles = (t->pixels + mr - 1) / mr;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        t->extent[axis] = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
    t->merged =
        p->depth < RUN_DEPTH && p->groups == 1 && p->x_stride == p->depth && w->dilation[2] == 1 && w->kernel[2] > 1;
    t->runs = t->merged ? w->kernel[0] * w->kernel[1] : w->taps;
    t->run_depth = t->merged ? w->kernel[2] * p->depth : p->depth;

    int64_t budget = (p->panels != NULL ? CHUNK_BYTES : DECODE_BYTES) / ((int64_t)sizeof(float) * nr);
    t->slice_runs = t->runs;
    t->slice_depth = t->run_depth;
    if (t->length > budget && p->panels == NULL) {
        t->slice_runs = budget / t->run_depth;
        if (t->slice_runs == 0) {
            t->slice_runs = 1;
            t->slice_depth = budget;
        }
    }
    t->chunk = t->length > 0 ? budget / t->length : t->group_panels;
    if (t->chunk > t->group_panels)
        t->chunk = t->group_panels;
    if (t->chunk < 1)
        t->chunk = 1;
    /* Enough jobs for the threads: fewer panels to a chunk when pixels are few. */
    int64_t wanted = 4 * (int64_t)thread_count(p);
    t->chunks = (t->group_panels + t->chunk - 1) / t->chunk;
    while (thread_count(p) > 1 && t->chunk > 1 && p->groups * t->chunks * t->tiles < wanted) {
        t->chunk = (t->chunk + 1) / 2;
        t->chunks = (t->group_panels + t->chunk - 1) / t->chunk;
    }
}

/* Sizes of the scratch and, when `scratch` is given, where its parts are. */
static mary_status lay_out(tiles *t, char *scratch, size_t *bytes)
{
    const mary_conv_problem *p = t->p;
    size_t shared, per_run, threads = (size_t)thread_count(p);
    size_t offsets = align_up((size_t)t->runs * sizeof(int64_t)),
           zeros = align_up((size_t)t->run_depth * sizeof(float));
    int mr = t->kernel->mr, nr = t->kernel->nr;
    if (!mary_size_mul((size_t)t->runs, (size_t)mr * sizeof(float *), &t->rows_bytes) ||
        !mary_size_mul((size_t)t->runs, (size_t)mr * sizeof(float), &per_run))
        return mary_fail_memory(SIZE_MAX);
    t->rows_bytes = align_up(t->rows_bytes);
    if (t->merged && !mary_size_mul(per_run, (size_t)t->run_depth, &t->edge_bytes))
        return mary_fail_memory(SIZE_MAX);
    t->edge_bytes = align_up(t->edge_bytes);
    size_t decoded = 0;
    if (p->panels == NULL)
        decoded = align_up((size_t)(t->chunk * t->slice_runs * t->slice_depth * nr) * sizeof(float));
    t->thread_bytes = t->rows_bytes + t->edge_bytes + decoded;
    shared = offsets + zeros;
    if (!mary_size_mul(t->thread_bytes, threads, bytes) || !mary_size_add(*bytes, shared, bytes))
        return mary_fail_memory(SIZE_MAX);
    if (scratch != NULL) {
        t->offsets = (int64_t *)(void *)scratch;
        t->zeros = (float *)(void *)(scratch + offsets);
        t->threads = scratch + shared;
    }
    return MARY_OK;
}

mary_status mary_conv_tiles_scratch(const mary_conv_problem *problem, size_t *bytes)
{
    /* Enough for dense pixels and for others: a planner may settle the stride later. */
    mary_conv_problem p = *problem;
    size_t dense = 0, sparse = 0;
    tiles t;
    p.x_stride = p.depth;
    plan(&p, &t);
    MARY_TRY(lay_out(&t, NULL, &dense));
    p.x_stride = p.depth + 1;
    plan(&p, &t);
    MARY_TRY(lay_out(&t, NULL, &sparse));
    *bytes = dense > sparse ? dense : sparse;
    return MARY_OK;
}

/* Where one thread is. */
typedef struct place {
    const float **rows; /* [runs][mr] */
    float *edges;       /* merged only: [runs][mr][run_depth], kernel rows that cross the image's border */
    float *decoded;
} place;

/* Pointers of a window that lies partly outside: tap by tap. `first` is the input position of its first tap. */
static void border_rows(const tiles *t, const place *at, const int64_t first[MARY_WINDOW_AXES], const float *image,
                        int row)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int mr = t->kernel->mr;
    const float **to = at->rows + row;
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        int64_t d = first[0] + kd * w->dilation[0];
        for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
            int64_t h = first[1] + kh * w->dilation[1];
            bool inside = d >= 0 && d < w->input[0] && h >= 0 && h < w->input[1];
            const float *line = inside ? image + (d * w->input[1] + h) * w->input[2] * p->x_stride : NULL;
            if (t->merged) {
                int64_t begin = first[2] < 0 ? 0 : first[2], end = first[2] + w->kernel[2];
                if (end > w->input[2])
                    end = w->input[2];
                if (!inside || begin >= end) {
                    *to = t->zeros;
                } else if (end - begin == w->kernel[2]) {
                    *to = line + first[2] * p->depth;
                } else {
                    float *edge = at->edges + (to - at->rows) * t->run_depth;
                    memset(edge, 0, sizeof(float) * (size_t)t->run_depth);
                    memcpy(edge + (begin - first[2]) * p->depth, line + begin * p->depth,
                           sizeof(float) * (size_t)((end - begin) * p->depth));
                    *to = edge;
                }
                to += mr;
                continue;
            }
            for (int64_t kw = 0; kw < w->kernel[2]; kw++, to += mr) {
                int64_t x = first[2] + kw * w->dilation[2];
                *to = inside && x >= 0 && x < w->input[2] ? line + x * p->x_stride : t->zeros;
            }
        }
    }
}

/* The pointers of pixels [pixel, pixel + m). */
static void tile_rows(const tiles *t, const place *at, int64_t pixel, int m, int64_t group)
{
    const mary_conv_problem *p = t->p;
    const mary_window *w = &p->window;
    const int mr = t->kernel->mr;
    int64_t position[MARY_WINDOW_AXES], rest = pixel;
    for (int axis = MARY_WINDOW_AXES - 1; axis >= 0; axis--) {
        position[axis] = rest % w->output[axis];
        rest /= w->output[axis];
    }
    const float *image = p->x + rest * w->input_pixels * p->x_stride + group * p->depth;
    for (int i = 0; i < m;) {
        int64_t first[MARY_WINDOW_AXES], count = 1;
        bool inside = true;
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
            first[axis] = position[axis] * w->stride[axis] - w->pad[axis];
            inside = inside && first[axis] >= 0 && first[axis] + t->extent[axis] <= w->input[axis];
        }
        if (inside) {
            /* This pixel and those behind it in its row whose windows lie inside, too. */
            const int64_t step = w->stride[2] * p->x_stride;
            count = (w->input[2] - t->extent[2] - first[2]) / w->stride[2] + 1;
            count = count < w->output[2] - position[2] ? count : w->output[2] - position[2];
            count = count < m - i ? count : m - i;
            const float *start = image + ((first[0] * w->input[1] + first[1]) * w->input[2] + first[2]) * p->x_stride;
            const float **to = at->rows + i;
            for (int64_t run = 0; run < t->runs; run++, to += mr) {
                const float *pointer = start + t->offsets[run];
                for (int64_t k = 0; k < count; k++)
                    to[k] = pointer + k * step;
            }
        } else {
            border_rows(t, at, first, image, i);
        }
        i += (int)count;
        position[2] += count;
        for (int axis = MARY_WINDOW_AXES - 1; axis >= 0 && position[axis] == w->output[axis]; axis--) {
            position[axis] = 0;
            if (axis > 0)
                position[axis - 1]++;
            else
                image += w->input_pixels * p->x_stride;
        }
    }
}

/* Tiles [begin, end) times the panels [first, first + count) of a group, runs [run, run + runs) from depth `offset` on.
 * `panels` holds just those runs. */
static void multiply(const tiles *t, const place *at, int64_t begin, int64_t end, int64_t group, int64_t first,
                     int64_t count, const float *panels, int64_t run, int64_t runs, int64_t offset, int64_t depth)
{
    const mary_conv_problem *p = t->p;
    const int mr = t->kernel->mr, nr = t->kernel->nr;
    const int64_t small = t->pixels / t->tiles, larger = t->pixels % t->tiles; /* so many tiles have a pixel more */
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t pixel = tile * small + (tile < larger ? tile : larger);
        int m = (int)small + (tile < larger);
        tile_rows(t, at, pixel, m, group);
        if (offset != 0) {
            for (int i = 0; i < m; i++)
                at->rows[run * mr + i] += offset;
        }
        for (int64_t panel = first; panel < first + count; panel++) {
            int64_t channel = group * p->filters + panel * nr, left = p->filters - panel * nr;
            mary_tile_call call = {.rows = at->rows + run * mr,
                                   .taps = runs,
                                   .depth = depth,
                                   .panel = panels + (panel - first) * runs * depth * nr,
                                   .bias = p->bias != NULL ? p->bias + channel : NULL,
                                   .residual =
                                       p->residual != NULL ? p->residual + pixel * p->residual_stride + channel : NULL,
                                   .residual_stride = p->residual_stride,
                                   .out = p->y + pixel * p->y_stride + channel,
                                   .out_stride = p->y_stride,
                                   .m = m,
                                   .n = left < nr ? (int)left : nr,
                                   .accumulate = run != 0 || offset != 0,
                                   .partial = run + runs < t->runs || offset + depth < t->run_depth,
                                   .epilogue = p->epilogue};
            t->kernel->run(&call);
        }
    }
}

static void decode(const tiles *t, int64_t group, int64_t first, int64_t count, int64_t begin, int64_t length,
                   float *to)
{
    const mary_conv_problem *p = t->p;
    const int nr = t->kernel->nr;
    for (int64_t panel = first; panel < first + count; panel++) {
        int64_t left = p->filters - panel * nr;
        mary_weights_decode_panel(p->codes, group * p->filters + panel * nr, left < nr ? (int)left : nr, begin,
                                  begin + length, nr, to + (panel - first) * length * nr);
    }
}

/* Jobs are (group, chunk, tile), tiles innermost. */
static void tiles_task(void *context, int64_t begin, int64_t end, int thread)
{
    const tiles *t = context;
    const mary_conv_problem *p = t->p;
    char *memory = t->threads + (size_t)thread * t->thread_bytes;
    place at = {.rows = (const float **)(void *)memory,
                .edges = (float *)(void *)(memory + t->rows_bytes),
                .decoded = (float *)(void *)(memory + t->rows_bytes + t->edge_bytes)};
    while (begin < end) {
        int64_t group = begin / t->tiles / t->chunks, first = begin / t->tiles % t->chunks * t->chunk;
        int64_t tile = begin % t->tiles, tile_end = tile + (end - begin) < t->tiles ? tile + (end - begin) : t->tiles;
        int64_t count = t->group_panels - first < t->chunk ? t->group_panels - first : t->chunk;
        if (p->panels != NULL) {
            const float *panels = p->panels + (group * t->group_panels + first) * t->length * t->kernel->nr;
            multiply(t, &at, tile, tile_end, group, first, count, panels, 0, t->runs, 0, t->run_depth);
        } else {
            int64_t run = 0, offset = 0;
            do { /* once even when there is nothing to sum */
                int64_t runs = t->runs - run < t->slice_runs ? t->runs - run : t->slice_runs;
                int64_t depth = t->run_depth - offset < t->slice_depth ? t->run_depth - offset : t->slice_depth;
                decode(t, group, first, count, run * t->run_depth + offset, runs * depth, at.decoded);
                multiply(t, &at, tile, tile_end, group, first, count, at.decoded, run, runs, offset, depth);
                offset += depth;
                if (offset >= t->run_depth) {
                    offset = 0;
                    run += runs;
                }
            } while (run < t->runs);
        }
        begin += tile_end - tile;
    }
}

void mary_conv_tiles_run(const mary_conv_problem *problem, void *scratch)
{
    tiles t;
    size_t bytes;
    plan(problem, &t);
    if (t.pixels == 0 || t.group_panels == 0 || lay_out(&t, scratch, &bytes) != MARY_OK)
        return;
    const mary_window *w = &problem->window;
    int64_t *offset = t.offsets;
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
            int64_t line = (kd * w->dilation[0] * w->input[1] + kh * w->dilation[1]) * w->input[2];
            for (int64_t kw = 0; kw < (t.merged ? 1 : w->kernel[2]); kw++)
                *offset++ = (line + kw * w->dilation[2]) * problem->x_stride;
        }
    }
    memset(t.zeros, 0, sizeof(float) * (size_t)t.run_depth);
    /* Waking a thread costs about what GRAIN_MACS take. */
    double job = (double)t.kernel->mr * (double)t.kernel->nr * (double)t.chunk * (double)t.length;
    int64_t grain = job >= GRAIN_MACS ? 1 : (int64_t)(GRAIN_MACS / (job + 1)) + 1;
    mary_parallel_for(problem->parallel, problem->groups * t.chunks * t.tiles, grain, tiles_task, &t);
}
