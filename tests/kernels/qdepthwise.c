/* Integer depthwise convolution of a run of pixels against plain loops. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/mary/qdepthwise.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/families.h"

typedef struct numbers {
    int32_t bias[64 + MARY_QLINEAR_SLACK];
    float multiplier[64 + MARY_QLINEAR_SLACK];
    mary_qepilogue epilogue;
} numbers;

static void fill_numbers(kernel_harness *h, numbers *n, bool bounded)
{
    for (int i = 0; i < 64 + MARY_QLINEAR_SLACK; i++) {
        n->bias[i] = kernel_random_int(h, -5000, 5000);
        n->multiplier[i] = i % 5 == 0 ? 0.03125f : fabsf(kernel_random_float(h)) * 0.02f;
        if (!bounded && i % 11 == 3)
            n->multiplier[i] = 1e30f;
    }
    n->epilogue = (mary_qepilogue){
        .bias = n->bias, .multiplier = n->multiplier, .y_zero = kernel_random_int(h, 0, 255), .bounded = bounded};
}

static int8_t *random_levels(kernel_harness *h, int64_t count)
{
    int8_t *levels = (int8_t *)kernel_random_bytes(h, count);
    for (int64_t i = 0; i < count; i += 7)
        levels[i] = i % 2 ? 127 : -128; /* where 16 bits would saturate */
    return levels;
}

static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}

/* The definition. */
static uint8_t output_of(const mary_qdepthwise_call *c, const int8_t *weights, int f, int64_t pixel, int channel)
{
    int32_t sum = c->epilogue->bias[channel];
    for (int row = 0; row < c->rows; row++) {
        for (int64_t tap = 0; tap < c->taps; tap++) {
            int64_t column = c->first + pixel * c->stride + tap * c->dilation;
            const uint8_t *line = c->lines[f * c->rows + row];
            bool inside = line != NULL && column >= 0 && column < c->width;
            int x = inside ? line[column * c->x_stride + channel] : c->x_zero;
            sum += x * weights[(row * c->taps + tap) * c->channels + channel];
        }
    }
    return mary_qepilogue_apply(c->epilogue, channel, sum, 0);
}

static void check(kernel_harness *h, const mary_qdepthwise_kernels *kernels, int channels, int rows, int taps,
                  int stride, int dilation, int pixels)
{
    numbers n;
    int width = kernel_random_int(h, 1, pixels * stride + taps * dilation),
        x_stride = channels + kernel_random_int(h, 0, 5);
    int64_t span = (int64_t)(pixels - 1) * stride + (int64_t)(taps - 1) * dilation + 1;
    int most = kernels->fold(channels, rows, taps, stride, dilation), fold = kernel_random_int(h, 0, 2) ? most : 1;
    const uint8_t *lines[8 * MARY_QDEPTHWISE_FOLD];
    uint8_t *x = kernel_random_bytes(h, (int64_t)fold * rows * width * x_stride);
    int8_t *weights = random_levels(h, (int64_t)rows * taps * channels);
    int8_t *packed = aligned((size_t)(taps * mary_qdepthwise_groups(rows) * 4 * kernels->block));
    fill_numbers(h, &n, kernel_random_int(h, 0, 1));
    for (int row = 0; row < fold * rows; row++)
        lines[row] = kernel_random_int(h, 0, 4) == 0 ? NULL : x + (int64_t)row * width * x_stride;
    mary_qdepthwise_pack(kernels->block, most, weights, channels, channels, rows, taps, packed);
    kernel_bytes out = kernel_bytes_claim(fold * pixels, channels, channels + kernel_random_int(h, 0, 9));
    uint8_t *expected = malloc((size_t)(fold * pixels * channels) + 1);
    mary_qdepthwise_call call = {.fold = fold,
                                 .lines = lines,
                                 .rows = rows,
                                 .taps = taps,
                                 .stride = stride,
                                 .dilation = dilation,
                                 .first = kernel_random_int(h, -3, 3),
                                 .width = width,
                                 .x_stride = x_stride,
                                 .x_zero = (uint8_t)kernel_random_int(h, 0, 255),
                                 .weights = packed,
                                 .epilogue = &n.epilogue,
                                 .channels = channels,
                                 .pixels = pixels};
    call.columns = aligned((size_t)(span * mary_qdepthwise_groups(rows) * 4 * kernels->block));
    for (int f = 0; f < fold; f++) {
        call.y[f] = out.data + f * pixels * out.stride;
        call.y_stride[f] = out.stride;
    }
    for (int i = 0; i < fold * pixels * channels; i++)
        expected[i] = output_of(&call, weights, i / channels / pixels, i / channels % pixels, i % channels);
    kernels->run(&call);
    kernel_bytes_compare(h, &out, expected, "%d x %d pixels, %d channels, %dx%d taps, stride %d, dilation %d", fold,
                         pixels, channels, rows, taps, stride, dilation);
    kernel_bytes_free(&out);
    free(expected);
    free(packed);
    free(weights);
    free(x);
    free(call.columns);
}

