/* Arithmetic of two floats, scalar. */
#define MARY_BINARY_TABLE mary_binary_scalar
#include "ops/binary_template.h"
