/* Kernels on u8 activations: every tier against the scalar one, which the operators' own tests hold to the definition.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/qlinear_kernels.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/families.h"

static const int counts[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257};
enum { COUNTS = sizeof counts / sizeof counts[0], BENCH_COUNT = 8192 };

static mary_qlinear_pair random_pair(kernel_harness *h)
{
    mary_qlinear_pair pair = {.a_zero = kernel_random_int(h, 0, 255),
                              .b_zero = kernel_random_int(h, 0, 255),
                              .a_ratio = fabsf(kernel_random_float(h)) * 2,
                              .b_ratio = fabsf(kernel_random_float(h)) * 2,
                              .to = mary_requantisation_to(kernel_random_int(h, 0, 255))};
    if (kernel_random_int(h, 0, 3) == 0)
        pair.a_ratio = pair.b_ratio = 0.5f; /* ties */
    if (kernel_random_int(h, 0, 15) == 0)
        pair.a_ratio = INFINITY; /* and not-a-numbers */
    return pair;
}

void kernel_check_qlinear_pair(kernel_harness *h)
{
    static const int64_t steps[][2] = {{1, 1}, {1, 0}, {0, 1}, {0, 0}};
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(h->cpu);
    for (int trial = 0; trial < COUNTS * 4 * 4; trial++) {
        int count = counts[trial / 16];
        const int64_t *step = steps[trial % 4];
        bool product = trial / 4 % 2;
        uint8_t *a = kernel_random_bytes(h, count + 1), *b = kernel_random_bytes(h, count + 1);
        uint8_t *expected = malloc((size_t)count + 1);
        mary_qlinear_pair pair = random_pair(h);
        const void *x[MARY_BROADCAST_MOST] = {a, b};
        for (int i = 0; i < count; i++) {
            int32_t left = a[step[0] ? i : 0] - pair.a_zero, right = b[step[1] ? i : 0] - pair.b_zero;
            float f = product ? (float)(left * right) * pair.a_ratio
                              : fmaf((float)left, pair.a_ratio, (float)right * pair.b_ratio);
            expected[i] = mary_requantise(f, &pair.to);
        }
        kernel_bytes out = kernel_bytes_claim(1, count, count + 1);
        (product ? kernels->multiply : kernels->add)(&pair, x, step, out.data, count);
        kernel_bytes_compare(h, &out, expected, "%s of %d, steps %d %d", product ? "product" : "sum", count,
                             (int)step[0], (int)step[1]);
        kernel_bytes_free(&out);
        free(a);
        free(b);
        free(expected);
    }
}

static void check_multiply_channels(kernel_harness *h, int channels, int pixels)
{
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(h->cpu);
    int a_stride = channels + kernel_random_int(h, 0, 3), y_stride = channels + kernel_random_int(h, 0, 3);
    uint8_t *a = kernel_random_bytes(h, (int64_t)pixels * a_stride), *b = kernel_random_bytes(h, channels);
    uint8_t *expected = malloc((size_t)(pixels * channels) + 1);
    mary_qlinear_pair pair = random_pair(h);
    for (int i = 0; i < pixels * channels; i++)
        expected[i] = mary_requantise(
            (float)((a[i / channels * a_stride + i % channels] - pair.a_zero) * (b[i % channels] - pair.b_zero)) *
                pair.a_ratio,
            &pair.to);
    kernel_bytes out = kernel_bytes_claim(pixels, channels, y_stride);
    kernels->multiply_channels(&pair, a, a_stride, b, out.data, y_stride, channels, pixels);
    kernel_bytes_compare(h, &out, expected, "%d pixels times %d channels", pixels, channels);
    kernel_bytes_free(&out);
    free(a);
    free(b);
    free(expected);
}

static void check_interleave(kernel_harness *h, int planes, int count)
{
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(h->cpu);
    uint8_t *x = kernel_random_bytes(h, 3 * count), *expected = malloc((size_t)(3 * count) + 1);
    for (int i = 0; i < planes * count; i++)
        expected[i] = x[i % planes * count + i / planes];
    kernel_bytes out = kernel_bytes_claim(count > 0, planes * count, planes * count + 1);
    if (planes == 2)
        kernels->interleave_two(x, x + count, out.data, count);
    else
        kernels->interleave_three(x, x + count, x + 2 * count, out.data, count);
    kernel_bytes_compare(h, &out, expected, "%d planes of %d", planes, count);
    kernel_bytes_free(&out);
    free(x);
    free(expected);
}

