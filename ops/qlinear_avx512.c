/* Kernels on u8 activations, avx512. The table: as ops/qlinear_avx2.c explains. */
#include <immintrin.h>
#include <stdint.h>

static void look_up(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count)
{
    const __m512i outside = _mm512_set1_epi8(0x70);
    for (int64_t i = 0; i < count; i += 64) {
        int64_t left = count - i;
        const __mmask64 mask = left >= 64 ? ~0ull : (1ull << left) - 1;
        const __m512i in = _mm512_maskz_loadu_epi8(mask, x + i);
        __m512i sum = _mm512_setzero_si512();
        for (int r = 0; r < 16; r++) {
            const __m512i part = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16 * r)));
            const __m512i at = _mm512_adds_epu8(_mm512_xor_si512(in, _mm512_set1_epi8((char)(16 * r))), outside);
            sum = _mm512_or_si512(sum, _mm512_shuffle_epi8(part, at));
        }
        _mm512_mask_storeu_epi8(y + i, mask, sum);
    }
}

#define QLINEAR_KERNELS mary_qlinear_kernels_avx512
#define QLINEAR_NAME    "avx512"
#define QLINEAR_TABLE   look_up
#include "ops/qlinear_template.h"
