/* Arithmetic of two floats, avx2. */
#define MARY_BINARY_TABLE mary_binary_avx2
#include "ops/binary_template.h"
