#include "ops/channel_affine.h"

#include <immintrin.h>

void mary_channel_affine_avx512(const uint8_t *x, uint8_t *y, int64_t count, const float *factor, const float *shift,
                                float low)
{
    const __m512 least = _mm512_set1_ps(low), most = _mm512_set1_ps(255.0f);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 mask = count - i >= 16 ? (__mmask16)-1 : (__mmask16)((1u << (count - i)) - 1);
        __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, x + i)));
        value = _mm512_fmadd_ps(value, _mm512_maskz_loadu_ps(mask, factor + i), _mm512_maskz_loadu_ps(mask, shift + i));
        value = _mm512_min_ps(_mm512_max_ps(value, least), most);
        _mm_mask_storeu_epi8(y + i, mask, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(value)));
    }
}
