/* Random inputs, guarded outputs, comparison and timing. */
#include "tests/kernels/harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 64, MOST_SHOWN = 3, GRID_ROWS = 24, GRID_COLUMNS = 96 };
static const uint32_t GUARD_BITS = 0xc0ffee77; /* a finite float that no kernel computes */

void kernel_start(kernel_harness *h, const char *family, mary_cpu cpu)
{
    h->family = family;
    h->cpu = cpu;
    h->state = h->seed;
}

static uint32_t random_bits(kernel_harness *h)
{
    h->state = h->state * 1664525u + 1013904223u;
    uint32_t mixed = h->state ^ h->state >> 15;
    mixed *= 0x2c1b3c6du;
    return mixed ^ mixed >> 12;
}

float kernel_random_float(kernel_harness *h)
{
    return (float)(int32_t)(random_bits(h) & 0xffffff00u) * 0x1p-31f;
}

int kernel_random_int(kernel_harness *h, int low, int high)
{
    return low + (int)((uint64_t)random_bits(h) * (uint64_t)(high - low + 1) >> 32);
}

static void *claim(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}

float *kernel_random_floats(kernel_harness *h, int64_t count)
{
    float *values = claim(sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        values[i] = kernel_random_float(h);
    return values;
}

static int64_t floats_of(const kernel_output *output)
{
    return output->rows > 0 ? (output->rows - 1) * output->stride + output->columns : 0;
}

static bool is_element(const kernel_output *output, int64_t i)
{
    return i >= 0 && i < floats_of(output) && i % output->stride < output->columns;
}

kernel_output kernel_output_claim(int64_t rows, int64_t columns, int64_t stride)
{
    kernel_output output = {.rows = rows, .columns = columns, .stride = stride};
    int64_t count = floats_of(&output);
    output.memory = claim(sizeof(float) * (size_t)(count + 2 * GUARD));
    output.data = output.memory + GUARD;
    for (int64_t i = -GUARD; i < count + GUARD; i++) {
        if (is_element(&output, i))
            output.data[i] = NAN;
        else
            memcpy(&output.data[i], &GUARD_BITS, sizeof GUARD_BITS);
    }
    return output;
}

void kernel_output_free(kernel_output *output)
{
    free(output->memory);
    output->memory = output->data = NULL;
}

static bool differs(const kernel_output *output, const double *expected, const double *allowed, int64_t i, int64_t j)
{
    int64_t at = i * output->columns + j;
    float got = output->data[i * output->stride + j];
    if (allowed == NULL || isinf(expected[at]))
        return !(got == (float)expected[at]);
    return !(fabs((double)got - expected[at]) <= allowed[at]);
}

/* Where the pattern was overwritten; count + GUARD when nowhere. */
static int64_t find_overwritten(const kernel_output *output)
{
    int64_t count = floats_of(output);
    for (int64_t i = -GUARD; i < count + GUARD; i++) {
        if (!is_element(output, i) && memcmp(&output->data[i], &GUARD_BITS, sizeof GUARD_BITS) != 0)
            return i;
    }
    return count + GUARD;
}

static void show(const kernel_output *output, const double *expected, const double *allowed)
{
    bool first = true;
    for (int64_t i = 0; i < output->rows; i++) {
        bool in_grid = i < GRID_ROWS;
        if (in_grid)
            printf("    %3d ", (int)i);
        for (int64_t j = 0; j < output->columns; j++) {
            bool wrong = differs(output, expected, allowed, i, j);
            if (in_grid && j < GRID_COLUMNS)
                putchar(wrong ? 'x' : '.');
        }
        if (in_grid)
            putchar('\n');
    }
    for (int64_t i = 0; i < output->rows && first; i++) {
        for (int64_t j = 0; j < output->columns && first; j++) {
            if (!differs(output, expected, allowed, i, j))
                continue;
            int64_t at = i * output->columns + j;
            printf("    first at row %d, column %d: %.9g, expected %.9g within %.3g\n", (int)i, (int)j,
                   (double)output->data[i * output->stride + j], expected[at], allowed != NULL ? allowed[at] : 0.0);
            first = false;
        }
    }
}

bool kernel_compare(kernel_harness *h, const kernel_output *output, const double *expected, const double *allowed,
                    const char *format, ...)
{
    int64_t wrong = 0, overwritten = find_overwritten(output);
    for (int64_t i = 0; i < output->rows; i++) {
        for (int64_t j = 0; j < output->columns; j++)
            wrong += differs(output, expected, allowed, i, j);
    }
    h->checks++;
    bool outside = overwritten < floats_of(output) + GUARD;
    if (wrong == 0 && !outside)
        return true;
    h->failures++;
    if (h->quiet || h->failures > MOST_SHOWN)
        return false;
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s (%s): ", h->family, mary_cpu_name(h->cpu));
    vprintf(format, arguments);
    va_end(arguments);
    printf(": %d of %d elements differ", (int)wrong, (int)(output->rows * output->columns));
    if (outside)
        printf(", wrote outside of the output at float %d of %d", (int)overwritten, (int)floats_of(output));
    printf("\n");
    if (wrong > 0)
        show(output, expected, allowed);
    return false;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may use the machine, too */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void kernel_time(const kernel_harness *h, const char *label, double work, const char *unit, void (*run)(void *context),
                 void *context)
{
    enum { SAMPLES = 15 };
    const double least = 2e-3; /* seconds of a sample */
    double samples[SAMPLES], spent;
    long calls = 1;
    for (;;) {
        double start = now();
        for (long i = 0; i < calls; i++)
            run(context);
        spent = now() - start;
        if (spent >= least)
            break;
        calls = spent > least / 100 ? (long)((double)calls * least / spent) + 1 : calls * 10;
    }
    for (int s = 0; s < SAMPLES; s++) {
        double start = now();
        for (long i = 0; i < calls; i++)
            run(context);
        samples[s] = (now() - start) / (double)calls;
    }
    qsort(samples, SAMPLES, sizeof(double), ascending);
    double median = samples[SAMPLES / 2];
    printf("%-14s %-34s %-8s %12.1f ns %10.3f G%s/s\n", h->family, label, mary_cpu_name(h->cpu), median * 1e9,
           work / median * 1e-9, unit);
}
