/* Kernels that run along the channels of a pixel: depthwise convolution and pooling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/depthwise.h"
#include "ops/pool.h"
#include "tests/kernels/families.h"
#include "tests/support/conv_reference.h"

static mary_depthwise_function *depthwise_of(mary_cpu cpu)
{
#if defined(__x86_64__)
    if (mary_cpu_base(cpu) == MARY_CPU_AVX512)
        return mary_depthwise_avx512;
    if (mary_cpu_base(cpu) == MARY_CPU_AVX2)
        return mary_depthwise_avx2;
#endif
    (void)cpu;
    return mary_depthwise_scalar;
}

static mary_pool_function *pool_of(mary_cpu cpu)
{
#if defined(__x86_64__)
    if (mary_cpu_base(cpu) == MARY_CPU_AVX512)
        return mary_pool_avx512;
    if (mary_cpu_base(cpu) == MARY_CPU_AVX2)
        return mary_pool_avx2;
#endif
    (void)cpu;
    return mary_pool_scalar;
}

/* A run of output pixels whose windows all lie inside: x is [planes][lines][width][channels]. */
static void check_depthwise(kernel_harness *h, int pixels, int channels, int planes, int lines, int taps, int step)
{
    static const mary_epilogue relu6 = {MARY_ACTIVATION_CLIP, 0, 6, -1};
    int nr = mary_tile_kernel_for(h->cpu)->nr, dilation = kernel_random_int(h, 1, 2),
        stride = channels + kernel_random_int(h, 0, 9);
    int width = (pixels - 1) * step + (taps - 1) * dilation + 1;
    bool with_bias = kernel_random_int(h, 0, 1), with_residual = kernel_random_int(h, 0, 1);
    float *x = kernel_random_floats(h, (int64_t)planes * lines * width * channels);
    float *panel = kernel_random_floats(h, (int64_t)planes * lines * taps * nr), *bias = kernel_random_floats(h, nr);
    float *residual = kernel_random_floats(h, (int64_t)pixels * stride);
    kernel_output out = kernel_output_claim(pixels, channels, stride);
    double *expected = calloc((size_t)(pixels * channels), sizeof(double)),
           *allowed = calloc((size_t)(pixels * channels), sizeof(double));
    mary_depthwise_call call = {
        .x = x,
        .pixel_step = (int64_t)step * channels,
        .planes = planes,
        .lines = lines,
        .taps = taps,
        .plane_step = (int64_t)lines * width * channels,
        .line_step = (int64_t)width * channels,
        .tap_step = (int64_t)dilation * channels,
        .panel = panel,
        .panel_plane = (int64_t)lines * taps * nr,
        .panel_line = (int64_t)taps * nr,
        .bias = with_bias ? bias : NULL,
        .residual = with_residual ? residual : NULL,
        .residual_stride = stride,
        .y = out.data,
        .y_stride = stride,
        .pixels = pixels,
        .channels = channels,
        .epilogue = &relu6,
    };
    for (int p = 0; p < pixels; p++) {
        for (int c = 0; c < channels; c++) {
            double sum = with_bias ? (double)bias[c] : 0, size = 1;
            for (int plane = 0; plane < planes; plane++) {
                for (int line = 0; line < lines; line++) {
                    for (int tap = 0; tap < taps; tap++) {
                        double product =
                            (double)x[p * call.pixel_step + plane * call.plane_step + line * call.line_step +
                                      tap * call.tap_step + c] *
                            (double)panel[plane * call.panel_plane + line * call.panel_line + tap * nr + c];
                        sum += product;
                        size += fabs(product);
                    }
                }
            }
            if (with_residual)
                sum += (double)residual[p * stride + c];
            expected[p * channels + c] = activation_reference(&relu6, sum);
            allowed[p * channels + c] = 1e-6 * size;
        }
    }
    depthwise_of(h->cpu)(&call);
    kernel_compare(h, &out, expected, allowed, "%d pixels, %d channels, %dx%dx%d taps, stride %d, dilation %d", pixels,
                   channels, planes, lines, taps, step, dilation);
    kernel_output_free(&out);
    free(x);
    free(panel);
    free(bias);
    free(residual);
    free(expected);
    free(allowed);
}

void kernel_check_depthwise(kernel_harness *h)
{
    int nr = mary_tile_kernel_for(h->cpu)->nr;
    for (int channels = 1; channels <= nr; channels++) {
        check_depthwise(h, kernel_random_int(h, 1, 17), channels, 1, 3, 3, kernel_random_int(h, 1, 2));
        check_depthwise(h, kernel_random_int(h, 1, 17), channels, kernel_random_int(h, 1, 2),
                        kernel_random_int(h, 1, 5), kernel_random_int(h, 1, 7), kernel_random_int(h, 1, 3));
    }
}

typedef struct depthwise_run {
    mary_depthwise_function *kernel;
    mary_depthwise_call call;
} depthwise_run;

