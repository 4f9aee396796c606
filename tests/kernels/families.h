/* The families of kernels. A new one is a line here and two functions in a file of this directory. */
#ifndef MARY_TESTS_KERNELS_FAMILIES_H
#define MARY_TESTS_KERNELS_FAMILIES_H

#include "ops/mary/qkernels.h"
#include "ops/tile.h"
#include "tests/kernels/harness.h"

#define KERNEL_FAMILIES(X)                                                                                             \
    X(tile)                                                                                                            \
    X(activation)                                                                                                      \
    X(decode_row)                                                                                                      \
    X(decode_panel)                                                                                                    \
    X(multiply)                                                                                                        \
    X(unary)                                                                                                           \
    X(binary)                                                                                                          \
    X(depthwise)                                                                                                       \
    X(pool)                                                                                                            \
    X(qlinear_pair)                                                                                                    \
    X(qlinear_channels)                                                                                                \
    X(qlinear_table)                                                                                                   \
    X(qlinear_pool)                                                                                                    \
    X(quantise)                                                                                                        \
    X(qgemv)                                                                                                           \
    X(qdepthwise)                                                                                                      \
    X(qtile)                                                                                                           \
    X(qdecode)

#define KERNEL_DECLARE(name)                                                                                           \
    void kernel_check_##name(kernel_harness *h);                                                                       \
    void kernel_bench_##name(kernel_harness *h);
KERNEL_FAMILIES(KERNEL_DECLARE)
#undef KERNEL_DECLARE

/* The check of the tile family for any kernel: broken ones are tried, too. */
void kernel_check_tile_of(kernel_harness *h, const mary_tile_kernel *kernel);
void kernel_check_qtile_of(kernel_harness *h, const mary_qkernels *kernels);

#endif
