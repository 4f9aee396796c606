/* Picks the micro-kernel and the activation loop of a CPU tier. */
#include "ops/tile_tiers.h"

const mary_tile_kernel *mary_tile_kernel_for(mary_cpu cpu)
{
    switch (mary_cpu_base(cpu)) {
#if defined(__x86_64__)
    case MARY_CPU_AVX512:
        return &mary_tile_kernel_avx512;
    case MARY_CPU_AVX2:
        return &mary_tile_kernel_avx2;
#endif
    default:
        return &mary_tile_kernel_scalar;
    }
}

void mary_activation_apply(const mary_epilogue *epilogue, float *values, int64_t count, mary_cpu cpu)
{
    switch (mary_cpu_base(cpu)) {
#if defined(__x86_64__)
    case MARY_CPU_AVX512:
        mary_activation_apply_avx512(epilogue, values, count);
        return;
    case MARY_CPU_AVX2:
        mary_activation_apply_avx2(epilogue, values, count);
        return;
#endif
    default:
        mary_activation_apply_scalar(epilogue, values, count);
    }
}
