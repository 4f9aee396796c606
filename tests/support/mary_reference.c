#include "tests/support/mary_reference.h"

#include "onnx/memory.h"

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

void mary_reference_make(mary_reference *reference, int64_t rows, int64_t length, int bits, bool shared_levels)
{
    uint32_t seed = (uint32_t)(rows * 31 + length * 7 + bits);
    int64_t row_bytes = (length * bits + 7) / 8, level_rows = shared_levels ? 1 : rows, levels = 1 << bits;
    *reference = (mary_reference){.code_dims = {rows, row_bytes}, .level_dims = {level_rows, levels}};
    reference->codes = mary_calloc((size_t)(rows * row_bytes) + 1, 1);
    reference->levels = mary_calloc((size_t)(level_rows * levels) + 1, sizeof(float));
    reference->dense = mary_calloc((size_t)(rows * length) + 1, sizeof(float));
    for (int64_t i = 0; i < level_rows * levels; i++)
        reference->levels[i] = (float)next(&seed) * 0x1p-23f - 1.0f;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < length; k++) {
            int code = (int)(next(&seed) % (uint32_t)levels);
            reference->codes[r * row_bytes + k * bits / 8] |= (uint8_t)(code << (k * bits % 8));
            reference->dense[r * length + k] = reference->levels[(shared_levels ? 0 : r) * levels + code];
        }
    }
}

void mary_reference_free(mary_reference *reference)
{
    mary_free(reference->codes);
    mary_free(reference->levels);
    mary_free(reference->dense);
}
