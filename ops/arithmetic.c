/* Add, Sub, Mul, Div, Mod, PRelu: two inputs, every numeric type. Integers wrap, as they do in numpy and in two's
 * complement. */
#include <math.h>

#include "ops/binary.h"

/* Through uint64_t, where overflow is defined; the cast back cuts. */
#define INTEGERS(name, expression)                                                                                     \
    MARY_BINARY_LOOP(name##_i8, int8_t, int8_t, expression)                                                            \
    MARY_BINARY_LOOP(name##_i16, int16_t, int16_t, expression)                                                         \
    MARY_BINARY_LOOP(name##_i32, int32_t, int32_t, expression)                                                         \
    MARY_BINARY_LOOP(name##_i64, int64_t, int64_t, expression)
#define UNSIGNED(name, expression)                                                                                     \
    MARY_BINARY_LOOP(name##_u8, uint8_t, uint8_t, expression)                                                          \
    MARY_BINARY_LOOP(name##_u16, uint16_t, uint16_t, expression)                                                       \
    MARY_BINARY_LOOP(name##_u32, uint32_t, uint32_t, expression)                                                       \
    MARY_BINARY_LOOP(name##_u64, uint64_t, uint64_t, expression)

MARY_BINARY_LOOP(add_f64, double, double, a + b)
INTEGERS(add, (uint64_t)a + (uint64_t)b)
UNSIGNED(add, a + b)
MARY_BINARY_LOOP(sub_f64, double, double, a - b)
INTEGERS(sub, (uint64_t)a - (uint64_t)b)
UNSIGNED(sub, a - b)
MARY_BINARY_LOOP(mul_f64, double, double, a *b)
INTEGERS(mul, (uint64_t)a *(uint64_t)b)
UNSIGNED(mul, (uint64_t)a *(uint64_t)b)

/* Division truncates. By zero gives 0 (ONNX leaves it open, the processor would trap); the smallest integer by -1
 * wraps. */
MARY_BINARY_LOOP(div_f64, double, double, a / b)
INTEGERS(div, b == 0 ? 0 : b == -1 ? -(uint64_t)a : (uint64_t)(a / b))
UNSIGNED(div, b == 0 ? 0 : a / b)

/* fmod = 1: the sign of the dividend, as C has it. */
MARY_BINARY_LOOP(fmod_f32, float, float, fmodf(a, b))
MARY_BINARY_LOOP(fmod_f64, double, double, fmod(a, b))
INTEGERS(fmod, b == 0 || b == -1 ? 0 : a % b)
UNSIGNED(fmod, b == 0 ? 0 : a % b)

/* fmod = 0: the sign of the divisor, as Python has it. */
static int64_t modulo(int64_t a, int64_t b)
{
    if (b == 0 || b == -1)
        return 0;
    int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static double modulo_real(double a, double b)
{
    double rest = fmod(a, b);
    if (rest == 0)
        return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

MARY_BINARY_LOOP(mod_f32, float, float, modulo_real((double)a, (double)b))
MARY_BINARY_LOOP(mod_f64, double, double, modulo_real(a, b))
INTEGERS(mod, modulo(a, b))

MARY_BINARY_LOOP(prelu_f64, double, double, a < 0 ? a * b : a)
MARY_BINARY_LOOP(prelu_i32, int32_t, int32_t, a < 0 ? (uint64_t)a * (uint64_t)b : (uint64_t)a)
MARY_BINARY_LOOP(prelu_i64, int64_t, int64_t, a < 0 ? (uint64_t)a * (uint64_t)b : (uint64_t)a)
MARY_BINARY_LOOP(prelu_u32, uint32_t, uint32_t, ((void)b, a))
MARY_BINARY_LOOP(prelu_u64, uint64_t, uint64_t, ((void)b, a))

#define ARITHMETIC(op_type, name)                                                                                      \
    {                                                                                                                  \
        .type = op_type, .kernel = MARY_BINARY_##name, .loops = {                                                      \
            [MARY_DOUBLE] = name##_f64,                                                                                \
            MARY_SIGNED_LOOPS(name),                                                                                   \
            MARY_UNSIGNED_LOOPS(name)                                                                                  \
        }                                                                                                              \
    }

static const mary_binary list[] = {
    ARITHMETIC("Add", add),
    ARITHMETIC("Sub", sub),
    ARITHMETIC("Mul", mul),
    ARITHMETIC("Div", div),
    {.type = "PRelu",
     .kernel = MARY_BINARY_prelu,
     .loops = {[MARY_DOUBLE] = prelu_f64,
               [MARY_INT32] = prelu_i32,
               [MARY_INT64] = prelu_i64,
               [MARY_UINT32] = prelu_u32,
               [MARY_UINT64] = prelu_u64}},
    {0},
};

static const mary_binary mod_of_divisor = {
    .type = "Mod",
    .loops = {[MARY_FLOAT] = mod_f32, [MARY_DOUBLE] = mod_f64, MARY_SIGNED_LOOPS(mod), MARY_UNSIGNED_LOOPS(fmod)}};
static const mary_binary mod_of_dividend = {
    .type = "Mod",
    .loops = {[MARY_FLOAT] = fmod_f32, [MARY_DOUBLE] = fmod_f64, MARY_SIGNED_LOOPS(fmod), MARY_UNSIGNED_LOOPS(fmod)}};

static mary_status prepare(mary_op_node *node)
{
    return mary_binary_prepare(node, list);
}

static mary_status prepare_mod(mary_op_node *node)
{
    int64_t fmod_attribute;
    MARY_TRY(mary_attribute_int(node->proto, "fmod", 0, &fmod_attribute));
    if (fmod_attribute != 0 && fmod_attribute != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "fmod is %lld, it must be 0 or 1", (long long)fmod_attribute);
    return mary_binary_prepare_as(node, fmod_attribute == 1 ? &mod_of_dividend : &mod_of_divisor);
}

/* The slope broadcasts to the data, never the other way round. */
static mary_status infer_prelu(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_binary_infer(node, call));
    if (!mary_shape_equal(&call->outputs[0]->shape, &call->inputs[0]->shape))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the slope does not broadcast to the data");
    return MARY_OK;
}

#define OPERATOR(name, first, preparation, inference, slope)                                                           \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .flags = MARY_OP_IN_PLACE, .prepare = preparation,                 \
        .infer = inference, .run = mary_binary_run, .channels_last = mary_broadcast_channels_last, .gradient = slope   \
    }

/* The first definitions; see mary_broadcast_align. */
#define EARLY(name, inference)                                                                                         \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .until = 6, .prepare = prepare, .infer = inference,                    \
        .run = mary_binary_run                                                                                         \
    }

const mary_op mary_ops_arithmetic[] = {
    EARLY("Add", mary_binary_infer),
    EARLY("Sub", mary_binary_infer),
    EARLY("Mul", mary_binary_infer),
    EARLY("Div", mary_binary_infer),
    EARLY("PRelu", infer_prelu),
    OPERATOR("Add", 7, prepare, mary_binary_infer, &mary_add_gradient),
    OPERATOR("Sub", 7, prepare, mary_binary_infer, &mary_sub_gradient),
    OPERATOR("Mul", 7, prepare, mary_binary_infer, &mary_mul_gradient),
    OPERATOR("Div", 7, prepare, mary_binary_infer, &mary_div_gradient),
    OPERATOR("Mod", 10, prepare_mod, mary_binary_infer, NULL),
    OPERATOR("PRelu", 7, prepare, infer_prelu, &mary_prelu_gradient),
    MARY_OP_END,
};
