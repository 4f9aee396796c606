/* OneHot: values[1] where the new axis's index is the one given, values[0] elsewhere. */
#include "ops/copy.h"

#include <string.h>

typedef struct one_hot_state {
    int64_t axis;
} one_hot_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(one_hot_state)));
    one_hot_state *state = node->state;
    return mary_attribute_int(node->proto, "axis", -1, &state->axis);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const one_hot_state *state = node->state;
    int axis;
    MARY_TRY(mary_copy_expect(node, call, 3, 3, 1));
    const mary_tensor *indices = call->inputs[0], *depth = call->inputs[1], *values = call->inputs[2];
    if (mary_type_size(depth->type) == 0 || mary_type_size(values->type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "depth is %s, values are %s", mary_type_name(depth->type),
                            mary_type_name(values->type));
    if (mary_shape_count(&depth->shape) != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "depth must be one number");
    if (values->shape.rank != 1 || values->shape.dims[0] != 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "values must be two numbers");
    mary_shape shape = {.rank = indices->shape.rank + 1};
    if (shape.rank > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the output has rank %d, the most is %d", shape.rank,
                            MARY_MAX_RANK);
    MARY_TRY(mary_copy_axis(node, state->axis, shape.rank, &axis));
    if (depth->data == NULL)
        return MARY_DEFERRED;
    double length = mary_tensor_double(depth, 0);
    if (!(length >= 1 && length <= 0x1p40))
        return mary_op_fail(node, MARY_ERROR_INVALID, "depth is %g", length);
    for (int i = 0, next = 0; i < shape.rank; i++)
        shape.dims[i] = i == axis ? (int64_t)length : indices->shape.dims[next++];
    return mary_copy_set_output(node, call, values->type, &shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const one_hot_state *state = node->state;
    const mary_tensor *indices = call->inputs[0], *values = call->inputs[2];
    mary_tensor *output = call->outputs[0];
    size_t element = mary_type_size(output->type);
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, output->shape.rank, &axis));
    mary_copy_fill(output, values->data, call->parallel);
    int64_t depth = output->shape.dims[axis], count = mary_shape_count(&indices->shape);
    int64_t inner = mary_shape_count_range(&output->shape, axis + 1, output->shape.rank);
    for (int64_t i = 0; i < count; i++) {
        double value = mary_tensor_double(indices, i); /* ONNX allows floats */
        if (!(value >= -(double)depth && value < (double)depth))
            continue; /* outside: all off */
        int64_t index = (int64_t)value + (value < 0 ? depth : 0);
        int64_t at = (i / inner * depth + index) * inner + i % inner;
        if (index < depth) /* -0.5 is index 0, counted from the end it would be behind it */
            memcpy(mary_advance(output->data, at, element), mary_advance_const(values->data, 1, element), element);
    }
    return MARY_OK;
}

const mary_op mary_ops_one_hot[] = {
    {.domain = "", .type = "OneHot", .since = 9, .flags = MARY_OP_HALF, .prepare = prepare, .infer = infer, .run = run},
    MARY_OP_END,
};
