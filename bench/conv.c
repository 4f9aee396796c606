/* Convolution layer by layer: GMAC/s of float and M-ary weights, and what part of the processor's FMA limit, measured
 * here too, that is.
 *
 *   mary_bench_conv [network substring] [threads] [bits]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnx/memory.h"
#include "ops/channels.h"
#include "ops/conv.h"
#include "runtime/threads.h"

typedef struct layer {
    const char *network;
    int count, groups, depth, filters, size, kernel, stride, pad;
} layer;

#include "bench/conv_layers.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { CHAINS = 12, STEPS = 1000000 };

/* Billions of multiply-adds a second with everything in registers. */
#define FMA_LIMIT(name, isa, lanes)                                                                                    \
    __attribute__((target(isa))) static double name(void)                                                              \
    {                                                                                                                  \
        typedef float vector __attribute__((vector_size(4 * lanes)));                                                  \
        vector sum[CHAINS] = {{0}}, x = (vector){0} + 0.5f;                                                            \
        double start = now();                                                                                          \
        for (long i = 0; i < STEPS; i++) {                                                                             \
            _Pragma("GCC unroll 12") for (int j = 0; j < CHAINS; j++)                                                  \
            {                                                                                                          \
                sum[j] = sum[j] * x + x;                                                                               \
                __asm__ volatile("" : "+v"(sum[j]));                                                                   \
            }                                                                                                          \
        }                                                                                                              \
        return (double)STEPS * CHAINS * lanes / (now() - start) * 1e-9;                                                \
    }

#if defined(__x86_64__)
FMA_LIMIT(limit_avx512, "avx512f", 16)
FMA_LIMIT(limit_avx2, "avx2,fma", 8)
#endif

static double fma_limit(mary_cpu cpu)
{
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double limit = 0;
#if defined(__x86_64__)
        mary_cpu base = mary_cpu_base(cpu);
        limit = base == MARY_CPU_AVX512 ? limit_avx512() : base == MARY_CPU_AVX2 ? limit_avx2() : 0;
#endif
        best = limit > best ? limit : best;
    }
    return best;
}

