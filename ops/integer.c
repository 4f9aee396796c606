#include "ops/integer.h"

#include <math.h>

mary_status mary_integer_type(const mary_op_node *node, const mary_op_call *call, int input)
{
    mary_type type = call->inputs[input]->type;
    if (type != MARY_UINT8 && type != MARY_INT8)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input %d is %s, uint8 or int8 is needed", input,
                            mary_type_name(type));
    return MARY_OK;
}

mary_status mary_integer_scalar(const mary_op_node *node, const mary_op_call *call, int index, mary_type type)
{
    if (index >= call->input_count || call->inputs[index] == NULL)
        return MARY_OK;
    if (type == MARY_UNDEFINED)
        MARY_TRY(mary_integer_type(node, call, index));
    else if (call->inputs[index]->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input %d is %s, %s is needed", index,
                            mary_type_name(call->inputs[index]->type), mary_type_name(type));
    if (mary_shape_count(&call->inputs[index]->shape) != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input %d has %lld elements, one is needed", index,
                            (long long)mary_shape_count(&call->inputs[index]->shape));
    return MARY_OK;
}

int32_t mary_integer_zero(const mary_op_call *call, int index, int64_t at)
{
    if (index >= call->input_count || call->inputs[index] == NULL)
        return 0;
    const mary_tensor *zero = call->inputs[index];
    return (int32_t)mary_tensor_int(zero, mary_shape_count(&zero->shape) == 1 ? 0 : at);
}

float mary_integer_scale(const mary_op_call *call, int index, int64_t at)
{
    const mary_tensor *scale = call->inputs[index];
    return ((const float *)scale->data)[mary_shape_count(&scale->shape) == 1 ? 0 : at];
}

void mary_integer_widen(const mary_tensor *tensor, int64_t begin, int64_t count, int32_t zero, int16_t *out)
{
    if (tensor->type == MARY_UINT8) {
        const uint8_t *values = (const uint8_t *)tensor->data + begin;
        for (int64_t i = 0; i < count; i++)
            out[i] = (int16_t)(values[i] - zero);
    } else {
        const int8_t *values = (const int8_t *)tensor->data + begin;
        for (int64_t i = 0; i < count; i++)
            out[i] = (int16_t)(values[i] - zero);
    }
}

void mary_integer_requantise(const uint32_t *sums, int64_t count, float scale, int32_t zero, mary_type type, void *out)
{
    float low = type == MARY_INT8 ? INT8_MIN : 0, high = type == MARY_INT8 ? INT8_MAX : UINT8_MAX;
    for (int64_t i = 0; i < count; i++) {
        float value = rintf((float)(int32_t)sums[i] * scale) + (float)zero;
        value = value > low ? value : low; /* NaN (a scale that is none) too */
        int32_t integer = (int32_t)(value < high ? value : high);
        ((uint8_t *)out)[i] = (uint8_t)integer; /* two's complement: the same byte for int8 */
    }
}
