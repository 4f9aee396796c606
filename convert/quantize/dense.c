/* Products in tiles of 96 x 96, both operands packed, a register tile of 6 rows inside; Cholesky in blocks of rows.
 *
 * Written with vector types, compiled for three instruction sets. Every element of a result is one chain of products
 * over the depth, in slices of 256, so it does not depend on where the tiles lie. */
#include "convert/quantize/dense.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { TILE = 96, STEP = 6, WIDE = 16, DEPTH = 256, BLOCK = 96, SMALL = 1024 };

typedef struct packed {
    float a[TILE / STEP][DEPTH][STEP];
    float b[TILE / WIDE][DEPTH][WIDE];
    float c[TILE][TILE];
} packed;

/* source [depth, width] (stride) to panels [TILE / panel][DEPTH][panel], zeros beyond width. */
static inline __attribute__((always_inline)) void pack(const float *source, int64_t stride, int64_t depth,
                                                       int64_t width, const int panel, float *to)
{
    for (int64_t first = 0; first < width; first += panel) {
        float *at = to + first * DEPTH;
        const float *from = source + first;
        if (width - first >= panel) {
            for (int64_t k = 0; k < depth; k++, at += panel, from += stride)
                memcpy(at, from, (size_t)panel * sizeof *at);
            continue;
        }
        for (int64_t k = 0; k < depth; k++, at += panel, from += stride) {
            for (int64_t i = 0; i < panel; i++)
                at[i] = first + i < width ? from[i] : 0;
        }
    }
}

