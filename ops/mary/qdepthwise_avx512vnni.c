/* Integer depthwise convolution, avx512vnni. */
#define QDEPTHWISE_KERNELS mary_qdepthwise_kernels_avx512vnni
#define QDEPTHWISE_NAME    "int8 depthwise avx512vnni"
#include "ops/mary/qdepthwise_template.h"
