/* The activations of an epilogue over a run of floats, for the tier that the including file is compiled for. */
#include "ops/vector_math.h"

/* The sigmoid without a division, to about 2 ulp where it is above 2^-126; smaller results are 2^-126. */
static inline mary_vf activation_sigmoid(mary_vf x)
{
#ifdef __AVX512F__
    /* e = exp(-x) = 2^n exp(r), |r| <= ln 2 / 2, then 1 / (1 + e) by one Newton step from 14 good bits. */
    mary_vf y = mary_vf_clip(-x, -87.0f, 87.0f), one = mary_vf_set(1.0f);
    mary_vf n = _mm512_roundscale_ps(y * mary_vf_set(0x1.715476p+0f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    mary_vf r = mary_vf_fma(n, mary_vf_set(-0x1.62e430p-1f), y);
    r = mary_vf_fma(n, mary_vf_set(0x1.05c610p-29f), r);
    mary_vf p = mary_vf_set(0x1.6a243ap-10f); /* the polynomial of mary_vf_exp */
    p = mary_vf_fma(p, r, mary_vf_set(0x1.1239e0p-7f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.5558f2p-5f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.555492p-3f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.fffffcp-2f));
    p = mary_vf_fma(p, r * r, r) + one;
    mary_vf d = one + _mm512_scalef_ps(p, n), guess = _mm512_rcp14_ps(d);
    return mary_vf_fma(guess, _mm512_fnmadd_ps(d, guess, one), guess);
#else
    return mary_vf_sigmoid(x);
#endif
}

#define ACTIVATION_INLINE static inline __attribute__((always_inline))

ACTIVATION_INLINE mary_vf activation_vector(const mary_activation_kind kind, mary_vf alpha, mary_vf beta, mary_vf x)
{
    mary_vf zero = mary_vf_set(0.0f), one = mary_vf_set(1.0f);
    switch (kind) {
    case MARY_ACTIVATION_CLIP:
        return mary_vf_min(beta, mary_vf_max(alpha, x));
    case MARY_ACTIVATION_LEAKY_RELU:
        return mary_vf_select(mary_vf_less(x, zero), alpha * x, x);
    case MARY_ACTIVATION_SIGMOID:
        return activation_sigmoid(x);
    case MARY_ACTIVATION_SILU:
        return x * activation_sigmoid(x);
    case MARY_ACTIVATION_HARD_SWISH:
        return x * mary_vf_min(one, mary_vf_max(zero, mary_vf_fma(alpha, x, beta)));
    case MARY_ACTIVATION_HARD_SIGMOID:
        return mary_vf_min(one, mary_vf_max(zero, mary_vf_fma(alpha, x, beta)));
    case MARY_ACTIVATION_TANH:
        return mary_vf_tanh(x);
    default:
        return x;
    }
}

/* `kind` is a constant: the loop holds one activation, its constants stay in registers and iterations overlap. */
ACTIVATION_INLINE void activation_loop(const mary_activation_kind kind, const mary_epilogue *epilogue, float *values,
                                       int64_t stride, int rows, int64_t count)
{
    mary_vf alpha = mary_vf_set(epilogue->alpha), beta = mary_vf_set(epilogue->beta);
    for (int row = 0; row < rows; row++, values += stride) {
        int64_t i = 0;
        for (; i + MARY_VECTOR_WIDTH <= count; i += MARY_VECTOR_WIDTH)
            mary_vf_store(values + i, activation_vector(kind, alpha, beta, mary_vf_load(values + i)));
        if (i < count) {
            int lanes = (int)(count - i);
            mary_vf x = mary_vf_load_part(values + i, lanes);
            mary_vf_store_part(values + i, activation_vector(kind, alpha, beta, x), lanes);
        }
    }
}

/* `rows` runs of `count` floats, `stride` apart. */
static void activation_rows(const mary_epilogue *epilogue, float *values, int64_t stride, int rows, int64_t count)
{
#define ACTIVATION_CASE(kind)                                                                                          \
    case kind:                                                                                                         \
        activation_loop(kind, epilogue, values, stride, rows, count);                                                  \
        break;
    switch (epilogue->activation) {
        ACTIVATION_CASE(MARY_ACTIVATION_CLIP)
        ACTIVATION_CASE(MARY_ACTIVATION_LEAKY_RELU)
        ACTIVATION_CASE(MARY_ACTIVATION_SIGMOID)
        ACTIVATION_CASE(MARY_ACTIVATION_SILU)
        ACTIVATION_CASE(MARY_ACTIVATION_HARD_SWISH)
        ACTIVATION_CASE(MARY_ACTIVATION_HARD_SIGMOID)
        ACTIVATION_CASE(MARY_ACTIVATION_TANH)
    default:
        break;
    }
#undef ACTIVATION_CASE
}

void ACTIVATION_NAME(const mary_epilogue *epilogue, float *values, int64_t count)
{
    activation_rows(epilogue, values, 0, 1, count);
}
