/* Levels scaled, biases shifted. */
#include "convert/correct.h"

#include <string.h>

#include "convert/bias.h"
#include "convert/calibrate/collect.h"

#define LEAST_VALUES 100 /* of a row; fewer say too little of its mean and spread */

static size_t level_bytes(const mary_quantized *quantized)
{
    return (size_t)mary_quantized_level_bytes(quantized->rows, quantized->bits, quantized->shared, MARY_FLOAT);
}

/* Levels times the factors of their rows, rounded as they are stored; `error` follows. */
static mary_status scale_levels(const mary_layer *layer, const double *factors, const float *weights,
                                mary_quantized *quantized, float *coded)
{
    int64_t sets = quantized->shared ? 1 : quantized->rows, count = quantized->rows * quantized->row_length;
    for (int64_t set = 0; set < sets; set++) {
        float *levels = quantized->values + (set << quantized->bits);
        for (int m = 0; m < 1 << quantized->bits; m++)
            levels[m] = mary_quantize_round(factors[set] * (double)levels[m], layer->type);
    }
    MARY_TRY(mary_quantized_decode(quantized, coded));
    quantized->error = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)weights[i] - (double)coded[i];
        quantized->error += difference * difference;
    }
    return MARY_OK;
}

mary_status mary_conversion_correct(mary_conversion *c, const mary_graph_index *index, size_t position,
                                    const mary_output_match *match, mary_in_order *order, mary_quantized *quantized,
                                    mary_uncorrected *before)
{
    const mary_layer *layer = &c->layers.items[position];
    size_t rows = (size_t)layer->layout.rows, count = rows * (size_t)layer->layout.row_length;
    float *bias = NULL, *matrix = NULL, *coded = NULL, *shift = NULL, alpha = 1;
    double *factors = NULL;
    mary_status status = MARY_OK;
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_float(layer->node, "alpha", 1, &alpha));
    if (match->made.count < LEAST_VALUES || alpha == 0)
        return MARY_OK;
    MARY_TRY_GOTO(mary_bias_values(c->model, index, layer, &bias), done);
    MARY_TRY_GOTO(mary_conversion_matrix(c, index, layer, &matrix), done);
    factors = mary_alloc(rows * sizeof *factors);
    shift = mary_alloc(rows * sizeof *shift);
    coded = mary_alloc(count * sizeof *coded);
    before->levels = mary_alloc(level_bytes(quantized));
    if (factors == NULL || shift == NULL || coded == NULL || before->levels == NULL) {
        status = mary_fail_memory(count * sizeof *coded);
        goto done;
    }
    memcpy(before->levels, quantized->values, level_bytes(quantized));
    before->error = quantized->error;
    mary_factor_per per = layer->given != NULL ? MARY_FACTOR_NONE /* other layers have the same levels */
                          : quantized->shared  ? MARY_FACTOR_PER_LAYER
                                               : MARY_FACTOR_PER_ROW;
    mary_output_match_solve(match, per, bias, factors, shift);
    for (size_t r = 0; r < rows; r++)
        shift[r] /= alpha;
    MARY_TRY_GOTO(scale_levels(layer, factors, matrix, quantized, coded), done);
    MARY_TRY_GOTO(mary_in_order_replace(order, position, coded, shift), done);
    c->shifts[position] = shift;
    shift = NULL;
done:
    mary_free(bias);
    mary_free(matrix);
    mary_free(factors);
    mary_free(shift);
    mary_free(coded);
    return status;
}

/* The layers of `order` as they were before they were corrected. */
static mary_status uncorrect(const mary_conversion *c, mary_in_order *order, const mary_uncorrected *before,
                             const mary_quantized *quantized)
{
    for (size_t i = 0; i < c->layers.count; i++) {
        if (before[i].levels == NULL)
            continue;
        mary_quantized plain = quantized[i];
        const size_t count = (size_t)(plain.rows * plain.row_length);
        float *coded = mary_alloc(count * sizeof *coded);
        if (coded == NULL)
            return mary_fail_memory(count * sizeof *coded);
        plain.values = before[i].levels;
        mary_status status = mary_quantized_decode(&plain, coded);
        if (status == MARY_OK)
            status = mary_in_order_replace(order, i, coded, NULL);
        mary_free(coded);
        MARY_TRY(status);
    }
    return MARY_OK;
}

static mary_status take_back(mary_conversion *c, size_t position, const mary_uncorrected *before,
                             mary_quantized *quantized)
{
    mary_layer *layer = &c->layers.items[position];
    memcpy(quantized->values, before->levels, level_bytes(quantized));
    quantized->error = before->error;
    mary_free(c->shifts[position]);
    c->shifts[position] = NULL;
    return mary_layer_say(&layer->note, "%s%snot corrected: the scores on calibration data are nearer without",
                          layer->note != NULL ? layer->note : "", layer->note != NULL ? "; " : "");
}

/* Only class scores can tell: squared errors reward outputs that shrink, which is what levels do by themselves. */
mary_status mary_conversion_keep_better(mary_conversion *c, mary_in_order *order, const mary_uncorrected *before,
                                        mary_quantized *quantized)
{
    mary_statistics statistics = {0};
    mary_comparison corrected, plain;
    mary_status status = MARY_OK;
    bool any = false;
    for (size_t i = 0; i < c->layers.count; i++)
        any = any || before[i].levels != NULL;
    if (!any)
        return MARY_OK;
    MARY_TRY_GOTO(mary_statistics_create(c->model, &c->settings, &statistics), done);
    MARY_TRY_GOTO(mary_statistics_collect(&statistics, c->model, &c->settings), done);
    MARY_TRY_GOTO(mary_statistics_compare(&statistics, mary_in_order_coded(order), &c->settings, &corrected), done);
    if (corrected.divergence < 0)
        goto done;
    MARY_TRY_GOTO(uncorrect(c, order, before, quantized), done);
    MARY_TRY_GOTO(mary_statistics_compare(&statistics, mary_in_order_coded(order), &c->settings, &plain), done);
    for (size_t i = 0; i < c->layers.count && plain.divergence < corrected.divergence; i++) {
        if (before[i].levels != NULL)
            MARY_TRY_GOTO(take_back(c, i, &before[i], &quantized[i]), done);
    }
done:
    mary_statistics_free(&statistics);
    return status;
}
