/* Integer matrix products with few rows: u8 activations times packed codes, as MaryQLinearGemm runs them.
 *
 *   mary_bench_qgemm [THREADS [ROWS]]        prints a table
 *   mary_bench_qgemm --serve THREADS ROWS    reads "DEPTH COLUMNS BITS RUNS" from stdin, answers with the seconds of
 * each run, one a line; an empty one ends the answer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnx/memory.h"
#include "ops/mary/qproduct.h"
#include "runtime/threads.h"

/* One layer, made once and kept: with all of them, weights are larger than the caches. */
typedef struct layer {
    struct layer *next;
    int64_t depth, columns;
    int bits;
    mary_qproduct product;
    mary_qepilogue epilogue;
    mary_qweights *weights;
    void *scratch;
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
        fprintf(stderr, "mary_bench_qgemm: out of memory\n");
        exit(1);
    }
    memset(memory, 1, bytes);
    return memory;
}

static void demand(mary_status status)
{
    if (status != MARY_OK) {
        fprintf(stderr, "mary_bench_qgemm: %s\n", mary_error_message());
        exit(1);
    }
}

static uint64_t random_bits(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 24;
}

static void make_weights(layer *l)
{
    int64_t bytes = (l->depth * l->bits + 7) / 8;
    uint8_t *codes = claim((size_t)(l->columns * bytes));
    int8_t *levels = claim((size_t)l->columns << l->bits);
    for (int64_t i = 0; i < l->columns * bytes; i++)
        codes[i] = (uint8_t)random_bits();
    for (int64_t i = 0; i < l->columns << l->bits; i++)
        levels[i] = (int8_t)random_bits();
    const mary_qsource source = {.codes = codes,
                                 .levels = levels,
                                 .rows = l->columns,
                                 .row_length = l->depth,
                                 .row_bytes = bytes,
                                 .level_stride = 1 << l->bits,
                                 .bits = l->bits};
    demand(mary_qweights_create(&source, 1, 1, l->depth, 1, mary_cpu_best(), &l->weights));
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
    if (l == NULL)
        exit(1);
    *l = (layer){.next = *layers, .depth = depth, .columns = columns, .bits = bits};
    make_weights(l);
    float *multiplier = claim(sizeof(float) * (size_t)(columns + MARY_QLINEAR_SLACK));
    for (int64_t i = 0; i < columns; i++)
        multiplier[i] = 1e-4f;
    l->epilogue = (mary_qepilogue){.bias = claim(sizeof(int32_t) * (size_t)(columns + MARY_QLINEAR_SLACK)),
                                   .multiplier = multiplier,
                                   .y_zero = 128};
    l->product = (mary_qproduct){.window = {.rank = 1,
                                            .input = {1, 1, rows},
                                            .output = {1, 1, rows},
                                            .kernel = {1, 1, 1},
                                            .stride = {1, 1, 1},
                                            .dilation = {1, 1, 1},
                                            .taps = 1,
                                            .input_pixels = rows,
                                            .output_pixels = rows},
                                 .batch = 1,
                                 .groups = 1,
                                 .depth = depth,
                                 .filters = columns,
                                 .cpu = mary_cpu_best(),
                                 .weights = l->weights,
                                 .epilogue = &l->epilogue,
                                 .x = claim((size_t)(rows * depth)),
                                 .x_stride = depth,
                                 .y = claim((size_t)(rows * columns)),
                                 .y_stride = columns,
                                 .parallel = parallel};
    size_t bytes;
    demand(mary_qproduct_scratch(&l->product, &bytes));
    l->scratch = claim(bytes);
    return *layers = l;
}

static double time_once(const layer *l)
{
    double start = now();
    mary_qproduct_run(&l->product, l->scratch);
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

/* `again`: the same layer over and over, so that codes that fit stay in the cache; else all in turn. */
static void print_table(int rows, bool again, const mary_parallel *parallel)
{
    enum { RUNS = 31, WIDTHS = 4 };
    static const int64_t shapes[][2] = {{4096, 4096}, {25088, 4096}};
    static const int widths[WIDTHS] = {1, 2, 4, 8};
    printf("%-22s %6s %10s %10s %8s %8s  (%s)\n", "rows x depth x columns", "bits", "least ms", "median", "GB/s",
           "GMAC/s", again ? "one layer again and again" : "in turn");
    layer *layers = NULL;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        double times[WIDTHS][RUNS];
        for (int i = 0; i < RUNS * WIDTHS; i++) {
            int w = again ? i / RUNS : i % WIDTHS, run = again ? i % RUNS : i / WIDTHS;
            times[w][run] = time_once(find(&layers, shapes[s][0], shapes[s][1], widths[w], rows, parallel));
        }
        for (int w = 0; w < WIDTHS; w++) {
            qsort(times[w], RUNS, sizeof(double), ascending);
            double seconds = times[w][0], weights = (double)shapes[s][0] * (double)shapes[s][1];
            printf("%5d x %5d x %6d %6d %10.3f %10.3f %8.1f %8.1f\n", rows, (int)shapes[s][0], (int)shapes[s][1],
                   widths[w], seconds * 1e3, times[w][RUNS / 2] * 1e3, weights * widths[w] / 8 / seconds * 1e-9,
                   weights * rows / seconds * 1e-9);
        }
    }
}

int main(int argc, char **argv)
{
    bool serving = argc > 1 && strcmp(argv[1], "--serve") == 0;
    int first = serving ? 2 : 1, threads = argc > first ? atoi(argv[first]) : 1;
    int rows = argc > first + 1 ? atoi(argv[first + 1]) : 1;
    mary_threads *pool = NULL;
    if (threads < 1 || rows < 1) {
        fprintf(stderr, "usage: mary_bench_qgemm [--serve] [THREADS [ROWS]]\n");
        return 2;
    }
    demand(mary_threads_create(threads, &pool));
    const mary_parallel *parallel = mary_threads_parallel(pool);
    if (serving) {
        serve(rows, parallel);
    } else {
        print_table(rows, true, parallel);
        print_table(rows, false, parallel);
    }
    return 0;
}
