/* Kernels on u8 activations, scalar: the reference of the others. */
#include <stdint.h>

static void look_up(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = table[x[i]];
}

#define QLINEAR_KERNELS mary_qlinear_kernels_scalar
#define QLINEAR_NAME    "scalar"
#define QLINEAR_TABLE   look_up
#include "ops/qlinear_template.h"
