/* The micro-kernel for AVX-512: 12 rows of 32 columns in 24 sums. More rows would not be faster: 12 row pointers, the
 * panel and the offset are what the general registers hold. */
#include <immintrin.h>

#define VEC             __m512
#define LANES           16
#define TILE_MR         12
#define TILE_VECTORS    2
#define KERNEL_NAME     mary_tile_kernel_avx512
#define ACTIVATION_NAME mary_activation_apply_avx512

#define vec_load(p)                 _mm512_loadu_ps(p)
#define vec_store(p, v)             _mm512_storeu_ps(p, v)
#define vec_set1(x)                 _mm512_set1_ps(x)
#define vec_fma(a, b, c)            _mm512_fmadd_ps(a, b, c)
#define vec_min(a, b)               _mm512_min_ps(a, b)
#define vec_max(a, b)               _mm512_max_ps(a, b)
#define vec_mask(lanes)             ((__mmask16)((1u << (lanes)) - 1))
#define vec_load_part(p, lanes)     _mm512_maskz_loadu_ps(vec_mask(lanes), p)
#define vec_store_part(p, v, lanes) _mm512_mask_storeu_ps(p, vec_mask(lanes), v)

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
TILE_PAIR(7)
TILE_PAIR(8)
TILE_PAIR(9)
TILE_PAIR(10)
TILE_PAIR(11)
TILE_PAIR(12)

#define BOTH(rows)                                                                                                     \
    {                                                                                                                  \
        tile_##rows##_1, tile_##rows##_2                                                                               \
    }
static tile_function *const functions[TILE_MR][TILE_VECTORS] = {
    BOTH(1), BOTH(2), BOTH(3), BOTH(4), BOTH(5), BOTH(6), BOTH(7), BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12)};

static void run(const mary_tile_call *call)
{
    functions[call->m - 1][(call->n - 1) / LANES](call);
}

const mary_tile_kernel mary_tile_kernel_avx512 = {.name = "avx512 12x32", .mr = TILE_MR, .nr = TILE_NR, .run = run};

#define DEPTHWISE_NAME  mary_depthwise_avx512
#define DEPTHWISE_BLOCK 6
#include "ops/depthwise_template.h"
