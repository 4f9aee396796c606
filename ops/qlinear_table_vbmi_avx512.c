/* A table of 256 bytes on processors that have AVX512_VBMI too: vpermi2b looks 64 bytes up in 128 at once. */
#include <immintrin.h>

#include "ops/qlinear_kernels.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")))

TARGET void mary_table_vbmi(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count)
{
    const __m512i quarter[4] = {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64),
                                _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)};
    for (int64_t i = 0; i < count; i += 64) {
        int64_t left = count - i;
        const __mmask64 mask = left >= 64 ? ~0ull : (1ull << left) - 1;
        const __m512i at = _mm512_maskz_loadu_epi8(mask, x + i);
        const __m512i lower = _mm512_permutex2var_epi8(quarter[0], at, quarter[1]);
        const __m512i upper = _mm512_permutex2var_epi8(quarter[2], at, quarter[3]);
        _mm512_mask_storeu_epi8(y + i, mask, _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), lower, upper));
    }
}
