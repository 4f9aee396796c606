/* weight_shape, row_length and bits: what the convolutions of ai.mary say about their packed weights. */
#ifndef MARY_OPS_MARY_WEIGHT_ATTRIBUTES_H
#define MARY_OPS_MARY_WEIGHT_ATTRIBUTES_H

#include "ops/op.h"

typedef struct mary_weight_attributes {
    mary_shape shape; /* of the float weights that the codes stand for */
    int64_t row_length;
    int bits;
} mary_weight_attributes;

/* Reads and checks them by themselves: sizes fit, bits is 1, 2, 4 or 8; rank 3 to 5. */
mary_status mary_weight_attributes_parse(const mary_op_node *node, mary_weight_attributes *attributes);

#endif
