/* The float loops of unary.h; included by one file for each tier, which defines MARY_UNARY_TABLE. */
#include "ops/unary.h"
#include "ops/vector_math.h"

/* `expression` in v, a (alpha) and b (beta). */
#define LOOP(name, expression)                                                                                         \
    static void name##_loop(const void *from, void *to, int64_t count, const mary_unary_parameters *p)                 \
    {                                                                                                                  \
        const float *x = from;                                                                                         \
        float *y = to;                                                                                                 \
        const mary_vf a = mary_vf_set(p->alpha), b = mary_vf_set(p->beta);                                             \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        int64_t i = 0;                                                                                                 \
        for (; i + MARY_VECTOR_WIDTH <= count; i += MARY_VECTOR_WIDTH) {                                               \
            const mary_vf v = mary_vf_load(x + i);                                                                     \
            mary_vf_store(y + i, expression);                                                                          \
        }                                                                                                              \
        if (i < count) {                                                                                               \
            const mary_vf v = mary_vf_load_part(x + i, (int)(count - i));                                              \
            mary_vf_store_part(y + i, expression, (int)(count - i));                                                   \
        }                                                                                                              \
    }

#define SET(x) mary_vf_set(x)

static inline mary_vf hard_sigmoid(mary_vf v, mary_vf a, mary_vf b)
{
    return mary_vf_clip(mary_vf_fma(a, v, b), 0, 1);
}

/* |v| < 2^23 gains and loses 2^23, which rounds to an integer, half to even; larger ones are integers. */
static inline mary_vf round_even(mary_vf v)
{
    const mary_vf big = SET(0x1p23f), t = mary_vf_abs(v);
    return mary_vf_select(mary_vf_less(t, big), mary_vf_copysign(t + big - big, v), v);
}

static inline mary_vf round_down(mary_vf v)
{
    mary_vf even = round_even(v);
    return mary_vf_select(mary_vf_less(v, even), even - SET(1), even);
}

/* tanh(log(1 + e^v)) = n / (n + 2) with n = e^v (e^v + 2). */
static inline mary_vf mish(mary_vf v)
{
    mary_vf e = mary_vf_exp(mary_vf_min(SET(20), v)), n = e * (e + SET(2));
    return v * (n / (n + SET(2)));
}

static inline mary_vf gelu_tanh(mary_vf v)
{
    mary_vf inner = SET(0.7978845608f) * mary_vf_fma(SET(0.044715f) * v, v * v, v);
    return SET(0.5f) * v * (SET(1) + mary_vf_tanh(inner));
}

static inline mary_vf softplus(mary_vf v)
{
    return mary_vf_max(SET(0), v) + mary_vf_log1p_positive(mary_vf_exp(-mary_vf_abs(v)));
}

/* alpha: lambda, beta: bias */
static inline mary_vf shrink(mary_vf v, mary_vf a, mary_vf b)
{
    mary_vf positive = mary_vf_select(mary_vf_less(a, v), v - b, SET(0));
    return mary_vf_select(mary_vf_less(v, -a), v + b, positive);
}

LOOP(clip, mary_vf_min(b, mary_vf_max(a, v)))
LOOP(leaky_relu, mary_vf_select(mary_vf_less(v, SET(0)), a *v, v))
LOOP(thresholded_relu, mary_vf_select(mary_vf_less(a, v), v, SET(0)))
LOOP(sigmoid, mary_vf_sigmoid(v))
LOOP(swish, v *mary_vf_sigmoid(a *v))
LOOP(hard_sigmoid, hard_sigmoid(v, a, b))
LOOP(hard_swish, v *hard_sigmoid(v, a, b))
LOOP(tanh, mary_vf_tanh(v))
LOOP(elu, mary_vf_select(mary_vf_less(v, SET(0)), a *mary_vf_expm1(v), v))
LOOP(selu, b *mary_vf_select(mary_vf_less(v, SET(0)), a *mary_vf_expm1(v), v))
LOOP(celu, mary_vf_select(mary_vf_less(v, SET(0)), a *mary_vf_expm1(v / a), v))
LOOP(gelu, SET(0.5f) * v * (SET(1) + mary_vf_erf(v * SET(0.7071067812f))))
LOOP(gelu_tanh, gelu_tanh(v))
LOOP(mish, mish(v))
LOOP(softplus, softplus(v))
LOOP(softsign, v / (SET(1) + mary_vf_abs(v)))
LOOP(shrink, shrink(v, a, b))
LOOP(exp, mary_vf_exp(v))
LOOP(log, mary_vf_log(v))
LOOP(erf, mary_vf_erf(v))
LOOP(sqrt, mary_vf_sqrt(v))
LOOP(abs, mary_vf_abs(v))
LOOP(neg, -v)
LOOP(reciprocal, SET(1) / v)
LOOP(floor, mary_vf_copysign(round_down(v), v))
LOOP(ceil, mary_vf_copysign(-round_down(-v), v))
LOOP(round, round_even(v))

mary_unary_loop *const MARY_UNARY_TABLE[MARY_UNARY_COUNT] = {
#define ENTRY(name) [MARY_UNARY_##name] = name##_loop,
    MARY_UNARY_KERNELS(ENTRY)
#undef ENTRY
};
