/* Tables of 256 bytes with AVX512_VBMI: two lookups in 128 bytes each. */
#include "ops/mary/qkernels.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

TARGET void mary_qtable_vbmi(const uint8_t *table, uint8_t *bytes, int64_t count)
{
    const __m512i t0 = _mm512_load_si512(table), t1 = _mm512_load_si512(table + 64),
                  t2 = _mm512_load_si512(table + 128), t3 = _mm512_load_si512(table + 192);
    for (; count > 0; count -= 64, bytes += 64) {
        const __mmask64 present = count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
        __m512i index = _mm512_maskz_loadu_epi8(present, bytes);
        __m512i low = _mm512_permutex2var_epi8(t0, index, t1), high = _mm512_permutex2var_epi8(t2, index, t3);
        _mm512_mask_storeu_epi8(bytes, present, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
    }
}
