/* Integer tiles of 256-bit registers: up to MR pixels x 16 rows. The text of the AVX2 and AVX-VNNI kernels; the
 * including file defines KERNELS (the name of what it exports), KERNELS_NAME, MR and
 *   sums_t                                  the sums of 16 rows of one pixel
 *   weights_t, weights_load(panel)          a quad of 16 rows
 *   sums_start(bias), sums_add(&sums, quad, weights), sums_finish(sums, out[2]) 16 sums in order
 * where quad is a broadcast pixel's, quad_load(x). */
#include "ops/mary/qkernels.h"
#include "ops/mary/weights_kernels.h"

/* 8 sums, requantised; residual bytes in `residual`. */
static inline __m256i follow(__m256i sums, const mary_qepilogue *e, const float *multiplier, __m128i residual)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(multiplier));
    value = _mm256_max_ps(value, _mm256_set1_ps((float)-e->y_zero));
    value = _mm256_min_ps(value, _mm256_set1_ps((float)(255 - e->y_zero)));
    if (!e->has_residual)
        return _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(e->y_zero));
    value = _mm256_round_ps(value, NEAREST);
    __m256 other = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(residual));
    other = _mm256_sub_ps(other, _mm256_set1_ps((float)e->residual_zero));
    other = _mm256_mul_ps(other, _mm256_set1_ps(e->residual_factor));
    value = _mm256_fmadd_ps(value, _mm256_set1_ps(e->y_factor), other);
    value = _mm256_max_ps(value, _mm256_set1_ps((float)-e->sum_zero));
    value = _mm256_min_ps(value, _mm256_set1_ps((float)(255 - e->sum_zero)));
    return _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(e->sum_zero));
}

/* 16 sums of one pixel to n bytes. */
static inline void finish(const mary_qtile_call *c, int i, const __m256i sums[2], int first, int n)
{
    const mary_qepilogue *e = c->epilogue;
    const float *multiplier = e->multiplier + c->row + first;
    __m128i residual = _mm_setzero_si128();
    uint8_t bytes[16];
    if (e->has_residual) {
        const uint8_t *from = c->residual + i * c->residual_stride + first;
        if (n == 16) {
            residual = _mm_loadu_si128((const __m128i *)(const void *)from);
        } else {
            memcpy(bytes, from, (size_t)n);
            memset(bytes + n, 0, (size_t)(16 - n));
            residual = _mm_loadu_si128((const __m128i *)(const void *)bytes);
        }
    }
    __m256i low = follow(sums[0], e, multiplier, residual);
    __m256i high = follow(sums[1], e, multiplier + 8, _mm_srli_si128(residual, 8));
    __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    uint8_t *to = c->out + i * c->out_stride + first;
    if (n == 16) {
        _mm_storeu_si128((__m128i *)(void *)to, packed);
    } else {
        _mm_storeu_si128((__m128i *)(void *)bytes, packed);
        memcpy(to, bytes, (size_t)n);
    }
}

/* Pixels [start, start + m), strip `strip` of the panel. */
MARY_WEIGHTS_INLINE void tile(const mary_qtile_call *c, int start, const int m, int strip)
{
    sums_t sums[MR];
    const int64_t step = 64 * c->strips;
    UNROLL(8)
    for (int i = 0; i < m; i++)
        sums[i] = sums_start(c->epilogue->bias + c->row + 16 * strip);
    const int8_t *w = c->panel + 64 * strip;
    const uint8_t *const *rows = c->rows + start;
    for (int64_t run = 0; run < c->runs; run++, rows += c->rows_stride) {
        const uint8_t *x[MR];
        UNROLL(8)
        for (int i = 0; i < m; i++)
            x[i] = rows[i];
        for (int64_t at = 0; at < c->run_quads * MARY_Q_QUAD; at += MARY_Q_QUAD, w += step) {
            weights_t weights = weights_load(w);
            UNROLL(8)
            for (int i = 0; i < m; i++)
                sums_add(&sums[i], quad_load(x[i] + at), &weights);
        }
    }
    const int left = c->n - 16 * strip, n = left < 16 ? left : 16;
    UNROLL(8)
    for (int i = 0; i < m; i++) {
        __m256i out[2];
        sums_finish(&sums[i], out);
        finish(c, start + i, out, 16 * strip, n);
    }
}

static void run(const mary_qtile_call *c)
{
    for (int start = 0; start < c->m; start += MR) {
        for (int strip = 0; strip < c->strips; strip++) {
            switch (c->m - start) {
            case 1:
                tile(c, start, 1, strip);
                break;
#if MR > 2
            case 2:
                tile(c, start, 2, strip);
                break;
            case 3:
                tile(c, start, 3, strip);
                break;
            case 4:
                tile(c, start, 4, strip);
                break;
            case 5:
                tile(c, start, 5, strip);
                break;
#endif
            default:
                tile(c, start, MR, strip);
            }
        }
    }
}

const mary_qkernels KERNELS = {.name = KERNELS_NAME,
                               .nr = 16,
                               .mr = {MR, MR, MR, MR},
                               .tile = run,
                               .decode = {mary_qdecode1_avx2, mary_qdecode2_avx2, mary_qdecode4_avx2}};
