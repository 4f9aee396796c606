/* Helpers that every operator's infer uses. */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>

mary_status mary_op_fail(const mary_op_node *node, mary_status status, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return mary_fail(status, "node '%s' (%s): %s", node->name, node->op->type, text);
}

mary_status mary_op_expect_inputs(const mary_op_node *node, const mary_op_call *call, int required, int most)
{
    if (call->input_count > most)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has %d inputs, at most %d are allowed", call->input_count, most);
    for (int i = 0; i < required; i++) {
        if (i >= call->input_count || call->inputs[i] == NULL)
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d is missing", i);
    }
    return MARY_OK;
}

mary_status mary_op_set_output(const mary_op_node *node, mary_op_call *call, int index, mary_type type,
                               const mary_shape *shape)
{
    if (index >= call->output_count || call->outputs[index] == NULL)
        return MARY_OK;
    mary_status status = mary_shape_check(shape, "output");
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    call->outputs[index]->type = type;
    call->outputs[index]->shape = *shape;
    return MARY_OK;
}

mary_status mary_op_infer_same(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 1, call->input_count));
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &call->inputs[0]->shape);
}

mary_status mary_op_ints(const mary_op_node *node, const mary_tensor *tensor, const char *what, int64_t *values,
                         int most, int *count)
{
    if (tensor->type == MARY_BOOL || mary_type_is_float(tensor->type) || tensor->shape.rank > 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s must be a 1-D integer tensor, it is %s of rank %d", what,
                            mary_type_name(tensor->type), tensor->shape.rank);
    int64_t length = mary_shape_count(&tensor->shape);
    if (length > most)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s has %lld values, at most %d are allowed", what,
                            (long long)length, most);
    *count = (int)length;
    if (tensor->data == NULL)
        return MARY_DEFERRED;
    for (int i = 0; i < (int)length; i++)
        values[i] = mary_tensor_int(tensor, i);
    return MARY_OK;
}
