/* Pooling for AVX2. */
#define POOL_NAME mary_pool_avx2
#include "ops/pool_template.h"