void kernel_check_qlinear_channels(kernel_harness *h)
{
    for (int channels = 1; channels < 70; channels++) {
        check_multiply_channels(h, channels, kernel_random_int(h, 1, 40));
        check_interleave(h, 2 + channels % 2, channels);
        check_interleave(h, 3 - channels % 2, channels);
    }
    check_interleave(h, 2, 0);
    check_interleave(h, 3, 200);
}

void kernel_check_qlinear_table(kernel_harness *h)
{
    mary_table_function *functions[2] = {mary_qlinear_kernels_for(h->cpu)->table, mary_table_function_for(h->cpu)};
    for (int trial = 0; trial < COUNTS * 2; trial++) {
        int count = counts[trial / 2];
        uint8_t *table = kernel_random_bytes(h, 256), *x = kernel_random_bytes(h, count);
        uint8_t *expected = malloc((size_t)count + 1);
        for (int i = 0; i < count; i++)
            expected[i] = table[x[i]];
        kernel_bytes out = kernel_bytes_claim(1, count, count + 1);
        functions[trial % 2](table, x, out.data, count);
        kernel_bytes_compare(h, &out, expected, "table of %d", count);
        if (count > 0)
            memcpy(out.data, x, (size_t)count); /* and in place */
        functions[trial % 2](table, out.data, out.data, count);
        kernel_bytes_compare(h, &out, expected, "table of %d in place", count);
        kernel_bytes_free(&out);
        free(table);
        free(x);
        free(expected);
    }
}

void kernel_check_qlinear_pool(kernel_harness *h)
{
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(h->cpu);
    for (int trial = 0; trial < 400; trial++) {
        int channels = trial < 260 ? trial / 2 : kernel_random_int(h, 1, 600);
        int stride = channels + kernel_random_int(h, 0, 5);
        int planes = kernel_random_int(h, 1, 2), lines = kernel_random_int(h, 0, 4), taps = kernel_random_int(h, 1, 4);
        bool mean = trial % 2;
        uint8_t *x = kernel_random_bytes(h, (int64_t)planes * lines * taps * stride);
        uint8_t *expected = malloc((size_t)channels + 1);
        kernel_bytes out = kernel_bytes_claim(channels > 0, channels, channels + 1);
        const mary_qpool_call call = {.x = x,
                                      .planes = planes,
                                      .lines = lines,
                                      .taps = taps,
                                      .plane_step = (int64_t)lines * taps * stride,
                                      .line_step = (int64_t)taps * stride,
                                      .tap_step = stride,
                                      .channels = channels,
                                      .offset = planes * lines * taps * kernel_random_int(h, 0, 255),
                                      .ratio = 1.0f / (float)(planes * taps + lines),
                                      .to = mary_requantisation_to(kernel_random_int(h, 0, 255)),
                                      .y = out.data};
        for (int c = 0; c < channels; c++) {
            int32_t sum = -call.offset, most = 0;
            for (int i = 0; i < planes * lines * taps; i++) {
                sum += x[i * stride + c];
                most = x[i * stride + c] > most ? x[i * stride + c] : most;
            }
            expected[c] = mean ? mary_requantise((float)sum * call.ratio, &call.to) : (uint8_t)most;
        }
        (mean ? kernels->pool_mean : kernels->pool_max)(&call);
        kernel_bytes_compare(h, &out, expected, "%s, %d channels, %dx%dx%d taps", mean ? "mean" : "max", channels,
                             planes, lines, taps);
        kernel_bytes_free(&out);
        free(x);
        free(expected);
    }
}

void kernel_check_quantise(kernel_harness *h)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.5f, 1.5f, -0.5f, 3e38f, -3e38f, 1e-40f};
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(h->cpu);
    for (int trial = 0; trial < COUNTS * 8; trial++) {
        int count = counts[trial / 8], zero = kernel_random_int(h, 0, 255);
        float scale = trial % 2 ? 1.0f : 0.001f + fabsf(kernel_random_float(h));
        float *x = kernel_random_floats(h, count);
        uint8_t *expected = malloc((size_t)count + 1);
        double *reals = malloc(sizeof(double) * ((size_t)count + 1));
        for (int i = 0; i < count; i++) {
            x[i] = kernel_random_int(h, 0, 7) == 0 ? odd[kernel_random_int(h, 0, 8)] : x[i] * 300;
            double whole = isnan(x[i]) ? 0 : rint((double)(x[i] / scale));
            whole = whole + zero < 0 ? 0 : whole + zero > 255 ? 255 : whole + zero;
            expected[i] = (uint8_t)whole;
            reals[i] = (double)((float)(expected[i] - zero) * scale);
        }
        kernel_bytes out = kernel_bytes_claim(count > 0, count, count + 1);
        kernels->quantise(x, out.data, count, scale, zero);
        kernel_bytes_compare(h, &out, expected, "quantise %d by %g", count, (double)scale);
        kernel_output back = kernel_output_claim(count > 0, count, count + 1);
        kernels->dequantise(expected, back.data, count, scale, zero);
        kernel_compare(h, &back, reals, NULL, "dequantise %d by %g", count, (double)scale);
        kernel_bytes_free(&out);
        kernel_output_free(&back);
        free(x);
        free(expected);
        free(reals);
    }
}

