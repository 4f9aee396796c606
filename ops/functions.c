/* Mathematical functions, rounding, signs and tests of single elements. */
#include <math.h>

#include "ops/unary.h"

#define FLOATING(name, expression_f32, expression_f64)                                                                 \
    MARY_UNARY_LOOP(name##_f32, float, expression_f32)                                                                 \
    MARY_UNARY_LOOP(name##_f64, double, expression_f64)

#define INTEGERS(name, expression)                                                                                     \
    MARY_UNARY_LOOP(name##_i8, int8_t, expression)                                                                     \
    MARY_UNARY_LOOP(name##_i16, int16_t, expression)                                                                   \
    MARY_UNARY_LOOP(name##_i32, int32_t, expression)                                                                   \
    MARY_UNARY_LOOP(name##_i64, int64_t, expression)

#define UNSIGNED(name, expression)                                                                                     \
    MARY_UNARY_LOOP(name##_u8, uint8_t, expression)                                                                    \
    MARY_UNARY_LOOP(name##_u16, uint16_t, expression)                                                                  \
    MARY_UNARY_LOOP(name##_u32, uint32_t, expression)                                                                  \
    MARY_UNARY_LOOP(name##_u64, uint64_t, expression)

FLOATING(sin, sinf(v), sin(v))
FLOATING(cos, cosf(v), cos(v))
FLOATING(tan, tanf(v), tan(v))
FLOATING(asin, asinf(v), asin(v))
FLOATING(acos, acosf(v), acos(v))
FLOATING(atan, atanf(v), atan(v))
FLOATING(sinh, sinhf(v), sinh(v))
FLOATING(cosh, coshf(v), cosh(v))
FLOATING(asinh, asinhf(v), asinh(v))
FLOATING(acosh, acoshf(v), acosh(v))
FLOATING(atanh, atanhf(v), atanh(v))
MARY_UNARY_LOOP(exp_f64, double, exp(v))
MARY_UNARY_LOOP(log_f64, double, log(v))
MARY_UNARY_LOOP(erf_f64, double, erf(v))
MARY_UNARY_LOOP(sqrt_f64, double, sqrt(v))
MARY_UNARY_LOOP(reciprocal_f64, double, 1 / v)
MARY_UNARY_LOOP(floor_f64, double, floor(v))
MARY_UNARY_LOOP(ceil_f64, double, ceil(v))
MARY_UNARY_LOOP(round_f64, double, rint(v)) /* half to even: the rounding mode is never changed */

/* Negation goes through uint64_t: the smallest integer is its own negative. */
MARY_UNARY_LOOP(abs_f64, double, fabs(v))
INTEGERS(abs, v < 0 ? -(uint64_t)v : (uint64_t)v)
UNSIGNED(abs, v)
MARY_UNARY_LOOP(neg_f64, double, -v)
INTEGERS(neg, -(uint64_t)v)
/* NaN has no sign and stays NaN. */
FLOATING(sign, v > 0 ? 1 : v < 0 ? -1 : v, v > 0 ? 1 : v < 0 ? -1 : v)
INTEGERS(sign, (v > 0) - (v < 0))
UNSIGNED(sign, v > 0)
INTEGERS(bit_not, ~v)
UNSIGNED(bit_not, ~v)
MARY_UNARY_LOOP(not_bool, uint8_t, v == 0)

/* Tests: any type in, bool out. */
#define TEST(name, T, expression)                                                                                      \
    static void name(const void *from, void *to, int64_t count, const mary_unary_parameters *p)                        \
    {                                                                                                                  \
        const T *x = from;                                                                                             \
        uint8_t *y = to;                                                                                               \
        const float alpha = p->alpha, beta = p->beta;                                                                  \
        (void)alpha;                                                                                                   \
        (void)beta;                                                                                                    \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            const T v = x[i];                                                                                          \
            y[i] = (expression) ? 1 : 0;                                                                               \
        }                                                                                                              \
    }
TEST(is_nan_f32, float, v != v)
TEST(is_nan_f64, double, v != v)
/* alpha: positive ones count, beta: negative ones do */
TEST(is_inf_f32, float, (v == __builtin_inff() && alpha != 0) || (v == -__builtin_inff() && beta != 0))
TEST(is_inf_f64, double, (v == __builtin_inf() && alpha != 0) || (v == -__builtin_inf() && beta != 0))

#define PLAIN_FUNCTION(op_type, name)                                                                                  \
    {                                                                                                                  \
        .type = op_type, .loops = { [MARY_FLOAT] = name##_f32, [MARY_DOUBLE] = name##_f64 }                            \
    }
#define KERNEL_FUNCTION(op_type, name)                                                                                 \
    {                                                                                                                  \
        .type = op_type, .kernel = MARY_UNARY_##name, .loops = { [MARY_DOUBLE] = name##_f64 }                          \
    }

static const mary_unary list[] = {
    PLAIN_FUNCTION("Sin", sin),
    PLAIN_FUNCTION("Cos", cos),
    PLAIN_FUNCTION("Tan", tan),
    PLAIN_FUNCTION("Asin", asin),
    PLAIN_FUNCTION("Acos", acos),
    PLAIN_FUNCTION("Atan", atan),
    PLAIN_FUNCTION("Sinh", sinh),
    PLAIN_FUNCTION("Cosh", cosh),
    PLAIN_FUNCTION("Asinh", asinh),
    PLAIN_FUNCTION("Acosh", acosh),
    PLAIN_FUNCTION("Atanh", atanh),
    KERNEL_FUNCTION("Exp", exp),
    KERNEL_FUNCTION("Log", log),
    KERNEL_FUNCTION("Erf", erf),
    KERNEL_FUNCTION("Sqrt", sqrt),
    KERNEL_FUNCTION("Reciprocal", reciprocal),
    KERNEL_FUNCTION("Floor", floor),
    KERNEL_FUNCTION("Ceil", ceil),
    KERNEL_FUNCTION("Round", round),
    {.type = "Abs",
     .kernel = MARY_UNARY_abs,
     .loops = {[MARY_DOUBLE] = abs_f64, MARY_SIGNED_LOOPS(abs), MARY_UNSIGNED_LOOPS(abs)}},
    {.type = "Neg", .kernel = MARY_UNARY_neg, .loops = {[MARY_DOUBLE] = neg_f64, MARY_SIGNED_LOOPS(neg)}},
    {.type = "Sign",
     .loops = {[MARY_FLOAT] = sign_f32, [MARY_DOUBLE] = sign_f64, MARY_SIGNED_LOOPS(sign), MARY_UNSIGNED_LOOPS(sign)}},
    {.type = "Not", .loops[MARY_BOOL] = not_bool},
    {.type = "BitwiseNot", .loops = {MARY_SIGNED_LOOPS(bit_not), MARY_UNSIGNED_LOOPS(bit_not)}},
    {.type = "IsNaN", .loops = {[MARY_FLOAT] = is_nan_f32, [MARY_DOUBLE] = is_nan_f64}, .result = MARY_BOOL},
    {.type = "IsInf", .loops = {[MARY_FLOAT] = is_inf_f32, [MARY_DOUBLE] = is_inf_f64}, .result = MARY_BOOL},
    {0},
};

static mary_status prepare(mary_op_node *node)
{
    return mary_unary_prepare(node, list);
}

static mary_status prepare_is_inf(mary_op_node *node)
{
    int64_t positive, negative;
    MARY_TRY(mary_unary_prepare(node, list));
    MARY_TRY(mary_attribute_int(node->proto, "detect_positive", 1, &positive));
    MARY_TRY(mary_attribute_int(node->proto, "detect_negative", 1, &negative));
    mary_unary_state *state = node->state;
    state->parameters.alpha = positive != 0;
    state->parameters.beta = negative != 0;
    return MARY_OK;
}

#define FUNCTION(name, first, op_flags, preparation)                                                                   \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .flags = op_flags, .prepare = preparation,                         \
        .infer = mary_unary_infer, .run = mary_unary_run, .channels_last = mary_unary_channels_last,                   \
        .gradient = &mary_unary_gradient                                                                               \
    }

const mary_op mary_ops_functions[] = {
    FUNCTION("Sin", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Cos", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Tan", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Asin", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Acos", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Atan", 7, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Sinh", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Cosh", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Asinh", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Acosh", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Atanh", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Exp", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Log", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Erf", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Sqrt", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Reciprocal", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Floor", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Ceil", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Round", 11, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Abs", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Neg", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Sign", 9, MARY_OP_IN_PLACE, prepare),
    FUNCTION("Not", 1, MARY_OP_IN_PLACE, prepare),
    FUNCTION("BitwiseNot", 18, MARY_OP_IN_PLACE, prepare),
    FUNCTION("IsNaN", 9, 0, prepare),
    FUNCTION("IsInf", 10, 0, prepare_is_inf),
    MARY_OP_END,
};
