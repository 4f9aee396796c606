/* Levels row by row (or once for the tensor), then every weight to its nearest level. */
#include "convert/quantize/tensor.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "convert/codes.h"

/* A row of less than this part of the mean row's energy counts as if it had that: what is lost in a dead channel does
 * no harm. */
#define SMALL_ROW 0.01

float mary_quantize_round(double value, mary_type type)
{
    float rounded = (float)value;
    if (type == MARY_FLOAT16)
        rounded = mary_half_to_float(mary_float_to_half(rounded));
    else if (type == MARY_BFLOAT16)
        rounded = mary_bfloat_to_float(mary_float_to_bfloat(rounded));
    return rounded;
}

/* One set of levels, ready for finding the nearest. */
typedef struct codebook {
    int used; /* distinct levels */
    float levels[256];
    double thresholds[256]; /* used - 1 midpoints; a weight on one belongs to the lower level */
} codebook;

static mary_status codebook_choose(const mary_quantize_request *request, const mary_quantize_input *input,
                                   codebook *book)
{
    double levels[256];
    MARY_TRY(request->method->choose(input, request->levels, levels));
    book->used = 0;
    for (int m = 0; m < request->levels; m++) {
        float level = mary_quantize_round(levels[m], request->type);
        if (book->used == 0 || level > book->levels[book->used - 1])
            book->levels[book->used++] = level;
    }
    for (int m = 0; m + 1 < book->used; m++)
        book->thresholds[m] = 0.5 * ((double)book->levels[m] + (double)book->levels[m + 1]);
    return MARY_OK;
}

static void codebook_store(const codebook *book, int bits, float *values)
{
    for (int m = 0; m < 1 << bits; m++)
        values[m] = book->levels[m < book->used ? m : book->used - 1];
}

static void codebook_assign(const codebook *book, const float *weights, int64_t count, uint8_t *codes)
{
    int bounds = book->used - 1;
    if (bounds <= 15) {
        for (int64_t i = 0; i < count; i++) {
            double weight = weights[i];
            int code = 0;
            for (int m = 0; m < bounds; m++)
                code += weight > book->thresholds[m];
            codes[i] = (uint8_t)code;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double weight = weights[i];
        int low = 0, high = bounds; /* the number of thresholds below weight is in [low, high] */
        while (low < high) {
            int middle = (low + high) / 2;
            if (weight > book->thresholds[middle])
                low = middle + 1;
            else
                high = middle;
        }
        codes[i] = (uint8_t)low;
    }
}

typedef struct row_result {
    double energy, error;
} row_result;

static row_result measure(const float *levels, const float *weights, const uint8_t *codes, int64_t count)
{
    row_result result = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        double weight = weights[i], difference = weight - (double)levels[codes[i]];
        result.energy += weight * weight;
        result.error += difference * difference;
    }
    return result;
}

/* One row's levels by `choose`, or the shared ones; its codes to codes[row_length]. */
static mary_status choose_row(const mary_quantize_request *request, const codebook *shared, int64_t row, float *levels,
                              uint8_t *codes)
{
    const float *weights = request->weights + row * request->row_length;
    codebook own;
    const codebook *book = shared;
    if (shared == NULL) {
        mary_quantize_input input = {.values = weights, .count = request->row_length};
        if (request->importance != NULL)
            input.importance = request->importance + row * request->row_length;
        input.seed = request->seed + (uint64_t)row;
        MARY_TRY(codebook_choose(request, &input, &own));
        codebook_store(&own, mary_codes_bits(request->levels), levels);
        book = &own;
    }
    codebook_assign(book, weights, request->row_length, codes);
    return MARY_OK;
}

static row_result finish_row(const mary_quantize_request *request, int64_t row, const float *levels,
                             const uint8_t *codes, mary_quantized *quantized)
{
    row_result result = measure(levels, request->weights + row * request->row_length, codes, request->row_length);
    mary_codes_pack(codes, request->row_length, quantized->bits,
                    quantized->codes + row * mary_codes_row_bytes(request->row_length, quantized->bits));
    return result;
}

