/* Decoding M-ary weights, and multiplying with them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/mary/weights_kernels.h"
#include "tests/kernels/families.h"

/* A random layer, packed for the harness's tier, and what it means. */
typedef struct layer {
    int64_t rows, length;
    int bits;
    mary_weights *weights;
    float *decoded; /* [rows][length] */
} layer;

static layer make_layer(kernel_harness *h, const mary_weights_kernels *kernels, int64_t rows, int64_t length, int bits,
                        int most, bool shared)
{
    layer l = {.rows = rows, .length = length, .bits = bits};
    int64_t bytes = (length * bits + 7) / 8, level_rows = shared ? 1 : rows;
    uint8_t *codes = calloc((size_t)(rows * bytes) + 1, 1);
    float *levels = kernel_random_floats(h, level_rows << bits);
    l.decoded = calloc((size_t)(rows * length) + 1, sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < length; k++) {
            int code = kernel_random_int(h, 0, most - 1);
            uint8_t *byte = &codes[r * bytes + k * bits / 8];
            *byte = (uint8_t)(*byte | code << (k * bits % 8));
            l.decoded[r * length + k] = levels[((shared ? 0 : r) << bits) + code];
        }
    }
    mary_tensor c = {.type = MARY_UINT8, .shape = {2, {rows, bytes}}, .data = codes};
    mary_tensor v = {.type = MARY_FLOAT, .shape = {2, {level_rows, 1 << bits}}, .data = levels};
    if (mary_weights_create_for(kernels, &c, &v, rows, length, bits, 1, 1.0f, &l.weights) != MARY_OK) {
        printf("%s\n", mary_error_message());
        abort();
    }
    free(codes);
    free(levels);
    return l;
}

static void free_layer(layer *l)
{
    mary_weights_free(&l->weights);
    free(l->decoded);
}

/* The kernels that a tier may use, from the one that this machine does; NULL after the last one. */
static const mary_weights_kernels *find_kernels(mary_cpu cpu, int bits, int which)
{
    const mary_weights_kernels *chosen = mary_weights_choose_kernels(cpu, bits);
    if (which == 0)
        return chosen;
#if defined(__x86_64__)
    if (which == 1 && chosen == &mary_weights_kernels_vbmi)
        return &mary_weights_kernels_avx512;
#endif
    return NULL;
}

/* Every width of code, levels per row and shared, all or some of them used, sizes around blocks. */
static void for_every_layer(kernel_harness *h, void (*check)(kernel_harness *h, const layer *l))
{
    static const int lengths[] = {1, 7, 16, 31, 63, 65, 127, 131, 255, 256, 257, 509, 512, 1031};
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            int most = i % 2 ? 1 << bits : kernel_random_int(h, 1, 1 << bits), rows = kernel_random_int(h, 1, 40);
            bool shared = kernel_random_int(h, 0, 1);
            const mary_weights_kernels *kernels;
            for (int which = 0; (kernels = find_kernels(h->cpu, bits, which)) != NULL; which++) {
                layer l = make_layer(h, kernels, rows, lengths[i], bits, most, shared);
                check(h, &l);
                free_layer(&l);
            }
        }
    }
}

static void check_row(kernel_harness *h, const layer *l)
{
    for (int trial = 0; trial < 8; trial++) {
        int64_t row = kernel_random_int(h, 0, (int)l->rows - 1),
                begin = trial ? kernel_random_int(h, 0, (int)l->length) : 0;
        int64_t end = trial > 1 ? kernel_random_int(h, (int)begin, (int)l->length) : l->length, count = end - begin;
        kernel_output out = kernel_output_claim(count > 0, count, count + 1);
        double *expected = calloc((size_t)count + 1, sizeof(double));
        for (int64_t k = 0; k < count; k++)
            expected[k] = (double)l->decoded[row * l->length + begin + k];
        mary_weights_decode_row(l->weights, row, begin, end, out.data);
        kernel_compare(h, &out, expected, NULL, "%s, %d bits, row %d of %d, %d to %d of %d", l->weights->kernels->name,
                       l->bits, (int)row, (int)l->rows, (int)begin, (int)end, (int)l->length);
        kernel_output_free(&out);
        free(expected);
    }
}

static void check_panel(kernel_harness *h, const layer *l)
{
    for (int trial = 0; trial < 8; trial++) {
        int width = trial % 2 ? mary_tile_kernel_for(h->cpu)->nr : kernel_random_int(h, 1, 6) * 8;
        int64_t row = kernel_random_int(h, 0, (int)l->rows - 1),
                begin = trial > 2 ? kernel_random_int(h, 0, (int)l->length) : 0;
        int64_t end = trial > 3 ? kernel_random_int(h, (int)begin, (int)l->length) : l->length;
        int count = kernel_random_int(h, 0, l->rows - row < width ? (int)(l->rows - row) : width);
        kernel_output out = kernel_output_claim(end - begin, width, width);
        double *expected = calloc((size_t)((end - begin) * width) + 1, sizeof(double));
        for (int64_t k = begin; k < end; k++) {
            for (int j = 0; j < count; j++)
                expected[(k - begin) * width + j] = (double)l->decoded[(row + j) * l->length + k];
        }
        mary_weights_decode_panel(l->weights, row, count, begin, end, width, out.data);
        kernel_compare(h, &out, expected, NULL, "%s, %d bits, rows %d + %d of %d, %d to %d of %d, width %d",
                       l->weights->kernels->name, l->bits, (int)row, count, (int)l->rows, (int)begin, (int)end,
                       (int)l->length, width);
        kernel_output_free(&out);
        free(expected);
    }
}

