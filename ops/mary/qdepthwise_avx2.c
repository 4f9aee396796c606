/* Integer depthwise convolution, avx2. */
#define QDEPTHWISE_KERNELS mary_qdepthwise_kernels_avx2
#define QDEPTHWISE_NAME    "int8 depthwise avx2"
#include "ops/mary/qdepthwise_template.h"
