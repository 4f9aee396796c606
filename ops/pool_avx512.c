/* Pooling for AVX-512. */
#define POOL_NAME mary_pool_avx512
#include "ops/pool_template.h"
