/* Depthwise convolution: vectors run along channels, a block of pixels of one output row at a time. */
#include "ops/depthwise.h"

#include "onnx/memory.h"

enum { GRAIN_MACS = 200000, CHUNK_BYTES = 64 * 1024 }; /* of weights: codes are decoded for so many channels at once */

typedef struct depthwise {
    const mary_conv_problem *p;
    mary_depthwise_function *run;
    int nr;
    int64_t panels, chunk, chunks;  /* panels in all, in a chunk; chunks */
    int64_t rows;                   /* output rows of the batch */
    bool whole_rows;                /* the kernel deals with borders */
    int64_t inner_begin, inner_end; /* output columns whose windows are inside the image */
    char *scratch;
    size_t thread_bytes;
} depthwise;

static int thread_count(const mary_conv_problem *p)
{
    return p->parallel != NULL ? p->parallel->threads : 1;
}

static mary_depthwise_function *function_for(mary_cpu cpu)
{
    switch (mary_cpu_base(cpu)) {
#if defined(__x86_64__)
    case MARY_CPU_AVX512:
        return mary_depthwise_avx512;
    case MARY_CPU_AVX2:
        return mary_depthwise_avx2;
#endif
    default:
        return mary_depthwise_scalar;
    }
}

static void plan(const mary_conv_problem *p, depthwise *d)
{
    const mary_window *w = &p->window;
    *d = (depthwise){.p = p, .run = function_for(p->cpu), .nr = mary_tile_kernel_for(p->cpu)->nr};
    d->panels = mary_conv_panels(p->groups, d->nr);
    int64_t panel_bytes = w->taps * d->nr * (int64_t)sizeof(float);
    d->chunk = CHUNK_BYTES / panel_bytes;
    if (d->chunk > d->panels)
        d->chunk = d->panels;
    if (d->chunk < 1)
        d->chunk = 1;
    d->chunks = (d->panels + d->chunk - 1) / d->chunk;
    d->rows = p->batch * w->output[0] * w->output[1];
    d->whole_rows =
        mary_depthwise_has_rows(w->kernel[2], w->stride[2], w->dilation[2], w->output[2]) && w->input[2] > 0;
    int64_t begin, end;
    while (d->inner_begin < w->output[2] &&
           (mary_window_clip(w, 2, d->inner_begin, &begin, &end), end - begin < w->kernel[2]))
        d->inner_begin++;
    d->inner_end = d->inner_begin;
    while (d->inner_end < w->output[2] &&
           (mary_window_clip(w, 2, d->inner_end, &begin, &end), end - begin == w->kernel[2]))
        d->inner_end++;
    if (p->panels == NULL)
        d->thread_bytes = (size_t)(d->chunk * panel_bytes);
}

