/* The kernels on u8 activations, written once; ops/qlinear_<tier>.c defines QLINEAR_KERNELS, QLINEAR_NAME and
 * QLINEAR_TABLE (its table function) and includes this. Work is done in vectors of mary_vi, 32 bits an element. */
#include "ops/qlinear_kernels.h"

#include <math.h>

#include "ops/unary.h" /* MARY_INDEPENDENT */
#include "ops/vector_math.h"

#define QLINEAR_INLINE static inline __attribute__((always_inline))

enum { WIDTH = MARY_VECTOR_WIDTH };

/* ---- WIDTH bytes to and from 32 bits; the last few of a run, 0 < n < WIDTH ---- */

#if defined(__AVX512F__)
enum { BYTES = 64 };
typedef __m512i byte_vector;

QLINEAR_INLINE mary_vi load_u8(const uint8_t *p)
{
    return (mary_vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
QLINEAR_INLINE mary_vi load_u8_part(const uint8_t *p, int n)
{
    return (mary_vi)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p));
}
QLINEAR_INLINE void store_u8(uint8_t *p, mary_vi x)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)x));
}
QLINEAR_INLINE void store_u8_part(uint8_t *p, mary_vi x, int n)
{
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), _mm512_cvtepi32_epi8((__m512i)x));
}
QLINEAR_INLINE mary_vi round_even(mary_vf x)
{
    return (mary_vi)_mm512_cvt_roundps_epi32(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
QLINEAR_INLINE mary_vf fma_once(mary_vf a, mary_vf b, mary_vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
QLINEAR_INLINE byte_vector bytes_zero(void)
{
    return _mm512_setzero_si512();
}
QLINEAR_INLINE byte_vector bytes_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
QLINEAR_INLINE byte_vector bytes_load_part(const uint8_t *p, int n)
{
    return _mm512_maskz_loadu_epi8((__mmask64)((1ull << n) - 1), p);
}
QLINEAR_INLINE byte_vector bytes_max(byte_vector a, byte_vector b)
{
    return _mm512_max_epu8(a, b);
}
QLINEAR_INLINE void bytes_store(uint8_t *p, byte_vector x)
{
    _mm512_storeu_si512(p, x);
}
QLINEAR_INLINE void bytes_store_part(uint8_t *p, byte_vector x, int n)
{
    _mm512_mask_storeu_epi8(p, (__mmask64)((1ull << n) - 1), x);
}
#elif defined(__AVX2__)
enum { BYTES = 32 };
typedef __m256i byte_vector;

QLINEAR_INLINE mary_vi load_u8(const uint8_t *p)
{
    return (mary_vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
QLINEAR_INLINE mary_vi load_u8_part(const uint8_t *p, int n)
{
    uint8_t part[WIDTH] = {0};
    for (int i = 0; i < n; i++)
        part[i] = p[i];
    return load_u8(part);
}
QLINEAR_INLINE void store_u8(uint8_t *p, mary_vi x)
{
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}
QLINEAR_INLINE void store_u8_part(uint8_t *p, mary_vi x, int n)
{
    uint8_t part[WIDTH];
    store_u8(part, x);
    for (int i = 0; i < n; i++)
        p[i] = part[i];
}
QLINEAR_INLINE mary_vi round_even(mary_vf x)
{
    return (mary_vi)_mm256_cvttps_epi32(_mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
QLINEAR_INLINE mary_vf fma_once(mary_vf a, mary_vf b, mary_vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
QLINEAR_INLINE byte_vector bytes_zero(void)
{
    return _mm256_setzero_si256();
}
QLINEAR_INLINE byte_vector bytes_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
QLINEAR_INLINE byte_vector bytes_load_part(const uint8_t *p, int n)
{
    uint8_t part[BYTES] = {0};
    for (int i = 0; i < n; i++)
        part[i] = p[i];
    return bytes_load(part);
}
QLINEAR_INLINE byte_vector bytes_max(byte_vector a, byte_vector b)
{
    return _mm256_max_epu8(a, b);
}
QLINEAR_INLINE void bytes_store(uint8_t *p, byte_vector x)
{
    _mm256_storeu_si256((__m256i *)p, x);
}
QLINEAR_INLINE void bytes_store_part(uint8_t *p, byte_vector x, int n)
{
    uint8_t part[BYTES];
    bytes_store(part, x);
    for (int i = 0; i < n; i++)
        p[i] = part[i];
}
#else
enum { BYTES = 1 };
typedef uint8_t byte_vector;

QLINEAR_INLINE mary_vi load_u8(const uint8_t *p)
{
    return *p;
}
QLINEAR_INLINE mary_vi load_u8_part(const uint8_t *p, int n)
{
    return n > 0 ? *p : 0;
}
QLINEAR_INLINE void store_u8(uint8_t *p, mary_vi x)
{
    *p = (uint8_t)x;
}
QLINEAR_INLINE void store_u8_part(uint8_t *p, mary_vi x, int n)
{
    if (n > 0)
        *p = (uint8_t)x;
}
/* |x| <= 65536: see mary_requantise. */
QLINEAR_INLINE mary_vi round_even(mary_vf x)
{
    const float shift = 12582912.0f;
    return (mary_vi)((x + shift) - shift);
}
QLINEAR_INLINE mary_vf fma_once(mary_vf a, mary_vf b, mary_vf c)
{
    return fmaf(a, b, c);
}
QLINEAR_INLINE byte_vector bytes_zero(void)
{
    return 0;
}
QLINEAR_INLINE byte_vector bytes_load(const uint8_t *p)
{
    return *p;
}
QLINEAR_INLINE byte_vector bytes_load_part(const uint8_t *p, int n)
{
    return n > 0 ? *p : 0;
}
QLINEAR_INLINE byte_vector bytes_max(byte_vector a, byte_vector b)
{
    return a > b ? a : b;
}
QLINEAR_INLINE void bytes_store(uint8_t *p, byte_vector x)
{
    *p = x;
}
QLINEAR_INLINE void bytes_store_part(uint8_t *p, byte_vector x, int n)
{
    if (n > 0)
        *p = x;
}
#endif

/* mary_requantise for a vector. */
QLINEAR_INLINE mary_vi requantise(mary_vf f, const mary_requantisation *to)
{
    f = mary_vf_max(f, mary_vf_set(to->low)); /* a NaN becomes the bound */
    f = mary_vf_min(f, mary_vf_set(to->high));
    return round_even(f) + mary_vi_set(to->zero);
}

/* ---- sums and products of two tensors ---- */

typedef enum pair_kind { PAIR_SUM, PAIR_PRODUCT } pair_kind;

QLINEAR_INLINE mary_vi pair_of(const pair_kind kind, const mary_qlinear_pair *p, mary_vi a, mary_vi b)
{
    a = a - mary_vi_set(p->a_zero);
    b = b - mary_vi_set(p->b_zero);
    mary_vf f;
    if (kind == PAIR_SUM)
        f = fma_once(mary_vf_from_int(a), mary_vf_set(p->a_ratio), mary_vf_from_int(b) * mary_vf_set(p->b_ratio));
    else
        f = mary_vf_from_int(a * b) * mary_vf_set(p->a_ratio);
    return requantise(f, &p->to);
}

/* A step of 0 means that one value meets all of the other side. */
QLINEAR_INLINE void pair_run(const pair_kind kind, const mary_qlinear_pair *p, const uint8_t *a, const bool a_varies,
                             const uint8_t *b, const bool b_varies, uint8_t *y, int64_t count)
{
    const mary_vi one_a = mary_vi_set(*a), one_b = mary_vi_set(*b);
    int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        store_u8(y + i, pair_of(kind, p, a_varies ? load_u8(a + i) : one_a, b_varies ? load_u8(b + i) : one_b));
    int rest = (int)(count - i);
    if (rest > 0)
        store_u8_part(y + i,
                      pair_of(kind, p, a_varies ? load_u8_part(a + i, rest) : one_a,
                              b_varies ? load_u8_part(b + i, rest) : one_b),
                      rest);
}

QLINEAR_INLINE void pair_loop(const pair_kind kind, const void *context, const void *const *x, const int64_t *step,
                              void *y, int64_t count)
{
    if (count <= 0)
        return;
    if (step[0] != 0 && step[1] != 0)
        pair_run(kind, context, x[0], true, x[1], true, y, count);
    else if (step[0] != 0)
        pair_run(kind, context, x[0], true, x[1], false, y, count);
    else
        pair_run(kind, context, x[0], false, x[1], step[1] != 0, y, count);
}

static void add_loop(const void *context, const void *const *x, const int64_t *step, void *y, int64_t count)
{
    pair_loop(PAIR_SUM, context, x, step, y, count);
}

static void multiply_loop(const void *context, const void *const *x, const int64_t *step, void *y, int64_t count)
{
    pair_loop(PAIR_PRODUCT, context, x, step, y, count);
}

/* One vector of channels of all pixels: b stays in a register. */
QLINEAR_INLINE void multiply_column(const mary_qlinear_pair *p, const uint8_t *a, int64_t a_stride, mary_vf b,
                                    uint8_t *y, int64_t y_stride, int64_t pixels, const int part)
{
    const mary_vi zero = mary_vi_set(p->a_zero);
    const mary_vf ratio = mary_vf_set(p->a_ratio);
    for (int64_t i = 0; i < pixels; i++, a += a_stride, y += y_stride) {
        /* Products of two such integers are exact in float. */
        mary_vf x = mary_vf_from_int((part != 0 ? load_u8_part(a, part) : load_u8(a)) - zero);
        mary_vi whole = requantise(x * b * ratio, &p->to);
        if (part != 0)
            store_u8_part(y, whole, part);
        else
            store_u8(y, whole);
    }
}

static void multiply_channels(const mary_qlinear_pair *p, const uint8_t *a, int64_t a_stride, const uint8_t *b,
                              uint8_t *y, int64_t y_stride, int64_t channels, int64_t pixels)
{
    enum { SOME = 16 }; /* pixels: their lines stay in the first-level cache */
    const mary_vi zero = mary_vi_set(p->b_zero);
    for (int64_t from = 0; from < pixels; from += SOME, a += SOME * a_stride, y += SOME * y_stride) {
        const int64_t some = pixels - from < SOME ? pixels - from : SOME;
        int64_t c = 0;
        for (; c + WIDTH <= channels; c += WIDTH)
            multiply_column(p, a + c, a_stride, mary_vf_from_int(load_u8(b + c) - zero), y + c, y_stride, some, 0);
        int rest = (int)(channels - c);
        if (rest > 0)
            multiply_column(p, a + c, a_stride, mary_vf_from_int(load_u8_part(b + c, rest) - zero), y + c, y_stride,
                            some, rest);
    }
}

/* ---- bytes side by side ---- */

static void interleave_two(const uint8_t *a, const uint8_t *b, uint8_t *y, int64_t count)
{
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i < count; i += 32) {
        const __mmask32 in = count - i >= 32 ? ~0u : (1u << (count - i)) - 1;
        const __mmask64 out = count - i >= 32 ? ~0ull : (1ull << (2 * (count - i))) - 1;
        __m512i first = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(in, a + i));
        __m512i second = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(in, b + i));
        _mm512_mask_storeu_epi8(y + 2 * i, out, _mm512_or_si512(first, _mm512_slli_epi16(second, 8)));
    }
#elif defined(__AVX2__)
    for (; i + 16 <= count; i += 16) {
        __m128i first = _mm_loadu_si128((const __m128i *)(a + i)), second = _mm_loadu_si128((const __m128i *)(b + i));
        _mm_storeu_si128((__m128i *)(y + 2 * i), _mm_unpacklo_epi8(first, second));
        _mm_storeu_si128((__m128i *)(y + 2 * i + 16), _mm_unpackhi_epi8(first, second));
    }
#endif
    for (; i < count; i++) {
        y[2 * i] = a[i];
        y[2 * i + 1] = b[i];
    }
}

static void interleave_three(const uint8_t *a, const uint8_t *b, const uint8_t *c, uint8_t *y, int64_t count)
{
    int64_t i = 0;
#if defined(__AVX2__)
    /* Byte k of part p is element (16*p + k) / 3 of plane (16*p + k) % 3; -1 gives 0. */
    __m128i order[3][3];
    for (int part = 0; part < 3; part++) {
        for (int plane = 0; plane < 3; plane++) {
            int8_t index[16];
            for (int k = 0; k < 16; k++)
                index[k] = (int8_t)((16 * part + k) % 3 == plane ? (16 * part + k) / 3 : -1);
            order[part][plane] = _mm_loadu_si128((const __m128i *)index);
        }
    }
    for (; i + 16 <= count; i += 16) {
        const __m128i plane[3] = {_mm_loadu_si128((const __m128i *)(a + i)), _mm_loadu_si128((const __m128i *)(b + i)),
                                  _mm_loadu_si128((const __m128i *)(c + i))};
        for (int part = 0; part < 3; part++) {
            __m128i bytes = _mm_or_si128(
                _mm_shuffle_epi8(plane[0], order[part][0]),
                _mm_or_si128(_mm_shuffle_epi8(plane[1], order[part][1]), _mm_shuffle_epi8(plane[2], order[part][2])));
            _mm_storeu_si128((__m128i *)(y + 3 * i + 16 * part), bytes);
        }
    }
#endif
    for (; i < count; i++) {
        y[3 * i] = a[i];
        y[3 * i + 1] = b[i];
        y[3 * i + 2] = c[i];
    }
}

/* ---- pooling ---- */

/* `vectors` vectors of channels from `channel` on, or `tail` bytes when it is not 0. */
QLINEAR_INLINE void max_channels(const mary_qpool_call *call, int64_t channel, const int vectors, int tail)
{
    byte_vector most[4];
    for (int j = 0; j < vectors; j++)
        most[j] = bytes_zero();
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            const uint8_t *x = call->x + channel + plane * call->plane_step + line * call->line_step;
            for (int64_t tap = 0; tap < call->taps; tap++, x += call->tap_step) {
                if (tail != 0) {
                    most[0] = bytes_max(most[0], bytes_load_part(x, tail));
                    continue;
                }
                for (int j = 0; j < vectors; j++)
                    most[j] = bytes_max(most[j], bytes_load(x + j * BYTES));
            }
        }
    }
    if (tail != 0) {
        bytes_store_part(call->y + channel, most[0], tail);
        return;
    }
    for (int j = 0; j < vectors; j++)
        bytes_store(call->y + channel + j * BYTES, most[j]);
}

static void pool_max(const mary_qpool_call *call)
{
    int64_t channel = 0;
    for (; channel + 4 * BYTES <= call->channels; channel += 4 * BYTES)
        max_channels(call, channel, 4, 0);
    for (; channel + BYTES <= call->channels; channel += BYTES)
        max_channels(call, channel, 1, 0);
    if (channel < call->channels)
        max_channels(call, channel, 1, (int)(call->channels - channel));
}

QLINEAR_INLINE void mean_channels(const mary_qpool_call *call, int64_t channel, const int vectors, int tail)
{
    mary_vi sum[4];
    for (int j = 0; j < vectors; j++)
        sum[j] = mary_vi_set(-call->offset);
    for (int64_t plane = 0; plane < call->planes; plane++) {
        for (int64_t line = 0; line < call->lines; line++) {
            const uint8_t *x = call->x + channel + plane * call->plane_step + line * call->line_step;
            for (int64_t tap = 0; tap < call->taps; tap++, x += call->tap_step) {
                if (tail != 0) {
                    sum[0] = sum[0] + load_u8_part(x, tail);
                    continue;
                }
                for (int j = 0; j < vectors; j++)
                    sum[j] = sum[j] + load_u8(x + j * WIDTH);
            }
        }
    }
    const mary_vf ratio = mary_vf_set(call->ratio);
    if (tail != 0) {
        store_u8_part(call->y + channel, requantise(mary_vf_from_int(sum[0]) * ratio, &call->to), tail);
        return;
    }
    for (int j = 0; j < vectors; j++)
        store_u8(call->y + channel + j * WIDTH, requantise(mary_vf_from_int(sum[j]) * ratio, &call->to));
}

static void pool_mean(const mary_qpool_call *call)
{
    int64_t channel = 0;
    for (; channel + 4 * WIDTH <= call->channels; channel += 4 * WIDTH)
        mean_channels(call, channel, 4, 0);
    for (; channel + WIDTH <= call->channels; channel += WIDTH)
        mean_channels(call, channel, 1, 0);
    if (channel < call->channels)
        mean_channels(call, channel, 1, (int)(call->channels - channel));
}

/* ---- between floats and u8 ---- */

QLINEAR_INLINE mary_vi quantise_vector(mary_vf x, float scale, int32_t zero)
{
    mary_vf quotient = x / mary_vf_set(scale);
    quotient = mary_vf_select(mary_vf_is_nan(quotient), mary_vf_set(0), quotient);
    /* Rounding and adding the zero point first, as ONNX says, saturates at the same values. */
    const mary_requantisation to = mary_requantisation_to(zero);
    return requantise(quotient, &to);
}

static void quantise(const float *x, uint8_t *y, int64_t count, float scale, int32_t zero)
{
    int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        store_u8(y + i, quantise_vector(mary_vf_load(x + i), scale, zero));
    int rest = (int)(count - i);
    if (rest > 0)
        store_u8_part(y + i, quantise_vector(mary_vf_load_part(x + i, rest), scale, zero), rest);
}

static void dequantise(const uint8_t *x, float *y, int64_t count, float scale, int32_t zero)
{
    const mary_vi offset = mary_vi_set(zero);
    const mary_vf factor = mary_vf_set(scale);
    int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        mary_vf_store(y + i, mary_vf_from_int(load_u8(x + i) - offset) * factor);
    int rest = (int)(count - i);
    if (rest > 0)
        mary_vf_store_part(y + i, mary_vf_from_int(load_u8_part(x + i, rest) - offset) * factor, rest);
}

const mary_qlinear_kernels QLINEAR_KERNELS = {
    .name = QLINEAR_NAME,
    .add = add_loop,
    .multiply = multiply_loop,
    .multiply_channels = multiply_channels,
    .interleave_two = interleave_two,
    .interleave_three = interleave_three,
    .table = QLINEAR_TABLE,
    .pool_max = pool_max,
    .pool_mean = pool_mean,
    .quantise = quantise,
    .dequantise = dequantise,
};