/* ---- benchmarks ---- */

typedef struct bench_run {
    const mary_qlinear_kernels *kernels;
    mary_table_function *table;
    mary_qlinear_pair pair;
    mary_qpool_call pool;
    uint8_t *a, *b, *y;
    float *floats;
    int what;
} bench_run;

static void run_bench(void *context)
{
    bench_run *r = context;
    const void *x[MARY_BROADCAST_MOST] = {r->a, r->b};
    static const int64_t steps[MARY_BROADCAST_MOST] = {1, 1, 1};
    if (r->what == 0)
        r->kernels->add(&r->pair, x, steps, r->y, BENCH_COUNT);
    else if (r->what == 1)
        r->kernels->multiply(&r->pair, x, steps, r->y, BENCH_COUNT);
    else if (r->what == 2)
        r->table(r->a, r->b, r->y, BENCH_COUNT);
    else if (r->what == 3)
        r->kernels->pool_max(&r->pool);
    else if (r->what == 4)
        r->kernels->pool_mean(&r->pool);
    else if (r->what == 5)
        r->kernels->quantise(r->floats, r->y, BENCH_COUNT, 0.1f, 3);
    else if (r->what == 7)
        r->kernels->multiply_channels(&r->pair, r->a, 32, r->b, r->y, 32, 32, BENCH_COUNT / 32);
    else if (r->what == 8)
        r->kernels->interleave_two(r->a, r->b, r->y, BENCH_COUNT / 2);
    else if (r->what == 9)
        r->kernels->interleave_three(r->a, r->b, r->b, r->y, BENCH_COUNT / 3);
    else
        r->kernels->dequantise(r->a, r->floats, BENCH_COUNT, 0.1f, 3);
}

static void bench(kernel_harness *h, int from, int to)
{
    static const char *const names[] = {"add",
                                        "multiply",
                                        "table",
                                        "max of 9, 512 channels",
                                        "mean of 49",
                                        "from floats",
                                        "to floats",
                                        "multiply 32 channels",
                                        "interleave two",
                                        "interleave three"};
    bench_run r = {.kernels = mary_qlinear_kernels_for(h->cpu), .table = mary_table_function_for(h->cpu)};
    r.pair = random_pair(h);
    r.a = kernel_random_bytes(h, BENCH_COUNT * 4);
    r.b = kernel_random_bytes(h, BENCH_COUNT);
    r.y = kernel_random_bytes(h, BENCH_COUNT);
    r.floats = kernel_random_floats(h, BENCH_COUNT);
    for (r.what = from; r.what < to; r.what++) {
        int taps = r.what == 3 ? 9 : 49;
        r.pool = (mary_qpool_call){.x = r.a,
                                   .planes = 1,
                                   .lines = 1,
                                   .taps = taps,
                                   .tap_step = 512,
                                   .channels = 512,
                                   .ratio = 0.02f,
                                   .y = r.y};
        double work = r.what == 3 || r.what == 4 ? 512 * taps : BENCH_COUNT;
        kernel_time(h, names[r.what], work, "values", run_bench, &r);
    }
    free(r.a);
    free(r.b);
    free(r.y);
    free(r.floats);
}

void kernel_bench_qlinear_pair(kernel_harness *h)
{
    bench(h, 0, 2);
}

void kernel_bench_qlinear_channels(kernel_harness *h)
{
    bench(h, 7, 10);
}

void kernel_bench_qlinear_table(kernel_harness *h)
{
    bench(h, 2, 3);
}

void kernel_bench_qlinear_pool(kernel_harness *h)
{
    bench(h, 3, 5);
}

void kernel_bench_quantise(kernel_harness *h)
{
    bench(h, 5, 7);
}
