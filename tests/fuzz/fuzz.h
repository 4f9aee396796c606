/* What the fuzz targets share. Each target is built with clang as a libFuzzer program, and with any compiler as a plain
 * program that replays files (replay.c). */
#ifndef MARY_TESTS_FUZZ_FUZZ_H
#define MARY_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FUZZ_MOST_BYTES = 1 << 20 };

/* A small file may rightly ask for much memory (Expand, Tile, Range): a single allocation above 1 MB fails, as it
 * would on a small machine, and has to come back as a status. */
static inline void fuzz_begin(void)
{
    mary_memory_limit(FUZZ_MOST_BYTES);
}

/* Reads every byte, so that a sanitizer sees one that is not there. */
static inline void fuzz_touch(const void *data, size_t bytes)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
    (void)sum;
}

#endif
