#include "tests/kernels/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, GUARD_BYTE = 0xa5, FILL_BYTE = 0x5a, MOST_SHOWN = 3 };

uint8_t *kernel_random_bytes(kernel_harness *h, int64_t count)
{
    uint8_t *bytes = malloc((size_t)count + 1);
    if (bytes == NULL)
        abort();
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)kernel_random_int(h, 0, 255);
    return bytes;
}

static int64_t span(const kernel_bytes *output)
{
    return output->rows > 0 && output->columns > 0 ? (output->rows - 1) * output->stride + output->columns : 0;
}

static bool is_element(const kernel_bytes *output, int64_t i)
{
    return i >= 0 && i < span(output) && i % output->stride < output->columns;
}

kernel_bytes kernel_bytes_claim(int64_t rows, int64_t columns, int64_t stride)
{
    kernel_bytes output = {.rows = rows, .columns = columns, .stride = stride};
    int64_t count = span(&output);
    output.memory = malloc((size_t)count + 2 * GUARD);
    if (output.memory == NULL)
        abort();
    output.data = output.memory + GUARD;
    for (int64_t i = -GUARD; i < count + GUARD; i++)
        output.data[i] = is_element(&output, i) ? FILL_BYTE : GUARD_BYTE;
    return output;
}

void kernel_bytes_free(kernel_bytes *output)
{
    free(output->memory);
    output->memory = output->data = NULL;
}

bool kernel_bytes_compare(kernel_harness *h, const kernel_bytes *output, const uint8_t *expected, const char *format,
                          ...)
{
    int64_t wrong = 0, outside = 0, first = -1, count = span(output);
    for (int64_t i = -GUARD; i < count + GUARD; i++) {
        if (!is_element(output, i)) {
            outside += output->data[i] != GUARD_BYTE;
        } else if (output->data[i] != expected[i / output->stride * output->columns + i % output->stride]) {
            first = first < 0 ? i : first;
            wrong++;
        }
    }
    h->checks++;
    if (wrong == 0 && outside == 0)
        return true;
    h->failures++;
    if (h->quiet || h->failures > MOST_SHOWN)
        return false;
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s (%s): ", h->family, mary_cpu_name(h->cpu));
    vprintf(format, arguments);
    va_end(arguments);
    printf(": %d of %d bytes differ, %d outside were written", (int)wrong, (int)(output->rows * output->columns),
           (int)outside);
    if (first >= 0)
        printf("; first at row %d, column %d: %d, expected %d", (int)(first / output->stride),
               (int)(first % output->stride), output->data[first],
               expected[first / output->stride * output->columns + first % output->stride]);
    printf("\n");
    return false;
}
