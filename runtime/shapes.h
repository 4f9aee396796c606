/* Types and shapes of all values of a program for one set of input shapes, and the values that follow from them alone.
 */
#ifndef MARY_RUNTIME_SHAPES_H
#define MARY_RUNTIME_SHAPES_H

#include "runtime/program.h"

typedef struct mary_shapes {
    mary_tensor
        *tensors; /* one per program value; type MARY_UNDEFINED: depends on data; data != NULL: value is known */
    void **owned; /* one per program value: memory of values that were computed here */
    bool *known;  /* one per program node: all its outputs are known, it need not run */
    size_t value_count;
} mary_shapes;

/* `inputs`: one tensor per program input, type and shape (data is not looked at). `lenient`: a node that refuses leaves
 * its outputs unknown instead of failing the whole. */
mary_status mary_shapes_infer(const mary_program *program, const mary_tensor *inputs, bool lenient,
                              const mary_parallel *parallel, mary_shapes *shapes);
void mary_shapes_free(mary_shapes *shapes);

/* Type and shape that a graph input or output declares. Symbolic and absent dims are -1; no shape at all is rank -1.
 * Sequences, maps and the like are MARY_ERROR_UNSUPPORTED. */
mary_status mary_port_describe(const Onnx__ValueInfoProto *info, mary_type *type, mary_shape *shape);

/* Input shapes for trying things out before the user's are known: fixed dims as declared, symbols replaced. The two
 * probes, 0 and 1, give every symbol different values, so a dimension that differs between them depends on a symbol,
 * and two dimensions that agree in both are the same. false: some input has no rank. */
bool mary_shapes_probe(const mary_program *program, int probe, mary_tensor *inputs);

#endif
