/* The micro-kernel for any processor: four floats at a time in the compiler's own vectors, which become SSE, NEON or
 * plain code. */
#include <string.h>

typedef float vec_scalar __attribute__((vector_size(16)));

#define VEC             vec_scalar
#define LANES           4
#define TILE_MR         4
#define TILE_VECTORS    2
#define KERNEL_NAME     mary_tile_kernel_scalar
#define ACTIVATION_NAME mary_activation_apply_scalar

#define vec_set1(x)      ((vec_scalar){0} + (x))
#define vec_fma(a, b, c) ((a) * (b) + (c))

static inline vec_scalar vec_load(const float *from)
{
    vec_scalar value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void vec_store(float *to, vec_scalar value)
{
    memcpy(to, &value, sizeof value);
}

static inline vec_scalar vec_load_part(const float *from, int lanes)
{
    vec_scalar value = {0};
    for (int i = 0; i < lanes; i++)
        value[i] = from[i];
    return value;
}

static inline void vec_store_part(float *to, vec_scalar value, int lanes)
{
    for (int i = 0; i < lanes; i++)
        to[i] = value[i];
}

static inline vec_scalar vec_min(vec_scalar a, vec_scalar b)
{
    for (int i = 0; i < LANES; i++)
        b[i] = a[i] < b[i] ? a[i] : b[i];
    return b;
}

static inline vec_scalar vec_max(vec_scalar a, vec_scalar b)
{
    for (int i = 0; i < LANES; i++)
        b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}

#include "ops/tile_template.h"

#define TILE_PAIR(rows)                                                                                                \
    TILE_INSTANCE(rows, 1)                                                                                             \
    TILE_INSTANCE(rows, 2)
TILE_PAIR(1)
TILE_PAIR(2)
TILE_PAIR(3)
TILE_PAIR(4)

#define BOTH(rows)                                                                                                     \
    {                                                                                                                  \
        tile_##rows##_1, tile_##rows##_2                                                                               \
    }
static tile_function *const functions[TILE_MR][TILE_VECTORS] = {BOTH(1), BOTH(2), BOTH(3), BOTH(4)};

static void run(const mary_tile_call *call)
{
    functions[call->m - 1][(call->n - 1) / LANES](call);
}

const mary_tile_kernel mary_tile_kernel_scalar = {.name = "scalar 4x8", .mr = TILE_MR, .nr = TILE_NR, .run = run};

#define DEPTHWISE_NAME  mary_depthwise_scalar
#define DEPTHWISE_BLOCK 4
#include "ops/depthwise_template.h"
