/* Element-wise functions of floats, avx2. */
#define MARY_UNARY_TABLE mary_unary_avx2
#include "ops/unary_template.h"
