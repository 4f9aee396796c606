#include "convert/calibrate/second_moment.h"

#include <omp.h>
#include <string.h>

#include "convert/quantize/dense.h"

enum { CHUNK = 1 << 20 }; /* floats of columns that are laid out at a time */

mary_status mary_second_moment_create(const mary_columns *columns, mary_second_moment *moment)
{
    size_t squares, crosses;
    *moment = (mary_second_moment){.groups = columns->groups, .rows = columns->rows, .length = columns->length};
    if (!mary_size_mul((size_t)columns->length, (size_t)columns->length, &squares) ||
        !mary_size_mul(squares, (size_t)columns->groups, &squares) ||
        !mary_size_mul((size_t)columns->groups * (size_t)columns->rows, (size_t)columns->length, &crosses))
        return mary_fail_memory(SIZE_MAX);
    moment->moment = mary_calloc(squares, sizeof *moment->moment);
    moment->cross = mary_calloc(crosses, sizeof *moment->cross);
    moment->sum = mary_calloc((size_t)(columns->groups * columns->length), sizeof *moment->sum);
    moment->residual_sum = mary_calloc((size_t)(columns->groups * columns->rows), sizeof *moment->residual_sum);
    if (moment->moment == NULL || moment->cross == NULL || moment->sum == NULL || moment->residual_sum == NULL) {
        mary_second_moment_free(moment);
        return mary_fail_memory(squares * sizeof *moment->moment);
    }
    return MARY_OK;
}

void mary_second_moment_free(mary_second_moment *moment)
{
    mary_free(moment->moment);
    mary_free(moment->cross);
    mary_free(moment->sum);
    mary_free(moment->residual_sum);
    *moment = (mary_second_moment){0};
}

static void add_sums(double *sums, const float *values, int64_t count, int64_t length)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < length; k++)
            sums[k] += values[i * length + k];
    }
}

/* One group: laid out a chunk at a time, in x_rows [chunk, length] and r_rows [chunk, rows]. */
static mary_status add_group(mary_second_moment *moment, const mary_columns *columns, const float *x,
                             const float *residual, int64_t group, int64_t step, int64_t chunk, float *x_rows,
                             float *r_rows, int threads)
{
    int64_t length = moment->length, rows = moment->rows;
    int64_t count = (columns->positions + step - 1) / step;
    for (int64_t first = 0; first < count; first += chunk) {
        int64_t here = count - first < chunk ? count - first : chunk;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < here; i++) {
            mary_columns_take(columns, x, group, (first + i) * step, x_rows + i * length);
            if (residual != NULL)
                mary_columns_output(columns, residual, group, (first + i) * step, r_rows + i * rows);
        }
        add_sums(moment->sum + group * length, x_rows, here, length);
        mary_dense_product square = {.a = x_rows,
                                     .a_stride = length,
                                     .b = x_rows,
                                     .b_stride = length,
                                     .depth = here,
                                     .rows = length,
                                     .columns = length,
                                     .c = moment->moment + group * length * length,
                                     .c_stride = length,
                                     .upper = true,
                                     .threads = threads};
        MARY_TRY(mary_dense_multiply(&square));
        if (residual == NULL)
            continue;
        add_sums(moment->residual_sum + group * rows, r_rows, here, rows);
        mary_dense_product cross = square;
        cross.a = r_rows;
        cross.a_stride = cross.rows = rows;
        cross.c = moment->cross + group * rows * length;
        cross.upper = false;
        MARY_TRY(mary_dense_multiply(&cross));
    }
    return MARY_OK;
}

mary_status mary_second_moment_add(mary_second_moment *moment, const mary_columns *columns, const float *x,
                                   const float *residual, int64_t step, int threads)
{
    if (columns->groups != moment->groups || columns->rows != moment->rows || columns->length != moment->length)
        return mary_fail(MARY_ERROR_INTERNAL, "columns of another layer");
    int64_t width = moment->length + moment->rows, chunk = CHUNK / width;
    int64_t most = (columns->positions + step - 1) / step;
    chunk = chunk < 64 ? 64 : chunk;
    chunk = chunk > most ? most : chunk;
    if (chunk == 0)
        return MARY_OK;
    bool across = moment->groups > 1; /* threads share groups, or one group's work */
    int workers = !across ? 1 : moment->groups < threads ? (int)moment->groups : threads;
    size_t floats = (size_t)chunk * (size_t)width;
    float *scratch = mary_alloc_aligned((size_t)workers * floats * sizeof *scratch);
    if (scratch == NULL)
        return mary_fail_memory((size_t)workers * floats * sizeof *scratch);
    mary_status status = MARY_OK;
#pragma omp parallel for schedule(dynamic) num_threads(workers) if (workers > 1)
    for (int64_t group = 0; group < moment->groups; group++) {
        float *x_rows = scratch + (size_t)(workers > 1 ? omp_get_thread_num() : 0) * floats;
        mary_status one = add_group(moment, columns, x, residual, group, step, chunk, x_rows,
                                    x_rows + chunk * moment->length, across ? 1 : threads);
        if (one != MARY_OK) {
#pragma omp atomic write
            status = one;
        }
    }
    moment->count += (double)most;
    mary_free(scratch);
    return status == MARY_OK ? MARY_OK : mary_fail_memory(floats);
}

void mary_second_moment_finish(mary_second_moment *moment, bool centre, int threads)
{
    int64_t length = moment->length, rows = moment->rows;
    for (int64_t g = 0; g < moment->groups; g++) {
        float *square = moment->moment + g * length * length, *cross = moment->cross + g * rows * length;
        const double *sum = moment->sum + g * length, *residual = moment->residual_sum + g * rows;
        for (int64_t i = 0; centre && moment->count > 0 && i < length; i++) {
            double mean = sum[i] / moment->count;
            for (int64_t k = i; k < length; k++)
                square[i * length + k] = (float)((double)square[i * length + k] - mean * sum[k]);
        }
        for (int64_t r = 0; centre && moment->count > 0 && r < rows; r++) {
            double mean = residual[r] / moment->count;
            for (int64_t k = 0; k < length; k++)
                cross[r * length + k] = (float)((double)cross[r * length + k] - mean * sum[k]);
        }
        mary_dense_mirror(square, length, threads);
    }
}

void mary_second_moment_shift(const mary_second_moment *moment, const float *weights, const float *coded, float *shift)
{
    for (int64_t row = 0; row < moment->groups * moment->rows; row++) {
        const double *sum = moment->sum + row / moment->rows * moment->length;
        double total = moment->residual_sum[row];
        for (int64_t k = 0; k < moment->length; k++)
            total += ((double)weights[row * moment->length + k] - (double)coded[row * moment->length + k]) * sum[k];
        shift[row] = moment->count > 0 ? (float)(total / moment->count) : 0;
    }
}
