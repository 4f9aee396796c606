/* Integer tiles and the decoding of packed weights, against plain loops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/mary/qkernels.h"
#include "tests/kernels/bytes.h"
#include "tests/kernels/families.h"

static void *aligned(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}

enum { MOST_M = 16, MOST_N = MARY_Q_MOST_STRIPS * MARY_Q_STRIP };

typedef struct epilogue_case {
    mary_qepilogue epilogue;
    int32_t bias[MOST_N + MARY_QLINEAR_SLACK];
    float multiplier[MOST_N + MARY_QLINEAR_SLACK];
} epilogue_case;

/* Multipliers that make of sums of `length` products anything from a few steps to far more than 255. */
static void random_epilogue(kernel_harness *h, int length, epilogue_case *e)
{
    float spread = 1.0f / (4000.0f * sqrtf((float)length + 1) / 255.0f);
    e->epilogue = (mary_qepilogue){.bias = e->bias,
                                   .multiplier = e->multiplier,
                                   .y_zero = kernel_random_int(h, 0, 2) ? kernel_random_int(h, 0, 255) : 0,
                                   .bounded = kernel_random_int(h, 0, 2) != 0,
                                   .has_residual = kernel_random_int(h, 0, 2) == 0,
                                   .residual_zero = kernel_random_int(h, 0, 255),
                                   .sum_zero = kernel_random_int(h, 0, 255),
                                   .y_factor = 0.3f + fabsf(kernel_random_float(h)),
                                   .residual_factor = 0.3f + fabsf(kernel_random_float(h))};
    bool ties = kernel_random_int(h, 0, 3) == 0;
    for (int i = 0; i < MOST_N + MARY_QLINEAR_SLACK; i++) {
        e->bias[i] = kernel_random_int(h, -30000, 30000);
        e->multiplier[i] = ties ? 0x1p-9f : spread * (0.1f + fabsf(kernel_random_float(h)));
        if (!e->epilogue.bounded && kernel_random_int(h, 0, 3) == 0)
            e->multiplier[i] *= 1e9f;
    }
    if (kernel_random_int(h, 0, 7) == 0) /* a large bias: sums near the ends of i32, rounded on their way to float */
        e->bias[kernel_random_int(h, 0, MOST_N - 1)] = kernel_random_int(h, 0, 1) ? INT32_MAX / 2 : -INT32_MAX / 2;
    for (int i = 0; i < MOST_N && e->epilogue.bounded; i++) {
        if (fabsf((float)e->bias[i] * e->multiplier[i]) > 0x1p28f)
            e->epilogue.bounded = false;
    }
}

static void check_tile(kernel_harness *h, const mary_qkernels *kernels, int m, int n, int runs, int run_quads)
{
    const int strips = (n + MARY_Q_STRIP - 1) / MARY_Q_STRIP, width = strips * MARY_Q_STRIP * MARY_Q_QUAD;
    const int quads = runs * run_quads, rows_stride = m + kernel_random_int(h, 0, 3);
    const int x_stride = run_quads * MARY_Q_QUAD + kernel_random_int(h, 0, 9);
    const int stride = n + kernel_random_int(h, 0, 20), first = kernel_random_int(h, 0, MOST_N - n);
    uint8_t *x = kernel_random_bytes(h, (int64_t)runs * m * x_stride + 1);
    uint8_t *residual = kernel_random_bytes(h, (int64_t)m * stride);
    int8_t *panel = aligned((size_t)(quads * width));
    bool extreme = kernel_random_int(h, 0, 3) == 0; /* the largest products: 16 bits would saturate */
    for (int i = 0; i < quads * width; i++)
        panel[i] = (int8_t)(extreme ? kernel_random_int(h, 0, 1) * 255 - 128 : kernel_random_int(h, -128, 127));
    if (extreme)
        memset(x, 255, (size_t)(runs * m * x_stride));
    epilogue_case e;
    random_epilogue(h, quads * MARY_Q_QUAD, &e);
    const uint8_t **rows = calloc((size_t)(runs * rows_stride) + 1, sizeof *rows);
    uint8_t *expected = malloc((size_t)(m * n));
    for (int run = 0; run < runs; run++) {
        for (int i = 0; i < m; i++)
            rows[run * rows_stride + i] = x + (run * m + i) * x_stride;
    }
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            int64_t sum = e.bias[first + j];
            for (int k = 0; k < quads * MARY_Q_QUAD; k++) {
                int run = k / (run_quads * MARY_Q_QUAD), at = k % (run_quads * MARY_Q_QUAD);
                sum += rows[run * rows_stride + i][at] *
                       panel[k / MARY_Q_QUAD * width + j * MARY_Q_QUAD + k % MARY_Q_QUAD];
            }
            expected[i * n + j] =
                mary_qepilogue_requantise(&e.epilogue, first + j, (int32_t)sum, residual[i * stride + j]);
        }
    }
    kernel_bytes out = kernel_bytes_claim(m, n, stride);
    mary_qtile_call call = {.rows = rows,
                            .rows_stride = rows_stride,
                            .runs = runs,
                            .run_quads = run_quads,
                            .panel = panel,
                            .strips = strips,
                            .m = m,
                            .n = n,
                            .epilogue = &e.epilogue,
                            .row = first,
                            .residual = e.epilogue.has_residual ? residual : NULL,
                            .residual_stride = stride,
                            .out = out.data,
                            .out_stride = stride};
    kernels->tile(&call);
    kernel_bytes_compare(h, &out, expected, "%s, m %d n %d runs %d of %d quads%s%s", kernels->name, m, n, runs,
                         run_quads, e.epilogue.has_residual ? ", residual" : "", e.epilogue.bounded ? "" : ", far");
    kernel_bytes_free(&out);
    free(x);
    free(residual);
    free(panel);
    free(rows);
    free(expected);
}

