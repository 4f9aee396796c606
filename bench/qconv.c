/* Integer convolution layer by layer: GMAC/s with M-ary weights, and what part of the processor's limit, measured here
 * too, that is.
 *
 *   mary_bench_qconv [layer substring, "resnet50" or "vgg16 3->64"] [threads] [bits] [residual]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnx/memory.h"
#include "ops/conv.h"
#include "ops/mary/qproduct.h"
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

#if defined(__x86_64__)
#include <immintrin.h>

/* Billions of multiply-adds a second with everything in registers. */
__attribute__((target("avx512f,avx512vnni"))) static double limit_avx512vnni(void)
{
    enum { STEPS = 200000 };
    __m512i x = _mm512_set1_epi32(0x01020304), a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x;
    double start = now();
    for (int step = 0; step < STEPS; step++) {
#define STEP(sum)                                                                                                      \
    sum = _mm512_dpbusd_epi32(sum, x, x);                                                                              \
    __asm__ volatile("" : "+v"(sum))
        STEP(a);
        STEP(b);
        STEP(c);
        STEP(d);
        STEP(e);
        STEP(f);
        STEP(g);
        STEP(h);
        STEP(i);
        STEP(j);
    }
    return STEPS * 10.0 * 64 / (now() - start) * 1e-9;
}
#endif

static double find_limit(mary_cpu cpu)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double limit = 0;
#if defined(__x86_64__)
        limit = cpu == MARY_CPU_AVX512VNNI ? limit_avx512vnni() : 0;
#endif
        best = limit > best ? limit : best;
    }
    return best;
}

static uint8_t *random_bytes(size_t count)
{
    uint8_t *values = mary_alloc_aligned(count + 64);
    uint32_t seed = 7;
    for (size_t i = 0; values != NULL && i < count + 64; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (uint8_t)(seed >> 24);
    }
    return values;
}

/* Seconds of the fastest of several runs. */
static double measure(const mary_qproduct *p)
{
    size_t bytes;
    double best = 1e9, spent = 0;
    if (mary_qproduct_scratch(p, &bytes) != MARY_OK)
        return 0;
    void *scratch = mary_alloc_aligned(bytes);
    for (int i = 0; scratch != NULL && (i < 10 || (spent < 0.1 && i < 1000)); i++) {
        double start = now();
        mary_qproduct_run(p, scratch);
        double seconds = now() - start;
        spent += seconds;
        best = seconds < best ? seconds : best;
    }
    mary_free(scratch);
    return best;
}

typedef struct totals {
    double macs, seconds;
} totals;

