/* The micro-kernel, written once; ops/tile_<tier>.c defines the vector type and includes this.
 *
 *   VEC, LANES                      a vector of LANES floats
 *   vec_load(p), vec_store(p, v)    unaligned
 *   vec_load_part(p, lanes), vec_store_part(p, v, lanes)   the first `lanes` elements only, 1 <= lanes <= LANES
 *   vec_set1(x), vec_fma(a, b, c), vec_min(a, b), vec_max(a, b)   min and max give b when either is a NaN
 *   TILE_MR, TILE_VECTORS           rows of a full tile, vectors in a row of the panel
 *   TILE_NAME, ACTIVATION_NAME, KERNEL_NAME   what the tier exports
 *
 * Every number of rows is a function of its own, so that all sums live in registers: TILE_MR * TILE_VECTORS sums,
 * TILE_VECTORS weights and one broadcast activation must not exceed the register file. Each sum is one chain over k,
 * whatever the number of rows: an output does not depend on the tile that it falls into.
 */
#include "ops/tile_tiers.h"
#include "ops/activation_template.h"

#define TILE_NR (TILE_VECTORS * LANES)

/* Checked builds keep one copy with loops: instrumenting two dozen unrolled ones takes compilers minutes. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define TILE_CHECKED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TILE_CHECKED
#endif
#ifdef TILE_CHECKED
#define TILE_INLINE static __attribute__((noinline))
#define UNROLL
#else
#define TILE_INLINE static inline __attribute__((always_inline))
#define UNROLL      _Pragma("GCC unroll 16")
#endif

/* `vectors` is how many vectors of a row hold columns < n; the last one has `tail` of them. */
TILE_INLINE void tile_load(VEC *values, const float *from, const int vectors, int tail)
{
    UNROLL
    for (int j = 0; j < vectors - 1; j++)
        values[j] = vec_load(from + j * LANES);
    values[vectors - 1] =
        tail == LANES ? vec_load(from + (vectors - 1) * LANES) : vec_load_part(from + (vectors - 1) * LANES, tail);
}

TILE_INLINE void tile_store(float *to, const VEC *values, const int vectors, int tail)
{
    UNROLL
    for (int j = 0; j < vectors - 1; j++)
        vec_store(to + j * LANES, values[j]);
    if (tail == LANES)
        vec_store(to + (vectors - 1) * LANES, values[vectors - 1]);
    else
        vec_store_part(to + (vectors - 1) * LANES, values[vectors - 1], tail);
}

/* What follows the sums: residual and clipping in registers, other activations on the stored rows, which are in L1. */
TILE_INLINE void tile_finish(const mary_tile_call *call, VEC (*sum)[TILE_VECTORS], const int rows, const int vectors,
                             int tail)
{
    const mary_epilogue *epilogue = call->epilogue;
    mary_activation_kind activation = call->partial || epilogue == NULL ? MARY_ACTIVATION_NONE : epilogue->activation;
    if (call->residual != NULL && !call->partial) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            VEC residual[TILE_VECTORS];
            tile_load(residual, call->residual + i * call->residual_stride, vectors, tail);
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] += residual[j];
        }
    }
    if (activation == MARY_ACTIVATION_CLIP) {
        VEC low = vec_set1(epilogue->alpha), high = vec_set1(epilogue->beta);
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = vec_min(high, vec_max(low, sum[i][j]));
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        tile_store(call->out + i * call->out_stride, sum[i], vectors, tail);
    if (activation != MARY_ACTIVATION_NONE && activation != MARY_ACTIVATION_CLIP)
        activation_rows(epilogue, call->out, call->out_stride, rows, call->n);
}

TILE_INLINE void tile_run(const mary_tile_call *call, const int rows, const int vectors)
{
    VEC sum[TILE_MR][TILE_VECTORS];
    int tail = call->n - (vectors - 1) * LANES;
    if (call->accumulate) {
        UNROLL
        for (int i = 0; i < rows; i++)
            tile_load(sum[i], call->out + i * call->out_stride, vectors, tail);
    } else {
        if (call->bias != NULL) {
            tile_load(sum[0], call->bias, vectors, tail);
        } else {
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[0][j] = vec_set1(0.0f);
        }
        UNROLL
        for (int i = 1; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = sum[0][j];
        }
    }
    const float *panel = call->panel;
    const float *const *pointers = call->rows;
    const int64_t depth = call->depth;
    for (int64_t tap = 0; tap < call->taps; tap++, pointers += TILE_MR) {
        /* One offset for all rows, counting up to zero: the row pointers stay in registers and are never written. */
        const char *ends[TILE_MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            ends[i] = (const char *)(pointers[i] + depth);
        for (ptrdiff_t offset = -(ptrdiff_t)depth * (ptrdiff_t)sizeof(float); offset != 0; offset += sizeof(float)) {
            VEC weight[TILE_VECTORS];
            UNROLL
            for (int j = 0; j < vectors; j++)
                weight[j] = vec_load(panel + j * LANES);
            UNROLL
            for (int i = 0; i < rows; i++) {
                VEC x = vec_set1(*(const float *)(ends[i] + offset));
                UNROLL
                for (int j = 0; j < vectors; j++)
                    sum[i][j] = vec_fma(x, weight[j], sum[i][j]);
            }
            panel += TILE_NR;
        }
    }
    tile_finish(call, sum, rows, vectors, tail);
}

typedef void tile_function(const mary_tile_call *call);

#define TILE_INSTANCE(rows, vectors)                                                                                   \
    static void tile_##rows##_##vectors(const mary_tile_call *call)                                                    \
    {                                                                                                                  \
        tile_run(call, rows, vectors);                                                                                 \
    }
