/* Pow: base and exponent may be of different types from opset 12 on; the result has the base's. */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"

typedef struct types {
    mary_type base, exponent;
} types;

static bool is_real(mary_type type)
{
    return type == MARY_FLOAT || type == MARY_DOUBLE;
}

/* Wraps like repeated multiplication; negative powers truncate: only 1 and -1 have any but 0. */
static int64_t power_of_int(int64_t base, int64_t exponent, bool is_unsigned)
{
    if (exponent < 0 && !is_unsigned)
        return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
    uint64_t result = 1, square = (uint64_t)base;
    for (uint64_t rest = (uint64_t)exponent; rest != 0; rest >>= 1) {
        if (rest & 1)
            result *= square;
        square *= square;
    }
    return (int64_t)result;
}

static int64_t saturate(double value, int64_t low, int64_t high)
{
    if (!(value > (double)low)) /* NaN, too */
        return value <= (double)low ? low : 0;
    return value >= (double)high ? high : (int64_t)value;
}

/* Squares, roots and reciprocals are what normalisations ask for. */
static bool run_simple(const float *x, float exponent, float *y, int64_t count)
{
    if (exponent == 2) {
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] * x[i];
    } else if (exponent == 3) {
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] * x[i] * x[i];
    } else if (exponent == 1) {
        memmove(y, x, sizeof *x * (size_t)count);
    } else if (exponent == -1) {
        for (int64_t i = 0; i < count; i++)
            y[i] = 1 / x[i];
    } else {
        return false;
    }
    return true;
}

static void power(const void *context, const void *const *x, const int64_t *step, void *y, int64_t count)
{
    const types *t = context;
    const mary_tensor base = {.type = t->base, .data = (void *)(uintptr_t)x[0]};
    const mary_tensor exponent = {.type = t->exponent, .data = (void *)(uintptr_t)x[1]};
    if (t->base == MARY_FLOAT && step[0] == 1 && step[1] == 0 &&
        run_simple(x[0], (float)mary_tensor_double(&exponent, 0), y, count))
        return;
    if (t->base == MARY_FLOAT && t->exponent == MARY_FLOAT) {
        const float *a = x[0], *b = x[1];
        for (int64_t i = 0; i < count; i++)
            ((float *)y)[i] = powf(a[i * step[0]], b[i * step[1]]);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t ia = i * step[0], ib = i * step[1];
        if (is_real(t->base)) {
            double result = pow(mary_tensor_double(&base, ia), mary_tensor_double(&exponent, ib));
            if (t->base == MARY_FLOAT)
                ((float *)y)[i] = (float)result;
            else
                ((double *)y)[i] = result;
            continue;
        }
        bool narrow = t->base == MARY_INT32;
        int64_t result;
        if (is_real(t->exponent)) {
            double real = pow(mary_tensor_double(&base, ia), mary_tensor_double(&exponent, ib));
            result = narrow ? saturate(real, INT32_MIN, INT32_MAX) : saturate(real, INT64_MIN, INT64_MAX);
        } else {
            result =
                power_of_int(mary_tensor_int(&base, ia), mary_tensor_int(&exponent, ib), t->exponent == MARY_UINT64);
        }
        if (narrow)
            ((int32_t *)y)[i] = (int32_t)result;
        else
            ((int64_t *)y)[i] = result;
    }
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape shape;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 2));
    mary_type base = call->inputs[0]->type, exponent = call->inputs[1]->type;
    if (!is_real(base) && base != MARY_INT32 && base != MARY_INT64)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "base of type %s", mary_type_name(base));
    if (mary_type_size(exponent) == 0 || exponent == MARY_BOOL || (mary_type_is_float(exponent) && !is_real(exponent)))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "exponent of type %s", mary_type_name(exponent));
    mary_tensor view;
    MARY_TRY(mary_broadcast_align(node, call, &view));
    const mary_tensor *pair[2] = {call->inputs[0], &view};
    const mary_op_call aligned = {.inputs = pair, .input_count = 2};
    MARY_TRY(mary_broadcast_shape(node, &aligned, 2, &shape));
    return mary_op_set_output(node, call, 0, base, &shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const types t = {.base = call->inputs[0]->type, .exponent = call->inputs[1]->type};
    mary_tensor view;
    MARY_TRY(mary_broadcast_align(node, call, &view));
    const mary_tensor *pair[2] = {call->inputs[0], &view};
    mary_broadcast_run(call->parallel, power, &t, pair, 2, call->outputs[0]);
    return MARY_OK;
}

const mary_op mary_ops_pow[] = {
    {.domain = "", .type = "Pow", .since = 1, .until = 6, .infer = infer, .run = run},
    {.domain = "",
     .type = "Pow",
     .since = 7,
     .flags = MARY_OP_IN_PLACE,
     .infer = infer,
     .run = run,
     .channels_last = mary_broadcast_channels_last},
    MARY_OP_END,
};
