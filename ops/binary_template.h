/* The float loops of binary.h; included by one file for each tier, which defines MARY_BINARY_TABLE. */
#include "ops/binary.h"

MARY_BINARY_LOOP(add_loop, float, float, a + b)
MARY_BINARY_LOOP(sub_loop, float, float, a - b)
MARY_BINARY_LOOP(mul_loop, float, float, a *b)
MARY_BINARY_LOOP(div_loop, float, float, a / b)
/* NaN wins. */
MARY_BINARY_LOOP(min_loop, float, float, a < b || a != a ? a : b)
MARY_BINARY_LOOP(max_loop, float, float, a > b || a != a ? a : b)
MARY_BINARY_LOOP(prelu_loop, float, float, a < 0 ? a * b : a)

mary_broadcast_loop *const MARY_BINARY_TABLE[MARY_BINARY_COUNT] = {
#define ENTRY(name) [MARY_BINARY_##name] = name##_loop,
    MARY_BINARY_KERNELS(ENTRY)
#undef ENTRY
};
