/* Integer products of few rows: sums of a panel against plain loops over the file's codes, and the bytes made of them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/mary/qgemv.h"
#include "ops/mary/qkernels.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/families.h"

typedef struct qgemv_case {
    mary_qsource source;
    mary_qweights *weights;
    uint8_t *codes, *x;
    int8_t *levels;
    int64_t x_stride;
    int32_t *sums;
    mary_qgemv_call call;
} qgemv_case;

static int which(int bits)
{
    return bits == 8 ? 3 : bits == 4 ? 2 : bits - 1;
}

static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}

/* One panel of `columns` rows. */
static qgemv_case make_case(kernel_harness *h, int bits, int64_t columns, int64_t depth, int rows)
{
    qgemv_case c = {0};
    mary_qkernels wide = mary_qkernels_scalar;
    int64_t row_bytes = (depth * bits + 7) / 8, most = INT64_C(1) << bits;
    wide.nr = MARY_Q_MOST_STRIPS * MARY_Q_STRIP;
    c.codes = kernel_random_bytes(h, columns * row_bytes);
    c.levels = (int8_t *)kernel_random_bytes(h, columns * most);
    c.source = (mary_qsource){.codes = c.codes,
                              .levels = c.levels,
                              .rows = columns,
                              .row_length = depth,
                              .row_bytes = row_bytes,
                              .level_stride = kernel_random_int(h, 0, 2) ? most : 0,
                              .bits = bits};
    if (mary_qweights_create_for(&wide, &c.source, 1, 1, depth, 1, &c.weights) != MARY_OK)
        abort();
    c.x_stride = (depth + MARY_QGEMV_PADDING - 1) / MARY_QGEMV_PADDING * MARY_QGEMV_PADDING;
    c.x = aligned((size_t)(rows * c.x_stride));
    memset(c.x, 0, (size_t)(rows * c.x_stride));
    for (int i = 0; i < rows; i++) {
        for (int64_t k = 0; k < depth; k++) /* the ends often: that is where 16 bits would saturate */
            c.x[i * c.x_stride + k] = (uint8_t)(kernel_random_int(h, 0, 2) ? kernel_random_int(h, 0, 255) : 255);
    }
    int strips = mary_qweights_strips(c.weights, 0);
    c.sums = aligned(sizeof(int32_t) * (size_t)(rows * strips * MARY_Q_STRIP));
    c.call = (mary_qgemv_call){.codes = mary_qweights_codes(c.weights, 0, 0),
                               .levels = bits == 8 ? NULL : mary_qweights_levels(c.weights, 0, 0),
                               .level_stride = c.weights->level_stride,
                               .strips = strips,
                               .quads = c.weights->quads,
                               .x = c.x,
                               .x_stride = c.x_stride,
                               .rows = rows,
                               .sums = c.sums};
    return c;
}

static void free_case(qgemv_case *c)
{
    mary_qweights_free(&c->weights);
    free(c->codes);
    free(c->levels);
    free(c->x);
    free(c->sums);
}

static void check_sums(kernel_harness *h, const mary_qgemv_kernels *kernels, int bits, int64_t columns, int64_t depth,
                       int rows)
{
    qgemv_case c = make_case(h, bits, columns, depth, rows);
    kernel_bytes out = kernel_bytes_claim(rows, columns * 4, columns * 4 + 8);
    int32_t *expected = malloc(sizeof(int32_t) * (size_t)(rows * columns));
    for (int i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < depth; k++)
                sum += c.x[i * c.x_stride + k] * mary_qsource_level(&c.source, j, k);
            expected[i * columns + j] = sum;
        }
    }
    kernels->multiply[which(bits)](&c.call);
    for (int i = 0; i < rows; i++)
        memcpy(out.data + i * out.stride, c.sums + i * c.call.strips * MARY_Q_STRIP, (size_t)columns * 4);
    kernel_bytes_compare(h, &out, (const uint8_t *)expected, "%d bits, %d columns of %d, %d rows", bits, (int)columns,
                         (int)depth, rows);
    kernel_bytes_free(&out);
    free(expected);
    free_case(&c);
}

static void check_finish(kernel_harness *h, const mary_qgemv_kernels *kernels, int count)
{
    enum { MOST = 64, ROW = 3 };
    int32_t bias[ROW + MOST + MARY_QLINEAR_SLACK];
    float multiplier[ROW + MOST + MARY_QLINEAR_SLACK];
    _Alignas(64) int32_t sums[MOST + 16];
    uint8_t expected[MOST];
    for (int i = 0; i < ROW + MOST + MARY_QLINEAR_SLACK; i++) {
        bias[i] = kernel_random_int(h, -5000, 5000);
        multiplier[i] = i % 5 == 0 ? 0.5f : i % 7 == 0 ? INFINITY : fabsf(kernel_random_float(h)) * 0.05f;
    }
    const mary_qepilogue e = {.bias = bias, .multiplier = multiplier, .y_zero = kernel_random_int(h, 0, 255)};
    for (int j = 0; j < MOST + 16; j++)
        sums[j] = j % 5 == 2 ? 1 - bias[ROW + j] : kernel_random_int(h, -20000, 20000);
    for (int j = 0; j < count; j++)
        expected[j] = mary_qepilogue_apply(&e, ROW + j, sums[j] + bias[ROW + j], 0);
    kernel_bytes out = kernel_bytes_claim(1, count, count);
    kernels->finish(&e, ROW, sums, count, out.data);
    kernel_bytes_compare(h, &out, expected, "%d bytes of sums", count);
    kernel_bytes_free(&out);
}

void kernel_check_qgemv(kernel_harness *h)
{
    const mary_qgemv_kernels *kernels = mary_qgemv_kernels_for(h->cpu);
    if (kernels == NULL)
        return;
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int columns = 1; columns <= 64; columns += kernel_random_int(h, 1, 7))
            check_sums(h, kernels, bits, columns, kernel_random_int(h, 1, 200), kernel_random_int(h, 1, 4));
        for (int rows = 1; rows <= MARY_QGEMV_MOST_ROWS; rows++) {
            for (int columns = 16; columns <= 64; columns += 16)
                check_sums(h, kernels, bits, columns, kernel_random_int(h, 300, 700), rows);
        }
    }
    for (int count = 1; count <= 64; count++)
        check_finish(h, kernels, count);
}

typedef struct qgemv_run {
    const mary_qgemv_kernels *kernels;
    qgemv_case c;
    int bits;
} qgemv_run;

static void run_qgemv(void *context)
{
    qgemv_run *r = context;
    r->kernels->multiply[which(r->bits)](&r->c.call);
}

void kernel_bench_qgemv(kernel_harness *h)
{
    qgemv_run r = {.kernels = mary_qgemv_kernels_for(h->cpu)};
    for (r.bits = 1; r.bits <= 8 && r.kernels != NULL; r.bits *= 2) {
        for (int rows = 1; rows <= 4; rows *= 4) {
            char label[48];
            r.c = make_case(h, r.bits, 64, 1024, rows);
            snprintf(label, sizeof label, "%d bits, %d rows x 1024 x 64", r.bits, rows);
            kernel_time(h, label, 64.0 * 1024 * rows, "MAC", run_qgemv, &r);
            free_case(&r.c);
        }
    }
}
