/* Integer tiles with AVX-VNNI: 6 pixels x 16 rows, vpdpbusd on 256-bit registers. */
#include <immintrin.h>
#include <string.h>

#include <stdint.h>

#define KERNELS      mary_qkernels_avxvnni
#define KERNELS_NAME "int8 avxvnni 6x16"
#define MR           6

typedef struct halves {
    __m256i half[2]; /* 8 rows each */
} halves;
typedef halves sums_t, weights_t;

static inline halves load(const void *from)
{
    const __m256i *vectors = from;
    return (halves){{_mm256_loadu_si256(vectors), _mm256_loadu_si256(vectors + 1)}};
}

static inline weights_t weights_load(const int8_t *panel)
{
    return load(panel);
}

static inline sums_t sums_start(const int32_t *bias)
{
    return load(bias);
}

static inline __m256i quad_load(const uint8_t *x)
{
    int32_t quad;
    memcpy(&quad, x, sizeof quad);
    return _mm256_set1_epi32(quad);
}

static inline void sums_add(sums_t *sums, __m256i quad, const weights_t *weights)
{
    /* As the instruction: of the intrinsic gcc 12 makes two more moves. */
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums->half[0]) : "x"(quad), "x"(weights->half[0]));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums->half[1]) : "x"(quad), "x"(weights->half[1]));
}

static inline void sums_finish(const sums_t *sums, __m256i out[2])
{
    out[0] = sums->half[0];
    out[1] = sums->half[1];
}

#include "ops/mary/qtile_template.h"
