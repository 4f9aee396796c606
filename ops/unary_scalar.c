/* Element-wise functions of floats, scalar. */
#define MARY_UNARY_TABLE mary_unary_scalar
#include "ops/unary_template.h"
