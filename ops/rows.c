/* Choosing the row kernels. */
#include "ops/rows.h"

#include "ops/cpu.h"

const mary_rows *mary_rows_current(void)
{
#if defined(__x86_64__)
    switch (mary_cpu_base(mary_cpu_current())) {
    case MARY_CPU_AVX512:
        return &mary_rows_avx512;
    case MARY_CPU_AVX2:
        return &mary_rows_avx2;
    default:
        break;
    }
#endif
    return &mary_rows_scalar;
}

float mary_fold_start(mary_fold fold)
{
    return fold == MARY_FOLD_MAX    ? -__builtin_inff()
           : fold == MARY_FOLD_MIN  ? __builtin_inff()
           : fold == MARY_FOLD_PROD ? 1.0f
                                    : 0.0f;
}
