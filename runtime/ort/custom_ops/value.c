/* Tensors of ONNX Runtime's as ours. */
#include "runtime/ort/custom_ops/custom_ops.h"

mary_status mary_ort_tensor(const OrtApi *api, const OrtValue *value, mary_tensor *tensor)
{
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type;
    size_t rank;
    void *data;
    mary_status status;
    *tensor = (mary_tensor){0};
    MARY_TRY_GOTO(mary_ort_take(api, api->GetTensorTypeAndShape(value, &info)), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->GetTensorElementType(info, &type)), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->GetDimensionsCount(info, &rank)), done);
    tensor->type = mary_ort_type(type);
    if (rank > MARY_MAX_RANK) {
        status =
            mary_fail(MARY_ERROR_UNSUPPORTED, "a tensor of rank %zu, at most %d are supported", rank, MARY_MAX_RANK);
        goto done;
    }
    tensor->shape.rank = (int)rank;
    MARY_TRY_GOTO(mary_ort_take(api, api->GetDimensions(info, tensor->shape.dims, rank)), done);
    MARY_TRY_GOTO(mary_shape_check(&tensor->shape, "a tensor"), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->GetTensorMutableData((OrtValue *)value, &data)), done);
    tensor->data = data;
    if (data == NULL) /* without elements */
        tensor->data = (void *)&mary_proto_allocator;
done:
    if (info != NULL)
        api->ReleaseTensorTypeAndShapeInfo(info);
    return status;
}
