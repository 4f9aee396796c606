/* CPUID and XCR0, folded into tiers. */
#include "ops/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[MARY_CPU_COUNT] = {"scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "neon"};

/* A set of tiers, and the sub-feature bit. */
enum { HAS_VBMI = 1 << MARY_CPU_COUNT };

#if defined(__x86_64__)
#include <cpuid.h>

enum { LEAF7_1_EAX_AVXVNNI = 1 << 4 }; /* older cpuid.h do not name it */

static unsigned long long xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

static unsigned ask_processor(void)
{
    unsigned a, b, c, d, tiers = 1u << MARY_CPU_SCALAR;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return tiers;
    const unsigned needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_POPCNT;
    if ((c & needed) != needed || (xcr0() & 0x6) != 0x6)
        return tiers;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || !(b & bit_BMI2))
        return tiers;
    tiers |= 1u << MARY_CPU_AVX2;
    unsigned sub_leaves = a, a1, b1, c1, d1;
    if (sub_leaves >= 1 && __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1) && (a1 & LEAF7_1_EAX_AVXVNNI))
        tiers |= 1u << MARY_CPU_AVXVNNI;
    const unsigned wide = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if ((b & wide) != wide || (xcr0() & 0xe6) != 0xe6)
        return tiers;
    tiers |= 1u << MARY_CPU_AVX512;
    if (c & bit_AVX512VNNI)
        tiers |= 1u << MARY_CPU_AVX512VNNI;
    if (c & bit_AVX512VBMI)
        tiers |= HAS_VBMI;
    return tiers;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static unsigned ask_processor(void)
{
    const unsigned long dot_product = 1ul << 20; /* HWCAP_ASIMDDP */
    unsigned tiers = 1u << MARY_CPU_SCALAR;
    return getauxval(AT_HWCAP) & dot_product ? tiers | 1u << MARY_CPU_NEON : tiers;
}
#else
static unsigned ask_processor(void)
{
    return 1u << MARY_CPU_SCALAR;
}
#endif

/* Asked once: in a virtual machine CPUID takes tens of microseconds. Threads that ask at once get the same answer. */
static unsigned probe(void)
{
    static _Atomic unsigned known;
    unsigned tiers = atomic_load_explicit(&known, memory_order_relaxed);
    if (tiers == 0) {
        tiers = ask_processor();
        atomic_store_explicit(&known, tiers, memory_order_relaxed);
    }
    return tiers;
}

static _Thread_local int chosen = -1; /* -1: mary_cpu_best() */

bool mary_cpu_supported(mary_cpu cpu)
{
    return probe() >> cpu & 1;
}

bool mary_cpu_has_vbmi(void)
{
    return (probe() & HAS_VBMI) != 0;
}

static int find(const char *name)
{
    int i = 0;
    while (i < MARY_CPU_COUNT && strcmp(name, names[i]) != 0)
        i++;
    return i;
}

bool mary_cpu_known(const char *name)
{
    return find(name) < MARY_CPU_COUNT;
}

mary_status mary_cpu_parse(const char *name, mary_cpu *cpu)
{
    int tier = find(name);
    if (tier == MARY_CPU_COUNT)
        return mary_fail(MARY_ERROR_USAGE, "unknown CPU tier '%s' (%s)", name, mary_cpu_names());
    if (!mary_cpu_supported((mary_cpu)tier))
        return mary_fail(MARY_ERROR_USAGE, "this processor does not have %s", name);
    *cpu = (mary_cpu)tier;
    return MARY_OK;
}

mary_cpu mary_cpu_best(void)
{
    const unsigned tiers = probe();
    int best = MARY_CPU_COUNT - 1;
    while (!(tiers >> best & 1))
        best--;
    const char *wish = getenv("MARY_CPU");
    int wished = wish != NULL ? find(wish) : MARY_CPU_COUNT;
    return wished < best && (tiers >> wished & 1) ? (mary_cpu)wished : (mary_cpu)best;
}

mary_cpu mary_cpu_base(mary_cpu cpu)
{
    switch (cpu) {
    case MARY_CPU_AVX512VNNI:
        return MARY_CPU_AVX512;
    case MARY_CPU_AVXVNNI:
        return MARY_CPU_AVX2;
    case MARY_CPU_NEON:
        return MARY_CPU_SCALAR;
    default:
        return cpu;
    }
}

const char *mary_cpu_names(void)
{
    return "scalar, avx2, avxvnni, avx512, avx512vnni or neon";
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
