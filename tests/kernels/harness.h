/* One harness that tests and times every kernel on every CPU tier.
 *
 * A family of kernels is a check and a benchmark (families.h lists them). A check makes random inputs, lets the kernel
 * of the harness's tier write into a guarded output and has it compared with a reference that the check worked out
 * itself:
 *
 *     kernel_output out = kernel_output_claim(h, rows, columns, stride);
 *     kernel(..., out.data, stride);
 *     kernel_compare(h, &out, expected, allowed, "3x7 taps %d", taps);
 *     kernel_output_free(&out);
 */
#ifndef MARY_TESTS_KERNELS_HARNESS_H
#define MARY_TESTS_KERNELS_HARNESS_H

#include "ops/cpu.h"

typedef struct kernel_harness {
    uint32_t seed, state; /* every family starts over from the seed, so that every tier sees the same inputs */
    mary_cpu cpu;
    const char *family;
    bool quiet; /* a failure is expected */
    long checks, failures;
} kernel_harness;

void kernel_start(kernel_harness *h, const char *family, mary_cpu cpu);

float kernel_random_float(kernel_harness *h);                  /* in [-1, 1) */
int kernel_random_int(kernel_harness *h, int low, int high);   /* in [low, high] */
float *kernel_random_floats(kernel_harness *h, int64_t count); /* freed with free */

/* rows x columns floats, `stride` floats from row to row. What is not an element, in front, between and behind, is
 * filled with a pattern that must still be there afterwards; the elements start as NaN. */
typedef struct kernel_output {
    float *data;
    int64_t rows, columns, stride;
    float *memory;
} kernel_output;

kernel_output kernel_output_claim(int64_t rows, int64_t columns, int64_t stride);
void kernel_output_free(kernel_output *output);

/* Elements against expected[rows][columns]: |difference| <= allowed[rows][columns]; allowed NULL: the same float
 * exactly. A NaN equals nothing. The first failures of a family are shown with a map of the elements that differ. */
bool kernel_compare(kernel_harness *h, const kernel_output *output, const double *expected, const double *allowed,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Prints the median time of run(context), and work (in `unit`) a second. */
void kernel_time(const kernel_harness *h, const char *label, double work, const char *unit, void (*run)(void *context),
                 void *context);

#endif
