/* Matrix products with few rows: M-ary weights that are decoded in registers, and float ones.
 *
 *   mary_bench_gemm [THREADS [ROWS]]         prints a table
 *   mary_bench_gemm --serve THREADS ROWS     reads "DEPTH COLUMNS BITS RUNS" from stdin (BITS 32: float), answers with
 *                                            the seconds of each run, one a line; an empty one ends the answer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnx/memory.h"
#include "ops/product.h"
#include "runtime/threads.h"

enum { FLOAT_BITS = 32 };

/* One layer, made once and kept: weights larger than the caches, so that every run reads them from memory. */
typedef struct layer {
    struct layer *next;
    int64_t depth, columns;
    int bits, rows;
    mary_weights *codes;
    float *panels, *x, *y;
    void *scratch;
    mary_product product;
} layer;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *claim(size_t bytes)
{
    void *memory = mary_alloc_aligned(bytes);
    if (memory == NULL) {
        fprintf(stderr, "mary_bench_gemm: out of memory\n");
        exit(1);
    }
    return memory;
}

static void demand(mary_status status)
{
    if (status != MARY_OK) {
        fprintf(stderr, "mary_bench_gemm: %s\n", mary_error_message());
        exit(1);
    }
}

static uint64_t random_bits(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 24;
}

static void random_floats(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(random_bits() & 0xffff) / 32768.0f - 1.0f;
}

static void make_codes(layer *l)
{
    int64_t bytes = (l->depth * l->bits + 7) / 8;
    uint8_t *codes = claim((size_t)(l->columns * bytes));
    float *levels = claim(sizeof(float) * (size_t)l->columns << l->bits);
    for (int64_t i = 0; i < l->columns * bytes; i++)
        codes[i] = (uint8_t)random_bits();
    random_floats(levels, (size_t)l->columns << l->bits);
    mary_tensor c = {.type = MARY_UINT8, .shape = {2, {l->columns, bytes}}, .data = codes};
    mary_tensor v = {.type = MARY_FLOAT, .shape = {2, {l->columns, 1 << l->bits}}, .data = levels};
    demand(mary_weights_create(&c, &v, l->columns, l->depth, l->bits, 1, 1.0f, &l->codes));
    mary_free(codes);
    mary_free(levels);
}

static layer *find(layer **layers, int64_t depth, int64_t columns, int bits, int rows, const mary_parallel *parallel)
{
    for (layer *l = *layers; l != NULL; l = l->next) {
        if (l->depth == depth && l->columns == columns && l->bits == bits)
            return l;
    }
    layer *l = calloc(1, sizeof *l);
    *l = (layer){.next = *layers, .depth = depth, .columns = columns, .bits = bits, .rows = rows};
    l->x = claim(sizeof(float) * (size_t)(rows * depth));
    l->y = claim(sizeof(float) * (size_t)(rows * columns));
    random_floats(l->x, (size_t)(rows * depth));
    if (bits == FLOAT_BITS) {
        size_t floats;
        mary_product_panels_size(columns, depth, mary_tile_kernel_for(mary_cpu_best())->nr, &floats);
        l->panels = claim(floats * sizeof(float));
        random_floats(l->panels, floats);
    } else {
        make_codes(l);
    }
    l->product = (mary_product){.rows = rows,
                                .columns = columns,
                                .depth = depth,
                                .a = l->x,
                                .a_row = depth,
                                .a_column = 1,
                                .panels = l->panels,
                                .codes = l->codes,
                                .out = l->y,
                                .cpu = mary_cpu_best(),
                                .parallel = parallel};
    size_t bytes;
    demand(mary_product_scratch(&l->product, &bytes));
    l->scratch = claim(bytes);
    return *layers = l;
}

static double time_once(const layer *l)
{
    double start = now();
    mary_product_run(&l->product, l->scratch);
    return now() - start;
}

static void serve(int rows, const mary_parallel *parallel)
{
    char line[128];
    layer *layers = NULL;
    while (fgets(line, sizeof line, stdin) != NULL) {
        long long depth, columns;
        int bits, runs;
        if (sscanf(line, "%lld %lld %d %d", &depth, &columns, &bits, &runs) != 4)
            break;
        const layer *l = find(&layers, depth, columns, bits, rows, parallel);
        for (int i = 0; i < runs; i++)
            printf("%.9f\n", time_once(l));
        printf("\n");
        fflush(stdout);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_table(int rows, const mary_parallel *parallel)
{
    enum { RUNS = 21, WIDTHS = 5 };
    static const int64_t shapes[][2] = {{4096, 4096}, {25088, 4096}};
    static const int widths[WIDTHS] = {1, 2, 4, 8, FLOAT_BITS};
    printf("%-22s %6s %10s %8s %8s\n", "rows x depth x columns", "bits", "ms", "GB/s", "GMAC/s");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        layer *layers = NULL;
        double times[WIDTHS][RUNS];
        for (int run = 0; run < RUNS; run++) {
            for (int w = 0; w < WIDTHS; w++)
                times[w][run] = time_once(find(&layers, shapes[s][0], shapes[s][1], widths[w], rows, parallel));
        }
        for (int w = 0; w < WIDTHS; w++) {
            qsort(times[w], RUNS, sizeof(double), ascending);
            double seconds = times[w][RUNS / 2], weights = (double)shapes[s][0] * (double)shapes[s][1];
            printf("%5d x %5d x %6d %6d %10.3f %8.1f %8.1f\n", rows, (int)shapes[s][0], (int)shapes[s][1], widths[w],
                   seconds * 1e3, weights * widths[w] / 8 / seconds * 1e-9, weights * rows / seconds * 1e-9);
        }
    }
}

int main(int argc, char **argv)
{
    bool serving = argc > 1 && strcmp(argv[1], "--serve") == 0;
    int first = serving ? 2 : 1, threads = argc > first ? atoi(argv[first]) : 1;
    int rows = argc > first + 1 ? atoi(argv[first + 1]) : 1;
    if (threads < 1 || rows < 1) {
        fprintf(stderr, "usage: mary_bench_gemm [--serve] [THREADS [ROWS]]\n");
        return 2;
    }
    mary_threads *pool = NULL;
    if (mary_threads_create(threads, &pool) != MARY_OK) {
        fprintf(stderr, "%s\n", mary_error_message());
        return 1;
    }
    const mary_parallel *parallel = mary_threads_parallel(pool);
    if (serving)
        serve(rows, parallel);
    else
        print_table(rows, parallel);
    return 0;
}
