#include "ops/qlinear.h"

#include <math.h>
#include <string.h>

#include "ops/qlinear_kernels.h"

/* Scalar first, each better instruction set overlays it in rising order. */
const mary_qlinear_kernels *mary_qlinear_kernels_for(mary_cpu cpu)
{
    const mary_qlinear_kernels *kernels = &mary_qlinear_kernels_scalar;
#if defined(__x86_64__)
    if (cpu >= MARY_CPU_AVX2)
        kernels = &mary_qlinear_kernels_avx2;
    if (cpu >= MARY_CPU_AVX512)
        kernels = &mary_qlinear_kernels_avx512;
#else
    (void)cpu;
#endif
    return kernels;
}

mary_table_function *mary_table_function_for(mary_cpu cpu)
{
#if defined(__x86_64__)
    if (cpu >= MARY_CPU_AVX512 && mary_cpu_has_vbmi())
        return mary_table_vbmi;
#endif
    return mary_qlinear_kernels_for(cpu)->table;
}

static bool is_one(const mary_tensor *tensor, mary_type type)
{
    return tensor != NULL && tensor->type == type && tensor->shape.rank <= 1 && mary_shape_count(&tensor->shape) == 1;
}

static const mary_tensor *input_of(const mary_op_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

mary_status mary_quantisation_check(const mary_op_node *node, const mary_op_call *call, int scale_index,
                                    const char *what)
{
    const mary_tensor *scale = input_of(call, scale_index), *zero = input_of(call, scale_index + 1);
    if (!is_one(scale, MARY_FLOAT))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the scale of %s must be one float", what);
    if (zero == NULL || is_one(zero, MARY_UINT8))
        return MARY_OK;
    bool other = is_one(zero, MARY_INT8); /* legal, and not what the executor makes */
    return mary_op_fail(node, other ? MARY_ERROR_UNSUPPORTED : MARY_ERROR_INVALID,
                        "the zero point of %s must be one uint8", what);
}

mary_status mary_quantisation_read(const mary_op_node *node, const mary_op_call *call, int scale_index,
                                   const char *what, mary_quantisation *result)
{
    const mary_tensor *zero = input_of(call, scale_index + 1);
    result->scale = *(const float *)call->inputs[scale_index]->data;
    result->zero = zero == NULL ? 0 : *(const uint8_t *)zero->data;
    if (!(result->scale > 0) || !isfinite(result->scale))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the scale of %s is %g", what, (double)result->scale);
    return MARY_OK;
}

mary_status mary_qlinear_expect_u8(const mary_op_node *node, const mary_op_call *call, int index, const char *what)
{
    const mary_tensor *tensor = input_of(call, index);
    if (tensor == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s is missing", what);
    if (tensor->type == MARY_UINT8)
        return MARY_OK;
    return mary_op_fail(node, tensor->type == MARY_INT8 ? MARY_ERROR_UNSUPPORTED : MARY_ERROR_INVALID,
                        "%s is %s, it must be uint8", what, mary_type_name(tensor->type));
}

void mary_qlinear_table(const mary_quantisation *from, const mary_quantisation *to, uint8_t *table)
{
    const mary_requantisation how = mary_requantisation_to(to->zero);
    float ratio = from->scale / to->scale;
    for (int x = 0; x < 256; x++)
        table[x] = mary_requantise((float)(x - from->zero) * ratio, &how);
}

/* `rows` stretches of `length` bytes, each its own stride from the next. */
typedef struct lookup {
    mary_table_function *function;
    const uint8_t *table, *x;
    uint8_t *y;
    int64_t x_step, y_step, length;
} lookup;

static void lookup_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const lookup *l = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        l->function(l->table, l->x + i * l->x_step, l->y + i * l->y_step, l->length);
}

static void lookup_bytes(void *context, int64_t begin, int64_t end, int thread)
{
    const lookup *l = context;
    (void)thread;
    l->function(l->table, l->x + begin, l->y + begin, end - begin);
}

void mary_table_apply(mary_table_function *function, const uint8_t *table, const mary_tensor *x, const mary_tensor *y,
                      const mary_parallel *parallel)
{
    enum { GRAIN = 65536 };
    lookup l = {.function = function, .table = table, .x = x->data, .y = y->data};
    /* A gap between pixels may hold other channels of a joined tensor: it is left alone. */
    if (x->layout != MARY_LAYOUT_CHANNELS_LAST ||
        (x->pixel_stride == x->shape.dims[1] && y->pixel_stride == x->shape.dims[1])) {
        mary_parallel_for(parallel, (int64_t)mary_tensor_bytes(x), GRAIN, lookup_bytes, &l);
        return;
    }
    l.length = x->shape.dims[1];
    l.x_step = x->pixel_stride;
    l.y_step = y->pixel_stride;
    int64_t pixels = x->shape.dims[0] * mary_shape_count_range(&x->shape, 2, x->shape.rank);
    mary_parallel_for(parallel, pixels, GRAIN / (l.length + 1) + 1, lookup_rows, &l);
}
