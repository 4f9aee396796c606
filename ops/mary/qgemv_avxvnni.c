/* Integer products of few rows, avxvnni. */
#define QGEMV_KERNELS mary_qgemv_kernels_avxvnni
#define QGEMV_NAME    "int8 rows avxvnni"
#include "ops/mary/qgemv_avx2.h"
