/* Pooling for any processor. */
#define POOL_NAME mary_pool_scalar
#include "ops/pool_template.h"
