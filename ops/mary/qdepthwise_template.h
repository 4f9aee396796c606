/* Integer depthwise convolution, one text for all instruction sets; the including file defines QDEPTHWISE_KERNELS and
 * QDEPTHWISE_NAME.
 *
 * First the columns that a run of output pixels needs are interleaved, so that a column used by several pixels is
 * shuffled once; then every output is a few dot products of columns and weights. */
#include "ops/mary/qdepthwise.h"

#if !defined(QDEPTHWISE_VECTORS) /* else the including file has its own */
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512VNNI__)
enum { BLOCK = 64 };
typedef __m512i vec;
typedef __m512 real;

INLINE vec load(const void *p)
{
    return _mm512_load_si512(p);
}
INLINE void store(void *p, vec x)
{
    _mm512_store_si512(p, x);
}
INLINE vec load_channels(const uint8_t *p, int n)
{
    return n == BLOCK ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8((__mmask64)((1ull << n) - 1), p);
}
INLINE void store_channels(uint8_t *p, vec x, int n)
{
    if (n == BLOCK)
        _mm512_storeu_si512(p, x);
    else
        _mm512_mask_storeu_epi8(p, (__mmask64)((1ull << n) - 1), x);
}
#define OP(name)      _mm512_##name
#define UNPACK(name)  _mm512_unpack##name
#define SET_BYTES(x)  _mm512_set1_epi8((char)(x))
#define SET_WORDS(x)  _mm512_set1_epi16((short)(x))
#define SET_REALS(x)  _mm512_set1_ps(x)
#define ZERO()        _mm512_setzero_si512()
#define LOAD_REALS(p) _mm512_load_ps((const float *)(const void *)(p))
#define DOT(s, x, w)  dot(s, x, w)
INLINE vec dot(vec sum, vec x, vec weights)
{
#if defined(__clang__)
    return _mm512_dpbusd_epi32(sum, x, weights);
#else /* gcc 12 gives the intrinsic two moves more */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "vm"(weights));
    return sum;
#endif
}
#else
enum { BLOCK = 32 };
typedef __m256i vec;
typedef __m256 real;

INLINE vec load(const void *p)
{
    return _mm256_load_si256(p);
}
INLINE void store(void *p, vec x)
{
    _mm256_store_si256(p, x);
}
INLINE vec load_channels(const uint8_t *p, int n)
{
    if (n == BLOCK)
        return _mm256_loadu_si256((const __m256i *)p);
    _Alignas(32) uint8_t part[BLOCK] = {0};
    for (int i = 0; i < n; i++)
        part[i] = p[i];
    return load(part);
}
INLINE void store_channels(uint8_t *p, vec x, int n)
{
    if (n == BLOCK) {
        _mm256_storeu_si256((__m256i *)p, x);
        return;
    }
    _Alignas(32) uint8_t part[BLOCK];
    store(part, x);
    for (int i = 0; i < n; i++)
        p[i] = part[i];
}
#define OP(name)      _mm256_##name
#define UNPACK(name)  _mm256_unpack##name
#define SET_BYTES(x)  _mm256_set1_epi8((char)(x))
#define SET_WORDS(x)  _mm256_set1_epi16((short)(x))
#define SET_REALS(x)  _mm256_set1_ps(x)
#define ZERO()        _mm256_setzero_si256()
#define LOAD_REALS(p) _mm256_load_ps((const float *)(const void *)(p))
#if defined(__AVXVNNI__)
#define DOT(s, x, w) dot(s, x, w)
INLINE vec dot(vec sum, vec x, vec weights)
{
#if defined(__clang__)
    return _mm256_dpbusd_avx_epi32(sum, x, weights);
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "xm"(weights));
    return sum;
