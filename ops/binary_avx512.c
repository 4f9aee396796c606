/* Arithmetic of two floats, avx512. */
#define MARY_BINARY_TABLE mary_binary_avx512
#include "ops/binary_template.h"
