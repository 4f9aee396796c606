/* ReduceMean over the pixels, the way some exporters write global average pooling. */
#include "runtime/u8.h"

/* The axes that `node` reduces, as bits; false: they are not known. */
static bool reduced_axes(const mary_program *program, const mary_program_node *node, int rank, unsigned *axes)
{
    const int64_t *values = NULL;
    size_t count = 0;
    if (node->input_count > 1 && node->inputs[1] >= 0) {
        const mary_program_value *value = &program->values[node->inputs[1]];
        if (!value->constant || value->tensor.type != MARY_INT64 || value->tensor.data == NULL)
            return false;
        values = value->tensor.data;
        count = (size_t)mary_shape_count(&value->tensor.shape);
    } else if (mary_attribute_ints(node->node.proto, "axes", &values, &count) != MARY_OK) {
        return false;
    }
    *axes = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t axis = values[i] < 0 ? values[i] + rank : values[i];
        if (axis < 0 || axis >= rank)
            return false;
        *axes |= 1u << axis;
    }
    return true;
}

mary_status mary_u8_mean(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done)
{
    mary_program *program = graph->program;
    mary_quantized_value from, to;
    unsigned axes;
    const mary_op *op = mary_op_find(MARY_INTERNAL_DOMAIN, "SpatialMean", 1);
    if (op == NULL || !mary_u8_is(node, "", "ReduceMean") || node->output_count != 1 ||
        !mary_u8_quantizes(program, quantize, &to) || !mary_u8_dequantized(program, node->inputs[0], &from))
        return MARY_OK;
    const mary_shape *x = &graph->probes[0].tensors[from.value].shape;
    if (graph->probes[0].tensors[from.value].type != MARY_UINT8 || x->rank < 3 || x->rank > 5 ||
        !reduced_axes(program, node, x->rank, &axes) || axes != (1u << x->rank) - 4)
        return MARY_OK;
    const int inputs[] = {from.value, from.scale, from.zero_point, to.scale, to.zero_point};
    MARY_TRY(mary_u8_set_inputs(program, node, inputs, 5));
    MARY_TRY(mary_u8_become(node, op, node));
    MARY_TRY(mary_u8_label(node, op->type));
    mary_u8_take_result(program, node, quantize);
    *done = true;
    return MARY_OK;
}
