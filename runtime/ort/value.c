/* Tensors of ONNX Runtime's as ours. */
#include "runtime/ort/ort.h"

mary_status mary_ort_tensor(const OrtApi *api, const OrtValue *value, const char *name, mary_tensor *tensor)
{
    static char nothing; /* tensors without elements have an address all the same */
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
    if (tensor->type == MARY_UNDEFINED || rank > MARY_MAX_RANK) {
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "tensor '%s' has a type or rank that mary does not have", name);
        goto done;
    }
    tensor->shape.rank = (int)rank;
    MARY_TRY_GOTO(mary_ort_take(api, api->GetDimensions(info, tensor->shape.dims, rank)), done);
    MARY_TRY_GOTO(mary_shape_check(&tensor->shape, name), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->GetTensorMutableData((OrtValue *)value, &data)), done);
    tensor->data = data != NULL ? data : &nothing;
done:
    if (info != NULL)
        api->ReleaseTensorTypeAndShapeInfo(info);
    return status;
}
