/* Integer tiles with AVX2: 2 pixels x 16 rows. vpmaddubsw would saturate, so bytes are widened to 16 bits and
 * multiplied by vpmaddwd: a register is a quad of 4 rows, its sums are pairs that are added at the end. */
#include <immintrin.h>
#include <string.h>

#include <stdint.h>

#define KERNELS      mary_qkernels_avx2
#define KERNELS_NAME "int8 avx2 2x16"
#define MR           2

typedef struct quarters {
    __m256i quarter[4]; /* 4 rows each */
} quarters;
typedef quarters sums_t;
typedef const int8_t *weights_t; /* widened from memory when they are used */

static inline weights_t weights_load(const int8_t *panel)
{
    return panel;
}

/* The bias goes into the first one of each pair. */
static inline sums_t sums_start(const int32_t *bias)
{
    sums_t sums;
    for (int i = 0; i < 4; i++)
        sums.quarter[i] = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)(bias + 4 * i)));
    return sums;
}

static inline __m256i quad_load(const uint8_t *x)
{
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    return _mm256_cvtepu8_epi16(_mm_set1_epi32(quad));
}

static inline void sums_add(sums_t *sums, __m256i quad, const weights_t *weights)
{
    for (int i = 0; i < 4; i++) {
        __m256i wide = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(const void *)(*weights + 16 * i)));
        sums->quarter[i] = _mm256_add_epi32(sums->quarter[i], _mm256_madd_epi16(quad, wide));
    }
}

static inline void sums_finish(const sums_t *sums, __m256i out[2])
{
    for (int i = 0; i < 2; i++) {
        __m256i added = _mm256_hadd_epi32(sums->quarter[2 * i], sums->quarter[2 * i + 1]);
        out[i] = _mm256_permute4x64_epi64(added, 0xd8);
    }
}

#include "ops/mary/qtile_template.h"