static void run_depthwise(void *context)
{
    depthwise_run *r = context;
    r->kernel(&r->call);
}

void kernel_bench_depthwise(kernel_harness *h)
{
    enum { PIXELS = 56 };
    int nr = mary_tile_kernel_for(h->cpu)->nr;
    for (int taps = 3; taps <= 5; taps += 2) {
        int width = PIXELS + taps - 1;
        float *x = kernel_random_floats(h, (int64_t)taps * width * nr),
              *panel = kernel_random_floats(h, taps * taps * nr);
        float *y = kernel_random_floats(h, (int64_t)PIXELS * nr);
        depthwise_run r = {depthwise_of(h->cpu),
                           {.x = x,
                            .pixel_step = nr,
                            .planes = 1,
                            .lines = taps,
                            .taps = taps,
                            .line_step = (int64_t)width * nr,
                            .tap_step = nr,
                            .panel = panel,
                            .panel_line = (int64_t)taps * nr,
                            .y = y,
                            .y_stride = nr,
                            .pixels = PIXELS,
                            .channels = nr}};
        char label[32];
        snprintf(label, sizeof label, "%dx%d, 56 pixels", taps, taps);
        kernel_time(h, label, (double)PIXELS * nr * taps * taps, "MAC", run_depthwise, &r);
        free(x);
        free(panel);
        free(y);
    }
}

static double pool_reference(const mary_pool_call *call, int64_t channel)
{
    double result = call->kind == MARY_POOL_MAX ? -INFINITY : 0;
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            for (int64_t tap = 0; tap < call->taps; tap++) {
                double x =
                    (double)call->x[plane * call->plane_step + line * call->line_step + tap * call->tap_step + channel];
                if (call->kind == MARY_POOL_MAX)
                    result = fmax(result, x);
                else
                    result += call->kind == MARY_POOL_MEAN ? x : call->kind == MARY_POOL_L1 ? fabs(x) : x * x;
            }
        }
    }
    return call->kind == MARY_POOL_MEAN ? result * (double)call->scale
           : call->kind == MARY_POOL_L2 ? sqrt(result)
                                        : result;
}

void kernel_check_pool(kernel_harness *h)
{
    for (int trial = 0; trial < 200; trial++) {
        int channels = trial < 100 ? trial : kernel_random_int(h, 1, 300),
            stride = channels + kernel_random_int(h, 0, 5);
        int planes = kernel_random_int(h, 1, 2), lines = kernel_random_int(h, 1, 4), taps = kernel_random_int(h, 1, 4);
        float *x = kernel_random_floats(h, (int64_t)planes * lines * taps * stride);
        kernel_output out = kernel_output_claim(channels > 0, channels, channels + 1);
        double *expected = calloc((size_t)channels + 1, sizeof(double)),
               *allowed = calloc((size_t)channels + 1, sizeof(double));
        mary_pool_call call = {
            .kind = (mary_pool_kind)(trial % 4),
            .x = x,
            .planes = planes,
            .lines = lines,
            .taps = taps,
            .plane_step = (int64_t)lines * taps * stride,
            .line_step = (int64_t)taps * stride,
            .tap_step = stride,
            .channels = channels,
            .scale = 1.0f / (float)(planes * lines * taps),
            .y = out.data,
        };
        for (int c = 0; c < channels; c++) {
            expected[c] = pool_reference(&call, c);
            allowed[c] = call.kind == MARY_POOL_MAX ? 0 : 2e-6 * (1 + fabs(expected[c]));
        }
        pool_of(h->cpu)(&call);
        kernel_compare(h, &out, expected, allowed, "kind %d, %d channels, %dx%dx%d taps", (int)call.kind, channels,
                       planes, lines, taps);
        kernel_output_free(&out);
        free(x);
        free(expected);
        free(allowed);
    }
}

typedef struct pool_run {
    mary_pool_function *kernel;
    mary_pool_call call;
} pool_run;

static void run_pool(void *context)
{
    pool_run *r = context;
    r->kernel(&r->call);
}

void kernel_bench_pool(kernel_harness *h)
{
    enum { CHANNELS = 256 };
    float *x = kernel_random_floats(h, 9 * CHANNELS), *y = kernel_random_floats(h, CHANNELS);
    static const char *const names[] = {"max 3x3", "mean 3x3"};
    for (int kind = 0; kind < 2; kind++) {
        pool_run r = {pool_of(h->cpu),
                      {.kind = (mary_pool_kind)kind,
                       .x = x,
                       .planes = 1,
                       .lines = 3,
                       .taps = 3,
                       .line_step = 3 * CHANNELS,
                       .tap_step = CHANNELS,
                       .channels = CHANNELS,
                       .scale = 1.0f / 9,
                       .y = y}};
        kernel_time(h, names[kind], 9.0 * CHANNELS, "values", run_pool, &r);
    }
    free(x);
    free(y);
}