#endif
}
#else
/* vpmaddubsw saturates at 16 bits: two products of seven bits each stay below, so the eighth bit goes by itself. */
#define DOT(s, x, w) dot(s, x, w)
INLINE vec dot(vec sum, vec x, vec weights)
{
    vec low = _mm256_and_si256(x, _mm256_set1_epi8(0x7f));
    vec high = _mm256_and_si256(_mm256_srli_epi16(x, 7), _mm256_set1_epi8(1));
    low = _mm256_madd_epi16(_mm256_maddubs_epi16(low, weights), _mm256_set1_epi16(1));
    high = _mm256_madd_epi16(_mm256_maddubs_epi16(high, weights), _mm256_set1_epi16(128));
    return _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
}
#endif
#endif
#endif

enum { VECTORS = 4, GROUP_BYTES = VECTORS * BLOCK };

/* Bias and multipliers in the order of the sums. */
typedef struct numbers {
    _Alignas(64) int32_t bias[BLOCK];
    _Alignas(64) float multiplier[BLOCK];
} numbers;

INLINE void order_numbers(const mary_qdepthwise_call *c, numbers *n)
{
    /* MARY_QLINEAR_SLACK elements may be read behind the arrays. */
    for (int v = 0; v < VECTORS; v++) {
        for (int l = 0; l < BLOCK / 16; l++) {
            const int64_t from = c->channel + 16 * l % (BLOCK / c->fold) + 4 * v, to = v * (BLOCK / 4) + 4 * l;
            __builtin_memcpy(n->bias + to, c->epilogue->bias + from, 16);
            __builtin_memcpy(n->multiplier + to, c->epilogue->multiplier + from, 16);
        }
    }
}

/* One column: groups of four lines interleaved. */
INLINE void interleave_column(const mary_qdepthwise_call *c, const int rows, const bool five, int64_t column,
                              const int channels, uint8_t *to)
{
    const vec outside = SET_BYTES(c->x_zero);
    const bool inside = column >= 0 && column < c->width;
    for (int row = 0; row < rows; row += 4, to += GROUP_BYTES) {
        vec line[4];
        for (int i = 0; i < 4; i++) {
            line[i] = outside;
            if (five && row == 4) { /* the next taps of the one line */
                int64_t next = column + i * c->dilation;
                if (next >= 0 && next < c->width && c->lines[row] != NULL)
                    line[i] = load_channels(c->lines[row] + next * c->x_stride, channels);
            } else if (inside && row + i < rows && c->lines[row + i] != NULL) {
                line[i] = load_channels(c->lines[row + i] + column * c->x_stride, channels);
            }
        }
        vec first = UNPACK(lo_epi8)(line[0], line[1]), second = UNPACK(lo_epi8)(line[2], line[3]);
        store(to, UNPACK(lo_epi16)(first, second));
        store(to + BLOCK, UNPACK(hi_epi16)(first, second));
        first = UNPACK(hi_epi8)(line[0], line[1]);
        second = UNPACK(hi_epi8)(line[2], line[3]);
        store(to + 2 * BLOCK, UNPACK(lo_epi16)(first, second));
        store(to + 3 * BLOCK, UNPACK(hi_epi16)(first, second));
    }
}

INLINE void interleave(const mary_qdepthwise_call *c, const int rows, const bool five, int64_t columns,
                       const int channels)
{
    const int64_t bytes = mary_qdepthwise_groups(rows) * GROUP_BYTES;
    for (int64_t i = 0; i < columns; i++)
        interleave_column(c, rows, five, c->first + i, channels, c->columns + i * bytes);
}

/* The bytes of the sums of all channels. */
INLINE vec finish(const mary_qepilogue *e, const numbers *n, const vec *sum)
{
    vec whole[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        real f = OP(mul_ps)(OP(cvtepi32_ps)(sum[v]), LOAD_REALS(n->multiplier + v * (BLOCK / 4)));
        if (!e->bounded) { /* else the saturation below does it */
            f = OP(max_ps)(f, SET_REALS((float)-e->y_zero));
            f = OP(min_ps)(f, SET_REALS((float)(255 - e->y_zero)));
        }
        whole[v] = OP(cvtps_epi32)(f); /* rounds half to even, as the processor is set */
    }
    const vec zero = SET_WORDS(e->y_zero);
    vec low = OP(adds_epi16)(OP(packs_epi32)(whole[0], whole[1]), zero);
    vec high = OP(adds_epi16)(OP(packs_epi32)(whole[2], whole[3]), zero);
    return OP(packus_epi16)(low, high);
}

