/* The micro-kernel for AVX2 and FMA: 6 rows of 16 columns in 12 sums of the 16 registers. */
#include <immintrin.h>

#define VEC             __m256
#define LANES           8
#define TILE_MR         6
#define TILE_VECTORS    2
#define KERNEL_NAME     mary_tile_kernel_avx2
#define ACTIVATION_NAME mary_activation_apply_avx2

#define vec_load(p)                 _mm256_loadu_ps(p)
#define vec_store(p, v)             _mm256_storeu_ps(p, v)
#define vec_set1(x)                 _mm256_set1_ps(x)
#define vec_fma(a, b, c)            _mm256_fmadd_ps(a, b, c)
#define vec_min(a, b)               _mm256_min_ps(a, b)
#define vec_max(a, b)               _mm256_max_ps(a, b)
#define vec_load_part(p, lanes)     _mm256_maskload_ps(p, vec_mask(lanes))
#define vec_store_part(p, v, lanes) _mm256_maskstore_ps(p, vec_mask(lanes), v)

static inline __m256i vec_mask(int lanes)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#include "ops/tile_template.h"

#define TILE_PAIR(rows)                                                                                                \
    TILE_INSTANCE(rows, 1)                                                                                             \
    TILE_INSTANCE(rows, 2)
TILE_PAIR(1)
TILE_PAIR(2)
TILE_PAIR(3)
TILE_PAIR(4)
TILE_PAIR(5)
TILE_PAIR(6)

#define BOTH(rows)                                                                                                     \
    {                                                                                                                  \
        tile_##rows##_1, tile_##rows##_2                                                                               \
    }
static tile_function *const functions[TILE_MR][TILE_VECTORS] = {BOTH(1), BOTH(2), BOTH(3), BOTH(4), BOTH(5), BOTH(6)};

static void run(const mary_tile_call *call)
{
    functions[call->m - 1][(call->n - 1) / LANES](call);
}

const mary_tile_kernel mary_tile_kernel_avx2 = {.name = "avx2 6x16", .mr = TILE_MR, .nr = TILE_NR, .run = run};

#define DEPTHWISE_NAME  mary_depthwise_avx2
#define DEPTHWISE_BLOCK 4
#include "ops/depthwise_template.h"
