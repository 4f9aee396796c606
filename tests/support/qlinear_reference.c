#include "tests/support/qlinear_reference.h"

#include <math.h>
#include <stdlib.h>

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 9;
}

static void *claim(int64_t bytes)
{
    void *memory = calloc((size_t)bytes + 1, 1);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

void qlinear_make(qlinear *q, const qlinear_options *options, int64_t rows, int64_t length, int64_t x_count,
                  int64_t y_count)
{
    uint32_t state = options->seed * 2654435761u + 17;
    const int bits = options->bits, most = 1 << bits;
    int64_t row_bytes = (length * bits + 7) / 8, level_rows = options->shared_levels ? 1 : rows;
    memset(q, 0, sizeof *q);
    q->options = *options;
    q->rows = rows;
    q->length = length;
    q->codes = claim(rows * row_bytes);
    q->levels = claim(level_rows * most);
    q->dense = claim(rows * length);
    q->w_scale = claim(rows * (int64_t)sizeof(float));
    q->bias = claim(rows * (int64_t)sizeof(int32_t));
    q->x = claim(x_count);
    q->residual = claim(y_count);
    for (int64_t i = 0; i < level_rows * most; i++)
        q->levels[i] = (int8_t)((int)(next(&state) % 256) - 128);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t k = 0; k < length; k++) {
            int code = (int)(next(&state) % (uint32_t)most);
            int64_t bit = k * bits;
            q->codes[row * row_bytes + bit / 8] |= (uint8_t)(code << (bit % 8));
            q->dense[row * length + k] = q->levels[(options->shared_levels ? 0 : row * most) + code];
        }
        q->w_scale[row] = (options->one_scale ? 1.0f : 0.5f + (float)(next(&state) % 1000) / 1000.0f) / 64.0f;
        q->bias[row] = (int32_t)(next(&state) % 20001) - 10000;
    }
    for (int64_t i = 0; i < x_count; i++)
        q->x[i] = (uint8_t)(next(&state) % 7 == 0 ? (next(&state) & 1) * 255 : next(&state) % 256);
    for (int64_t i = 0; i < y_count; i++)
        q->residual[i] = (uint8_t)(next(&state) % 256);
    for (int i = 0; i < 256; i++)
        q->table[i] = (uint8_t)(next(&state) % 256);
    q->x_scale = 0.037f;
    /* A sum of n products of about 100 * 70 is about 7000 sqrt(n); some two hundred steps for it. */
    q->y_scale = q->x_scale / 64.0f * 7000.0f * sqrtf((float)length + 1) / 100.0f;
    q->residual_scale = q->y_scale * 1.37f;
    q->sum_scale = q->y_scale * 1.71f;
    q->residual_zero = 117;
    q->sum_zero = (uint8_t)(255 - options->y_zero);
}

void qlinear_free(qlinear *q)
{
    free(q->codes);
    free(q->levels);
    free(q->dense);
    free(q->w_scale);
    free(q->bias);
    free(q->x);
    free(q->residual);
    memset(q, 0, sizeof *q);
}

void qlinear_inputs(const qlinear *q, op_case *c, int rank, const int64_t *x_dims, const int64_t *y_dims)
{
    const qlinear_options *o = &q->options;
    int64_t row_bytes = (q->length * o->bits + 7) / 8;
    uint8_t x_zero = (uint8_t)o->x_zero, y_zero = (uint8_t)o->y_zero;
    op_input(c, MARY_UINT8, rank, x_dims, q->x);
    op_constant(c, MARY_FLOAT, SCALAR, &q->x_scale);
    op_constant(c, MARY_UINT8, SCALAR, &x_zero);
    op_constant(c, MARY_UINT8, DIMS(q->rows, row_bytes), q->codes);
    op_constant(c, MARY_INT8, DIMS(o->shared_levels ? 1 : q->rows, INT64_C(1) << o->bits), q->levels);
    op_constant(c, MARY_FLOAT, DIMS(o->one_scale ? 1 : q->rows), q->w_scale);
    op_constant(c, MARY_INT8, SCALAR, "\0");
    op_constant(c, MARY_FLOAT, DIMS(1), &q->y_scale);
    op_constant(c, MARY_UINT8, DIMS(1), &y_zero);
    if (o->bias)
        op_constant(c, MARY_INT32, DIMS(q->rows), q->bias);
    else if (o->residual || o->table)
        op_absent(c);
    if (o->residual) {
        op_input(c, MARY_UINT8, rank, y_dims, q->residual);
        op_constant(c, MARY_FLOAT, SCALAR, &q->residual_scale);
        op_constant(c, MARY_UINT8, SCALAR, &q->residual_zero);
        op_constant(c, MARY_FLOAT, SCALAR, &q->sum_scale);
        op_constant(c, MARY_UINT8, SCALAR, &q->sum_zero);
    } else if (o->table) {
        for (int i = 0; i < 5; i++)
            op_absent(c);
    }
    if (o->table)
        op_constant(c, MARY_UINT8, DIMS(256), q->table);
}

