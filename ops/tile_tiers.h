/* What each tier's file provides to ops/tile.c. */
#ifndef MARY_OPS_TILE_TIERS_H
#define MARY_OPS_TILE_TIERS_H

#include "ops/tile.h"

extern const mary_tile_kernel mary_tile_kernel_scalar;
void mary_activation_apply_scalar(const mary_epilogue *epilogue, float *values, int64_t count);

#if defined(__x86_64__)
extern const mary_tile_kernel mary_tile_kernel_avx2;
extern const mary_tile_kernel mary_tile_kernel_avx512;
void mary_activation_apply_avx2(const mary_epilogue *epilogue, float *values, int64_t count);
void mary_activation_apply_avx512(const mary_epilogue *epilogue, float *values, int64_t count);
#endif

#endif