void kernel_check_qtile_of(kernel_harness *h, const mary_qkernels *kernels)
{
    static const int lengths[][2] = {{1, 0}, {1, 1}, {1, 7}, {3, 2}, {9, 3}, {1, 65}, {2, 16}};
    for (int n = 1; n <= kernels->nr; n++) {
        int most = kernels->mr[(n - 1) / MARY_Q_STRIP];
        for (int m = 1; m <= 2 * most + 1; m++) {
            const int *length = lengths[kernel_random_int(h, 0, 6)];
            check_tile(h, kernels, m, n, length[0], length[1]);
        }
    }
    for (int i = 0; i < 7; i++)
        check_tile(h, kernels, kernels->mr[kernels->nr / MARY_Q_STRIP - 1], kernels->nr, lengths[i][0], lengths[i][1]);
}

void kernel_check_qtile(kernel_harness *h)
{
    kernel_check_qtile_of(h, mary_qkernels_for(h->cpu));
}

typedef struct tile_run {
    const mary_qkernels *kernels;
    mary_qtile_call call;
} tile_run;

static void run_tile(void *context)
{
    tile_run *r = context;
    r->kernels->tile(&r->call);
}

void kernel_bench_qtile(kernel_harness *h)
{
    enum { QUADS = 64 };
    const mary_qkernels *kernels = mary_qkernels_for(h->cpu);
    static const char *const names[] = {"16 rows, depth 256", "32 rows, depth 256", "48 rows, depth 256",
                                        "64 rows, depth 256"};
    const uint8_t *rows[MOST_M];
    uint8_t *x = kernel_random_bytes(h, MOST_M * QUADS * MARY_Q_QUAD), *out = malloc(MOST_M * MOST_N);
    int8_t *panel = aligned(QUADS * MARY_Q_QUAD * MOST_N);
    memset(panel, 3, QUADS * MARY_Q_QUAD * MOST_N);
    for (int i = 0; i < MOST_M; i++)
        rows[i] = x + i * QUADS * MARY_Q_QUAD;
    epilogue_case e;
    random_epilogue(h, QUADS * MARY_Q_QUAD, &e);
    e.epilogue.has_residual = false;
    e.epilogue.bounded = true;
    for (int strips = 1; strips * MARY_Q_STRIP <= kernels->nr; strips++) {
        int m = kernels->mr[strips - 1], n = strips * MARY_Q_STRIP;
        tile_run r = {kernels,
                      {.rows = rows,
                       .rows_stride = MOST_M,
                       .runs = 1,
                       .run_quads = QUADS,
                       .panel = panel,
                       .strips = strips,
                       .m = m,
                       .n = n,
                       .epilogue = &e.epilogue,
                       .out = out,
                       .out_stride = n}};
        kernel_time(h, names[strips - 1], (double)m * n * QUADS * MARY_Q_QUAD, "MAC", run_tile, &r);
    }
    free(x);
    free(out);
    free(panel);
}

/* ---- decoding ---- */

typedef struct decode_case {
    mary_qsource source;
    mary_qweights *weights;
    uint8_t *codes;
    int8_t *levels;
} decode_case;

