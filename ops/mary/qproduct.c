/* Picks the driver of an integer product. */
#include "ops/mary/qproduct.h"

#include "ops/mary/qkernels.h"

mary_status mary_qproduct_scratch(const mary_qproduct *product, size_t *bytes)
{
    if (product->depthwise != NULL)
        return mary_qdepthwise_scratch(product, bytes);
    if (mary_qgemv_is(product))
        return mary_qgemv_scratch(product, bytes);
    return mary_qtiles_scratch(product, bytes);
}

void mary_qproduct_run(const mary_qproduct *product, void *scratch)
{
    if (product->depthwise != NULL)
        mary_qdepthwise_run(product, scratch);
    else if (mary_qgemv_is(product))
        mary_qgemv_run(product, scratch);
    else
        mary_qtiles_run(product, scratch);
}

const char *mary_qproduct_kernel_name(const mary_qweights *weights, const mary_qdepthwise *depthwise)
{
    return depthwise != NULL ? mary_qdepthwise_kernel_name(depthwise) : weights != NULL ? weights->kernels->name : NULL;
}
