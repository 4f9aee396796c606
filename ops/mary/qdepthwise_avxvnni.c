/* Integer depthwise convolution, avxvnni. */
#define QDEPTHWISE_KERNELS mary_qdepthwise_kernels_avxvnni
#define QDEPTHWISE_NAME    "int8 depthwise avxvnni"
#include "ops/mary/qdepthwise_template.h"
