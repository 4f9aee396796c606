/* Kernels on u8 activations, avx2. A table of 256 bytes is sixteen registers; each is asked for every byte. vpshufb
 * gives 0 where bit 7 of an index is set: the saturated sum sets it unless the upper four bits were those of the
 * register. */
#include <immintrin.h>
#include <stdint.h>

static void look_up(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count)
{
    const __m256i outside = _mm256_set1_epi8(0x70);
    int64_t i = 0;
    for (; i + 64 <= count; i += 64) {
        __m256i first = _mm256_loadu_si256((const __m256i *)(x + i)), sum_first = _mm256_setzero_si256();
        __m256i second = _mm256_loadu_si256((const __m256i *)(x + i + 32)), sum_second = sum_first;
        for (int r = 0; r < 16; r++) {
            const __m256i part = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * r)));
            const __m256i upper = _mm256_set1_epi8((char)(16 * r));
            __m256i at = _mm256_adds_epu8(_mm256_xor_si256(first, upper), outside);
            sum_first = _mm256_or_si256(sum_first, _mm256_shuffle_epi8(part, at));
            at = _mm256_adds_epu8(_mm256_xor_si256(second, upper), outside);
            sum_second = _mm256_or_si256(sum_second, _mm256_shuffle_epi8(part, at));
        }
        _mm256_storeu_si256((__m256i *)(y + i), sum_first);
        _mm256_storeu_si256((__m256i *)(y + i + 32), sum_second);
    }
    for (; i < count; i++)
        y[i] = table[x[i]];
}

#define QLINEAR_KERNELS mary_qlinear_kernels_avx2
#define QLINEAR_NAME    "avx2"
#define QLINEAR_TABLE   look_up
#include "ops/qlinear_template.h"
