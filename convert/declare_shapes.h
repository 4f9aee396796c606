/* Types and shapes of what a conversion made: other tools cannot infer through operators that they do not know. */
#ifndef MARY_CONVERT_DECLARE_SHAPES_H
#define MARY_CONVERT_DECLARE_SHAPES_H

#include "onnx/model.h"

/* Which tensors a graph computed, and how: a fingerprint of operator, inputs and name for each, ascending. Starts
 * zeroed. */
typedef struct mary_producers {
    uint64_t *prints;
    size_t count;
} mary_producers;

/* `graph` is not needed after the call. */
mary_status mary_producers_take(const Onnx__GraphProto *graph, mary_producers *producers);
void mary_producers_free(mary_producers *producers);

/* Adds to value_info what can be inferred of every tensor that `before` does not have: a new one, or one that another
 * node makes, or the same node from other inputs. Entries for tensors that are gone are removed. What the model
 * declared itself stays. A model that cannot be inferred is none the worse for it: MARY_OK. */
mary_status mary_declare_shapes(mary_model *model, const mary_producers *before);

#endif
