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

/* Rounded to what is stored; levels that became the same are one. `codes` [count] follow; NULL: there are none yet. */
static void round_levels(const double *levels, int count, mary_type type, mary_quantized_set *set, uint8_t *codes,
                         int64_t code_count)
{
    uint8_t number[256];
    set->used = 0;
    for (int m = 0; m < count; m++) {
        float level = mary_quantize_round(levels[m], type);
        if (set->used == 0 || level > set->levels[set->used - 1])
            set->levels[set->used++] = level;
        number[m] = (uint8_t)(set->used - 1);
    }
    for (int64_t i = 0; codes != NULL && i < code_count; i++)
        codes[i] = number[codes[i]];
}

static void store_levels(const mary_quantized_set *set, int bits, float *values)
{
    for (int m = 0; m < 1 << bits; m++)
        values[m] = set->levels[m < set->used ? m : set->used - 1];
}

/* Every weight to its nearest level; one in the middle belongs to the lower. */
static void assign_nearest(const mary_quantized_set *set, const float *weights, int64_t count, uint8_t *codes)
{
    int bounds = set->used - 1;
    double thresholds[256];
    for (int m = 0; m < bounds; m++)
        thresholds[m] = 0.5 * ((double)set->levels[m] + (double)set->levels[m + 1]);
    if (bounds <= 15) {
        for (int64_t i = 0; i < count; i++) {
            double weight = weights[i];
            int code = 0;
            for (int m = 0; m < bounds; m++)
                code += weight > thresholds[m];
            codes[i] = (uint8_t)code;
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double weight = weights[i];
        int low = 0, high = bounds; /* the number of thresholds below weight is in [low, high] */
        while (low < high) {
            int middle = (low + high) / 2;
            if (weight > thresholds[middle])
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

mary_status mary_quantize_set(const mary_quantize_method *method, const mary_quantize_input *input, int levels,
                              mary_type type, mary_quantized_set *set)
{
    double chosen[256];
    if (method->partition != NULL) {
        MARY_TRY(method->partition(input, levels, chosen, set->codes));
        round_levels(chosen, levels, type, set, set->codes, input->count);
        return MARY_OK;
    }
    MARY_TRY(method->choose(input, levels, chosen));
    round_levels(chosen, levels, type, set, NULL, 0);
    assign_nearest(set, input->values, input->count, set->codes);
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

static mary_quantize_input input_of(const mary_quantize_request *request, int64_t row, int64_t rows)
{
    int64_t begin = row * request->row_length;
    return (mary_quantize_input){.values = request->weights + begin,
                                 .importance = request->importance != NULL ? request->importance + begin : NULL,
                                 .count = rows * request->row_length,
                                 .seed = request->seed + (uint64_t)row,
                                 .entropy = request->entropy};
}

/* Levels of the tensor, and codes for all of it. */
static mary_status quantize_shared(const mary_quantize_request *request, mary_quantized *quantized, row_result *results)
{
    mary_quantized_set own = {0};
    const mary_quantize_input input = input_of(request, 0, request->rows);
    mary_status status = MARY_OK;
    own.codes = mary_alloc((size_t)input.count);
    if (own.codes == NULL)
        return mary_fail_memory((size_t)input.count);
    if (request->given != NULL) {
        memcpy(own.levels, request->given->levels, sizeof own.levels);
        own.used = request->given->used;
        memcpy(own.codes, request->given->codes, (size_t)input.count);
    } else {
        MARY_TRY_GOTO(mary_quantize_set(request->method, &input, request->levels, request->type, &own), done);
    }
    store_levels(&own, quantized->bits, quantized->values);
#pragma omp parallel for num_threads(request->threads) if (request->rows > 1 && request->threads > 1)
    for (int64_t row = 0; row < request->rows; row++)
        results[row] = finish_row(request, row, quantized->values, own.codes + row * request->row_length, quantized);
done:
    mary_free(own.codes);
    return status;
}

/* Levels of each row: codes are never there unpacked but for the rows in work. */
static mary_status quantize_rows(const mary_quantize_request *request, mary_quantized *quantized, row_result *results)
{
    _Atomic int failed = MARY_OK; /* messages are per thread, so a worker's is said again here */
#pragma omp parallel for schedule(dynamic) num_threads(request->threads) if (request->rows > 1 && request->threads > 1)
    for (int64_t row = 0; row < request->rows; row++) {
        if (atomic_load_explicit(&failed, memory_order_relaxed) != MARY_OK)
            continue;
        float *levels = quantized->values + (row << quantized->bits);
        const mary_quantize_input input = input_of(request, row, 1);
        mary_quantized_set set = {.codes = mary_alloc((size_t)request->row_length)};
        mary_status status = set.codes == NULL
                                 ? mary_fail_memory((size_t)request->row_length)
                                 : mary_quantize_set(request->method, &input, request->levels, request->type, &set);
        if (status == MARY_OK) {
            store_levels(&set, quantized->bits, levels);
            results[row] = finish_row(request, row, levels, set.codes, quantized);
        } else {
            atomic_store(&failed, (int)status);
        }
        mary_free(set.codes);
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
    else if (request->shared)
        MARY_TRY_GOTO(quantize_shared(request, quantized, results), done);
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

mary_status mary_quantized_decode(const mary_quantized *quantized, float *matrix)
{
    int64_t length = quantized->row_length, row_bytes = mary_codes_row_bytes(length, quantized->bits);
    uint8_t *codes = mary_alloc((size_t)length);
    if (codes == NULL)
        return mary_fail_memory((size_t)length);
    for (int64_t r = 0; r < quantized->rows; r++) {
        const float *levels = quantized->values + (quantized->shared ? 0 : r << quantized->bits);
        mary_codes_unpack(quantized->codes + r * row_bytes, length, quantized->bits, codes);
        for (int64_t k = 0; k < length; k++)
            matrix[r * length + k] = levels[codes[k]];
    }
    mary_free(codes);
    return MARY_OK;
}

double mary_quantized_sqnr(const mary_quantized *quantized)
{
    return quantized->error > 0 ? 10 * log10(quantized->energy / quantized->error) : INFINITY;
}
