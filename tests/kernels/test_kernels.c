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
    if (!bench && accepted_broken_kernels(h.seed) > 0)
        failed++;
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
