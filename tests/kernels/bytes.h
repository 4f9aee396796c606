/* Guarded outputs of bytes for kernels whose results are exact: see harness.h. */
#ifndef MARY_TESTS_KERNELS_BYTES_H
#define MARY_TESTS_KERNELS_BYTES_H

#include "tests/kernels/harness.h"

typedef struct kernel_bytes {
    uint8_t *data;
    int64_t rows, columns, stride;
    uint8_t *memory;
} kernel_bytes;

uint8_t *kernel_random_bytes(kernel_harness *h, int64_t count); /* freed with free */

/* rows x columns bytes, `stride` from row to row, with a pattern around and between them. */
kernel_bytes kernel_bytes_claim(int64_t rows, int64_t columns, int64_t stride);
void kernel_bytes_free(kernel_bytes *output);
/* Every byte against expected[rows][columns], and the pattern; counts as a check of the harness. */
bool kernel_bytes_compare(kernel_harness *h, const kernel_bytes *output, const uint8_t *expected, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

#endif
