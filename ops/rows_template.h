/* The kernels of rows.h; included by one file for each tier, which defines MARY_ROWS_TABLE. */
#include <math.h>

#include "ops/rows.h"
#include "ops/vector_math.h"

enum { W = MARY_VECTOR_WIDTH, BLOCK = 1024 };

/* How each fold takes one more vector v, with `shift` at hand. */
static inline mary_vf take_sum(mary_vf acc, mary_vf v, mary_vf shift)
{
    return (void)shift, acc + v;
}
static inline mary_vf take_abs(mary_vf acc, mary_vf v, mary_vf shift)
{
    return (void)shift, acc + mary_vf_abs(v);
}
static inline mary_vf take_square(mary_vf acc, mary_vf v, mary_vf shift)
{
    v = v - shift;
    return mary_vf_fma(v, v, acc);
}
static inline mary_vf take_exp(mary_vf acc, mary_vf v, mary_vf shift)
{
    return acc + mary_vf_exp(v - shift);
}
/* A NaN in acc stays, because it compares false; one in v is taken. */
static inline mary_vf take_max(mary_vf acc, mary_vf v, mary_vf shift)
{
    (void)shift;
    return mary_vf_select(mary_vf_is_nan(v), v, mary_vf_select(mary_vf_less(acc, v), v, acc));
}
static inline mary_vf take_min(mary_vf acc, mary_vf v, mary_vf shift)
{
    (void)shift;
    return mary_vf_select(mary_vf_is_nan(v), v, mary_vf_select(mary_vf_less(v, acc), v, acc));
}
static inline mary_vf take_prod(mary_vf acc, mary_vf v, mary_vf shift)
{
    return (void)shift, acc * v;
}

static inline double join_sum(double a, double b)
{
    return a + b;
}
static inline double join_max(double a, double b)
{
    return b != b || a < b ? b : a;
}
static inline double join_min(double a, double b)
{
    return b != b || b < a ? b : a;
}
static inline double join_prod(double a, double b)
{
    return a * b;
}

/* Four accumulators hide the latency; blocks keep the rounding error of long sums small. The elements behind the last
 * whole vector go through a copy that is filled up with `neutral`, which changes nothing. */
#define FOLD(name, join, start, neutral)                                                                               \
    static double fold_##name(const float *x, int64_t count, float shift_value)                                        \
    {                                                                                                                  \
        const mary_vf shift = mary_vf_set(shift_value);                                                                \
        double total = start;                                                                                          \
        float lanes[W], rest[W];                                                                                       \
        for (int64_t begin = 0; begin < count; begin += BLOCK) {                                                       \
            int64_t end = count - begin < BLOCK ? count : begin + BLOCK, i = begin;                                    \
            mary_vf a = mary_vf_set(start), b = a, c = a, d = a;                                                       \
            for (; i + 4 * W <= end; i += 4 * W) {                                                                     \
                a = take_##name(a, mary_vf_load(x + i), shift);                                                        \
                b = take_##name(b, mary_vf_load(x + i + W), shift);                                                    \
                c = take_##name(c, mary_vf_load(x + i + 2 * W), shift);                                                \
                d = take_##name(d, mary_vf_load(x + i + 3 * W), shift);                                                \
            }                                                                                                          \
            for (; i + W <= end; i += W)                                                                               \
                a = take_##name(a, mary_vf_load(x + i), shift);                                                        \
            if (i < end) {                                                                                             \
                for (int j = 0; j < W; j++)                                                                            \
                    rest[j] = i + j < end ? x[i + j] : (neutral);                                                      \
                b = take_##name(b, mary_vf_load(rest), shift);                                                         \
            }                                                                                                          \
            const mary_vf parts[4] = {a, b, c, d};                                                                     \
            for (int k = 0; k < 4; k++) {                                                                              \
                mary_vf_store(lanes, parts[k]);                                                                        \
                for (int j = 0; j < W; j++)                                                                            \
                    total = join(total, (double)lanes[j]);                                                             \
            }                                                                                                          \
        }                                                                                                              \
        return total;                                                                                                  \
    }                                                                                                                  \
                                                                                                                       \
    static void fold_columns_##name(float *acc, const float *x, int64_t columns, int64_t rows, int64_t stride,         \
                                    const float *shifts)                                                               \
    {                                                                                                                  \
        const mary_vf zero = mary_vf_set(0);                                                                           \
        int64_t j = 0;                                                                                                 \
        for (; j + 2 * W <= columns; j += 2 * W) {                                                                     \
            mary_vf a = mary_vf_load(acc + j), b = mary_vf_load(acc + j + W);                                          \
            const mary_vf s = shifts != NULL ? mary_vf_load(shifts + j) : zero;                                        \
            const mary_vf t = shifts != NULL ? mary_vf_load(shifts + j + W) : zero;                                    \
            for (int64_t i = 0; i < rows; i++) {                                                                       \
                a = take_##name(a, mary_vf_load(x + i * stride + j), s);                                               \
                b = take_##name(b, mary_vf_load(x + i * stride + j + W), t);                                           \
            }                                                                                                          \
            mary_vf_store(acc + j, a);                                                                                 \
            mary_vf_store(acc + j + W, b);                                                                             \
        }                                                                                                              \
        for (; j < columns; j += W) {                                                                                  \
            int n = columns - j < W ? (int)(columns - j) : W;                                                          \
            mary_vf a = load(acc + j, n);                                                                              \
            const mary_vf s = shifts != NULL ? load(shifts + j, n) : zero;                                             \
            for (int64_t i = 0; i < rows; i++)                                                                         \
                a = take_##name(a, load(x + i * stride + j, n), s);                                                    \
            store(acc + j, a, n);                                                                                      \
        }                                                                                                              \
    }

