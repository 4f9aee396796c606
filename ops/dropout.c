/* Dropout as in inference (or with ratio 0): the input, and a mask that keeps everything. */
#include "ops/copy.h"

#include <string.h>

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 1, node->opset >= 12 ? 3 : 1, 2));
    if (!mary_type_is_float(call->inputs[0]->type))
        return mary_op_fail(node, MARY_ERROR_INVALID, "input 0 is of type %s, a float type is needed",
                            mary_type_name(call->inputs[0]->type));
    if (call->input_count > 2 && call->inputs[2] != NULL) {
        const mary_tensor *training = call->inputs[2];
        if (training->type != MARY_BOOL || mary_shape_count(&training->shape) != 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "training_mode must be one bool");
        if (training->data == NULL)
            return MARY_DEFERRED;
        const mary_tensor *ratio = call->inputs[1];
        bool trains = mary_tensor_int(training, 0) != 0;
        if (trains && ratio != NULL && ratio->data == NULL)
            return MARY_DEFERRED;
        if (trains && (ratio == NULL || mary_shape_count(&ratio->shape) != 1 || mary_tensor_double(ratio, 0) != 0))
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "training_mode is true, only inference is supported");
    }
    const mary_tensor *input = call->inputs[0];
    MARY_TRY(mary_op_set_output(node, call, 0, input->type, &input->shape));
    /* The mask was of the data's type before opset 10. */
    return mary_op_set_output(node, call, 1, node->opset >= 10 ? MARY_BOOL : input->type, &input->shape);
}

static void fill_ones(mary_tensor *mask)
{
    int64_t count = (int64_t)(mary_tensor_bytes(mask) / mary_type_size(mask->type));
    for (int64_t i = 0; i < count; i++) {
        switch (mask->type) {
        case MARY_BOOL:
            ((uint8_t *)mask->data)[i] = 1;
            break;
        case MARY_FLOAT:
            ((float *)mask->data)[i] = 1;
            break;
        case MARY_DOUBLE:
            ((double *)mask->data)[i] = 1;
            break;
        case MARY_FLOAT16:
            ((uint16_t *)mask->data)[i] = 0x3c00;
            break;
        default: /* bfloat16 */
            ((uint16_t *)mask->data)[i] = 0x3f80;
            break;
        }
    }
}

static mary_status prepare(mary_op_node *node)
{
    int64_t is_test = 1;
    if (node->opset < 7)
        MARY_TRY(mary_attribute_int(node->proto, "is_test", 0, &is_test));
    if (is_test == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "is_test is 0, only inference is supported");
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    mary_tensor *output = call->outputs[0];
    if (output->data != call->inputs[0]->data) {
        mary_copy copy = {0};
        int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
        mary_tensor_strides(call->inputs[0], from);
        mary_tensor_strides(output, to);
        for (int i = 0; i < output->shape.rank; i++)
            mary_copy_add(&copy, output->shape.dims[i], from[i], to[i]);
        mary_copy_run(&copy, mary_type_size(output->type), call->inputs[0]->data, output->data, call->parallel);
    }
    if (call->output_count > 1 && call->outputs[1] != NULL)
        fill_ones(call->outputs[1]);
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    (void)node;
    float *to = mary_gradient_of(call, 0);
    if (to != NULL)
        mary_gradient_add(to, call->output_gradients[0]->data, mary_shape_count(&call->forward->inputs[0]->shape), 1.0f,
                          call->accumulate[0]);
    return MARY_OK;
}

static const mary_op_gradient gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .backward = backward};

/* Not a view: views skip run, and the mask would stay unwritten. */
const mary_op mary_ops_dropout[] = {
    {.domain = "",
     .type = "Dropout",
     .since = 1,
     .flags = MARY_OP_IN_PLACE | MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last,
     .gradient = &gradient},
    MARY_OP_END,
};
