/* Integer products of few pixels: every code is used so rarely that it is decoded where it is used. */
#include "ops/mary/qproduct.h"

bool mary_qgemv_is(const mary_qproduct *product)
{
    (void)product;
    return false; /* the tile kernels serve them */
}

mary_status mary_qgemv_scratch(const mary_qproduct *product, size_t *bytes)
{
    return mary_qtiles_scratch(product, bytes);
}

void mary_qgemv_run(const mary_qproduct *product, void *scratch)
{
    mary_qtiles_run(product, scratch);
}