/* Methods with `choose`: row by row, so that codes are never there unpacked. */
static mary_status quantize_rows(const mary_quantize_request *request, mary_quantized *quantized, row_result *results)
{
    codebook book;
    if (request->shared) {
        mary_quantize_input input = {.values = request->weights,
                                     .importance = request->importance,
                                     .count = request->rows * request->row_length,
                                     .seed = request->seed};
        MARY_TRY(codebook_choose(request, &input, &book));
        codebook_store(&book, quantized->bits, quantized->values);
    }
    _Atomic int failed = MARY_OK; /* messages are per thread, so a worker's is said again here */
#pragma omp parallel for schedule(dynamic) num_threads(request->threads) if (request->rows > 1 && request->threads > 1)
    for (int64_t row = 0; row < request->rows; row++) {
        if (atomic_load_explicit(&failed, memory_order_relaxed) != MARY_OK)
            continue;
        float *levels = quantized->values + (request->shared ? 0 : row << quantized->bits);
        uint8_t *codes = mary_alloc((size_t)request->row_length);
        mary_status status = codes == NULL ? mary_fail_memory((size_t)request->row_length)
                                           : choose_row(request, request->shared ? &book : NULL, row, levels, codes);
        if (status == MARY_OK)
            results[row] = finish_row(request, row, levels, codes, quantized);
        else
            atomic_store(&failed, (int)status);
        mary_free(codes);
    }
    if (failed != MARY_OK)
        return mary_fail((mary_status)failed, "choosing levels for %lld rows of %lld weights failed: out of memory",
                         (long long)request->rows, (long long)request->row_length);
    return MARY_OK;
}

/* Methods with `code`: the whole layer at once. */
static mary_status quantize_layer(const mary_quantize_request *request, mary_quantized *quantized, row_result *results)
{
    mary_status status = MARY_OK;
    int64_t sets = request->shared ? 1 : request->rows;
    uint8_t *codes = mary_alloc((size_t)(request->rows * request->row_length));
    float *levels = mary_alloc((size_t)(sets * request->levels) * sizeof *levels);
    if (codes == NULL || levels == NULL) {
        status = mary_fail_memory((size_t)(request->rows * request->row_length));
        goto done;
    }
    MARY_TRY_GOTO(request->method->code(request, levels, codes), done);
    for (int64_t set = 0; set < sets; set++) {
        float *values = quantized->values + (set << quantized->bits);
        for (int m = 0; m < 1 << quantized->bits; m++)
            values[m] = levels[set * request->levels + (m < request->levels ? m : request->levels - 1)];
    }
    for (int64_t row = 0; row < request->rows; row++)
        results[row] = finish_row(request, row, quantized->values + (request->shared ? 0 : row << quantized->bits),
                                  codes + row * request->row_length, quantized);
done:
    mary_free(codes);
    mary_free(levels);
    return status;
}

int64_t mary_quantized_code_bytes(int64_t rows, int64_t row_length, int bits)
{
    return rows * mary_codes_row_bytes(row_length, bits);
}

int64_t mary_quantized_level_bytes(int64_t rows, int bits, bool shared, mary_type type)
{
    return ((shared ? 1 : rows) << bits) * (int64_t)mary_type_size(type);
}

mary_status mary_quantize_tensor(const mary_quantize_request *request, mary_quantized *quantized)
{
    mary_status status = MARY_OK;
    row_result *results = NULL;
    *quantized = (mary_quantized){.rows = request->rows,
                                  .row_length = request->row_length,
                                  .levels = request->levels,
                                  .bits = mary_codes_bits(request->levels),
                                  .shared = request->shared};
    int64_t sets = request->shared ? 1 : request->rows;
    size_t level_bytes, result_bytes;
    if (!mary_size_mul((size_t)sets << quantized->bits, sizeof(float), &level_bytes) ||
        !mary_size_mul((size_t)request->rows, sizeof *results, &result_bytes))
        return mary_fail_memory(SIZE_MAX);
    size_t code_bytes = (size_t)mary_quantized_code_bytes(request->rows, request->row_length, quantized->bits);
    quantized->codes = mary_alloc(code_bytes);
    quantized->values = mary_alloc(level_bytes);
    results = mary_alloc(result_bytes);
    if (quantized->codes == NULL || quantized->values == NULL || results == NULL) {
        status = mary_fail_memory(code_bytes);
        goto done;
    }
    if (request->method->code != NULL)
        MARY_TRY_GOTO(quantize_layer(request, quantized, results), done);
    else
        MARY_TRY_GOTO(quantize_rows(request, quantized, results), done);
    for (int64_t row = 0; row < request->rows; row++) { /* in order: sums do not depend on the threads */
        quantized->energy += results[row].energy;
        quantized->error += results[row].error;
    }
    double mean_energy = quantized->energy / (double)request->rows;
    for (int64_t row = 0; row < request->rows; row++) {
        double energy = fmax(results[row].energy, SMALL_ROW * mean_energy);
        if (results[row].error > 0)
            quantized->row_error += results[row].error / energy / (double)request->rows;
    }
done:
    mary_free(results);
    if (status != MARY_OK)
        mary_quantized_free(quantized);
    return status;
}

void mary_quantized_free(mary_quantized *quantized)
{
    mary_free(quantized->codes);
    mary_free(quantized->values);
    *quantized = (mary_quantized){0};
}

double mary_quantized_sqnr(const mary_quantized *quantized)
{
    return quantized->error > 0 ? 10 * log10(quantized->energy / quantized->error) : INFINITY;
}
