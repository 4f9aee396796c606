#include "ops/channel_affine.h"

#include <immintrin.h>

static inline __m256i eight(__m128i bytes, const float *factor, const float *shift, __m256 low)
{
    __m256 value = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
    value = _mm256_fmadd_ps(value, _mm256_loadu_ps(factor), _mm256_loadu_ps(shift));
    value = _mm256_min_ps(_mm256_max_ps(value, low), _mm256_set1_ps(255.0f));
    return _mm256_cvtps_epi32(value);
}

void mary_channel_affine_avx2(const uint8_t *x, uint8_t *y, int64_t count, const float *factor, const float *shift,
                              float low)
{
    const __m256 least = _mm256_set1_ps(low);
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        __m256i a = eight(bytes, factor + i, shift + i, least);
        __m256i b = eight(_mm_srli_si128(bytes, 8), factor + i + 8, shift + i + 8, least);
        __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
        bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(void *)(y + i), bytes);
    }
    mary_channel_affine_scalar(x + i, y + i, count - i, factor + i, shift + i, low);
}
