/* Every kernel of every CPU tier of this machine against the reference; then kernels that are broken on purpose, which
 * the harness must reject.
 *
 *   kernels_test_kernels [--seed N] [--family NAME] [--cpu NAME] [--bench]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/kernels/families.h"

typedef struct family {
    const char *name;
    void (*check)(kernel_harness *h);
    void (*bench)(kernel_harness *h);
} family;

#define LIST(name) {#name, kernel_check_##name, kernel_bench_##name},
static const family families[] = {KERNEL_FAMILIES(LIST)};
#undef LIST
enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

/* ---- kernels that are wrong, each in one way ---- */

static const mary_tile_kernel *sound(void)
{
    return mary_tile_kernel_for(MARY_CPU_SCALAR);
}

static void slightly_wrong(const mary_tile_call *call)
{
    sound()->run(call);
    float *last = &call->out[(call->m - 1) * call->out_stride + call->n - 1];
    if (call->m == sound()->mr)
        *last += 1e-3f * (1 + fabsf(*last));
}

static void not_a_number(const mary_tile_call *call)
{
    sound()->run(call);
    if (call->depth == 0)
        call->out[0] = NAN;
}

static void writes_behind(const mary_tile_call *call)
{
    sound()->run(call);
    if (call->n == 1)
        call->out[(call->m - 1) * call->out_stride + call->n] = 0;
}

static void writes_in_front(const mary_tile_call *call)
{
    sound()->run(call);
    if (call->m == 2)
        call->out[-1] = 0;
}

static void writes_nothing(const mary_tile_call *call)
{
    (void)call;
}

static void forgets_the_residual(const mary_tile_call *call)
{
    mary_tile_call without = *call;
    without.residual = NULL;
    sound()->run(&without);
}

static const struct {
    const char *name;
    void (*run)(const mary_tile_call *call);
} broken[] = {
    {"slightly wrong in one element", slightly_wrong},
    {"not a number", not_a_number},
    {"writes behind the output", writes_behind},
    {"writes in front of the output", writes_in_front},
    {"writes nothing", writes_nothing},
    {"forgets the residual", forgets_the_residual},
};

/* ---- the same for integers ---- */

static void saturates_pairs(const mary_qtile_call *call)
{
    for (int i = 0; i < call->m; i++) {
        for (int j = 0; j < call->n; j++) {
            const int8_t *w = call->panel + j * MARY_Q_QUAD;
            int32_t sum = call->epilogue->bias[call->row + j];
            for (int64_t at = 0; at < call->runs * call->run_quads * MARY_Q_QUAD; at += 2) {
                int64_t run = at / (call->run_quads * MARY_Q_QUAD), k = at % (call->run_quads * MARY_Q_QUAD);
                const uint8_t *x = call->rows[run * call->rows_stride + i] + k;
                int32_t pair = x[0] * w[at % MARY_Q_QUAD] + x[1] * w[at % MARY_Q_QUAD + 1];
                sum += pair > INT16_MAX ? INT16_MAX : pair < INT16_MIN ? INT16_MIN : pair;
                if (at % MARY_Q_QUAD != 0)
                    w += (ptrdiff_t)call->strips * MARY_Q_STRIP * MARY_Q_QUAD;
            }
            uint8_t residual = call->epilogue->has_residual ? call->residual[i * call->residual_stride + j] : 0;
            call->out[i * call->out_stride + j] =
                mary_qepilogue_requantise(call->epilogue, call->row + j, sum, residual);
        }
    }
}

static void one_too_much(const mary_qtile_call *call)
{
    mary_qkernels_scalar.tile(call);
    if (call->m == 4 && call->out[0] < 255)
        call->out[0]++;
}

static void believes_in_bounds(const mary_qtile_call *call)
{
    for (int i = 0; i < call->m; i++) {
        for (int j = 0; j < call->n; j++)
            call->out[i * call->out_stride + j] = 0;
    }
    if (call->epilogue->bounded)
        mary_qkernels_scalar.tile(call);
}

static void writes_a_whole_strip(const mary_qtile_call *call)
{
    mary_qkernels_scalar.tile(call);
    memset(call->out + (call->m - 1) * call->out_stride + call->n, 0, (size_t)(16 * call->strips - call->n));
}

static const struct {
    const char *name;
    void (*run)(const mary_qtile_call *call);
} broken_integers[] = {
    {"saturates pairs at 16 bits", saturates_pairs},
    {"one too much in one byte", one_too_much},
    {"wrong where products are large", believes_in_bounds},
    {"writes a whole strip", writes_a_whole_strip},
};

static int accepted_broken_integers(uint32_t seed)
{
    int accepted = 0;
    for (size_t i = 0; i < sizeof broken_integers / sizeof broken_integers[0]; i++) {
        kernel_harness h = {.seed = seed, .quiet = true};
        mary_qkernels kernels = mary_qkernels_scalar;
        kernels.name = broken_integers[i].name;
        kernels.tile = broken_integers[i].run;
        kernel_start(&h, "broken", MARY_CPU_SCALAR);
        kernel_check_qtile_of(&h, &kernels);
        printf("broken: %-32s %s\n", broken_integers[i].name, h.failures > 0 ? "rejected" : "ACCEPTED");
        accepted += h.failures == 0;
    }
    return accepted;
}

static int accepted_broken_kernels(uint32_t seed)
{
    int accepted = 0;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        kernel_harness h = {.seed = seed, .quiet = true};
        mary_tile_kernel kernel = *sound();
        kernel.name = broken[i].name;
        kernel.run = broken[i].run;
        kernel_start(&h, "broken", MARY_CPU_SCALAR);
        kernel_check_tile_of(&h, &kernel);
        printf("broken: %-32s %s\n", broken[i].name, h.failures > 0 ? "rejected" : "ACCEPTED");
        accepted += h.failures == 0;
    }
    return accepted;
}

static int usage(void)
{
    fprintf(stderr, "usage: kernels_test_kernels [--seed N] [--family NAME] [--cpu NAME] [--bench]\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *only = NULL, *tier = NULL;
    bool bench = false;
    kernel_harness h = {.seed = (uint32_t)time(NULL)};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            h.seed = (uint32_t)strtoul(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--family") == 0)
            only = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--cpu") == 0)
            tier = argv[++i];
        else
            return usage();
    }
    printf("seed %u\n", h.seed);
    long failed = 0;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (only != NULL && strcmp(only, families[f].name) != 0)
            continue;
        for (int cpu = 0; cpu <= (int)mary_cpu_best(); cpu++) {
            if (!mary_cpu_supported((mary_cpu)cpu))
                continue;
            if (tier != NULL && strcmp(tier, mary_cpu_name((mary_cpu)cpu)) != 0)
                continue;
            kernel_start(&h, families[f].name, (mary_cpu)cpu);
            h.checks = h.failures = 0;
            if (bench) {
                families[f].bench(&h);
                continue;
            }
            families[f].check(&h);
            printf("%-14s %-10s %6ld checks, %ld failed\n", families[f].name, mary_cpu_name((mary_cpu)cpu), h.checks,
                   h.failures);
            failed += h.failures;
        }
    }
    if (!bench && accepted_broken_kernels(h.seed) + accepted_broken_integers(h.seed) > 0)
        failed++;
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
