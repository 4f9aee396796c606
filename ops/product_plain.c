/* Row by row, a vector of the right operand's row at a time where it lies that way; the compiler vectorises. */
#include "ops/product_plain.h"

/* `sum_type` is where sums are kept: unsigned for integers, whose overflow wraps around in every framework. */
#define ROWS(name, element, sum_type)                                                                                  \
    static void rows_##name(void *context, int64_t begin, int64_t end, int thread)                                     \
    {                                                                                                                  \
        const mary_product_plain *p = context;                                                                         \
        const element *a = p->a, *b = p->b, *c = p->c;                                                                 \
        (void)thread;                                                                                                  \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            element *out = (element *)p->out + i * p->columns;                                                         \
            for (int64_t j = 0; j < p->columns; j++)                                                                   \
                out[j] = 0;                                                                                            \
            for (int64_t k = 0; k < p->depth; k++) {                                                                   \
                sum_type x = (sum_type)a[i * p->a_row + k * p->a_column];                                              \
                const element *row = b + k * p->b_row;                                                                 \
                for (int64_t j = 0; j < p->columns; j++)                                                               \
                    out[j] = (element)((sum_type)out[j] + x * (sum_type)row[j * p->b_column]);                         \
            }                                                                                                          \
            if (p->alpha != 1.0f) {                                                                                    \
                for (int64_t j = 0; j < p->columns; j++)                                                               \
                    out[j] = scaled_##name(p->alpha, out[j]);                                                          \
            }                                                                                                          \
            if (c == NULL)                                                                                             \
                continue;                                                                                              \
            for (int64_t j = 0; j < p->columns; j++) {                                                                 \
                element added = c[i * p->c_row + j * p->c_column];                                                     \
                if (p->beta != 1.0f)                                                                                   \
                    added = scaled_##name(p->beta, added);                                                             \
                out[j] = (element)((sum_type)out[j] + (sum_type)added);                                                \
            }                                                                                                          \
        }                                                                                                              \
    }

/* Truncated towards zero as a cast does; what does not fit stops at the type's bounds, NaN is 0. `past` is the first
 * value above. */
#define SCALED(name, element, least, most, past)                                                                       \
    static element scaled_##name(float factor, element value)                                                          \
    {                                                                                                                  \
        double scaled = (double)factor * (double)value;                                                                \
        if (!(scaled >= (double)(least)))                                                                              \
            return scaled != scaled ? 0 : (least);                                                                     \
        return scaled >= (past) ? (most) : (element)scaled;                                                            \
    }

static double scaled_double(float factor, double value)
{
    return (double)factor * value;
}
SCALED(int32, int32_t, INT32_MIN, INT32_MAX, 0x1p31)
SCALED(uint32, uint32_t, 0, UINT32_MAX, 0x1p32)
SCALED(int64, int64_t, INT64_MIN, INT64_MAX, 0x1p63)
SCALED(uint64, uint64_t, 0, UINT64_MAX, 0x1p64)

ROWS(double, double, double)
ROWS(int32, int32_t, uint32_t)
ROWS(uint32, uint32_t, uint32_t)
ROWS(int64, int64_t, uint64_t)
ROWS(uint64, uint64_t, uint64_t)

static mary_task *task_of(mary_type type)
{
    switch (type) {
    case MARY_DOUBLE:
        return rows_double;
    case MARY_INT32:
        return rows_int32;
    case MARY_UINT32:
        return rows_uint32;
    case MARY_INT64:
        return rows_int64;
    case MARY_UINT64:
        return rows_uint64;
    default:
        return NULL;
    }
}

bool mary_product_plain_supports(mary_type type)
{
    return task_of(type) != NULL;
}

void mary_product_plain_run(const mary_product_plain *product, const mary_parallel *parallel)
{
    int64_t work = (product->depth + 1) * product->columns;
    mary_parallel_for(parallel, product->rows, 1 + 65536 / (work + 1), task_of(product->type), (void *)product);
}