static decode_case make_weights(kernel_harness *h, int bits, int64_t groups, int64_t filters, int64_t taps,
                                int64_t depth, int64_t run_taps, bool shared)
{
    decode_case c = {0};
    int64_t rows = groups * filters, length = taps * depth, row_bytes = (length * bits + 7) / 8,
            most = INT64_C(1) << bits;
    c.codes = kernel_random_bytes(h, rows * row_bytes);
    c.levels = (int8_t *)kernel_random_bytes(h, rows * most);
    c.source = (mary_qsource){.codes = c.codes,
                              .levels = c.levels,
                              .rows = rows,
                              .row_length = length,
                              .row_bytes = row_bytes,
                              .level_stride = shared ? 0 : most,
                              .bits = bits};
    if (mary_qweights_create_for(mary_qkernels_for(h->cpu), &c.source, groups, taps, depth, run_taps, &c.weights) !=
        MARY_OK)
        abort();
    return c;
}

static void free_weights(decode_case *c)
{
    mary_qweights_free(&c->weights);
    free(c->codes);
    free(c->levels);
}

/* Every panel of a layer. */
static void check_decode(kernel_harness *h, int bits, int64_t groups, int64_t filters, int64_t taps, int64_t depth,
                         int64_t run_taps, bool shared)
{
    decode_case c = make_weights(h, bits, groups, filters, taps, depth, run_taps, shared);
    const mary_qweights *w = c.weights;
    for (int64_t job = 0; job < groups * w->group_panels; job++) {
        int64_t group = job / w->group_panels, panel = job % w->group_panels;
        const int strips = mary_qweights_strips(w, panel);
        const int64_t size = mary_qweights_panel_size(w, strips), width = (int64_t)strips * MARY_Q_STRIP;
        int8_t *scratch = aligned((size_t)size + 64);
        uint8_t *expected = calloc((size_t)size + 1, 1);
        memset(scratch, 0x77, (size_t)size + 64);
        const int8_t *got = mary_qweights_panel(w, group, panel, scratch);
        kernel_bytes out = kernel_bytes_claim(1, size, size + 1);
        memcpy(out.data, got, (size_t)size);
        for (int64_t i = 0; i < size; i++) {
            int64_t row = panel * w->nr + i / MARY_Q_QUAD % width, quad = i / MARY_Q_QUAD / width;
            int64_t run = quad / w->run_quads, at = quad % w->run_quads * MARY_Q_QUAD + i % MARY_Q_QUAD;
            int64_t tap = run * run_taps + at / depth;
            if (row >= filters)
                expected[i] = out.data[i]; /* anything */
            else if (at < run_taps * depth)
                expected[i] = (uint8_t)mary_qsource_level(&c.source, group * filters + row, at % depth * taps + tap);
        }
        for (int i = 0; i < 64 && got == scratch; i++) {
            if (scratch[size + i] != 0x77)
                out.data[-1] = 0; /* the comparison finds it */
        }
        kernel_bytes_compare(h, &out, expected, "%d bits, panel %d of %d rows of %dx%d in runs of %d%s", bits,
                             (int)panel, (int)filters, (int)taps, (int)depth, (int)run_taps, shared ? ", shared" : "");
        kernel_bytes_free(&out);
        free(scratch);
        free(expected);
    }
    free_weights(&c);
}

void kernel_check_qdecode(kernel_harness *h)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int depth = 1; depth <= 40; depth++)
            check_decode(h, bits, 1, kernel_random_int(h, 1, 140), 1, depth, 1, depth % 2);
        for (int trial = 0; trial < 20; trial++) {
            int taps = kernel_random_int(h, 2, 9), groups = kernel_random_int(h, 1, 3);
            check_decode(h, bits, groups, kernel_random_int(h, 1, 70), taps, kernel_random_int(h, 1, 20), 1, trial % 2);
            check_decode(h, bits, 1, kernel_random_int(h, 1, 70), taps * 3, kernel_random_int(h, 1, 4), 3, trial % 2);
        }
    }
    check_decode(h, 2, 1, 70, 1, 8300, 1, false); /* so long that panels are narrower */
}

typedef struct decode_run {
    const mary_qweights *weights;
    int8_t *scratch;
} decode_run;

static void run_decode(void *context)
{
    decode_run *r = context;
    mary_qweights_panel(r->weights, 0, 0, r->scratch);
}

void kernel_bench_qdecode(kernel_harness *h)
{
    enum { DEPTH = 1024 };
    static const char *const names[] = {"1 bit, a panel of 1024", "2 bits, a panel of 1024", "4 bits, a panel of 1024"};
    int8_t *scratch = aligned(DEPTH * MOST_N);
    for (int i = 0; i < 3; i++) {
        decode_case c = make_weights(h, 1 << i, 1, MOST_N, 1, DEPTH, 1, false);
        decode_run r = {c.weights, scratch};
        kernel_time(h, names[i], (double)DEPTH * c.weights->nr, "weights", run_decode, &r);
        free_weights(&c);
    }
    free(scratch);
}