static int round_to_range(float value, int zero)
{
    double low = -zero, high = 255 - zero, clamped = (double)value < low ? low : (double)value > high ? high : value;
    return (int)nearbyint(clamped) + zero;
}

uint8_t qlinear_requantise(const qlinear *q, int64_t row, int64_t sum, int64_t residual_at)
{
    volatile float product = q->x_scale * q->w_scale[q->options.one_scale ? 0 : row]; /* rounded to float, always */
    volatile float multiplier = product / q->y_scale;
    int64_t acc = sum + (q->options.bias ? q->bias[row] : 0);
    ck_assert(acc >= INT32_MIN && acc <= INT32_MAX);
    volatile float scaled = (float)(int32_t)acc * multiplier;
    int y = round_to_range(scaled, q->options.y_zero);
    if (q->options.residual) {
        float factor = q->y_scale / q->sum_scale, residual_factor = q->residual_scale / q->sum_scale;
        volatile float term = (float)(q->residual[residual_at] - q->residual_zero) * residual_factor;
        y = round_to_range(fmaf((float)(y - q->options.y_zero), factor, term), q->sum_zero);
    }
    return q->options.table ? q->table[y] : (uint8_t)y;
}

static int64_t sum_of(const qlinear *q, const conv_shape *s, const uint8_t *x, const int8_t *w, const int64_t o[3])
{
    int64_t sum = 0, pixels = s->input[0] * s->input[1] * s->input[2],
            taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int64_t c = 0; c < s->depth; c++) {
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t k[3] = {tap / s->kernel[2] / s->kernel[1], tap / s->kernel[2] % s->kernel[1], tap % s->kernel[2]},
                    at = 0;
            bool inside = true;
            for (int axis = 0; axis < 3; axis++) {
                int64_t i = o[axis] * s->stride[axis] - s->pad[axis] + k[axis] * s->dilation[axis];
                inside = inside && i >= 0 && i < s->input[axis];
                at = at * s->input[axis] + i;
            }
            if (inside)
                sum += (int64_t)(x[c * pixels + at] - q->options.x_zero) * w[c * taps + tap];
        }
    }
    return sum;
}

void qlinear_conv(const qlinear *q, const conv_shape *s, uint8_t *y)
{
    int64_t pixels = s->input[0] * s->input[1] * s->input[2], taps = s->kernel[0] * s->kernel[1] * s->kernel[2], at = 0;
    for (int64_t n = 0; n < s->batch; n++) {
        for (int64_t m = 0; m < s->groups * s->filters; m++) {
            const uint8_t *from = q->x + (n * s->groups + m / s->filters) * s->depth * pixels;
            int64_t o[3];
            for (o[0] = 0; o[0] < conv_output(s, 0); o[0]++) {
                for (o[1] = 0; o[1] < conv_output(s, 1); o[1]++) {
                    for (o[2] = 0; o[2] < conv_output(s, 2); o[2]++, at++)
                        y[at] = qlinear_requantise(q, m, sum_of(q, s, from, q->dense + m * s->depth * taps, o), at);
                }
            }
        }
    }
}