/* One register tile: STEP rows and VECTORS vectors of LANES floats from panels that are WIDE floats wide. */
#define DEFINE_TILE(NAME, TARGET, LANES, VECTORS)                                                                      \
    typedef float NAME##_lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));             \
    TARGET static void NAME(packed *p, int64_t depth, int64_t rows, int64_t columns)                                   \
    {                                                                                                                  \
        enum { SPAN = LANES * VECTORS, PER_PANEL = WIDE / LANES };                                                     \
        for (int64_t i = 0; i < rows; i += STEP) {                                                                     \
            for (int64_t j = 0; j < columns; j += SPAN) {                                                              \
                NAME##_lanes sum[STEP][VECTORS];                                                                       \
                for (int r = 0; r < STEP; r++)                                                                         \
                    for (int v = 0; v < VECTORS; v++)                                                                  \
                        sum[r][v] = (NAME##_lanes){0};                                                                 \
                const float *a = &p->a[i / STEP][0][0], *b = &p->b[j / WIDE][0][j % WIDE];                             \
                for (int64_t k = 0; k < depth; k++, a += STEP, b += WIDE) {                                            \
                    NAME##_lanes values[VECTORS];                                                                      \
                    for (int v = 0; v < VECTORS; v++)                                                                  \
                        values[v] = *(const NAME##_lanes *)(b + v / PER_PANEL * DEPTH * WIDE + v % PER_PANEL * LANES); \
                    for (int r = 0; r < STEP; r++)                                                                     \
                        for (int v = 0; v < VECTORS; v++)                                                              \
                            sum[r][v] += a[r] * values[v];                                                             \
                }                                                                                                      \
                for (int r = 0; r < STEP; r++)                                                                         \
                    for (int v = 0; v < VECTORS; v++)                                                                  \
                        *(NAME##_lanes *)&p->c[i + r][j + v * LANES] = sum[r][v];                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef void tile_function(packed *p, int64_t depth, int64_t rows, int64_t columns);

DEFINE_TILE(tile_plain, , 4, 2)
#if defined(__x86_64__)
DEFINE_TILE(tile_avx2, __attribute__((target("avx2,fma"))), 8, 2)
DEFINE_TILE(tile_avx512, __attribute__((target("avx512f,avx512vl,fma"))), 16, 2)
#endif

static tile_function *choose_tile(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        return tile_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return tile_avx2;
#endif
    return tile_plain;
}

static void multiply_tile(const mary_dense_product *product, tile_function *tile, packed *p, int64_t i, int64_t j)
{
    int64_t rows = product->rows - i < TILE ? product->rows - i : TILE;
    int64_t columns = product->columns - j < TILE ? product->columns - j : TILE;
    for (int64_t k = 0; k < product->depth; k += DEPTH) {
        int64_t depth = product->depth - k < DEPTH ? product->depth - k : DEPTH;
        pack(product->a + k * product->a_stride + i, product->a_stride, depth, rows, STEP, &p->a[0][0][0]);
        pack(product->b + k * product->b_stride + j, product->b_stride, depth, columns, WIDE, &p->b[0][0][0]);
        tile(p, depth, rows, columns);
        for (int64_t r = 0; r < rows; r++) {
            float *c = product->c + (i + r) * product->c_stride + j;
            const float *sum = p->c[r];
            if (product->subtract) {
                for (int64_t q = 0; q < columns; q++)
                    c[q] -= sum[q];
            } else {
                for (int64_t q = 0; q < columns; q++)
                    c[q] += sum[q];
            }
        }
    }
}

/* Few results: not worth packing. Sums slices like the tiles do, lest long sums lose digits. */
static void multiply_small(const mary_dense_product *product)
{
    float sums[SMALL];
    for (int64_t begin = 0; begin < product->depth; begin += DEPTH) {
        int64_t end = product->depth - begin < DEPTH ? product->depth : begin + DEPTH;
        memset(sums, 0, sizeof sums);
        for (int64_t k = begin; k < end; k++) {
            const float *a = product->a + k * product->a_stride, *b = product->b + k * product->b_stride;
            for (int64_t i = 0; i < product->rows; i++) {
                for (int64_t j = 0; j < product->columns; j++)
                    sums[i * product->columns + j] += a[i] * b[j];
            }
        }
        for (int64_t i = 0; i < product->rows; i++) {
            for (int64_t j = 0; j < product->columns; j++) {
                float sum = sums[i * product->columns + j];
                product->c[i * product->c_stride + j] += product->subtract ? -sum : sum;
            }
        }
    }
}

mary_status mary_dense_multiply(const mary_dense_product *product)
{
    int64_t down = (product->rows + TILE - 1) / TILE, across = (product->columns + TILE - 1) / TILE;
    int threads = down * across < product->threads ? (int)(down * across) : product->threads;
    tile_function *tile = choose_tile();
    if (down == 0 || across == 0 || product->depth == 0)
        return MARY_OK;
    if (product->rows * product->columns <= SMALL) {
        multiply_small(product);
        return MARY_OK;
    }
    packed *scratch = mary_alloc_aligned((size_t)threads * sizeof *scratch);
    if (scratch == NULL)
        return mary_fail_memory((size_t)threads * sizeof *scratch);
    memset(scratch, 0, (size_t)threads * sizeof *scratch); /* panels beyond an edge are multiplied, too */
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        packed *own = scratch + omp_get_thread_num();
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < down * across; t++) {
            int64_t i = t / across * TILE, j = t % across * TILE;
            if (!product->upper || j + TILE > i)
                multiply_tile(product, tile, own, i, j);
        }
    }
    mary_free(scratch);
    return MARY_OK;
}

/* Without FMA, so that every machine has the same bits. */
static inline __attribute__((always_inline)) void add_scaled_body(float *to, const float *from, float factor,
                                                                  int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += factor * from[i];
}

static void add_scaled_plain(float *to, const float *from, float factor, int64_t count)
{
    add_scaled_body(to, from, factor, count);
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void add_scaled_avx2(float *to, const float *from, float factor, int64_t count)
{
    add_scaled_body(to, from, factor, count);
}
#endif

void mary_dense_add_scaled(float *to, const float *from, float factor, int64_t count)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        add_scaled_avx2(to, from, factor, count);
        return;
    }
#endif
    add_scaled_plain(to, from, factor, count);
}

void mary_dense_mirror(float *matrix, int64_t size, int threads)
{
    enum { SQUARE = 32 };
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && size > 256)
    for (int64_t i0 = 0; i0 < size; i0 += SQUARE) {
        for (int64_t j0 = 0; j0 <= i0; j0 += SQUARE) {
            for (int64_t i = i0; i < size && i < i0 + SQUARE; i++) {
                for (int64_t j = j0; j < i && j < j0 + SQUARE; j++)
                    matrix[i * size + j] = matrix[j * size + i];
            }
        }
    }
}

/* Rows [begin, end) of U from rows of which the blocks above were already subtracted. */
static mary_status factor_rows(float *matrix, int64_t size, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        float *row = matrix + i * size;
        if (!(row[i] > 0) || !isfinite(row[i]))
            return mary_fail(MARY_ERROR_INVALID, "the matrix is not positive definite (row %lld of %lld)", (long long)i,
                             (long long)size);
        float root = sqrtf(row[i]), inverse = 1 / root;
        row[i] = root;
        for (int64_t j = i + 1; j < size; j++)
            row[j] *= inverse;
        for (int64_t k = i + 1; k < end; k++) {
            mary_dense_add_scaled(matrix + k * size + k, row + k, -row[k], size - k);
        }
    }
    return MARY_OK;
}

mary_status mary_dense_factor(float *matrix, int64_t size, int threads)
{
    for (int64_t begin = 0; begin < size; begin += BLOCK) {
        int64_t end = size - begin < BLOCK ? size : begin + BLOCK;
        MARY_TRY(factor_rows(matrix, size, begin, end));
        const float *right = matrix + begin * size + end;
        mary_dense_product rest = {.a = right,
                                   .a_stride = size,
                                   .b = right,
                                   .b_stride = size,
                                   .depth = end - begin,
                                   .rows = size - end,
                                   .columns = size - end,
                                   .c = matrix + end * size + end,
                                   .c_stride = size,
                                   .subtract = true,
                                   .upper = true,
                                   .threads = threads};
        MARY_TRY(mary_dense_multiply(&rest));
    }
    mary_dense_mirror(matrix, size, threads);
    return MARY_OK;
}
