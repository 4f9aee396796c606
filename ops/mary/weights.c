/* Packing M-ary weights at load, and calling the kernels of the tier that was chosen then. */
#include "ops/mary/weights_kernels.h"

#include <math.h>
#include <string.h>

/* Scalar first, each better instruction set overlays it in rising order. */
const mary_weights_kernels *mary_weights_choose_kernels(mary_cpu cpu, int bits)
{
    const mary_weights_kernels *kernels = &mary_weights_kernels_scalar;
#if defined(__x86_64__)
    cpu = mary_cpu_base(cpu);
    if (cpu >= MARY_CPU_AVX2)
        kernels = &mary_weights_kernels_avx2;
    if (cpu >= MARY_CPU_AVX512)
        kernels = &mary_weights_kernels_avx512;
    if (cpu >= MARY_CPU_AVX512 && bits == 8 && mary_cpu_has_vbmi())
        kernels = &mary_weights_kernels_vbmi;
#else
    (void)cpu;
    (void)bits;
#endif
    return kernels;
}

static mary_status check(const mary_tensor *codes, const mary_tensor *levels, int64_t rows, int64_t row_length,
                         int bits, int64_t taps)
{
    char text[96];
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8)
        return mary_fail(MARY_ERROR_INVALID, "bits is %d, it must be 1, 2, 4 or 8", bits);
    if (rows < 0 || row_length < 0 || row_length > INT64_MAX / 64)
        return mary_fail(MARY_ERROR_INVALID, "%lld rows of %lld weights", (long long)rows, (long long)row_length);
    if (taps < 1 || row_length % taps != 0)
        return mary_fail(MARY_ERROR_INVALID, "a row of %lld weights does not divide into %lld kernel positions",
                         (long long)row_length, (long long)taps);
    if (codes->type != MARY_UINT8 || codes->shape.rank != 2 || codes->shape.dims[0] != rows ||
        codes->shape.dims[1] != (row_length * bits + 7) / 8)
        return mary_fail(MARY_ERROR_INVALID, "codes are %s %s, they must be uint8 [%lld,%lld]",
                         mary_type_name(codes->type), mary_shape_format(&codes->shape, text, sizeof text),
                         (long long)rows, (long long)((row_length * bits + 7) / 8));
    if (levels->type != MARY_FLOAT || levels->shape.rank != 2 ||
        (levels->shape.dims[0] != rows && levels->shape.dims[0] != 1) || levels->shape.dims[1] != 1 << bits)
        return mary_fail(MARY_ERROR_INVALID, "levels are %s %s, they must be float [%lld or 1,%d]",
                         mary_type_name(levels->type), mary_shape_format(&levels->shape, text, sizeof text),
                         (long long)rows, 1 << bits);
    if (codes->data == NULL || levels->data == NULL)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    return MARY_OK;
}

/* One row of the file, [depth][taps] codes packed little end first, to one code a byte in packed order [taps][depth].
 */
static int unpack_row(const uint8_t *packed, int bits, int64_t depth, int64_t taps, uint8_t *codes)
{
    const int per_byte = 8 / bits, mask = (1 << bits) - 1;
    int64_t length = depth * taps;
    int largest = 0;
    if (taps == 1) {
        for (int64_t k = 0; k < length; k += per_byte) {
            int byte = packed[k / per_byte];
            for (int i = 0; i < per_byte && k + i < length; i++)
                codes[k + i] = (uint8_t)((byte >> (bits * i)) & mask);
        }
    } else {
        int64_t k = 0;
        for (int64_t c = 0; c < depth; c++) {
            for (int64_t t = 0; t < taps; t++, k++)
                codes[t * depth + c] = (uint8_t)((packed[k / per_byte] >> (bits * (int)(k % per_byte))) & mask);
        }
    }
    for (int64_t k = 0; k < length; k++)
        largest = codes[k] > largest ? codes[k] : largest;
    return largest;
}

/* `codes` holds blocks * 512/bits bytes, zero past the row's end. */
static void pack_row(const uint8_t *codes, int bits, int64_t blocks, uint32_t *out)
{
    const int steps = 32 / bits;
    for (int64_t b = 0; b < blocks; b++, out += MARY_WEIGHTS_GROUP * MARY_WEIGHTS_BLOCK_DWORDS) {
        for (int i = 0; i < MARY_WEIGHTS_BLOCK_DWORDS; i++)
            out[i] = 0;
        for (int s = 0; s < steps; s++, codes += MARY_WEIGHTS_BLOCK_DWORDS) {
            for (int i = 0; i < MARY_WEIGHTS_BLOCK_DWORDS; i++)
                out[i] |= (uint32_t)codes[i] << (bits * s);
        }
    }
}

