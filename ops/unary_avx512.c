/* Element-wise functions of floats, avx512. */
#define MARY_UNARY_TABLE mary_unary_avx512
#include "ops/unary_template.h"
