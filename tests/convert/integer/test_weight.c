/* Levels on the int8 grid: the grid costs nothing measurable, sums cannot overflow, odd rows do no harm. */
#include "convert/integer/weight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/codes.h"
#include "tests/support/suite.h"

enum { ROWS = 12, LENGTH = 300 };

static uint32_t state = 1;

/* Close to normal. */
static float draw(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        state = state * 1664525u + 1013904223u;
        sum += (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return sum / 1.41f;
}

static mary_layer layer_of(int64_t rows, int64_t length, int levels, mary_granularity granularity)
{
    mary_layer layer = {.layout = {.rows = rows, .row_length = length}};
    layer.settings.levels = levels;
    layer.settings.granularity = granularity;
    layer.settings.method = mary_quantize_method_find("kmeans");
    return layer;
}

static float *matrix_of(int64_t rows, int64_t length)
{
    float *matrix = malloc((size_t)(rows * length) * sizeof *matrix);
    state = 11;
    for (int64_t i = 0; i < rows * length; i++)
        matrix[i] = draw() * (float)(1 + i / length);
    return matrix;
}

static double decode(const mary_integer_weight *weight, int64_t row, int64_t k, int *level)
{
    uint8_t codes[1024];
    ck_assert_int_le(weight->row_length, 1024);
    mary_codes_unpack(weight->codes + row * mary_codes_row_bytes(weight->row_length, weight->bits), weight->row_length,
                      weight->bits, codes);
    *level = weight->grid[(weight->shared ? 0 : row << weight->bits) + codes[k]];
    return (double)weight->scale[row] * *level;
}

static double error_of(const mary_integer_weight *weight, const float *matrix)
{
    double error = 0;
    int level;
    for (int64_t r = 0; r < weight->rows; r++) {
        for (int64_t k = 0; k < weight->row_length; k++) {
            double difference = matrix[r * weight->row_length + k] - decode(weight, r, k, &level);
            error += difference * difference;
        }
    }
    return error;
}

START_TEST(the_grid_costs_nothing_measurable)
{
    float *matrix = matrix_of(ROWS, LENGTH);
    for (int levels = 2; levels <= 16; levels += levels < 4 ? 1 : 4) {
        mary_layer layer = layer_of(ROWS, LENGTH, levels, MARY_GRANULARITY_AUTO);
        mary_quantize_request request = {.weights = matrix,
                                         .rows = ROWS,
                                         .row_length = LENGTH,
                                         .method = layer.settings.method,
                                         .levels = levels,
                                         .type = MARY_FLOAT,
                                         .threads = 1};
        mary_quantized best;
        mary_integer_weight weight;
        assert_ok(mary_quantize_tensor(&request, &best));
        assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
        ck_assert_int_eq(weight.levels, levels);
        ck_assert(!weight.shared);
        ck_assert_double_le(fabs(error_of(&weight, matrix) - weight.error), 1e-6 * weight.error);
        ck_assert_msg(weight.error <= 1.02 * best.error, "M = %d: %g, without the grid %g", levels, weight.error,
                      best.error);
        mary_quantized_free(&best);
        mary_integer_weight_free(&weight);
    }
    free(matrix);
}
END_TEST

START_TEST(two_hundred_and_fifty_six_levels_are_ordinary_int8)
{
    float *matrix = matrix_of(ROWS, LENGTH);
    mary_layer layer = layer_of(ROWS, LENGTH, 256, MARY_GRANULARITY_AUTO);
    mary_integer_weight weight;
    assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
    ck_assert(weight.shared);
    ck_assert_int_eq(weight.bits, 8);
    for (int m = 0; m < 256; m++)
        ck_assert_int_eq(weight.grid[m], m - 128);
    ck_assert_double_lt(weight.error, 1e-4 * weight.energy);
    mary_integer_weight_free(&weight);
    free(matrix);
}
END_TEST

START_TEST(short_rows_become_int8_and_say_so)
{
    float *matrix = matrix_of(ROWS, 9);
    mary_layer layer = layer_of(ROWS, 9, 16, MARY_GRANULARITY_AUTO);
    mary_integer_weight weight;
    assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
    ck_assert_int_eq(weight.levels, 256);
    ck_assert_ptr_nonnull(strstr(layer.note, "int8"));
    mary_integer_weight_free(&weight);
    mary_free(layer.note);
    layer = layer_of(ROWS, 9, 16, MARY_GRANULARITY_CHANNEL); /* unless the caller insists */
    assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
    ck_assert_int_eq(weight.levels, 16);
    ck_assert(!weight.shared);
    mary_integer_weight_free(&weight);
    free(matrix);
}
END_TEST

START_TEST(shared_levels_are_one_set_with_one_scale)
{
    float *matrix = matrix_of(ROWS, LENGTH);
    mary_layer layer = layer_of(ROWS, LENGTH, 8, MARY_GRANULARITY_TENSOR);
    mary_integer_weight weight;
    assert_ok(mary_integer_weight_choose(&layer, matrix, 2, 0, NULL, NULL, &weight));
    ck_assert(weight.shared);
    for (int r = 1; r < ROWS; r++)
        ck_assert_float_eq(weight.scale[r], weight.scale[0]);
    ck_assert_double_le(fabs(error_of(&weight, matrix) - weight.error), 1e-6 * weight.error);
    mary_integer_weight_free(&weight);
    free(matrix);
}
END_TEST

START_TEST(rows_of_zeros_and_of_one_value_are_exact)
{
    static float matrix[3 * 40];
    for (int k = 0; k < 40; k++) {
        matrix[40 + k] = 0.3f;
        matrix[80 + k] = -7e20f;
    }
    for (int levels = 2; levels <= 256; levels *= 2) {
        mary_layer layer = layer_of(3, 40, levels, MARY_GRANULARITY_AUTO);
        mary_integer_weight weight;
        assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
        for (int r = 0; r < 3; r++) {
            int level;
            double value = decode(&weight, r, 0, &level), wanted = matrix[40 * r];
            ck_assert(weight.scale[r] > 0 && isfinite(weight.scale[r]));
            ck_assert_double_le(fabs(value - wanted), 1e-2 * fabs(wanted));
        }
        mary_integer_weight_free(&weight);
        mary_free(layer.note);
    }
}
END_TEST

START_TEST(a_small_row_with_a_large_bias_gets_a_coarser_scale)
{
    float *matrix = matrix_of(2, LENGTH);
    mary_layer layer = layer_of(2, LENGTH, 16, MARY_GRANULARITY_AUTO);
    const double least[] = {0.5, 1e-30};
    const mary_integer_row_needs needs = {.group_rows = 2, .least_scale = least};
    mary_integer_weight weight;
    assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, &needs, NULL, &weight));
    ck_assert_float_eq(weight.scale[0], 0.5f);
    ck_assert(weight.scale[1] < 0.2f);
    mary_integer_weight_free(&weight);
    free(matrix);
}
END_TEST