mary_status mary_weights_create(const mary_tensor *codes, const mary_tensor *levels, int64_t rows, int64_t row_length,
                                int bits, int64_t taps, float scale, mary_weights **weights)
{
    return mary_weights_create_for(mary_weights_choose_kernels(mary_cpu_current(), bits), codes, levels, rows,
                                   row_length, bits, taps, scale, weights);
}

mary_status mary_weights_create_for(const mary_weights_kernels *kernels, const mary_tensor *codes,
                                    const mary_tensor *levels, int64_t rows, int64_t row_length, int bits, int64_t taps,
                                    float scale, mary_weights **weights)
{
    mary_status status = MARY_OK;
    uint8_t *unpacked = NULL;
    mary_weights *made = NULL;
    *weights = NULL;
    MARY_TRY(check(codes, levels, rows, row_length, bits, taps));

    made = mary_calloc(1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    made->kernels = kernels;
    made->rows = rows;
    made->row_length = row_length;
    made->bits = bits;
    made->level_count = 1;
    made->blocks = row_length / mary_weights_block_length(made) + (row_length % mary_weights_block_length(made) != 0);
    made->level_stride = levels->shape.dims[0] == rows && rows != 1 ? 1 << bits : 0;

    size_t code_bytes, level_bytes, row_bytes = (size_t)made->blocks * MARY_WEIGHTS_BLOCK_DWORDS * sizeof(uint32_t);
    size_t level_count = (size_t)levels->shape.dims[0] << bits;
    size_t padded_rows = ((size_t)rows + MARY_WEIGHTS_GROUP - 1) / MARY_WEIGHTS_GROUP * MARY_WEIGHTS_GROUP;
    if (!mary_size_mul(row_bytes, padded_rows, &code_bytes) ||
        !mary_size_mul(level_count, sizeof(float), &level_bytes) || !mary_size_add(level_bytes, 64, &level_bytes)) {
        status = mary_fail(MARY_ERROR_INVALID, "%lld rows of %lld weights are too many", (long long)rows,
                           (long long)row_length);
        goto error;
    }
    made->codes = mary_alloc_aligned(code_bytes);
    made->levels = mary_alloc_aligned(level_bytes);
    unpacked = mary_calloc((size_t)made->blocks, (size_t)mary_weights_block_length(made));
    if (made->codes == NULL || made->levels == NULL || unpacked == NULL) {
        status = mary_fail_memory(code_bytes + level_bytes);
        goto error;
    }
    made->bytes = code_bytes + level_bytes;

    const float *level = levels->data;
    for (size_t i = 0; i < level_count; i++)
        made->levels[i] = level[i] * scale;
    memset(made->levels + level_count, 0, level_bytes - level_count * sizeof(float));
    if (kernels->arrange_levels != NULL)
        kernels->arrange_levels(made->levels, levels->shape.dims[0]);
    const uint8_t *row = codes->data;
    for (int64_t r = 0; r < rows; r++, row += codes->shape.dims[1]) {
        int largest = unpack_row(row, bits, row_length / taps, taps, unpacked);
        made->level_count = largest + 1 > made->level_count ? largest + 1 : made->level_count;
        pack_row(unpacked, bits, made->blocks, (uint32_t *)mary_weights_row_codes(made, r));
    }
    memset(unpacked, 0, (size_t)row_length);
    for (int64_t r = rows; r < (int64_t)padded_rows; r++)
        pack_row(unpacked, bits, made->blocks, (uint32_t *)mary_weights_row_codes(made, r));
    *weights = made;
    made = NULL;

error:
    mary_free(unpacked);
    mary_weights_free(&made);
    return status;
}

void mary_weights_free(mary_weights **weights)
{
    if (*weights == NULL)
        return;
    mary_free((*weights)->codes);
    mary_free((*weights)->levels);
    mary_free(*weights);
    *weights = NULL;
}

size_t mary_weights_bytes(const mary_weights *weights)
{
    return weights->bytes;
}

void mary_weights_decode_panel(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end,
                               int width, float *panel)
{
    if (begin >= end || width <= 0)
        return;
    if (count <= 0)
        memset(panel, 0, sizeof(float) * (size_t)width * (size_t)(end - begin));
    else
        weights->kernels->decode_panel(weights, row, count, begin, end, width, panel);
}

void mary_weights_decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out)
{
    if (begin < end)
        weights->kernels->decode_row(weights, row, begin, end, out);
}

void mary_weights_multiply(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                           int64_t count, float *out, int64_t out_stride)
{
    if (count <= 0)
        return;
    /* Kernels exist for 1, 2 and 4: each more would take the compiler seconds and save little once codes are in the
     * cache. */
    for (int part; batch > 0; batch -= part) {
        part = batch >= 4 ? 4 : batch >= 2 ? 2 : 1;
        weights->kernels->multiply(weights, x, x_stride, part, row, count, out, out_stride);
        x += part * x_stride;
        out += part * out_stride;
    }
}
