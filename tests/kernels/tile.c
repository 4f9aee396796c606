/* Tiles and the activations behind them. */
#include <math.h>
#include <stdlib.h>

#include "tests/kernels/families.h"
#include "tests/support/conv_reference.h"

static const mary_epilogue activations[] = {
    {MARY_ACTIVATION_NONE, 0, 0, -1},
    {MARY_ACTIVATION_CLIP, 0, INFINITY, -1},
    {MARY_ACTIVATION_LEAKY_RELU, 0.1f, 0, -1},
    {MARY_ACTIVATION_SIGMOID, 0, 0, -1},
    {MARY_ACTIVATION_SILU, 0, 0, -1},
    {MARY_ACTIVATION_HARD_SWISH, 1.0f / 6, 0.5f, -1},
    {MARY_ACTIVATION_HARD_SIGMOID, 0.2f, 0.5f, -1},
    {MARY_ACTIVATION_TANH, 0, 0, -1},
};
enum { ACTIVATIONS = sizeof activations / sizeof activations[0] };

static void check_tile(kernel_harness *h, const mary_tile_kernel *kernel, int m, int n, int taps, int depth)
{
    int mr = kernel->mr, nr = kernel->nr, length = taps * depth, stride = n + kernel_random_int(h, 0, 20);
    bool accumulate = kernel_random_int(h, 0, 3) == 0, partial = kernel_random_int(h, 0, 3) == 0;
    bool with_bias = kernel_random_int(h, 0, 1), with_residual = kernel_random_int(h, 0, 1);
    const mary_epilogue *epilogue = &activations[kernel_random_int(h, 0, ACTIVATIONS - 1)];
    float *a = kernel_random_floats(h, (int64_t)taps * mr * depth),
          *panel = kernel_random_floats(h, (int64_t)length * nr);
    float *bias = kernel_random_floats(h, nr), *residual = kernel_random_floats(h, m * stride);
    const float **rows = calloc((size_t)(taps * mr), sizeof *rows);
    double *expected = calloc((size_t)(m * n), sizeof *expected), *allowed = calloc((size_t)(m * n), sizeof *allowed);
    kernel_output out = kernel_output_claim(m, n, stride);
    for (int i = 0; i < taps * mr; i++)
        rows[i] = a + i * depth;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = accumulate ? kernel_random_float(h) : with_bias ? bias[j] : 0, size = 1 + fabs(sum);
            if (accumulate)
                out.data[i * stride + j] = (float)sum;
            for (int t = 0; t < taps; t++) {
                for (int k = 0; k < depth; k++) {
                    double product = (double)rows[t * mr + i][k] * (double)panel[(t * depth + k) * nr + j];
                    sum += product;
                    size += fabs(product);
                }
            }
            if (with_residual && !partial)
                sum += (double)residual[i * stride + j];
            expected[i * n + j] = partial ? sum : activation_reference(epilogue, sum);
            allowed[i * n + j] = 1e-6 * size;
        }
    }
    mary_tile_call call = {
        .rows = rows,
        .taps = taps,
        .depth = depth,
        .panel = panel,
        .bias = with_bias ? bias : NULL,
        .residual = with_residual ? residual : NULL,
        .residual_stride = stride,
        .out = out.data,
        .out_stride = stride,
        .m = m,
        .n = n,
        .accumulate = accumulate,
        .partial = partial,
        .epilogue = epilogue,
    };
    kernel->run(&call);
    kernel_compare(h, &out, expected, allowed, "%s, m %d n %d taps %d depth %d activation %d%s%s", kernel->name, m, n,
                   taps, depth, (int)epilogue->activation, accumulate ? " accumulate" : "", partial ? " partial" : "");
    kernel_output_free(&out);
    free(a);
    free(panel);
    free(bias);
    free(residual);
    free(rows);
    free(expected);
    free(allowed);
}