static void run_layer(const layer *l, const mary_parallel *parallel, int bits, bool residual, double limit, totals *sum)
{
    int out = (l->size + 2 * l->pad - l->kernel) / l->stride + 1;
    int64_t taps = l->kernel * l->kernel, in_channels = (int64_t)l->groups * l->depth,
            rows = (int64_t)l->groups * l->filters, length = l->depth * taps, row_bytes = (length * bits + 7) / 8;
    float *multiplier = mary_alloc_aligned((size_t)(rows + MARY_QLINEAR_SLACK) * sizeof(float));
    int32_t *bias = mary_alloc_aligned((size_t)(rows + MARY_QLINEAR_SLACK) * sizeof(int32_t));
    uint8_t *codes = random_bytes((size_t)(rows * row_bytes)), *levels = random_bytes((size_t)rows << bits);
    for (int64_t i = 0; i < rows + MARY_QLINEAR_SLACK; i++) {
        multiplier[i] = 0.001f;
        bias[i] = (int32_t)i;
    }
    mary_qepilogue epilogue = {.bias = bias,
                               .multiplier = multiplier,
                               .y_zero = residual ? 128 : 0,
                               .bounded = true,
                               .has_residual = residual,
                               .residual_zero = 3,
                               .y_factor = 0.7f,
                               .residual_factor = 0.9f};
    mary_qsource source = {.codes = codes,
                           .levels = (const int8_t *)levels,
                           .rows = rows,
                           .row_length = length,
                           .row_bytes = row_bytes,
                           .level_stride = INT64_C(1) << bits,
                           .bits = bits};
    mary_qproduct p = {.window = {.rank = 2,
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
                       .cpu = mary_cpu_current(),
                       .epilogue = &epilogue,
                       .x_zero = 120,
                       .x_stride = in_channels,
                       .y_stride = rows,
                       .residual_stride = rows,
                       .parallel = parallel};
    uint8_t *x = random_bytes((size_t)(p.window.input_pixels * p.x_stride));
    uint8_t *y = random_bytes((size_t)(p.window.output_pixels * p.y_stride));
    uint8_t *other = random_bytes((size_t)(p.window.output_pixels * p.y_stride));
    mary_qweights *weights = NULL;
    mary_qdepthwise *depthwise = NULL;
    p.x = x;
    p.y = y;
    p.residual = residual ? other : NULL;
    mary_status status;
    double start = now();
    if (mary_conv_is_depthwise(l->groups, l->depth, l->filters))
        status = mary_qdepthwise_create(&source, l->kernel, p.cpu, &depthwise);
    else
        status = mary_qweights_create(&source, l->groups, taps, l->depth,
                                      mary_qproduct_patches(l->groups, l->depth, taps, 1) ? taps : 1, p.cpu, &weights);
    double packing = now() - start;
    if (status == MARY_OK) {
        p.weights = weights;
        p.depthwise = depthwise;
        double seconds = measure(&p), macs = (double)out * out * (double)rows * (double)length * 1e-9;
        printf("%-16s %2dx g%-4d %4d->%-4d %3d k%d s%d  %8.1f us %7.1f GMAC/s %3.0f %%   pack %6.2f ms\n", l->network,
               l->count, l->groups, l->groups * l->depth, l->groups * l->filters, l->size, l->kernel, l->stride,
               seconds * 1e6, macs / seconds, 100 * macs / seconds / limit, packing * 1e3);
        sum->macs += macs * l->count;
        sum->seconds += seconds * l->count;
    }
    mary_qweights_free(&weights);
    mary_qdepthwise_free(&depthwise);
    mary_free(multiplier);
    mary_free(bias);
    mary_free(codes);
    mary_free(levels);
    mary_free(x);
    mary_free(y);
    mary_free(other);
}

int main(int argc, char **argv)
{
    const char *network = argc > 1 ? argv[1] : "";
    int threads = argc > 2 ? atoi(argv[2]) : 1, bits = argc > 3 ? atoi(argv[3]) : 2;
    bool residual = argc > 4 && strcmp(argv[4], "residual") == 0;
    mary_threads *pool = NULL;
    if (mary_threads_create(threads, &pool) != MARY_OK) {
        fprintf(stderr, "%s\n", mary_error_message());
        return 1;
    }
    const mary_parallel *parallel = mary_threads_parallel(pool);
    mary_cpu cpu = mary_cpu_best();
    mary_cpu_set(cpu);
    double limit = find_limit(cpu) * parallel->threads;
    printf("%s, %d threads, limit %.1f GMAC/s, %d bits%s\n", mary_cpu_name(cpu), parallel->threads, limit, bits,
           residual ? ", residual added" : "");
    totals sum = {0, 0};
    size_t count = sizeof layers / sizeof layers[0];
    for (size_t i = 0; i < count; i++) {
        char label[96];
        snprintf(label, sizeof label, "%s %d->%d %d k%d s%d", layers[i].network, layers[i].groups * layers[i].depth,
                 layers[i].groups * layers[i].filters, layers[i].size, layers[i].kernel, layers[i].stride);
        if (strstr(label, network) != NULL)
            run_layer(&layers[i], parallel, bits, residual, limit, &sum);
        if (sum.macs > 0 && (i + 1 == count || strcmp(layers[i].network, layers[i + 1].network) != 0)) {
            printf("%-16s convolutions %.2f GMAC, %.2f ms, %.1f GMAC/s, %.0f %% of the limit\n\n", layers[i].network,
                   sum.macs, sum.seconds * 1e3, sum.macs / sum.seconds, 100 * sum.macs / sum.seconds / limit);
            sum = (totals){0, 0};
        }
    }
    mary_threads_free(&pool);
    return 0;
}
