/* What this processor can do, folded into the tiers that have kernels. */
#ifndef MARY_OPS_CPU_H
#define MARY_OPS_CPU_H

#include "onnx/status.h"

typedef enum mary_cpu {
    MARY_CPU_SCALAR = 0,
    MARY_CPU_AVX2,   /* AVX2 + FMA + F16C, registers saved by the OS */
    MARY_CPU_AVX512, /* F, BW, DQ, VL */
    MARY_CPU_COUNT
} mary_cpu;

/* Best tier of this machine (CPUID and XCR0), lowered by $MARY_CPU or mary_cpu_set. */
mary_cpu mary_cpu_best(void);
/* "scalar", "avx2", "avx512"; a name that is unknown or above the machine is MARY_ERROR_USAGE. */
mary_status mary_cpu_parse(const char *name, mary_cpu *cpu);
const char *mary_cpu_name(mary_cpu cpu);
/* The tier that kernels chosen from now on by this thread use: the runtime sets it around load. Thread-local. */
void mary_cpu_set(mary_cpu cpu);
mary_cpu mary_cpu_current(void);

#endif