INLINE void add_group(vec (*sum)[VECTORS], const int pixels, const uint8_t *x, int64_t pixel_step, const int8_t *w)
{
    for (int v = 0; v < VECTORS; v++) {
        const vec weights = load(w + v * BLOCK);
        for (int p = 0; p < pixels; p++)
            sum[p][v] = DOT(sum[p][v], load(x + p * pixel_step + v * BLOCK), weights);
    }
}

/* `pixels` outputs from the interleaved columns at `columns` on: weights are loaded once for all of them. */
INLINE void outputs(const mary_qdepthwise_call *c, const numbers *n, const int pixels, const int64_t taps,
                    const int64_t groups, const bool five, const uint8_t *columns, uint8_t *y)
{
    const int64_t bytes = groups * GROUP_BYTES, pixel_step = c->stride * bytes, tap_step = c->dilation * bytes;
    vec sum[4][VECTORS];
    for (int p = 0; p < pixels; p++) {
        for (int v = 0; v < VECTORS; v++)
            sum[p][v] = load(n->bias + v * (BLOCK / 4));
    }
    const int8_t *w = c->weights;
    for (int64_t tap = 0; tap < taps; tap++) {
        const uint8_t *x = columns + tap * tap_step;
        for (int64_t group = 0; group < (five ? 1 : groups); group++, w += GROUP_BYTES, x += GROUP_BYTES)
            add_group(sum, pixels, x, pixel_step, w);
    }
    for (int half = 0; five && half < 2; half++, w += GROUP_BYTES)
        add_group(sum, pixels, columns + half * 4 * tap_step + GROUP_BYTES, pixel_step, w);
    for (int p = 0; p < pixels; p++)
        store_channels(y + p * c->y_stride[0], finish(c->epilogue, n, sum[p]), c->channels);
}

INLINE void all_outputs(const mary_qdepthwise_call *c, const numbers *n, const int64_t taps, const int64_t groups,
                        const bool five)
{
    enum { SEVERAL = BLOCK == 64 ? 4 : 2 }; /* as many as there are registers for */
    const int64_t step = c->stride * groups * GROUP_BYTES;
    const uint8_t *columns = c->columns;
    uint8_t *y = c->y[0];
    int64_t pixel = 0;
    for (; pixel + SEVERAL <= c->pixels; pixel += SEVERAL, columns += SEVERAL * step, y += SEVERAL * c->y_stride[0])
        outputs(c, n, SEVERAL, taps, groups, five, columns, y);
    for (; pixel < c->pixels; pixel++, columns += step, y += c->y_stride[0])
        outputs(c, n, 1, taps, groups, five, columns, y);
}

#if defined(__AVX512VNNI__)
/* 3 x 3, with registers enough for three columns and all weights: nothing is stored between. */
typedef struct column {
    vec at[VECTORS];
} column;

typedef struct three_lines {
    const uint8_t *line[MARY_QDEPTHWISE_FOLD][3]; /* of lines outside: the zero point, and a step of 0 */
    int64_t step[MARY_QDEPTHWISE_FOLD][3];
    uint8_t *y[MARY_QDEPTHWISE_FOLD];
    int channels, fold;
} three_lines;

