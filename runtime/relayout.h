/* Copies between the plain and the channels-last layout. */
#ifndef MARY_RUNTIME_RELAYOUT_H
#define MARY_RUNTIME_RELAYOUT_H

#include "ops/op.h"

/* Same type and shape, different layouts. */
void mary_relayout(const mary_tensor *from, const mary_tensor *to, const mary_parallel *parallel);

#endif