static inline mary_vf load(const float *x, int n)
{
    return n == W ? mary_vf_load(x) : mary_vf_load_part(x, n);
}
static inline void store(float *y, mary_vf v, int n)
{
    if (n == W)
        mary_vf_store(y, v);
    else
        mary_vf_store_part(y, v, n);
}

FOLD(sum, join_sum, 0.0f, 0.0f)
FOLD(abs, join_sum, 0.0f, 0.0f)
FOLD(square, join_sum, 0.0f, shift_value)
FOLD(exp, join_sum, 0.0f, -__builtin_inff())
FOLD(max, join_max, -__builtin_inff(), -__builtin_inff())
FOLD(min, join_min, __builtin_inff(), __builtin_inff())
FOLD(prod, join_prod, 1.0f, 1.0f)

/* y = expression in v = x, for n = count of this vector, at index i. */
#define EACH(expression)                                                                                               \
    for (int64_t i = 0; i < count; i += W) {                                                                           \
        const int n = count - i < W ? (int)(count - i) : W;                                                            \
        const mary_vf v = load(x + i, n);                                                                              \
        store(y + i, expression, n);                                                                                   \
    }

static void softmax(const float *x, float *y, int64_t count, bool log)
{
    float largest = (float)fold_max(x, count, 0);
    const mary_vf shift = mary_vf_set(largest);
    if (log) {
        const mary_vf whole = mary_vf_set(logf((float)fold_exp(x, count, largest)));
        EACH(v - shift - whole)
        return;
    }
    double total = 0;
    for (int64_t begin = 0; begin < count; begin += BLOCK) {
        int64_t end = count - begin < BLOCK ? count : begin + BLOCK, i = begin;
        mary_vf sum = mary_vf_set(0);
        for (; i + W <= end; i += W) {
            const mary_vf e = mary_vf_exp(mary_vf_load(x + i) - shift);
            mary_vf_store(y + i, e);
            sum = sum + e;
        }
        total += (double)mary_vf_sum(sum);
        if (i < end) {
            mary_vf_store_part(y + i, mary_vf_exp(mary_vf_load_part(x + i, (int)(end - i)) - shift), (int)(end - i));
            for (; i < end; i++)
                total += (double)y[i];
        }
    }
    const mary_vf scale = mary_vf_set((float)(1 / total));
    x = y;
    EACH(v * scale)
}

static void softmax_columns(const float *x, float *y, int64_t columns, int64_t rows, int64_t stride, bool log)
{
    for (int64_t j = 0; j < columns; j += W) {
        const int n = columns - j < W ? (int)(columns - j) : W;
        mary_vf largest = mary_vf_set(-__builtin_inff()), sum = mary_vf_set(0);
        for (int64_t i = 0; i < rows; i++)
            largest = take_max(largest, load(x + i * stride + j, n), sum);
        for (int64_t i = 0; i < rows; i++) {
            const mary_vf v = load(x + i * stride + j, n) - largest, e = mary_vf_exp(v);
            store(y + i * stride + j, log ? v : e, n);
            sum = sum + e;
        }
        mary_vf last = mary_vf_set(1) / sum;
        if (log)
            last = mary_vf_log(sum);
        for (int64_t i = 0; i < rows; i++) {
            const mary_vf v = load(y + i * stride + j, n);
            store(y + i * stride + j, log ? v - last : v * last, n);
        }
    }
}

static void affine(const float *x, float *y, int64_t count, float center_value, float scale_value, float shift_value)
{
    const mary_vf center = mary_vf_set(center_value), scale = mary_vf_set(scale_value);
    const mary_vf shift = mary_vf_set(shift_value);
    EACH(mary_vf_fma(v - center, scale, shift))
}

static void affine_each(const float *x, float *y, int64_t count, const float *scale, const float *shift)
{
    EACH(mary_vf_fma(v, load(scale + i, n), load(shift + i, n)))
}

static void normalise(const float *x, float *y, int64_t count, float mean_value, float inverse_value,
                      const float *scale, const float *shift)
{
    const mary_vf mean = mary_vf_set(mean_value), inverse = mary_vf_set(inverse_value);
    if (scale != NULL && shift != NULL)
        EACH(mary_vf_fma((v - mean) * inverse, load(scale + i, n), load(shift + i, n)))
    else if (scale != NULL)
        EACH((v - mean) * inverse * load(scale + i, n))
    else if (shift != NULL)
        EACH((v - mean) * inverse + load(shift + i, n))
    else
        EACH((v - mean) * inverse)
}

static void scale_by_power(const float *x, const float *squares, float *y, int64_t count, float alpha_value,
                           float bias_value, float beta_value)
{
    const mary_vf alpha = mary_vf_set(alpha_value), bias = mary_vf_set(bias_value), power = mary_vf_set(-beta_value);
    EACH(v * mary_vf_exp(power * mary_vf_log(mary_vf_fma(alpha, load(squares + i, n), bias))))
}

const mary_rows MARY_ROWS_TABLE = {
    .fold = {fold_sum, fold_abs, fold_square, fold_exp, fold_max, fold_min, fold_prod},
    .fold_columns = {fold_columns_sum, fold_columns_abs, fold_columns_square, fold_columns_exp, fold_columns_max,
                     fold_columns_min, fold_columns_prod},
    .softmax = softmax,
    .softmax_columns = softmax_columns,
    .affine = affine,
    .affine_each = affine_each,
    .normalise = normalise,
    .scale_by_power = scale_by_power,
};