/* Line i of all rows at column x. */
INLINE vec load_line(const three_lines *t, int i, int64_t x)
{
    if (t->fold == 1)
        return load_channels(t->line[0][i] + x * t->step[0][i], t->channels);
    if (t->fold == 2) {
        const __mmask32 mask = t->channels == 32 ? ~0u : (1u << t->channels) - 1;
        const __m256i a = _mm256_maskz_loadu_epi8(mask, t->line[0][i] + x * t->step[0][i]);
        const __m256i b = _mm256_maskz_loadu_epi8(mask, t->line[1][i] + x * t->step[1][i]);
        return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
    }
    const __mmask16 mask = (__mmask16)((1u << t->channels) - 1);
    __m128i part[4];
    for (int f = 0; f < 4; f++)
        part[f] = _mm_maskz_loadu_epi8(mask, t->line[f][i] + x * t->step[f][i]);
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(part[0]), part[1], 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(part[2]), part[3], 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* The bytes of a pixel of all rows; their pointers move on. */
INLINE void store_pixel(const mary_qdepthwise_call *c, three_lines *t, vec bytes)
{
    if (t->fold == 1) {
        store_channels(t->y[0], bytes, t->channels);
    } else if (t->fold == 2) {
        const __mmask32 mask = t->channels == 32 ? ~0u : (1u << t->channels) - 1;
        _mm256_mask_storeu_epi8(t->y[0], mask, _mm512_castsi512_si256(bytes));
        _mm256_mask_storeu_epi8(t->y[1], mask, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
        const __mmask16 mask = (__mmask16)((1u << t->channels) - 1);
        _mm_mask_storeu_epi8(t->y[0], mask, _mm512_castsi512_si128(bytes));
        _mm_mask_storeu_epi8(t->y[1], mask, _mm512_extracti32x4_epi32(bytes, 1));
        _mm_mask_storeu_epi8(t->y[2], mask, _mm512_extracti32x4_epi32(bytes, 2));
        _mm_mask_storeu_epi8(t->y[3], mask, _mm512_extracti32x4_epi32(bytes, 3));
    }
    for (int f = 0; f < t->fold; f++)
        t->y[f] += c->y_stride[f];
}

INLINE column load_column(const mary_qdepthwise_call *c, const three_lines *t, int64_t x)
{
    vec line[3];
    column result;
    if (x >= 0 && x < c->width) {
        for (int i = 0; i < 3; i++)
            line[i] = load_line(t, i, x);
    } else {
        line[0] = line[1] = line[2] = SET_BYTES(c->x_zero);
    }
    /* The fourth line has no weights: the third does for it. */
    vec first = UNPACK(lo_epi8)(line[0], line[1]), second = UNPACK(lo_epi8)(line[2], line[2]);
    result.at[0] = UNPACK(lo_epi16)(first, second);
    result.at[1] = UNPACK(hi_epi16)(first, second);
    first = UNPACK(hi_epi8)(line[0], line[1]);
    second = UNPACK(hi_epi8)(line[2], line[2]);
    result.at[2] = UNPACK(lo_epi16)(first, second);
    result.at[3] = UNPACK(hi_epi16)(first, second);
    return result;
}

INLINE void three_columns(const mary_qdepthwise_call *c, const numbers *n, three_lines *t, const vec *weights,
                          const column *x, const column *y, const column *z)
{
    vec sum[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        sum[v] = DOT(load(n->bias + v * (BLOCK / 4)), x->at[v], weights[v]);
        sum[v] = DOT(sum[v], y->at[v], weights[VECTORS + v]);
        sum[v] = DOT(sum[v], z->at[v], weights[2 * VECTORS + v]);
    }
    store_pixel(c, t, finish(c->epilogue, n, sum));
}

/* Strides 1 and 2: a column is shared by so many pixels that the roles of the registers rotate. */
INLINE void three_by_three(const mary_qdepthwise_call *c, const numbers *n, const int channels, const int fold)
{
    _Alignas(64) uint8_t outside[BLOCK];
    vec weights[3 * VECTORS];
    three_lines t = {.channels = channels, .fold = fold};
    store(outside, SET_BYTES(c->x_zero));
    for (int f = 0; f < fold; f++) {
        t.y[f] = c->y[f];
        for (int i = 0; i < 3; i++) {
            const uint8_t *line = c->lines[3 * f + i];
            t.line[f][i] = line != NULL ? line : outside;
            t.step[f][i] = line != NULL ? c->x_stride : 0;
        }
    }
    for (int i = 0; i < 3 * VECTORS; i++)
        weights[i] = load(c->weights + i * BLOCK);
    int64_t left = c->pixels, x = c->first;
    column p = load_column(c, &t, x), q, r;
    if (c->stride == 2) {
        for (; left >= 2; left -= 2, x += 4) {
            q = load_column(c, &t, x + 1);
            r = load_column(c, &t, x + 2);
            three_columns(c, n, &t, weights, &p, &q, &r);
            q = load_column(c, &t, x + 3);
            p = load_column(c, &t, x + 4);
            three_columns(c, n, &t, weights, &r, &q, &p);
        }
        if (left > 0) {
            q = load_column(c, &t, x + 1);
            r = load_column(c, &t, x + 2);
            three_columns(c, n, &t, weights, &p, &q, &r);
        }
        return;
    }
    q = load_column(c, &t, x + 1);
    for (; left >= 3; left -= 3, x += 3) {
        r = load_column(c, &t, x + 2);
        three_columns(c, n, &t, weights, &p, &q, &r);
        p = load_column(c, &t, x + 3);
        three_columns(c, n, &t, weights, &q, &r, &p);
        q = load_column(c, &t, x + 4);
        three_columns(c, n, &t, weights, &r, &p, &q);
    }
    if (left > 0) {
        r = load_column(c, &t, x + 2);
        three_columns(c, n, &t, weights, &p, &q, &r);
    }
    if (left > 1) {
        p = load_column(c, &t, x + 3);
        three_columns(c, n, &t, weights, &q, &r, &p);
    }
}

static bool is_three_by_three(int64_t rows, int64_t taps, int64_t stride, int64_t dilation)
{
    return rows == 3 && taps == 3 && dilation == 1 && stride <= 2;
}

static int fold(int channels, int64_t rows, int64_t taps, int64_t stride, int64_t dilation)
{
    if (!is_three_by_three(rows, taps, stride, dilation))
        return 1;
    return channels <= 16 ? 4 : channels <= 32 ? 2 : 1;
}
#else
static int fold(int channels, int64_t rows, int64_t taps, int64_t stride, int64_t dilation)
{
    (void)channels;
    (void)rows;
    (void)taps;
    (void)stride;
    (void)dilation;
    return 1;
}
#endif

static void run(const mary_qdepthwise_call *c)
{
    const int64_t span = (c->pixels - 1) * c->stride + (c->taps - 1) * c->dilation + 1;
    numbers n;
    order_numbers(c, &n);
#if defined(__AVX512VNNI__)
    if (is_three_by_three(c->rows, c->taps, c->stride, c->dilation)) {
        if (c->fold == 4)
            three_by_three(c, &n, c->channels, 4);
        else if (c->fold == 2)
            three_by_three(c, &n, c->channels, 2);
        else if (c->channels == BLOCK)
            three_by_three(c, &n, BLOCK, 1);
        else
            three_by_three(c, &n, c->channels, 1);
        return;
    }
#endif
    if (mary_qdepthwise_is_five(c->rows, c->taps)) {
        if (c->channels == BLOCK)
            interleave(c, 5, true, span, BLOCK);
        else
            interleave(c, 5, true, span, c->channels);
        all_outputs(c, &n, 5, 2, true);
        return;
    }
    if (c->rows == 3 && c->channels == BLOCK)
        interleave(c, 3, false, span, BLOCK);
    else
        interleave(c, c->rows, false, span, c->channels);
    if (c->rows == 3 && c->taps == 3)
        all_outputs(c, &n, 3, 1, false);
    else
        all_outputs(c, &n, c->taps, mary_qdepthwise_groups(c->rows), false);
}

const mary_qdepthwise_kernels QDEPTHWISE_KERNELS = {.name = QDEPTHWISE_NAME, .block = BLOCK, .fold = fold, .run = run};
