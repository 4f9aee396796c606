/* 1 x 1 convolution of a few pixels with coded weights, as squeeze-and-excitation blocks have it: a product of a matrix
 * and a few vectors, in which every code is used so rarely that it is better decoded inside the registers than into a
 * panel. */
#include "ops/conv.h"

enum { MOST_PIXELS = 4, BLOCK = 64, GRAIN_MACS = 200000 };

bool mary_conv_is_pixels(const mary_conv_problem *problem)
{
    const mary_window *w = &problem->window;
    return problem->panels == NULL && problem->codes != NULL && problem->groups == 1 && w->taps == 1 &&
           w->input_pixels == w->output_pixels && problem->batch * w->output_pixels <= MOST_PIXELS;
}

/* Jobs are blocks of output channels. */
static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const mary_conv_problem *p = context;
    (void)thread;
    int64_t pixels = p->batch * p->window.output_pixels;
    int64_t first = begin * BLOCK, last = end * BLOCK < p->filters ? end * BLOCK : p->filters;
    mary_weights_multiply(p->codes, p->x, p->x_stride, (int)pixels, first, last - first, p->y + first, p->y_stride);
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        float *y = p->y + pixel * p->y_stride;
        for (int64_t channel = first; channel < last && p->bias != NULL; channel++)
            y[channel] += p->bias[channel];
        const float *residual = p->residual != NULL ? p->residual + pixel * p->residual_stride : NULL;
        for (int64_t channel = first; channel < last && residual != NULL; channel++)
            y[channel] += residual[channel];
        if (p->epilogue != NULL)
            mary_activation_apply(p->epilogue, y + first, last - first, p->cpu);
    }
}

void mary_conv_pixels_run(const mary_conv_problem *problem)
{
    double job = (double)(problem->batch * problem->window.output_pixels * BLOCK) * (double)problem->depth;
    int64_t grain = job >= GRAIN_MACS ? 1 : (int64_t)(GRAIN_MACS / (job + 1)) + 1;
    mary_parallel_for(problem->parallel, (problem->filters + BLOCK - 1) / BLOCK, grain, task, (void *)problem);
}