START_TEST(sums_of_long_rows_stay_inside_32_bits)
{
    enum { LONG = 200000 };
    float *matrix = malloc(LONG * sizeof *matrix);
    for (int k = 0; k < LONG; k++)
        matrix[k] = k % 2 == 0 ? 1 : -1;
    for (int levels = 2; levels <= 256; levels *= 16) {
        mary_layer layer = layer_of(1, LONG, levels, MARY_GRANULARITY_AUTO);
        mary_integer_weight weight;
        assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &weight));
        uint8_t *codes = malloc(LONG);
        int64_t mass = 0;
        mary_codes_unpack(weight.codes, LONG, weight.bits, codes);
        for (int k = 0; k < LONG; k++)
            mass += abs(weight.grid[codes[k]]);
        ck_assert_int_le(255 * mass, INT32_MAX / 2 + 1);
        ck_assert_double_lt(weight.error, 1e-3 * weight.energy);
        free(codes);
        mary_integer_weight_free(&weight);
    }
    free(matrix);
}
END_TEST

START_TEST(the_correction_is_what_the_sums_lose_on_average)
{
    enum { GROUPS = 2 };
    float *matrix = matrix_of(ROWS, LENGTH);
    double mean[GROUPS * LENGTH], correction[ROWS];
    mary_layer layer = layer_of(ROWS, LENGTH, 4, MARY_GRANULARITY_AUTO);
    for (int i = 0; i < GROUPS * LENGTH; i++)
        mean[i] = 0.01 * i;
    const mary_integer_row_needs needs = {.mean = mean, .group_rows = ROWS / GROUPS};
    mary_integer_weight weight;
    assert_ok(mary_integer_weight_choose(&layer, matrix, 2, 0, &needs, correction, &weight));
    for (int r = 0; r < ROWS; r++) {
        double lost = 0;
        int level;
        for (int k = 0; k < LENGTH; k++)
            lost += (matrix[r * LENGTH + k] - decode(&weight, r, k, &level)) * mean[r / (ROWS / GROUPS) * LENGTH + k];
        ck_assert_double_le(fabs(lost - correction[r]), 1e-9 * (1 + fabs(lost)));
    }
    mary_integer_weight_free(&weight);
    free(matrix);
}
END_TEST

START_TEST(threads_do_not_change_the_result)
{
    float *matrix = matrix_of(ROWS, LENGTH);
    for (int levels = 3; levels <= 256; levels += 253) {
        mary_layer layer = layer_of(ROWS, LENGTH, levels, MARY_GRANULARITY_AUTO);
        mary_integer_weight a, b;
        assert_ok(mary_integer_weight_choose(&layer, matrix, 1, 0, NULL, NULL, &a));
        assert_ok(mary_integer_weight_choose(&layer, matrix, 4, 0, NULL, NULL, &b));
        ck_assert_int_eq(memcmp(a.codes, b.codes, (size_t)mary_quantized_code_bytes(ROWS, LENGTH, a.bits)), 0);
        ck_assert_int_eq(memcmp(a.scale, b.scale, ROWS * sizeof *a.scale), 0);
        mary_integer_weight_free(&a);
        mary_integer_weight_free(&b);
    }
    free(matrix);
}
END_TEST

MARY_TEST_MAIN("convert/integer/weight", the_grid_costs_nothing_measurable,
               two_hundred_and_fifty_six_levels_are_ordinary_int8, short_rows_become_int8_and_say_so,
               shared_levels_are_one_set_with_one_scale, rows_of_zeros_and_of_one_value_are_exact,
               a_small_row_with_a_large_bias_gets_a_coarser_scale, sums_of_long_rows_stay_inside_32_bits,
               the_correction_is_what_the_sums_lose_on_average, threads_do_not_change_the_result)