void kernel_check_qdepthwise(kernel_harness *h)
{
    const mary_qdepthwise_kernels *kernels = mary_qdepthwise_kernels_for(h->cpu);
    if (kernels == NULL)
        return;
    for (int channels = 1; channels <= kernels->block; channels++) {
        check(h, kernels, channels, 3, 3, kernel_random_int(h, 1, 2), 1, kernel_random_int(h, 1, 17));
        check(h, kernels, channels, 5, 5, kernel_random_int(h, 1, 2), 1, kernel_random_int(h, 1, 9));
        check(h, kernels, channels, kernel_random_int(h, 1, 8), kernel_random_int(h, 1, 7), kernel_random_int(h, 1, 3),
              kernel_random_int(h, 1, 3), kernel_random_int(h, 1, 9));
    }
    for (int pixels = 1; pixels < 20; pixels++) {
        check(h, kernels, kernels->block, 3, 3, 1 + pixels % 2, 1, pixels);
        check(h, kernels, kernels->block, 5, 5, 1 + pixels % 2, 1, pixels);
    }
}

typedef struct qdepthwise_run {
    const mary_qdepthwise_kernels *kernels;
    mary_qdepthwise_call call;
} qdepthwise_run;

static void run_qdepthwise(void *context)
{
    qdepthwise_run *r = context;
    r->kernels->run(&r->call);
}

void kernel_bench_qdepthwise(kernel_harness *h)
{
    enum { PIXELS = 28, ROWS = 5, WIDTH = 2 * PIXELS + 4 };
    qdepthwise_run r = {.kernels = mary_qdepthwise_kernels_for(h->cpu)};
    if (r.kernels == NULL)
        return;
    int block = r.kernels->block;
    numbers n;
    fill_numbers(h, &n, true);
    uint8_t *x = kernel_random_bytes(h, ROWS * WIDTH * block), *y = kernel_random_bytes(h, PIXELS * block);
    uint8_t *columns = aligned((size_t)(WIDTH * 2 * 4 * block));
    int8_t *packed = aligned((size_t)(ROWS * 2 * 4 * block));
    int8_t *weights = random_levels(h, ROWS * ROWS * block);
    const uint8_t *lines[ROWS];
    for (int i = 0; i < ROWS; i++)
        lines[i] = x + i * WIDTH * block;
    for (int taps = 3; taps <= 5; taps += 2) {
        for (int stride = 1; stride <= 2; stride++) {
            char label[48];
            mary_qdepthwise_pack(block, 1, weights, block, block, taps, taps, packed);
            r.call = (mary_qdepthwise_call){.fold = 1,
                                            .lines = lines,
                                            .rows = taps,
                                            .taps = taps,
                                            .stride = stride,
                                            .dilation = 1,
                                            .width = WIDTH,
                                            .x_stride = block,
                                            .weights = packed,
                                            .epilogue = &n.epilogue,
                                            .channels = block,
                                            .y = {y},
                                            .y_stride = {block},
                                            .pixels = PIXELS,
                                            .columns = columns};
            snprintf(label, sizeof label, "%dx%d stride %d, %d pixels", taps, taps, stride, PIXELS);
            kernel_time(h, label, (double)PIXELS * block * taps * taps, "MAC", run_qdepthwise, &r);
        }
    }
    free(x);
    free(y);
    free(columns);
    free(packed);
    free(weights);
}
