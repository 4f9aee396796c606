/* Error feedback: the layer as the search sees it. See feedback.h; the search is in feedback_search.c. */
#include "convert/quantize/feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/quantize/dense.h"
#include "convert/quantize/feedback_layer.h"
#include "convert/quantize/tensor.h"

/* Part of the mean diagonal that is added to every diagonal element. Inputs that were never seen, or only together,
 * then leave the weights as they are. With 500 samples for rows of 784 weights 0.01 fits the samples, not the inputs;
 * for convolutions, which have many columns, anything from 0.001 to 0.03 does (docs/levels.md). */
#define DAMPING 0.03

void mary_feedback_free(mary_feedback **pointer)
{
    mary_feedback *f = *pointer;
    *pointer = NULL;
    if (f == NULL)
        return;
    mary_free(f->moment);
    mary_free(f->factor);
    mary_free(f->target);
    mary_free(f->order);
    mary_free(f->importance);
    mary_free(f);
}

typedef struct ranked {
    float weight;
    int64_t column;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? 1 : -1;
    return (x->column > y->column) - (x->column < y->column);
}

static mary_status order_columns(const float *moment, int64_t length, int64_t *order)
{
    ranked *list = mary_alloc((size_t)length * sizeof *list);
    if (list == NULL)
        return mary_fail_memory((size_t)length * sizeof *list);
    for (int64_t k = 0; k < length; k++)
        list[k] = (ranked){moment[k * length + k], k};
    qsort(list, (size_t)length, sizeof *list, compare_ranked);
    for (int64_t k = 0; k < length; k++)
        order[k] = list[k].column;
    mary_free(list);
    return MARY_OK;
}

/* Row vectors x with x L L^T = x U^T U = given, in place; rows [count, length]. */
static void solve_rows(const float *factor, int64_t length, float *rows, int64_t count, int threads)
{
    enum { TOGETHER = 16 }; /* that read a row of the factor once */
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && count > TOGETHER)
    for (int64_t begin = 0; begin < count; begin += TOGETHER) {
        int64_t end = count - begin < TOGETHER ? count : begin + TOGETHER;
        for (int64_t i = 0; i < length; i++) {
            const float *u = factor + i * length;
            for (int64_t r = begin; r < end; r++) {
                float *x = rows + r * length, value = x[i] / u[i];
                x[i] = value;
                mary_dense_add_scaled(x + i + 1, u + i + 1, -value, length - i - 1);
            }
        }
        for (int64_t i = length; i-- > 0;) {
            const float *l = factor + i * length;
            for (int64_t r = begin; r < end; r++) {
                float *x = rows + r * length, value = x[i] / l[i];
                x[i] = value;
                mary_dense_add_scaled(x, l, -value, i);
            }
        }
    }
}

static mary_status prepare_group(mary_feedback *f, const mary_second_moment *moment, const float *weights, int64_t g)
{
    int64_t length = f->length, rows = f->rows, squares = length * length;
    const float *square = moment->moment + g * squares, *cross = moment->cross + g * rows * length;
    float *ordered = f->moment + g * squares, *factor = f->factor + g * squares;
    float *target = f->target + g * rows * length;
    int64_t *order = f->order + g * length;
    double trace = 0;
    for (int64_t k = 0; k < length; k++)
        trace += square[k * length + k];
    if (!isfinite(trace))
        return mary_fail(MARY_ERROR_INVALID, "the second moment of the inputs is not finite");
    MARY_TRY(order_columns(square, length, order));
    float damping = trace > 0 ? (float)(DAMPING * trace / (double)length) : 1;
    if (!(damping > 0))
        damping = 1; /* underflow: as good as no input */
    for (int64_t i = 0; i < length; i++) {
        const float *from = square + order[i] * length;
        for (int64_t k = 0; k < length; k++)
            ordered[i * length + k] = from[order[k]];
    }
    /* Columns that depend on each other to the last digit may need more. */
    for (int attempt = 0;; attempt++) {
        for (int64_t k = 0; k < length; k++)
            ordered[k * length + k] += damping;
        memcpy(factor, ordered, (size_t)squares * sizeof *factor);
        mary_status status = mary_dense_factor(factor, length, f->threads);
        if (status == MARY_OK)
            break;
        if (status != MARY_ERROR_INVALID || attempt == 20)
            return status;
        damping *= 4;
    }
    for (int64_t k = 0; k < length; k++)
        f->importance[g * length + k] = factor[k * length + k] * factor[k * length + k];
    bool any = false;
    for (int64_t i = 0; i < rows * length && !any; i++)
        any = cross[i] != 0;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < length; k++)
            target[r * length + k] = cross[r * length + order[k]];
    }
    if (any)
        solve_rows(factor, length, target, rows, f->threads);
    for (int64_t r = 0; r < rows; r++) {
        const float *from = weights + (g * rows + r) * length;
        for (int64_t k = 0; k < length; k++)
            target[r * length + k] += from[order[k]];
    }
    return MARY_OK;
}

mary_status mary_feedback_create(const mary_second_moment *moment, const float *weights, int threads,
                                 mary_feedback **feedback)
{
    mary_status status = MARY_OK;
    size_t squares = (size_t)(moment->groups * moment->length * moment->length);
    size_t all = (size_t)(moment->groups * moment->rows * moment->length);
    mary_feedback *f = mary_calloc(1, sizeof *f);
    *feedback = NULL;
    if (f == NULL)
        return mary_fail_memory(sizeof *f);
    *f = (mary_feedback){.groups = moment->groups, .rows = moment->rows, .length = moment->length, .threads = threads};
    f->moment = mary_alloc_aligned(squares * sizeof *f->moment);
    f->factor = mary_alloc_aligned(squares * sizeof *f->factor);
    f->target = mary_alloc_aligned(all * sizeof *f->target);
    f->order = mary_alloc((size_t)(f->groups * f->length) * sizeof *f->order);
    f->importance = mary_alloc((size_t)(f->groups * f->length) * sizeof *f->importance);
    if (f->moment == NULL || f->factor == NULL || f->target == NULL || f->order == NULL || f->importance == NULL) {
        status = mary_fail_memory(squares * sizeof *f->moment);
        goto failed;
    }
    for (int64_t g = 0; g < f->groups; g++)
        MARY_TRY_GOTO(prepare_group(f, moment, weights, g), failed);
    *feedback = f;
    return MARY_OK;
failed:
    mary_feedback_free(&f);
    return status;
}

mary_status mary_quantize_feedback(const mary_quantize_request *request, float *levels, uint8_t *codes)
{
    if (request->feedback == NULL)
        return mary_fail(MARY_ERROR_USAGE, "the method 'feedback' needs calibration data");
    mary_feedback_codes result = {
        .count = request->levels, .shared = request->shared, .type = request->type, .levels = levels, .codes = codes};
    return mary_feedback_choose(request->feedback, &result);
}
