/* exp, log, tanh, sigmoid and erf on a register of floats: one text for every instruction set.
 *
 * A file that includes this gets `mary_vf`, MARY_VECTOR_WIDTH floats of the widest register that it is compiled for: 16
 * in *_avx512.c, 8 in *_avx2.c, else a single float. `+ - * /` and unary `-` work on mary_vf as they do on float; the
 * rest has functions here. All functions: relative error below 3e-7, NaN in gives NaN out, infinities as C's math
 * library has them; tanh and erf keep the sign of zero. Coefficients: minimax fits (iteratively reweighted least
 * squares at Chebyshev nodes) made for these intervals.
 */
#ifndef MARY_OPS_VECTOR_MATH_H
#define MARY_OPS_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define MARY_VECTOR_WIDTH 16
typedef __m512 mary_vf;
typedef __mmask16 mary_vm; /* one truth value per float */
typedef int32_t mary_vi __attribute__((vector_size(64)));
typedef uint32_t mary_vu __attribute__((vector_size(64)));

static inline mary_vf mary_vf_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline mary_vf mary_vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void mary_vf_store(float *p, mary_vf x)
{
    _mm512_storeu_ps(p, x);
}
/* The first n floats, 0 < n < width, zeros after them; nothing behind them is touched. */
static inline mary_vf mary_vf_load_part(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void mary_vf_store_part(float *p, mary_vf x, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
static inline mary_vf mary_vf_fma(mary_vf a, mary_vf b, mary_vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* When either is NaN, the second one comes back: put the bound first to let NaN through. */
static inline mary_vf mary_vf_min(mary_vf a, mary_vf b)
{
    return _mm512_min_ps(a, b);
}
static inline mary_vf mary_vf_max(mary_vf a, mary_vf b)
{
    return _mm512_max_ps(a, b);
}
static inline mary_vm mary_vf_less(mary_vf a, mary_vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline mary_vm mary_vf_is_nan(mary_vf x)
{
    return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}
static inline mary_vf mary_vf_select(mary_vm mask, mary_vf yes, mary_vf no)
{
    return _mm512_mask_blend_ps(mask, no, yes);
}
static inline mary_vi mary_vf_bits(mary_vf x)
{
    return (mary_vi)x;
}
static inline mary_vf mary_vf_from_bits(mary_vi x)
{
    return (mary_vf)x;
}
static inline mary_vf mary_vf_from_int(mary_vi x)
{
    return _mm512_cvtepi32_ps((__m512i)x);
}
static inline mary_vi mary_vi_set(int32_t x)
{
    return (mary_vi)_mm512_set1_epi32(x);
}
static inline mary_vf mary_vf_sqrt(mary_vf x)
{
    return _mm512_sqrt_ps(x);
}
static inline float mary_vf_sum(mary_vf x)
{
    return _mm512_reduce_add_ps(x);
}

#elif defined(__AVX2__)
#include <immintrin.h>
#define MARY_VECTOR_WIDTH 8
typedef __m256 mary_vf;
typedef __m256 mary_vm;
typedef int32_t mary_vi __attribute__((vector_size(32)));
typedef uint32_t mary_vu __attribute__((vector_size(32)));

static inline mary_vf mary_vf_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline mary_vf mary_vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void mary_vf_store(float *p, mary_vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline __m256i mary_vf_first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline mary_vf mary_vf_load_part(const float *p, int n)
{
    return _mm256_maskload_ps(p, mary_vf_first(n));
}
static inline void mary_vf_store_part(float *p, mary_vf x, int n)
{
    _mm256_maskstore_ps(p, mary_vf_first(n), x);
}
static inline mary_vf mary_vf_fma(mary_vf a, mary_vf b, mary_vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline mary_vf mary_vf_min(mary_vf a, mary_vf b)
{
    return _mm256_min_ps(a, b);
}
static inline mary_vf mary_vf_max(mary_vf a, mary_vf b)
{
    return _mm256_max_ps(a, b);
}
static inline mary_vm mary_vf_less(mary_vf a, mary_vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline mary_vm mary_vf_is_nan(mary_vf x)
{
    return _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
}
static inline mary_vf mary_vf_select(mary_vm mask, mary_vf yes, mary_vf no)
{
    return _mm256_blendv_ps(no, yes, mask);
}
static inline mary_vi mary_vf_bits(mary_vf x)
{
    return (mary_vi)x;
}
static inline mary_vf mary_vf_from_bits(mary_vi x)
{
    return (mary_vf)x;
}
static inline mary_vf mary_vf_from_int(mary_vi x)
{
    return _mm256_cvtepi32_ps((__m256i)x);
}
static inline mary_vi mary_vi_set(int32_t x)
{
    return (mary_vi)_mm256_set1_epi32(x);
}
static inline mary_vf mary_vf_sqrt(mary_vf x)
{
    return _mm256_sqrt_ps(x);
}
static inline float mary_vf_sum(mary_vf x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#else
#include <math.h>
#include <stdbool.h>
#define MARY_VECTOR_WIDTH 1
typedef float mary_vf;
typedef bool mary_vm;
typedef int32_t mary_vi;
typedef uint32_t mary_vu;

static inline mary_vf mary_vf_set(float x)
{
    return x;
}
static inline mary_vf mary_vf_load(const float *p)
{
    return *p;
}
static inline void mary_vf_store(float *p, mary_vf x)
{
    *p = x;
}
static inline mary_vf mary_vf_load_part(const float *p, int n)
{
    return n > 0 ? *p : 0;
}
static inline void mary_vf_store_part(float *p, mary_vf x, int n)
{
    if (n > 0)
        *p = x;
}
static inline mary_vf mary_vf_fma(mary_vf a, mary_vf b, mary_vf c)
{
    return a * b + c;
}
static inline mary_vf mary_vf_min(mary_vf a, mary_vf b)
{
    return a < b ? a : b;
}
static inline mary_vf mary_vf_max(mary_vf a, mary_vf b)
{
    return a > b ? a : b;
}
static inline mary_vm mary_vf_less(mary_vf a, mary_vf b)
{
    return a < b;
}
static inline mary_vm mary_vf_is_nan(mary_vf x)
{
    return x != x;
}
static inline mary_vf mary_vf_select(mary_vm mask, mary_vf yes, mary_vf no)
{
    return mask ? yes : no;
}
static inline mary_vi mary_vf_bits(mary_vf x)
{
    mary_vi bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline mary_vf mary_vf_from_bits(mary_vi x)
{
    mary_vf value;
    memcpy(&value, &x, sizeof value);
    return value;
}
static inline mary_vf mary_vf_from_int(mary_vi x)
{
    return (mary_vf)x;
}
static inline mary_vi mary_vi_set(int32_t x)
{
    return x;
}
static inline mary_vf mary_vf_sqrt(mary_vf x)
{
    return sqrtf(x);
}
static inline float mary_vf_sum(mary_vf x)
{
    return x;
}
#endif

static inline mary_vf mary_vf_abs(mary_vf x)
{
    return mary_vf_from_bits(mary_vf_bits(x) & mary_vi_set(0x7fffffff));
}

static inline mary_vf mary_vf_copysign(mary_vf magnitude, mary_vf sign)
{
    return mary_vf_from_bits((mary_vf_bits(magnitude) & mary_vi_set(0x7fffffff)) |
                             (mary_vf_bits(sign) & mary_vi_set(INT32_MIN)));
}

/* x clipped to [low, high]; NaN stays. */
static inline mary_vf mary_vf_clip(mary_vf x, float low, float high)
{
    return mary_vf_min(mary_vf_set(high), mary_vf_max(mary_vf_set(low), x));
}

/* 2^exponent for -127 < exponent < 128. Of NaN's arithmetic other exponents may come: unsigned, so that the shift is
 * defined. */
static inline mary_vf mary_vf_power_of_two(mary_vi exponent)
{
    return mary_vf_from_bits((mary_vi)(((mary_vu)exponent + 127) << 23));
}

/* exp(x) = scale1 * scale2 * (1 + part) = 2^whole * (1 + part): two factors, so that results near both ends of the
 * range are exact, too. */
static inline void mary_vf_exp_parts(mary_vf x, mary_vf *scale1, mary_vf *scale2, mary_vf *part, mary_vf *whole)
{
    /* Adding 1.5 * 2^23 leaves round(x / ln 2) in the low bits. x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two pieces. */
    x = mary_vf_clip(x, -104.0f, 89.0f);
    mary_vf shifted = mary_vf_fma(x, mary_vf_set(0x1.715476p+0f), mary_vf_set(0x1.8p23f));
    mary_vi n = mary_vf_bits(shifted) - mary_vi_set(0x4b400000);
    *whole = shifted - mary_vf_set(0x1.8p23f);
    mary_vf r = mary_vf_fma(*whole, mary_vf_set(-0.693359375f), x);
    r = mary_vf_fma(*whole, mary_vf_set(2.12194440e-4f), r);
    mary_vf p = mary_vf_set(0x1.6a243ap-10f);
    p = mary_vf_fma(p, r, mary_vf_set(0x1.1239e0p-7f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.5558f2p-5f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.555492p-3f));
    p = mary_vf_fma(p, r, mary_vf_set(0x1.fffffcp-2f));
    *part = mary_vf_fma(p, r * r, r);
    mary_vi half = n >> 1;
    *scale1 = mary_vf_power_of_two(half);
    *scale2 = mary_vf_power_of_two(n - half);
}

static inline mary_vf mary_vf_exp(mary_vf x)
{
    mary_vf scale1, scale2, part, whole;
    mary_vf_exp_parts(x, &scale1, &scale2, &part, &whole);
#if defined(__AVX512F__)
    return _mm512_scalef_ps(part + mary_vf_set(1.0f), whole); /* the same in one instruction */
#else
    return (part + mary_vf_set(1.0f)) * scale1 * scale2;
#endif
}

/* exp(x) - 1 without cancellation. */
static inline mary_vf mary_vf_expm1(mary_vf x)
{
    mary_vf scale1, scale2, part, whole;
    mary_vf_exp_parts(x, &scale1, &scale2, &part, &whole);
    mary_vf near = mary_vf_fma(scale1 * scale2, part, scale1 * scale2 - mary_vf_set(1.0f));
    mary_vf far = (part + mary_vf_set(1.0f)) * scale1 * scale2 - mary_vf_set(1.0f); /* 2^128 alone does not fit */
    return mary_vf_select(mary_vf_less(x, mary_vf_set(80.0f)), near, far);
}

/* Natural logarithm: -inf at 0, NaN below. */
static inline mary_vf mary_vf_log(mary_vf x)
{
    mary_vm tiny = mary_vf_less(x, mary_vf_set(0x1p-126f));
    mary_vf scaled = mary_vf_select(tiny, x * mary_vf_set(0x1p23f), x);
    scaled = mary_vf_max(mary_vf_set(0x1p-126f), scaled);
    /* scaled = 2^e * (1 + f), 1 + f in [sqrt(1/2), sqrt(2)). */
    mary_vi shifted = mary_vf_bits(scaled) - mary_vi_set(0x3f3504f3);
    mary_vf e = mary_vf_from_int(shifted >> 23) - mary_vf_select(tiny, mary_vf_set(23.0f), mary_vf_set(0.0f));
    mary_vf f = mary_vf_from_bits((shifted & mary_vi_set(0x7fffff)) + mary_vi_set(0x3f3504f3)) - mary_vf_set(1.0f);
    mary_vf p = mary_vf_set(0x1.1457a2p-4f);
    p = mary_vf_fma(p, f, mary_vf_set(-0x1.de3c14p-4f));
    p = mary_vf_fma(p, f, mary_vf_set(0x1.e6f06cp-4f));
    p = mary_vf_fma(p, f, mary_vf_set(-0x1.fc2208p-4f));
    p = mary_vf_fma(p, f, mary_vf_set(0x1.233768p-3f));
    p = mary_vf_fma(p, f, mary_vf_set(-0x1.555c4ep-3f));
    p = mary_vf_fma(p, f, mary_vf_set(0x1.99a4b6p-3f));
    p = mary_vf_fma(p, f, mary_vf_set(-0x1.000006p-2f));
    p = mary_vf_fma(p, f, mary_vf_set(0x1.555548p-2f));
    mary_vf square = f * f;
    mary_vf tail = mary_vf_fma(e, mary_vf_set(-2.12194440e-4f), p * square * f) - mary_vf_set(0.5f) * square;
    mary_vf result = mary_vf_fma(e, mary_vf_set(0.693359375f), tail + f);
    const mary_vf infinity = mary_vf_set(__builtin_inff());
    result = mary_vf_select(mary_vf_less(x, infinity), result, x); /* inf and NaN */
    result = mary_vf_select(mary_vf_less(mary_vf_set(0.0f), x), result, x - infinity);
    return mary_vf_select(mary_vf_less(x, mary_vf_set(0.0f)), mary_vf_set(__builtin_nanf("")), result);
}

/* log(1 + x) for x >= 0. */
static inline mary_vf mary_vf_log1p_positive(mary_vf x)
{
    mary_vf sum = x + mary_vf_set(1.0f);
    mary_vf lost = x - (sum - mary_vf_set(1.0f)); /* what rounding took from x */
    return mary_vf_log(sum) + mary_vf_select(mary_vf_less(x, mary_vf_set(0x1p30f)), lost / sum, mary_vf_set(0.0f));
}

/* 1 / (1 + exp(-x)), exact down to the smallest results: exp never sees a positive number. */
static inline mary_vf mary_vf_sigmoid(mary_vf x)
{
    mary_vf e = mary_vf_exp(-mary_vf_abs(x));
    mary_vf numerator = mary_vf_select(mary_vf_less(x, mary_vf_set(0.0f)), e, mary_vf_set(1.0f));
    return numerator / (e + mary_vf_set(1.0f));
}

static inline mary_vf mary_vf_tanh(mary_vf x)
{
    mary_vf t = mary_vf_abs(x), square = x * x;
    mary_vf p = mary_vf_set(-0x1.75e1cep-8f);
    p = mary_vf_fma(p, square, mary_vf_set(0x1.52269cp-6f));
    p = mary_vf_fma(p, square, mary_vf_set(-0x1.b83c5ap-5f));
    p = mary_vf_fma(p, square, mary_vf_set(0x1.110726p-3f));
    p = mary_vf_fma(p, square, mary_vf_set(-0x1.555532p-2f));
    mary_vf small = mary_vf_fma(p * square, x, x);
    mary_vf e = mary_vf_exp(t + t);
    mary_vf large = mary_vf_set(1.0f) - mary_vf_set(2.0f) / (e + mary_vf_set(1.0f));
    return mary_vf_copysign(mary_vf_select(mary_vf_less(t, mary_vf_set(0.625f)), small, large), x);
}

/* |x| < 1: x P(x^2); up to 4: 1 - exp(-Q(|x|)); from there it is 1. */
static inline mary_vf mary_vf_erf(mary_vf x)
{
    mary_vf t = mary_vf_min(mary_vf_set(4.0f), mary_vf_abs(x)), square = x * x;
    mary_vf p = mary_vf_set(0x1.496ab0p-14f);
    p = mary_vf_fma(p, square, mary_vf_set(-0x1.a3f734p-11f));
    p = mary_vf_fma(p, square, mary_vf_set(0x1.5405bap-8f));
    p = mary_vf_fma(p, square, mary_vf_set(-0x1.b7f90ep-6f));
    p = mary_vf_fma(p, square, mary_vf_set(0x1.ce2cf8p-4f));
    p = mary_vf_fma(p, square, mary_vf_set(-0x1.81273ep-2f));
    p = mary_vf_fma(p, square, mary_vf_set(0x1.20dd74p+0f));
    mary_vf q = mary_vf_set(-0x1.5fcc84p-13f);
    q = mary_vf_fma(q, t, mary_vf_set(0x1.6b503ep-9f));
    q = mary_vf_fma(q, t, mary_vf_set(-0x1.5ab508p-6f));
    q = mary_vf_fma(q, t, mary_vf_set(0x1.a0bfd0p-4f));
    q = mary_vf_fma(q, t, mary_vf_set(0x1.4780eap-1f));
    q = mary_vf_fma(q, t, mary_vf_set(0x1.204f68p+0f));
    q = mary_vf_fma(q, t, mary_vf_set(0x1.207bb6p-11f));
    mary_vf large = mary_vf_copysign(mary_vf_set(1.0f) - mary_vf_exp(-q), x);
    return mary_vf_select(mary_vf_less(t, mary_vf_set(1.0f)), p * x, large);
}

#endif