static float *random_floats(size_t count)
{
    float *values = mary_alloc_aligned(count * sizeof(float) + 64);
    uint32_t seed = 7;
    for (size_t i = 0; values != NULL && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return values;
}

/* Seconds of the fastest of several runs. */
static double measure(const mary_conv_problem *p)
{
    size_t bytes;
    double best = 1e9, spent = 0;
    if (mary_conv_scratch(p, &bytes) != MARY_OK)
        return 0;
    void *scratch = mary_alloc_aligned(bytes);
    for (int i = 0; scratch != NULL && (i < 5 || (spent < 0.05 && i < 200)); i++) {
        double start = now();
        mary_conv_run(p, scratch);
        double seconds = now() - start;
        spent += seconds;
        best = seconds < best ? seconds : best;
    }
    mary_free(scratch);
    return best;
}

static mary_weights *random_codes(int64_t rows, int64_t length, int bits, int64_t taps)
{
    mary_weights *weights = NULL;
    int64_t row_bytes = (length * bits + 7) / 8;
    uint8_t *bytes = mary_alloc((size_t)(rows * row_bytes));
    float *levels = random_floats((size_t)rows << bits);
    for (int64_t i = 0; bytes != NULL && i < rows * row_bytes; i++)
        bytes[i] = (uint8_t)(i * 197 >> 3);
    mary_tensor codes = {.type = MARY_UINT8, .shape = {2, {rows, row_bytes}}, .data = bytes};
    mary_tensor table = {.type = MARY_FLOAT, .shape = {2, {rows, 1 << bits}}, .data = levels};
    if (mary_weights_create(&codes, &table, rows, length, bits, taps, 1.0f, &weights) != MARY_OK)
        fprintf(stderr, "%s\n", mary_error_message());
    mary_free(bytes);
    mary_free(levels);
    return weights;
}

typedef struct totals {
    double macs, dense, coded;
} totals;

static void run_layer(const layer *l, const mary_parallel *parallel, int bits, double limit, totals *sum)
{
    int out = (l->size + 2 * l->pad - l->kernel) / l->stride + 1;
    int64_t taps = l->kernel * l->kernel, in_channels = (int64_t)l->groups * l->depth,
            rows = (int64_t)l->groups * l->filters;
    mary_cpu cpu = mary_cpu_current();
    mary_epilogue relu = {MARY_ACTIVATION_CLIP, 0, 6, -1};
    mary_conv_problem p = {.window = {.rank = 2,
                                      .input = {1, l->size, l->size},
                                      .output = {1, out, out},
                                      .kernel = {1, l->kernel, l->kernel},
                                      .stride = {1, l->stride, l->stride},
                                      .dilation = {1, 1, 1},
                                      .pad = {0, l->pad, l->pad},
                                      .pad_end = {0, l->pad, l->pad},
                                      .taps = taps,
                                      .input_pixels = l->size * l->size,
                                      .output_pixels = out * out},
                           .batch = 1,
                           .groups = l->groups,
                           .depth = l->depth,
                           .filters = l->filters,
                           .cpu = cpu,
                           .x_stride = mary_channels_stride(in_channels),
                           .y_stride = mary_channels_stride(rows),
                           .epilogue = &relu,
                           .parallel = parallel};
    size_t floats;
    int nr = mary_tile_kernel_for(cpu)->nr;
    if (!mary_conv_panels_size(l->groups, l->filters, l->depth, taps, nr, &floats))
        return;
    float *w = random_floats((size_t)(rows * l->depth * taps)), *panels = mary_alloc_aligned(floats * sizeof(float));
    float *x = random_floats((size_t)(p.window.input_pixels * p.x_stride)), *bias = random_floats((size_t)rows);
    float *y = random_floats((size_t)(p.window.output_pixels * p.y_stride));
    mary_conv_panels_pack(w, l->groups, l->filters, l->depth, taps, nr, panels);
    p.x = x;
    p.y = y;
    p.bias = bias;
    p.panels = panels;
    double dense = measure(&p), macs = (double)out * out * (double)rows * l->depth * (double)taps * 1e-9;
    mary_weights *codes = random_codes(rows, l->depth * taps, bits, taps);
    p.panels = NULL;
    p.codes = codes;
    double coded = measure(&p);
    printf("%-16s %2dx g%-4d %4d->%-4d %3d k%d s%d  %7.1f us %6.1f GMAC/s %3.0f %%   M-ary %7.1f us %5.2fx\n",
           l->network, l->count, l->groups, l->groups * l->depth, l->groups * l->filters, l->size, l->kernel, l->stride,
           dense * 1e6, macs / dense, 100 * macs / dense / limit, coded * 1e6, dense / coded);
    sum->macs += macs * l->count;
    sum->dense += dense * l->count;
    sum->coded += coded * l->count;
    mary_weights_free(&codes);
    mary_free(w);
    mary_free(panels);
    mary_free(x);
    mary_free(y);
    mary_free(bias);
}

int main(int argc, char **argv)
{
    const char *network = argc > 1 ? argv[1] : "";
    int threads = argc > 2 ? atoi(argv[2]) : 1, bits = argc > 3 ? atoi(argv[3]) : 2;
    mary_threads *pool = NULL;
    if (mary_threads_create(threads, &pool) != MARY_OK) {
        fprintf(stderr, "%s\n", mary_error_message());
        return 1;
    }
    const mary_parallel *parallel = mary_threads_parallel(pool);
    mary_cpu cpu = mary_cpu_best();
    mary_cpu_set(cpu);
    double limit = fma_limit(cpu) * parallel->threads;
    printf("%s, %d threads, FMA limit %.1f GMAC/s, M-ary at %d bits\n", mary_cpu_name(cpu), parallel->threads, limit,
           bits);
    totals sum = {0, 0, 0};
    size_t count = sizeof layers / sizeof layers[0];
    for (size_t i = 0; i < count; i++) {
        if (strstr(layers[i].network, network) != NULL)
            run_layer(&layers[i], parallel, bits, limit, &sum);
        if (sum.macs > 0 && (i + 1 == count || strcmp(layers[i].network, layers[i + 1].network) != 0)) {
            printf("%-16s convolutions %.2f GMAC, float %.2f ms, %.1f GMAC/s, %.0f %% of the limit; M-ary %.2f ms, "
                   "%.2fx\n\n",
                   layers[i].network, sum.macs, sum.dense * 1e3, sum.macs / sum.dense,
                   100 * sum.macs / sum.dense / limit, sum.coded * 1e3, sum.dense / sum.coded);
            sum = (totals){0, 0, 0};
        }
    }
    return 0;
}
