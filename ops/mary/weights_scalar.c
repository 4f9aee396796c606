/* The M-ary kernels in plain C: the reference for every other tier. */
#include "ops/mary/weights_kernels.h"

static float decode(const uint32_t *codes, const float *levels, int bits, int64_t k)
{
    int64_t length = 512 / bits, within = k % length;
    uint32_t dword =
        codes[k / length * MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS + within % MARY_WEIGHTS_BLOCK_DWORDS];
    return levels[(dword >> (bits * (int)(within / MARY_WEIGHTS_BLOCK_DWORDS))) & ((1u << bits) - 1)];
}

static void decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out)
{
    const uint32_t *codes = mary_weights_row_codes(weights, row);
    const float *levels = mary_weights_row_levels(weights, row);
    for (int64_t k = begin; k < end; k++)
        out[k - begin] = decode(codes, levels, weights->bits, k);
}

void mary_weights_decode_panel_scalar(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end,
                                      int width, float *panel)
{
    for (int j = 0; j < count; j++) {
        const uint32_t *codes = mary_weights_row_codes(weights, row + j);
        const float *levels = mary_weights_row_levels(weights, row + j);
        for (int64_t k = begin; k < end; k++)
            panel[(k - begin) * width + j] = decode(codes, levels, weights->bits, k);
    }
    for (int64_t k = begin; k < end; k++) {
        for (int j = count; j < width; j++)
            panel[(k - begin) * width + j] = 0.0f;
    }
}

static void multiply(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                     int64_t count, float *out, int64_t out_stride)
{
    for (int64_t r = row; r < row + count; r++) {
        const uint32_t *codes = mary_weights_row_codes(weights, r);
        const float *levels = mary_weights_row_levels(weights, r);
        float sums[MARY_WEIGHTS_MOST_BATCH] = {0};
        for (int64_t k = 0; k < weights->row_length; k++) {
            float w = decode(codes, levels, weights->bits, k);
            for (int i = 0; i < batch; i++)
                sums[i] += x[i * x_stride + k] * w;
        }
        for (int i = 0; i < batch; i++)
            out[i * out_stride + r] = sums[i];
    }
}

const mary_weights_kernels mary_weights_kernels_scalar = {
    .name = "scalar",
    .decode_panel = mary_weights_decode_panel_scalar,
    .decode_row = decode_row,
    .multiply = multiply,
};
