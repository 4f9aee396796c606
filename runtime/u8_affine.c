/* DequantizeLinear -> BatchNormalization -> (Relu) -> QuantizeLinear: one product and one sum a channel, on u8. It
 * stands where normalisation comes before a convolution (DenseNet) and cannot be folded into one. */
#include <math.h>
#include <string.h>

#include "onnx/model.h"
#include "runtime/u8.h"

/* The parameters of the normalisation as doubles; NULL: they are not constant floats of `channels` values. */
static const float *parameter(const mary_program *program, const mary_program_node *node, int input, int64_t channels)
{
    if (node->inputs[input] < 0 || !program->values[node->inputs[input]].constant)
        return NULL;
    const mary_tensor *tensor = &program->values[node->inputs[input]].tensor;
    return tensor->type == MARY_FLOAT && tensor->shape.rank == 1 && tensor->shape.dims[0] == channels ? tensor->data
                                                                                                      : NULL;
}

mary_status mary_u8_affine(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done)
{
    mary_program *program = graph->program;
    mary_quantized_value from, to;
    float x_scale, y_scale, epsilon;
    uint8_t x_zero, y_zero;
    int64_t training = 0;
    const mary_op *op = mary_op_find("ai.mary.internal", "ChannelAffine", 1);
    if (op == NULL || !mary_u8_is(node, "", "BatchNormalization") || node->input_count != 5 ||
        !mary_u8_dequantized(program, node->inputs[0], &from) || !mary_u8_quantizes(program, quantize, &to) ||
        !mary_u8_float(program, from.scale, &x_scale) || !mary_u8_float(program, to.scale, &y_scale) ||
        !mary_u8_byte(program, from.zero_point, &x_zero) || !mary_u8_byte(program, to.zero_point, &y_zero) ||
        program->values[node->inputs[1]].producer >= 0)
        return MARY_OK;
    for (int i = 1; i < node->output_count; i++) {
        if (node->outputs[i] >= 0)
            return MARY_OK;
    }
    MARY_TRY(mary_attribute_float(node->node.proto, "epsilon", 1e-5f, &epsilon));
    if (node->node.opset >= 14)
        MARY_TRY(mary_attribute_int(node->node.proto, "training_mode", 0, &training));
    const mary_tensor *x = &graph->probes[0].tensors[from.value];
    if (training != 0 || x->type != MARY_UINT8 || x->shape.rank < 2)
        return MARY_OK;
    const int64_t channels = x->shape.dims[1];
    const float *parameters[4];
    for (int i = 0; i < 4; i++) {
        parameters[i] = parameter(program, node, i + 1, channels);
        if (parameters[i] == NULL)
            return MARY_OK;
    }
    float *factor = mary_alloc_aligned((size_t)channels * sizeof *factor);
    float *shift = mary_alloc_aligned((size_t)channels * sizeof *shift);
    float *low = mary_alloc_aligned(sizeof *low);
    if (factor == NULL || shift == NULL || low == NULL) {
        mary_free(factor);
        mary_free(shift);
        mary_free(low);
        return mary_fail_memory((size_t)channels * 2 * sizeof *factor);
    }
    for (int64_t c = 0; c < channels; c++) {
        double scale = (double)parameters[0][c] / sqrt((double)parameters[3][c] + (double)epsilon);
        double offset = (double)parameters[1][c] - (double)parameters[2][c] * scale;
        factor[c] = (float)(scale * (double)x_scale / (double)y_scale);
        shift[c] = (float)((offset - scale * (double)x_scale * x_zero) / (double)y_scale + y_zero);
    }
    *low = 0; /* a Relu between was let through because y_zero is 0 */
    int inputs[4] = {from.value, -1, -1, -1};
    mary_status status = mary_u8_constant(program, MARY_FLOAT, channels, factor, &inputs[1]);
    if (status != MARY_OK) {
        mary_free(shift);
        mary_free(low);
        return status;
    }
    status = mary_u8_constant(program, MARY_FLOAT, channels, shift, &inputs[2]);
    if (status != MARY_OK) {
        mary_free(low);
        return status;
    }
    MARY_TRY(mary_u8_constant(program, MARY_FLOAT, 1, low, &inputs[3]));
    MARY_TRY(mary_u8_set_inputs(program, node, inputs, 4));
    MARY_TRY(mary_u8_become(node, op, node));
    MARY_TRY(mary_u8_label(node, op->type));
    mary_u8_take_result(program, node, quantize);
    *done = true;
    return MARY_OK;
}
