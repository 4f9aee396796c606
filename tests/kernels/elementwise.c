/* Loops over elements: the scalar tier is the reference of the others, the operators' own tests are that of the scalar
 * one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/binary.h"
#include "ops/unary.h"
#include "tests/kernels/families.h"

static const int counts[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 257};
enum { COUNTS = sizeof counts / sizeof counts[0], BENCH_COUNT = 4096 };

static mary_unary_loop *unary_loop(mary_cpu cpu, int kernel)
{
#if defined(__x86_64__)
    if (mary_cpu_base(cpu) == MARY_CPU_AVX512)
        return mary_unary_avx512[kernel];
    if (mary_cpu_base(cpu) == MARY_CPU_AVX2)
        return mary_unary_avx2[kernel];
#endif
    (void)cpu;
    return mary_unary_scalar[kernel];
}

static mary_broadcast_loop *binary_loop(mary_cpu cpu, int kernel)
{
#if defined(__x86_64__)
    if (mary_cpu_base(cpu) == MARY_CPU_AVX512)
        return mary_binary_avx512[kernel];
    if (mary_cpu_base(cpu) == MARY_CPU_AVX2)
        return mary_binary_avx2[kernel];
#endif
    (void)cpu;
    return mary_binary_scalar[kernel];
}

static const char *const unary_names[] = {"none",
#define NAME(name) #name,
                                          MARY_UNARY_KERNELS(NAME)
#undef NAME
};
static const char *const binary_names[] = {"none",
#define NAME(name) #name,
                                           MARY_BINARY_KERNELS(NAME)
#undef NAME
};

static const mary_unary_parameters parameters = {.alpha = 0.3f, .beta = 0.5f};

/* Inputs that have a value under every function; those of log, sqrt and reciprocal are positive. */
static float *unary_inputs(kernel_harness *h, int kernel, int count)
{
    float *x = kernel_random_floats(h, count);
    for (int i = 0; i < count; i++) {
        x[i] *= i % 3 ? 6.0f : 30.0f;
        if (kernel == MARY_UNARY_log || kernel == MARY_UNARY_sqrt || kernel == MARY_UNARY_reciprocal)
            x[i] = fabsf(x[i]) + 0.01f;
    }
    return x;
}

static void compare(kernel_harness *h, kernel_output *out, const float *reference, const char *name, int count)
{
    double *expected = calloc((size_t)count + 1, sizeof(double)), *allowed = calloc((size_t)count + 1, sizeof(double));
    for (int i = 0; i < count; i++) {
        expected[i] = (double)reference[i];
        allowed[i] = 1e-6 + 3e-6 * fabs(expected[i]);
    }
    kernel_compare(h, out, expected, allowed, "%s of %d values", name, count);
    free(expected);
    free(allowed);
}

void kernel_check_unary(kernel_harness *h)
{
    for (int kernel = 1; kernel < MARY_UNARY_COUNT; kernel++) {
        for (int c = 0; c < COUNTS; c++) {
            int count = counts[c];
            float *x = unary_inputs(h, kernel, count), *reference = kernel_random_floats(h, count);
            kernel_output out = kernel_output_claim(count > 0, count, count + 1);
            mary_unary_scalar[kernel](x, reference, count, &parameters);
            unary_loop(h->cpu, kernel)(x, out.data, count, &parameters);
            compare(h, &out, reference, unary_names[kernel], count);
            memcpy(out.data, x, sizeof(float) * (size_t)count); /* and in place */
            unary_loop(h->cpu, kernel)(out.data, out.data, count, &parameters);
            compare(h, &out, reference, unary_names[kernel], count);
            kernel_output_free(&out);
            free(x);
            free(reference);
        }
    }
}

void kernel_check_binary(kernel_harness *h)
{
    static const int64_t steps[][2] = {{1, 1}, {1, 0}, {0, 1}, {0, 0}};
    for (int kernel = 1; kernel < MARY_BINARY_COUNT; kernel++) {
        for (int c = 0; c < COUNTS * 4; c++) {
            int count = counts[c / 4];
            float *a = kernel_random_floats(h, count + 1), *b = kernel_random_floats(h, count + 1);
            float *reference = kernel_random_floats(h, count);
            for (int i = 0; i <= count; i++)
                b[i] += b[i] < 0 ? -0.5f : 0.5f; /* divides */
            const void *inputs[MARY_BROADCAST_MOST] = {a, b};
            kernel_output out = kernel_output_claim(count > 0, count, count + 1);
            mary_binary_scalar[kernel](NULL, inputs, steps[c % 4], reference, count);
            binary_loop(h->cpu, kernel)(NULL, inputs, steps[c % 4], out.data, count);
            compare(h, &out, reference, binary_names[kernel], count);
            kernel_output_free(&out);
            free(a);
            free(b);
            free(reference);
        }
    }
}

typedef struct loop_run {
    mary_unary_loop *unary;
    mary_broadcast_loop *binary;
    float *x, *y, *out;
} loop_run;

static void run_loop(void *context)
{
    loop_run *r = context;
    const void *inputs[MARY_BROADCAST_MOST] = {r->x, r->y};
    static const int64_t steps[MARY_BROADCAST_MOST] = {1, 1, 1};
    if (r->unary != NULL)
        r->unary(r->x, r->out, BENCH_COUNT, &parameters);
    else
        r->binary(NULL, inputs, steps, r->out, BENCH_COUNT);
}

void kernel_bench_unary(kernel_harness *h)
{
    float *out = kernel_random_floats(h, BENCH_COUNT);
    for (int kernel = 1; kernel < MARY_UNARY_COUNT; kernel++) {
        loop_run r = {unary_loop(h->cpu, kernel), NULL, unary_inputs(h, kernel, BENCH_COUNT), NULL, out};
        kernel_time(h, unary_names[kernel], BENCH_COUNT, "values", run_loop, &r);
        free(r.x);
    }
    free(out);
}

void kernel_bench_binary(kernel_harness *h)
{
    float *x = kernel_random_floats(h, BENCH_COUNT), *y = kernel_random_floats(h, BENCH_COUNT);
    float *out = kernel_random_floats(h, BENCH_COUNT);
    for (int kernel = 1; kernel < MARY_BINARY_COUNT; kernel++) {
        loop_run r = {NULL, binary_loop(h->cpu, kernel), x, y, out};
        kernel_time(h, binary_names[kernel], BENCH_COUNT, "values", run_loop, &r);
    }
    free(x);
    free(y);
    free(out);
}
