/* Tiers: names, what this machine has, $MARY_CPU, and which float kernels belong to which tier. */
#include "ops/cpu.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"

START_TEST(every_tier_has_a_name_that_is_understood)
{
    for (int cpu = 0; cpu < MARY_CPU_COUNT; cpu++) {
        const char *name = mary_cpu_name((mary_cpu)cpu);
        mary_cpu parsed = MARY_CPU_COUNT;
        ck_assert(mary_cpu_known(name));
        ck_assert_msg(strstr(mary_cpu_names(), name) != NULL, "%s is not listed", name);
        if (mary_cpu_supported((mary_cpu)cpu)) {
            assert_ok(mary_cpu_parse(name, &parsed));
            ck_assert_int_eq((int)parsed, cpu);
        } else {
            assert_fails(mary_cpu_parse(name, &parsed), MARY_ERROR_USAGE, "this processor does not have");
        }
    }
    mary_cpu parsed;
    assert_fails(mary_cpu_parse("mmx", &parsed), MARY_ERROR_USAGE, "unknown CPU tier 'mmx'");
    ck_assert(!mary_cpu_known("mmx"));
}
END_TEST

START_TEST(the_environment_lowers_the_tier)
{
    unsetenv("MARY_CPU");
    mary_cpu best = mary_cpu_best();
    ck_assert(mary_cpu_supported(best));
    for (int cpu = 0; cpu < MARY_CPU_COUNT; cpu++) {
        ck_assert(setenv("MARY_CPU", mary_cpu_name((mary_cpu)cpu), 1) == 0);
        bool possible = cpu <= (int)best && mary_cpu_supported((mary_cpu)cpu);
        ck_assert_int_eq((int)mary_cpu_best(), possible ? cpu : (int)best);
    }
    ck_assert(setenv("MARY_CPU", "mmx", 1) == 0);
    ck_assert_int_eq((int)mary_cpu_best(), (int)best);
    unsetenv("MARY_CPU");
}
END_TEST

START_TEST(a_tier_set_for_the_thread_wins)
{
    mary_cpu_set(MARY_CPU_SCALAR);
    ck_assert_int_eq((int)mary_cpu_current(), MARY_CPU_SCALAR);
    mary_cpu_set(mary_cpu_best());
    ck_assert_int_eq((int)mary_cpu_current(), (int)mary_cpu_best());
}
END_TEST

/* A tier's float kernels must run wherever the tier does. */
START_TEST(float_kernels_need_nothing_that_the_tier_lacks)
{
    for (int cpu = 0; cpu < MARY_CPU_COUNT; cpu++) {
        mary_cpu base = mary_cpu_base((mary_cpu)cpu);
        ck_assert(base == MARY_CPU_SCALAR || base == MARY_CPU_AVX2 || base == MARY_CPU_AVX512);
        ck_assert_int_eq((int)mary_cpu_base(base), (int)base);
        ck_assert(!mary_cpu_supported((mary_cpu)cpu) || mary_cpu_supported(base));
    }
    ck_assert_int_eq((int)mary_cpu_base(MARY_CPU_AVX512VNNI), MARY_CPU_AVX512);
    ck_assert_int_eq((int)mary_cpu_base(MARY_CPU_AVXVNNI), MARY_CPU_AVX2);
}
END_TEST

MARY_TEST_MAIN("ops/cpu", every_tier_has_a_name_that_is_understood, the_environment_lowers_the_tier,
               a_tier_set_for_the_thread_wins, float_kernels_need_nothing_that_the_tier_lacks)
