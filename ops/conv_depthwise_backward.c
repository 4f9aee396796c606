/* Gradients of depthwise Conv, channels last: there is nothing to sum over channels, so vectors run along them.
 *
 * The input's gradient with stride 1 is the forward driver's (conv_backward.c); with larger strides every output hands
 * its gradient to the pixels of its window. The weights' gradient sums a row of outputs in float and rows in double.
 */
#include <string.h>

#include "ops/conv.h"
#include "ops/gradient.h"

enum { BLOCK = 32, GRAIN_MACS = 500000 };

typedef struct depthwise_back {
    const mary_conv_problem *p;
    const float *x, *dy;
    float *dx, *dw;
    bool squared, accumulate;
    int nr;
    char *threads; /* weights: taps * BLOCK doubles, then as many floats, each */
    size_t thread_bytes;
} depthwise_back;

static size_t thread_bytes(const mary_conv_problem *p)
{
    return mary_gradient_align((size_t)p->window.taps * BLOCK * (sizeof(double) + sizeof(float)));
}

size_t mary_conv_depthwise_weights_scratch(const mary_conv_problem *problem)
{
    return thread_bytes(problem) * (problem->parallel != NULL ? (size_t)problem->parallel->threads : 1);
}

/* One window: taps that lie inside the image, and where the first of them is. */
typedef struct window_part {
    int64_t begin[MARY_WINDOW_AXES], end[MARY_WINDOW_AXES], first[MARY_WINDOW_AXES];
} window_part;

static window_part part_of(const mary_window *w, const int64_t o[MARY_WINDOW_AXES])
{
    window_part part;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        mary_window_clip(w, axis, o[axis], &part.begin[axis], &part.end[axis]);
        part.first[axis] = o[axis] * w->stride[axis] - w->pad[axis];
    }
    return part;
}

#define EACH_TAP(part)                                                                                                 \
    for (int64_t kd = (part).begin[0]; kd < (part).end[0]; kd++)                                                       \
        for (int64_t kh = (part).begin[1]; kh < (part).end[1]; kh++)                                                   \
            for (int64_t kw = (part).begin[2]; kw < (part).end[2]; kw++)

static inline int64_t tap_at(const mary_window *w, int64_t kd, int64_t kh, int64_t kw)
{
    return (kd * w->kernel[1] + kh) * w->kernel[2] + kw;
}

/* The input pixel that the tap meets. */
static inline int64_t pixel_at(const mary_window *w, const window_part *part, int64_t kd, int64_t kh, int64_t kw)
{
    const int64_t d = part->first[0] + kd * w->dilation[0], h = part->first[1] + kh * w->dilation[1];
    return (d * w->input[1] + h) * w->input[2] + part->first[2] + kw * w->dilation[2];
}

static inline void add_products(float *sum, const float *a, const float *b, int64_t count, bool squared)
{
    if (squared) {
        for (int64_t j = 0; j < count; j++)
            sum[j] += a[j] * b[j] * b[j];
    } else {
        for (int64_t j = 0; j < count; j++)
            sum[j] += a[j] * b[j];
    }
}

/* Jobs are blocks of channels. */
static void weights_task(void *context, int64_t start, int64_t stop, int thread)
{
    const depthwise_back *d = context;
    const mary_conv_problem *p = d->p;
    const mary_window *w = &p->window;
    double *total = (double *)(void *)(d->threads + (size_t)thread * d->thread_bytes);
    float *row = (float *)(total + w->taps * BLOCK);
    const int64_t size = w->taps * BLOCK;
    for (int64_t block = start; block < stop; block++) {
        const int64_t channel = block * BLOCK, left = p->groups - channel, count = left < BLOCK ? left : BLOCK;
        const float *dy = d->dy + channel;
        memset(total, 0, sizeof *total * (size_t)size);
        for (int64_t line = 0; line < p->batch * w->output[0] * w->output[1]; line++) {
            const float *image = d->x + line / w->output[1] / w->output[0] * w->input_pixels * p->x_stride + channel;
            memset(row, 0, sizeof *row * (size_t)size);
            for (int64_t ow = 0; ow < w->output[2]; ow++, dy += p->y_stride) {
                const window_part part =
                    part_of(w, (const int64_t[]){line / w->output[1] % w->output[0], line % w->output[1], ow});
                EACH_TAP(part)
                {
                    const float *x = image + pixel_at(w, &part, kd, kh, kw) * p->x_stride;
                    float *sum = row + tap_at(w, kd, kh, kw) * BLOCK;
                    if (count == BLOCK) /* a constant that the compiler unrolls */
                        add_products(sum, dy, x, BLOCK, d->squared);
                    else
                        add_products(sum, dy, x, count, d->squared);
                }
            }
            for (int64_t i = 0; i < size; i++)
                total[i] += (double)row[i];
        }
        for (int64_t c = 0; c < count; c++) {
            for (int64_t tap = 0; tap < w->taps; tap++) {
                float *to = d->dw + (channel + c) * w->taps + tap;
                *to = (d->accumulate ? *to : 0.0f) + (float)total[tap * BLOCK + c];
            }
        }
    }
}

void mary_conv_depthwise_weights_run(const mary_conv_problem *problem, const float *x, const float *dy, bool squared,
                                     float *dw, bool accumulate, void *scratch)
{
    depthwise_back d = {.p = problem, .x = x, .dy = dy, .dw = dw, .squared = squared, .accumulate = accumulate};
    d.threads = scratch;
    d.thread_bytes = thread_bytes(problem);
    mary_parallel_for(problem->parallel, (problem->groups + BLOCK - 1) / BLOCK, 1, weights_task, &d);
}

/* Jobs are images. */
static void input_task(void *context, int64_t start, int64_t stop, int thread)
{
    const depthwise_back *d = context;
    const mary_conv_problem *p = d->p;
    const mary_window *w = &p->window;
    (void)thread;
    for (int64_t n = start; n < stop; n++) {
        float *image = d->dx + n * w->input_pixels * p->x_stride;
        const float *dy = d->dy + n * w->output_pixels * p->y_stride;
        int64_t o[MARY_WINDOW_AXES];
        if (!d->accumulate)
            memset(image, 0, sizeof *image * (size_t)(w->input_pixels * p->x_stride));
        for (o[0] = 0; o[0] < w->output[0]; o[0]++) {
            for (o[1] = 0; o[1] < w->output[1]; o[1]++) {
                for (o[2] = 0; o[2] < w->output[2]; o[2]++, dy += p->y_stride) {
                    const window_part part = part_of(w, o);
                    EACH_TAP(part)
                    {
                        float *to = image + pixel_at(w, &part, kd, kh, kw) * p->x_stride;
                        const float *weights = p->panels + tap_at(w, kd, kh, kw) * d->nr;
                        for (int64_t channel = 0; channel < p->groups; channel += d->nr) {
                            const int64_t left = p->groups - channel, count = left < d->nr ? left : d->nr;
                            add_products(to + channel, dy + channel, weights + channel * w->taps, count, false);
                        }
                    }
                }
            }
        }
    }
}

void mary_conv_depthwise_input_run(const mary_conv_problem *problem, const float *dy, float *dx, bool accumulate)
{
    depthwise_back d = {.p = problem, .dy = dy, .dx = dx, .accumulate = accumulate};
    d.nr = mary_tile_kernel_for(problem->cpu)->nr;
    const int64_t work = problem->window.output_pixels * problem->window.taps * problem->groups;
    mary_parallel_for(problem->parallel, problem->batch, GRAIN_MACS / (work + 1) + 1, input_task, &d);
}