static void check_multiply(kernel_harness *h, const layer *l)
{
    for (int batch = 1; batch <= 9; batch++) {
        int64_t stride = l->length + kernel_random_int(h, 0, 9), out_stride = l->rows + kernel_random_int(h, 0, 5);
        int64_t row = kernel_random_int(h, 0, (int)l->rows - 1), count = kernel_random_int(h, 0, (int)(l->rows - row));
        if (batch % 2) {
            row = 0;
            count = l->rows;
        }
        float *x = kernel_random_floats(h, stride * batch);
        kernel_output out = kernel_output_claim(batch, count, out_stride);
        double *expected = calloc((size_t)(batch * count) + 1, sizeof(double));
        double *allowed = calloc((size_t)(batch * count) + 1, sizeof(double));
        for (int i = 0; i < batch; i++) {
            for (int64_t r = 0; r < count; r++) {
                double sum = 0, size = 0;
                for (int64_t k = 0; k < l->length; k++) {
                    double product = (double)x[i * stride + k] * (double)l->decoded[(row + r) * l->length + k];
                    sum += product;
                    size += fabs(product);
                }
                expected[i * count + r] = sum;
                allowed[i * count + r] = 1e-6 * size;
            }
        }
        /* The kernel counts output columns from row 0 of the layer. */
        mary_weights_multiply(l->weights, x, stride, batch, row, count, out.data - row, out_stride);
        kernel_compare(h, &out, expected, allowed, "%s, %d bits, batch %d, rows %d + %d of %d, length %d",
                       l->weights->kernels->name, l->bits, batch, (int)row, (int)count, (int)l->rows, (int)l->length);
        kernel_output_free(&out);
        free(x);
        free(expected);
        free(allowed);
    }
}

void kernel_check_decode_row(kernel_harness *h)
{
    for_every_layer(h, check_row);
}

void kernel_check_decode_panel(kernel_harness *h)
{
    for_every_layer(h, check_panel);
}

void kernel_check_multiply(kernel_harness *h)
{
    for_every_layer(h, check_multiply);
}

typedef struct weights_run {
    const layer *l;
    int width, batch;
    float *x, *out;
} weights_run;

static void run_row(void *context)
{
    weights_run *r = context;
    mary_weights_decode_row(r->l->weights, 0, 0, r->l->length, r->out);
}

static void run_panel(void *context)
{
    weights_run *r = context;
    mary_weights_decode_panel(r->l->weights, 0, r->width, 0, r->l->length, r->width, r->out);
}

static void run_multiply(void *context)
{
    weights_run *r = context;
    mary_weights_multiply(r->l->weights, r->x, r->l->length, r->batch, 0, r->l->rows, r->out, r->l->rows);
}

enum { BENCH_ROWS = 64, BENCH_LENGTH = 1024, BENCH_BATCH = 8 };

static void for_every_width(kernel_harness *h, void (*run)(void *context), int batch, int64_t rows)
{
    float *x = kernel_random_floats(h, BENCH_BATCH * BENCH_LENGTH),
          *out = kernel_random_floats(h, BENCH_ROWS * BENCH_LENGTH);
    for (int bits = 1; bits <= 8; bits *= 2) {
        const mary_weights_kernels *kernels;
        for (int which = 0; (kernels = find_kernels(h->cpu, bits, which / 2)) != NULL; which++) {
            bool shared = which % 2;
            layer l = make_layer(h, kernels, BENCH_ROWS, BENCH_LENGTH, bits, 1 << bits, shared);
            weights_run r = {&l, mary_tile_kernel_for(h->cpu)->nr, batch, x, out};
            char label[64];
            int length =
                snprintf(label, sizeof label, "%s, %d bits, %s", kernels->name, bits, shared ? "shared" : "per row");
            if (batch > 0)
                snprintf(label + length, sizeof label - (size_t)length, ", batch %d", batch);
            kernel_time(h, label, (double)((rows > 0 ? rows : r.width) * BENCH_LENGTH), "weights", run, &r);
            free_layer(&l);
        }
    }
    free(x);
    free(out);
}

void kernel_bench_decode_row(kernel_harness *h)
{
    for_every_width(h, run_row, 0, 1);
}

void kernel_bench_decode_panel(kernel_harness *h)
{
    for_every_width(h, run_panel, 0, 0);
}

void kernel_bench_multiply(kernel_harness *h)
{
    for (int batch = 1; batch <= BENCH_BATCH; batch *= 2)
        for_every_width(h, run_multiply, batch, BENCH_ROWS);
}
