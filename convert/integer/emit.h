/* Writing the integer graph. */
#ifndef MARY_CONVERT_INTEGER_EMIT_H
#define MARY_CONVERT_INTEGER_EMIT_H

#include "convert/integer/plan.h"

/* The stored weight of one layer, by the names of its initializers, and what its bias is made of. */
typedef struct mary_integer_layer {
    char *codes, *levels, *scale, *zero_point;
    int bits;
    float *row_scales;  /* [rows], the contents of `scale` */
    double *bias;       /* [rows]; NULL: none */
    double *correction; /* [rows], to be added to the bias; NULL: unknown */
} mary_integer_layer;

/* Rewrites `model`, whose graph has the nodes that the plan was made for, at the same positions: the one it was made
 * for or a copy. Nodes of integer layers have lost their float weights already. */
mary_status mary_integer_emit(mary_model *model, const mary_integer_plan *plan, const mary_scales *scales,
                              const mary_layers *layers, const mary_integer_layer *integers, bool corrected);

/* Drops the value_info of values that nothing makes any more. */
mary_status mary_integer_drop_stale_info(Onnx__GraphProto *graph);
/* Adds a constant to the graph; `name` is copied. */
mary_status mary_integer_add_constant(mary_model *model, const char *name, mary_type type, const mary_shape *shape,
                                      const void *data);

#endif
