/* Integer products of few rows, avx2. */
#define QGEMV_KERNELS mary_qgemv_kernels_avx2
#define QGEMV_NAME    "int8 rows avx2"
#include "ops/mary/qgemv_avx2.h"
