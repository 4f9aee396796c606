/* Levels on the int8 grid. A row of M levels keeps its relative positions to 1/127 of the largest, so the grid's own
 * error is 40 dB and more below the levels' (M <= 16: at most 25 dB). */
#include "convert/integer/weight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/codes.h"

enum { SAMPLE = 4096, CLIPS = 40, FINEST = 127, COARSEST = 64 };
/* 255 * sum|level| stays below 2^30, which leaves as much for the bias. */
#define MOST_MASS   ((double)(1 << 22))
#define LEAST_SCALE 1e-20 /* of a row that is all zero; products with activations' scales stay normal numbers */

void mary_integer_weight_free(mary_integer_weight *weight)
{
    mary_free(weight->codes);
    mary_free(weight->grid);
    mary_free(weight->scale);
    *weight = (mary_integer_weight){0};
}

int64_t mary_integer_weight_bytes(const mary_integer_weight *weight)
{
    return mary_quantized_code_bytes(weight->rows, weight->row_length, weight->bits) +
           ((weight->shared ? 1 : weight->rows) << weight->bits) + weight->rows * (int64_t)(sizeof(float) + 1);
}

typedef struct task {
    const mary_integer_row_needs *needs;
    const float *matrix;
    mary_integer_weight *weight;
    const float *levels; /* [rows or 1, 2^bits] floats to be put on the grid; NULL: equally spaced */
    bool keep;           /* the codes that came with `levels`: not those of the nearest */
    double *correction, *energy, *error;
} task;

static int least_level(const mary_integer_weight *weight)
{
    return -(weight->levels / 2);
}
static int most_level(const mary_integer_weight *weight)
{
    return (weight->levels - 1) / 2;
}

/* Squared error of `count` weights, `stride` apart, on the equally spaced grid. */
static double spaced_error(const mary_integer_weight *weight, const float *row, int64_t count, int64_t stride,
                           double scale)
{
    double low = least_level(weight), high = most_level(weight), error = 0, inverse = 1 / scale;
    for (int64_t k = 0; k < count; k += stride) {
        double level = fmin(fmax(nearbyint(row[k] * inverse), low), high), difference = row[k] - level * scale;
        error += difference * difference;
    }
    return error;
}

/* Clipping the largest weights may pay: their error against the finer step of all the others. */
static double spaced_scale(const mary_integer_weight *weight, const float *row, double largest)
{
    int64_t count = weight->row_length, stride = count > SAMPLE ? count / SAMPLE : 1;
    double full = largest / (most_level(weight) > 0 ? most_level(weight) : 0.5), best = full, least = INFINITY;
    for (int i = CLIPS; i >= CLIPS / 3; i--) {
        double error = spaced_error(weight, row, count, stride, full * i / CLIPS);
        if (error < least) {
            least = error;
            best = full * i / CLIPS;
        }
    }
    return best;
}

