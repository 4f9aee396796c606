/* What the backward halves of operators share. */
#include "ops/gradient.h"

#include <string.h>

#include "ops/unary.h" /* MARY_INDEPENDENT */

size_t mary_gradient_align(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

void mary_gradient_add(float *to, const float *from, int64_t count, float scale, bool accumulate)
{
    if (!accumulate && scale == 1.0f) {
        if (to != from)
            memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    if (accumulate) {
        MARY_INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            to[i] += scale * from[i];
    } else {
        MARY_INDEPENDENT
        for (int64_t i = 0; i < count; i++)
            to[i] = scale * from[i];
    }
}

void mary_gradient_square(float *to, const float *from, int64_t count)
{
    MARY_INDEPENDENT
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i] * from[i];
}

void mary_gradient_sum_rows(float *to, const float *from, int64_t rows, int64_t columns, int64_t stride, float scale,
                            bool accumulate)
{
    enum { BLOCK = 128, WIDE = 64 };
    for (int64_t first = 0; first < columns; first += WIDE) {
        const int64_t wide = columns - first < WIDE ? columns - first : WIDE;
        double total[WIDE] = {0};
        for (int64_t row = 0; row < rows; row += BLOCK) {
            const int64_t end = row + BLOCK < rows ? row + BLOCK : rows;
            float sum[WIDE] = {0};
            for (int64_t i = row; i < end; i++) {
                const float *at = from + i * stride + first;
                for (int64_t j = 0; j < wide; j++)
                    sum[j] += at[j];
            }
            for (int64_t j = 0; j < wide; j++)
                total[j] += (double)sum[j];
        }
        for (int64_t j = 0; j < wide; j++)
            to[first + j] = (accumulate ? to[first + j] : 0.0f) + scale * (float)total[j];
    }
}

/* ---- views ---- */

static mary_status view_backward(const mary_op_node *node, const mary_gradient_call *call)
{
    (void)node;
    float *to = mary_gradient_of(call, 0);
    if (to != NULL)
        mary_gradient_add(to, call->output_gradients[0]->data, mary_shape_count(&call->forward->inputs[0]->shape), 1.0f,
                          call->accumulate[0]);
    return MARY_OK;
}

const mary_op_gradient mary_gradient_view = {.flags = MARY_GRADIENT_IN_PLACE, .inputs = 1, .backward = view_backward};
