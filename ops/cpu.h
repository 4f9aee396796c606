/* What this processor can do, folded into the tiers that have kernels. */
#ifndef MARY_OPS_CPU_H
#define MARY_OPS_CPU_H

#include "onnx/status.h"

/* In rising order, but not a chain: a processor may lack a tier below its best one (AVX-VNNI and AVX-512 came to
 * different families). Ask mary_cpu_supported; switch over mary_cpu_base where only float kernels differ. */
typedef enum mary_cpu {
    MARY_CPU_SCALAR = 0,
    MARY_CPU_AVX2,       /* AVX2 + FMA + F16C, registers saved by the OS */
    MARY_CPU_AVXVNNI,    /* AVX2 and the VEX-encoded VNNI */
    MARY_CPU_AVX512,     /* F, BW, DQ, VL */
    MARY_CPU_AVX512VNNI, /* and VNNI */
    MARY_CPU_NEON,       /* aarch64 with the dot product instructions */
    MARY_CPU_COUNT
} mary_cpu;

/* Best tier of this machine (CPUID and XCR0), lowered by $MARY_CPU or mary_cpu_set. */
mary_cpu mary_cpu_best(void);
/* Does this machine have the tier, whatever $MARY_CPU says? */
bool mary_cpu_supported(mary_cpu cpu);
/* The tier whose float kernels a tier uses: scalar, avx2 or avx512. */
mary_cpu mary_cpu_base(mary_cpu cpu);
/* Instructions that some processors of the avx512vnni tier have besides it. */
bool mary_cpu_has_vbmi(void);
/* A name as mary_cpu_names lists it; one that is unknown or that this machine lacks is MARY_ERROR_USAGE. */
mary_status mary_cpu_parse(const char *name, mary_cpu *cpu);
bool mary_cpu_known(const char *name);
/* "scalar, avx2, ... or neon", for messages. */
const char *mary_cpu_names(void);
const char *mary_cpu_name(mary_cpu cpu);
/* The tier that kernels chosen from now on by this thread use: the runtime sets it around load. Thread-local. */
void mary_cpu_set(mary_cpu cpu);
mary_cpu mary_cpu_current(void);

#endif