/* The scale at which rounding the levels to integers costs least, each level counted as often as it is used. */
static double level_scale(const float *levels, const int64_t *uses, int count, double largest)
{
    double best = largest / FINEST, least = INFINITY;
    for (int top = FINEST; top >= COARSEST; top--) {
        double scale = largest / top, error = 0;
        for (int m = 0; m < count; m++) {
            double difference = levels[m] - scale * nearbyint(levels[m] / scale);
            error += difference * difference * (double)uses[m];
        }
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

static double largest_of(const float *values, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

static void assign(const task *t, int64_t row, const int8_t *grid, uint8_t *codes)
{
    const mary_integer_weight *weight = t->weight;
    const float *values = t->matrix + row * weight->row_length;
    double inverse = 1.0 / weight->scale[row];
    if (t->levels == NULL) {
        int low = least_level(weight), high = most_level(weight);
        for (int64_t k = 0; k < weight->row_length; k++)
            codes[k] = (uint8_t)((int)fmin(fmax(nearbyint(values[k] * inverse), low), high) - low);
        return;
    }
    for (int64_t k = 0; k < weight->row_length; k++) {
        double value = values[k] * inverse, nearest = INFINITY;
        for (int m = 0; m < weight->levels; m++) {
            double distance = fabs(value - grid[m]);
            if (distance < nearest) {
                nearest = distance;
                codes[k] = (uint8_t)m;
            }
        }
    }
}

/* Sum of |level| over the row: what bounds the accumulator. */
static double mass(const mary_integer_weight *weight, const int8_t *grid, const uint8_t *codes)
{
    double sum = 0;
    for (int64_t k = 0; k < weight->row_length; k++)
        sum += abs(grid[codes[k]]);
    return sum;
}

static void put_on_grid(const mary_integer_weight *weight, const float *levels, double scale, int8_t *grid)
{
    for (int m = 0; m < 1 << weight->bits; m++) {
        int from = m < weight->levels ? m : weight->levels - 1;
        double level = levels == NULL ? least_level(weight) + from : nearbyint(levels[from] / scale);
        grid[m] = (int8_t)fmin(fmax(level, -128), 127);
    }
}

static void measure(const task *t, int64_t row, const int8_t *grid, const uint8_t *codes)
{
    const mary_integer_weight *weight = t->weight;
    const float *values = t->matrix + row * weight->row_length;
    const double *mean = NULL;
    double energy = 0, error = 0, lost = 0;
    if (t->needs != NULL && t->needs->mean != NULL)
        mean = t->needs->mean + row / t->needs->group_rows * weight->row_length;
    for (int64_t k = 0; k < weight->row_length; k++) {
        double difference = values[k] - (double)weight->scale[row] * grid[codes[k]];
        energy += (double)values[k] * values[k];
        error += difference * difference;
        lost += mean == NULL ? 0 : difference * mean[k];
    }
    t->energy[row] = energy;
    t->error[row] = error;
    if (t->correction != NULL)
        t->correction[row] = lost;
}

static void do_row(const task *t, int64_t row, int8_t *grid, double scale, uint8_t *codes)
{
    mary_integer_weight *weight = t->weight;
    double least = LEAST_SCALE;
    if (t->needs != NULL && t->needs->least_scale != NULL)
        least = fmax(least, t->needs->least_scale[row]);
    const float *levels = t->levels == NULL || weight->shared ? t->levels : t->levels + (row << weight->bits);
    for (scale = fmax(scale, least);; scale *= 1.5) { /* once, unless a row is so long that its sums could overflow */
        weight->scale[row] = (float)scale;
        if (!weight->shared)
            put_on_grid(weight, levels, weight->scale[row], grid);
        if (t->keep)
            mary_codes_unpack(weight->codes + row * mary_codes_row_bytes(weight->row_length, weight->bits),
                              weight->row_length, weight->bits, codes);
        else
            assign(t, row, grid, codes);
        if (mass(weight, grid, codes) <= MOST_MASS)
            break;
    }
    measure(t, row, grid, codes);
    mary_codes_pack(codes, weight->row_length, weight->bits,
                    weight->codes + row * mary_codes_row_bytes(weight->row_length, weight->bits));
}

/* The scale of one row's own levels, or of the whole tensor's. */
static double scale_for_levels(const mary_integer_weight *weight, const float *levels, const uint8_t *codes,
                               int64_t count)
{
    int64_t uses[256] = {0};
    for (int64_t k = 0; k < count; k++)
        uses[codes[k]]++;
    double largest = largest_of(levels, weight->levels);
    return largest > 0 ? level_scale(levels, uses, weight->levels, largest) : 0;
}

static bool quantize_row(const task *t, int64_t row, double shared_scale)
{
    mary_integer_weight *weight = t->weight;
    const float *values = t->matrix + row * weight->row_length;
    uint8_t *codes = mary_alloc((size_t)weight->row_length);
    if (codes == NULL)
        return false;
    double scale = shared_scale, largest;
    if (t->levels == NULL) {
        largest = largest_of(values, weight->row_length);
        scale = largest > 0 ? spaced_scale(weight, values, largest) : 0;
    } else if (!weight->shared) { /* codes were packed with the float levels */
        mary_codes_unpack(weight->codes + row * mary_codes_row_bytes(weight->row_length, weight->bits),
                          weight->row_length, weight->bits, codes);
        scale = scale_for_levels(weight, t->levels + (row << weight->bits), codes, weight->row_length);
    }
    do_row(t, row, weight->shared ? weight->grid : weight->grid + (row << weight->bits), scale, codes);
    mary_free(codes);
    return true;
}

/* Float levels first; their codes are overwritten row by row. */
static mary_status choose_levels(const mary_layer *layer, const float *matrix, int threads, uint64_t seed,
                                 const mary_feedback *feedback, mary_integer_weight *weight, float **levels)
{
    mary_quantized quantized;
    const mary_quantize_request request = {.weights = matrix,
                                           .importance = layer->importance,
                                           .rows = weight->rows,
                                           .row_length = weight->row_length,
                                           .method = layer->settings.method,
                                           .levels = weight->levels,
                                           .shared = weight->shared,
                                           .type = MARY_FLOAT,
                                           .threads = threads,
                                           .seed = seed,
                                           .entropy = layer->settings.entropy,
                                           .given = layer->given,
                                           .feedback = feedback};
    MARY_TRY(mary_quantize_tensor(&request, &quantized));
    weight->codes = quantized.codes;
    *levels = quantized.values;
    return MARY_OK;
}

/* A row of levels of its own costs 2^bits bytes and the codes; int8 costs a byte a weight and no levels. */
static void choose_coding(mary_layer *layer, mary_integer_weight *weight, bool *spaced)
{
    mary_granularity granularity = layer->settings.granularity;
    int wanted = layer->settings.levels;
    weight->levels = wanted;
    weight->bits = mary_codes_bits(wanted);
    int64_t own = weight->rows * (mary_codes_row_bytes(weight->row_length, weight->bits) + (1 << weight->bits));
    *spaced = weight->bits == 8 && (granularity != MARY_GRANULARITY_CHANNEL || wanted == 256);
    if (!*spaced && granularity == MARY_GRANULARITY_AUTO && own >= weight->rows * weight->row_length) {
        *spaced = true;
        weight->levels = 256;
        weight->bits = 8;
    }
    weight->shared = *spaced || granularity == MARY_GRANULARITY_TENSOR || granularity == MARY_GRANULARITY_MODEL;
}

/* Scales and levels stay, codes follow the layer's inputs; a row keeps what it had where its sums could overflow. */
static mary_status feed_back(const task *t, const mary_feedback *feedback)
{
    mary_integer_weight *weight = t->weight;
    mary_status status = MARY_OK;
    int64_t rows = weight->rows, length = weight->row_length, count = weight->levels;
    int64_t row_bytes = mary_codes_row_bytes(length, weight->bits);
    float *levels = mary_alloc((size_t)(rows * count) * sizeof *levels);
    uint8_t *codes = mary_alloc((size_t)(rows * length));
    if (levels == NULL || codes == NULL) {
        status = mary_fail_memory((size_t)(rows * length));
        goto done;
    }
    for (int64_t row = 0; row < rows; row++) {
        const int8_t *grid = weight->grid + (weight->shared ? 0 : row << weight->bits);
        for (int64_t m = 0; m < count; m++)
            levels[row * count + m] = weight->scale[row] * (float)grid[m];
    }
    mary_feedback_codes result = {.count = (int)count, .type = MARY_FLOAT, .levels = levels, .codes = codes};
    MARY_TRY_GOTO(mary_feedback_assign(feedback, &result), done);
    for (int64_t row = 0; row < rows; row++) {
        const int8_t *grid = weight->grid + (weight->shared ? 0 : row << weight->bits);
        if (mass(weight, grid, codes + row * length) > MOST_MASS)
            continue;
        measure(t, row, grid, codes + row * length);
        mary_codes_pack(codes + row * length, length, weight->bits, weight->codes + row * row_bytes);
    }
done:
    mary_free(levels);
    mary_free(codes);
    return status;
}

mary_status mary_integer_weight_decode(const mary_integer_weight *weight, float *matrix)
{
    int64_t length = weight->row_length, row_bytes = mary_codes_row_bytes(length, weight->bits);
    uint8_t *codes = mary_alloc((size_t)length);
    if (codes == NULL)
        return mary_fail_memory((size_t)length);
    for (int64_t row = 0; row < weight->rows; row++) {
        const int8_t *grid = weight->grid + (weight->shared ? 0 : row << weight->bits);
        mary_codes_unpack(weight->codes + row * row_bytes, length, weight->bits, codes);
        for (int64_t k = 0; k < length; k++)
            matrix[row * length + k] = weight->scale[row] * (float)grid[codes[k]];
    }
    mary_free(codes);
    return MARY_OK;
}

mary_status mary_integer_weight_choose(mary_layer *layer, const float *matrix, int threads, uint64_t seed,
                                       const mary_integer_row_needs *needs, double *correction,
                                       mary_integer_weight *weight)
{
    mary_status status = MARY_OK;
    float *levels = NULL;
    bool spaced = false, ok = true;
    *weight = (mary_integer_weight){.rows = layer->layout.rows, .row_length = layer->layout.row_length};
    int64_t rows = weight->rows;
    choose_coding(layer, weight, &spaced);
    weight->method = spaced ? "int8" : layer->settings.method->name;
    double *sums = mary_calloc((size_t)rows, 2 * sizeof *sums), scale = 0;
    weight->scale = mary_calloc((size_t)rows, sizeof *weight->scale);
    weight->grid = mary_calloc((size_t)(weight->shared ? 1 : rows), (size_t)1 << weight->bits);
    if (spaced)
        weight->codes = mary_alloc((size_t)mary_quantized_code_bytes(rows, weight->row_length, weight->bits));
    if (sums == NULL || weight->scale == NULL || weight->grid == NULL || (spaced && weight->codes == NULL)) {
        status = mary_fail_memory((size_t)(rows * weight->row_length));
        goto done;
    }
    if (!spaced)
        MARY_TRY_GOTO(
            choose_levels(layer, matrix, threads, seed, needs != NULL ? needs->feedback : NULL, weight, &levels), done);
    if (weight->shared && !spaced) /* every level counts the same: how often each is used differs from row to row */
        scale = scale_for_levels(weight, levels, (const uint8_t *)"\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17",
                                 weight->levels);
    if (weight->shared)
        put_on_grid(weight, levels, scale > 0 ? scale : 1, weight->grid);
    bool keep = levels != NULL && layer->settings.method->partition != NULL;
    task t = {needs, matrix, weight, levels, keep, correction, sums, sums + rows};
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(&& : ok) if (rows > 1 && threads > 1)
    for (int64_t row = 0; row < rows; row++)
        ok = quantize_row(&t, row, scale) && ok;
    if (!ok) {
        status = mary_fail_memory((size_t)weight->row_length);
        goto done;
    }
    if (needs != NULL && needs->feedback != NULL)
        MARY_TRY_GOTO(feed_back(&t, needs->feedback), done);
    for (int64_t row = 0; row < rows; row++) {
        weight->energy += sums[row];
        weight->error += sums[rows + row];
    }
    if (weight->levels != layer->settings.levels)
        status = mary_layer_say(&layer->note,
                                "int8 instead of M = %d: rows of %lld weights do not pay for levels of their own",
                                layer->settings.levels, (long long)weight->row_length);
done:
    mary_free(sums);
    mary_free(levels);
    if (status != MARY_OK)
        mary_integer_weight_free(weight);
    return status;
}