void kernel_check_tile_of(kernel_harness *h, const mary_tile_kernel *kernel)
{
    static const int lengths[][2] = {{1, 0}, {1, 1}, {1, 7}, {3, 5}, {9, 3}, {1, 257}, {2, 64}};
    for (int m = 1; m <= kernel->mr; m++) {
        for (int n = 1; n <= kernel->nr; n += n < 3 || n > kernel->nr - 4 || n % 8 > 6 ? 1 : 3) {
            const int *length = lengths[kernel_random_int(h, 0, 6)];
            check_tile(h, kernel, m, n, length[0], length[1]);
        }
    }
    for (int i = 0; i < 7; i++)
        check_tile(h, kernel, kernel->mr, kernel->nr, lengths[i][0], lengths[i][1]);
}

void kernel_check_tile(kernel_harness *h)
{
    kernel_check_tile_of(h, mary_tile_kernel_for(h->cpu));
}

typedef struct tile_run {
    const mary_tile_kernel *kernel;
    mary_tile_call call;
} tile_run;

static void run_tile(void *context)
{
    tile_run *r = context;
    r->kernel->run(&r->call);
}

void kernel_bench_tile(kernel_harness *h)
{
    enum { DEPTH = 256, MOST_MR = 32 };
    const mary_tile_kernel *kernel = mary_tile_kernel_for(h->cpu);
    const float *rows[MOST_MR];
    float *a = kernel_random_floats(h, kernel->mr * DEPTH), *panel = kernel_random_floats(h, kernel->nr * DEPTH);
    kernel_output out = kernel_output_claim(kernel->mr, kernel->nr, kernel->nr);
    for (int i = 0; i < kernel->mr; i++)
        rows[i] = a + i * DEPTH;
    tile_run r = {kernel,
                  {.rows = rows,
                   .taps = 1,
                   .depth = DEPTH,
                   .panel = panel,
                   .out = out.data,
                   .out_stride = kernel->nr,
                   .m = kernel->mr,
                   .n = kernel->nr}};
    kernel_time(h, "full, depth 256", (double)kernel->mr * kernel->nr * DEPTH, "MAC", run_tile, &r);
    r.call.m = 1;
    kernel_time(h, "one row, depth 256", (double)kernel->nr * DEPTH, "MAC", run_tile, &r);
    kernel_output_free(&out);
    free(a);
    free(panel);
}

void kernel_check_activation(kernel_harness *h)
{
    static const int counts[] = {0, 1, 7, 8, 15, 16, 17, 31, 33, 64, 101};
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        for (int c = 0; c < 11; c++) {
            int count = counts[c];
            kernel_output out = kernel_output_claim(count > 0, count, count + 1);
            double *expected = calloc((size_t)count + 1, sizeof(double)),
                   *allowed = calloc((size_t)count + 1, sizeof(double));
            for (int i = 0; i < count; i++) {
                out.data[i] = kernel_random_float(h) * (i % 2 ? 4.0f : 100.0f);
                expected[i] = activation_reference(&activations[kind], (double)out.data[i]);
                allowed[i] = 2e-6 * (1 + fabs(expected[i]));
            }
            mary_activation_apply(&activations[kind], out.data, count, h->cpu);
            kernel_compare(h, &out, expected, allowed, "activation %d of %d values", (int)activations[kind].activation,
                           count);
            kernel_output_free(&out);
            free(expected);
            free(allowed);
        }
    }
}

typedef struct activation_run {
    const mary_epilogue *epilogue;
    float *values;
    int count;
    mary_cpu cpu;
} activation_run;

static void run_activation(void *context)
{
    activation_run *r = context;
    mary_activation_apply(r->epilogue, r->values, r->count, r->cpu);
}

void kernel_bench_activation(kernel_harness *h)
{
    static const char *const names[ACTIVATIONS] = {"none", "clip",       "leaky relu",   "sigmoid",
                                                   "silu", "hard swish", "hard sigmoid", "tanh"};
    float *values = kernel_random_floats(h, 1024);
    for (int kind = 1; kind < ACTIVATIONS; kind++) {
        activation_run r = {&activations[kind], values, 1024, h->cpu};
        kernel_time(h, names[kind], 1024, "values", run_activation, &r);
    }
    free(values);
}