mary_status mary_conv_depthwise_scratch(const mary_conv_problem *problem, size_t *bytes)
{
    depthwise d;
    plan(problem, &d);
    if (!mary_size_mul(d.thread_bytes, (size_t)thread_count(problem), bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* One output row, channels of the panels [first, last). */
static void row(const depthwise *d, int64_t index, int64_t first, int64_t last, const float *weights)
{
    const mary_conv_problem *p = d->p;
    const mary_window *w = &p->window;
    int64_t oh = index % w->output[1], od = index / w->output[1] % w->output[0],
            n = index / w->output[1] / w->output[0];
    int64_t d0, d1, h0, h1, line = w->input[2] * p->x_stride;
    mary_window_clip(w, 0, od, &d0, &d1);
    mary_window_clip(w, 1, oh, &h0, &h1);
    int64_t plane = od * w->stride[0] - w->pad[0] + d0 * w->dilation[0];
    int64_t first_line = oh * w->stride[1] - w->pad[1] + h0 * w->dilation[1];
    bool empty = d0 == d1 || h0 == h1;
    const float *x =
        p->x + (n * w->input_pixels + (empty ? 0 : (plane * w->input[1] + first_line) * w->input[2])) * p->x_stride;
    mary_depthwise_call call = {.width = d->whole_rows ? w->input[2] : 0,
                                .pad = w->pad[2],
                                .pixel_step = w->stride[2] * p->x_stride,
                                .planes = empty ? 0 : d1 - d0,
                                .lines = h1 - h0,
                                .plane_step = w->dilation[0] * w->input[1] * line,
                                .line_step = w->dilation[1] * line,
                                .tap_step = w->dilation[2] * p->x_stride,
                                .panel_plane = w->kernel[1] * w->kernel[2] * d->nr,
                                .panel_line = w->kernel[2] * d->nr,
                                .residual_stride = p->residual_stride,
                                .y_stride = p->y_stride,
                                .epilogue = p->epilogue};
    for (int64_t ow = 0; ow < w->output[2]; ow += call.pixels) {
        int64_t w0 = 0, w1 = w->kernel[2], column = 0, pixel = index * w->output[2] + ow;
        call.pixels = w->output[2];
        if (!d->whole_rows) {
            mary_window_clip(w, 2, ow, &w0, &w1);
            call.pixels = ow == d->inner_begin && d->inner_end > ow ? d->inner_end - ow : 1;
            column = w0 == w1 ? 0 : ow * w->stride[2] - w->pad[2] + w0 * w->dilation[2];
        }
        call.taps = w1 - w0;
        for (int64_t panel = first; panel < last; panel++) {
            int64_t channel = panel * d->nr, left = p->groups - channel;
            call.channels = left < d->nr ? (int)left : d->nr;
            call.x = x + column * p->x_stride + channel;
            call.panel = weights + ((panel - first) * w->taps + (d0 * w->kernel[1] + h0) * w->kernel[2] + w0) * d->nr;
            call.bias = p->bias != NULL ? p->bias + channel : NULL;
            call.y = p->y + pixel * p->y_stride + channel;
            call.residual = p->residual != NULL ? p->residual + pixel * p->residual_stride + channel : NULL;
            d->run(&call);
        }
    }
}

/* Jobs are (chunk, row), rows innermost. */
static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const depthwise *d = context;
    const mary_conv_problem *p = d->p;
    int64_t taps = p->window.taps;
    while (begin < end) {
        int64_t first = begin / d->rows * d->chunk, row_begin = begin % d->rows;
        int64_t row_end = row_begin + (end - begin) < d->rows ? row_begin + (end - begin) : d->rows;
        int64_t last = first + d->chunk < d->panels ? first + d->chunk : d->panels;
        const float *weights = p->panels + (p->panels != NULL ? first * taps * d->nr : 0);
        if (p->panels == NULL) {
            float *decoded = (float *)(void *)(d->scratch + (size_t)thread * d->thread_bytes);
            for (int64_t panel = first; panel < last; panel++) {
                int64_t left = p->groups - panel * d->nr;
                mary_weights_decode_panel(p->codes, panel * d->nr, left < d->nr ? (int)left : d->nr, 0, taps, d->nr,
                                          decoded + (panel - first) * taps * d->nr);
            }
            weights = decoded;
        }
        for (int64_t index = row_begin; index < row_end; index++)
            row(d, index, first, last, weights);
        begin += row_end - row_begin;
    }
}

void mary_conv_depthwise_run(const mary_conv_problem *problem, void *scratch)
{
    depthwise d;
    plan(problem, &d);
    d.scratch = scratch;
    if (d.rows == 0 || problem->window.output[2] == 0)
        return;
    double job = (double)problem->window.taps * (double)(d.chunk * d.nr) * (double)problem->window.output[2];
    int64_t grain = job >= GRAIN_MACS ? 1 : (int64_t)(GRAIN_MACS / (job + 1)) + 1;
    mary_parallel_for(problem->parallel, d.chunks * d.rows, grain, task, &d);
}
