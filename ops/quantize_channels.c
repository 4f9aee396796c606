#include "ops/quantize_channels.h"

#include <string.h>

#include "ops/qlinear_kernels.h"

enum { PIXELS = 256, CHANNELS = 16 }; /* a block of each that is quantised, then laid out again */

typedef struct image_job {
    const mary_qlinear_kernels *kernels;
    const float *plain;
    uint8_t *last;
    int64_t channels, pixels, stride, blocks;
    mary_quantisation to;
} image_job;

/* Four bytes to a pixel: each is written as one word. */
static void interleave_four(const uint8_t (*planes)[PIXELS], int64_t pixels, uint8_t *last)
{
    for (int64_t p = 0; p < pixels; p++) {
        uint32_t word = (uint32_t)planes[0][p] | (uint32_t)planes[1][p] << 8 | (uint32_t)planes[2][p] << 16 |
                        (uint32_t)planes[3][p] << 24;
        memcpy(last + 4 * p, &word, sizeof word); /* little-endian, as everything here */
    }
}

/* Jobs are blocks of pixels. */
static void image_task(void *context, int64_t begin, int64_t end, int thread)
{
    const image_job *t = context;
    uint8_t planes[CHANNELS][PIXELS];
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        int64_t image = job / t->blocks, first = job % t->blocks * PIXELS;
        int64_t pixels = t->pixels - first < PIXELS ? t->pixels - first : PIXELS;
        uint8_t *last = t->last + (image * t->pixels + first) * t->stride;
        for (int64_t c = 0; c < t->channels; c += CHANNELS) {
            int64_t channels = t->channels - c < CHANNELS ? t->channels - c : CHANNELS;
            for (int64_t i = 0; i < channels; i++)
                t->kernels->quantise(t->plain + (image * t->channels + c + i) * t->pixels + first, planes[i], pixels,
                                     t->to.scale, t->to.zero);
            if (t->stride == 4) {
                for (int64_t i = channels; i < 4; i++)
                    memset(planes[i], t->to.zero, (size_t)pixels);
                interleave_four((const uint8_t(*)[PIXELS])planes, pixels, last);
                continue;
            }
            if (t->stride == 3 && channels == 3) {
                t->kernels->interleave_three(planes[0], planes[1], planes[2], last, pixels);
                continue;
            }
            for (int64_t p = 0; p < pixels; p++) {
                for (int64_t i = 0; i < channels; i++)
                    last[p * t->stride + c + i] = planes[i][p];
            }
        }
    }
}

void mary_quantize_to_channels_last(mary_cpu cpu, const float *plain, int64_t batch, int64_t channels, int64_t pixels,
                                    mary_quantisation to, uint8_t *last, int64_t stride, const mary_parallel *parallel)
{
    image_job t = {.kernels = mary_qlinear_kernels_for(cpu),
                   .plain = plain,
                   .last = last,
                   .channels = channels,
                   .pixels = pixels,
                   .stride = stride,
                   .blocks = (pixels + PIXELS - 1) / PIXELS,
                   .to = to};
    mary_parallel_for(parallel, batch * t.blocks, 8, image_task, &t);
}
