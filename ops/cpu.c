/* CPUID and XCR0, folded into tiers. */
#include "ops/cpu.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[MARY_CPU_COUNT] = {"scalar", "avx2", "avx512"};

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

static mary_cpu probe(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return MARY_CPU_SCALAR;
    const unsigned needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_POPCNT;
    if ((c & needed) != needed || (xcr0() & 0x6) != 0x6)
        return MARY_CPU_SCALAR;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || !(b & bit_BMI2))
        return MARY_CPU_SCALAR;
    const unsigned wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & wide) != wide || (xcr0() & 0xe6) != 0xe6)
        return MARY_CPU_AVX2;
    return MARY_CPU_AVX512;
}
#else
static mary_cpu probe(void)
{
    return MARY_CPU_SCALAR;
}
#endif

static _Thread_local int chosen = -1; /* -1: mary_cpu_best() */

mary_status mary_cpu_parse(const char *name, mary_cpu *cpu)
{
    for (int i = 0; i < MARY_CPU_COUNT; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        if ((mary_cpu)i > probe())
            return mary_fail(MARY_ERROR_USAGE, "this processor does not have %s", name);
        *cpu = (mary_cpu)i;
        return MARY_OK;
    }
    return mary_fail(MARY_ERROR_USAGE, "unknown CPU tier '%s' (scalar, avx2 or avx512)", name);
}

mary_cpu mary_cpu_best(void)
{
    mary_cpu best = probe();
    const char *wish = getenv("MARY_CPU");
    if (wish != NULL) {
        for (int i = 0; i < MARY_CPU_COUNT; i++) {
            if (strcmp(wish, names[i]) == 0 && (mary_cpu)i < best)
                return (mary_cpu)i;
        }
    }
    return best;
}

const char *mary_cpu_name(mary_cpu cpu)
{
    return names[cpu];
}
void mary_cpu_set(mary_cpu cpu)
{
    chosen = (int)cpu;
}
mary_cpu mary_cpu_current(void)
{
    return chosen >= 0 ? (mary_cpu)chosen : mary_cpu_best();
}
