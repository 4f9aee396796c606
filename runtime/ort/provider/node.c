/* ONNX Runtime's nodes and values in our terms. */
#include "runtime/ort/provider/provider.h"

#include <string.h>

#include "onnx/edit.h"

/* ---- values ---- */

static mary_status describe_tensor(const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, mary_ort_value *value)
{
    ONNXTensorElementDataType type;
    size_t rank;
    MARY_TRY(mary_ort_take(api, api->GetTensorElementType(info, &type)));
    MARY_TRY(mary_ort_take(api, api->GetDimensionsCount(info, &rank)));
    value->type = rank <= MARY_MAX_RANK ? mary_ort_type(type) : MARY_UNDEFINED;
    if (rank == 0 || rank > MARY_MAX_RANK)
        return MARY_OK;
    value->rank = (int)rank;
    MARY_TRY(mary_ort_take(api, api->GetDimensions(info, value->dims, rank)));
    return mary_ort_take(api, api->GetSymbolicDimensions(info, value->symbols, rank));
}

mary_status mary_ort_describe(const OrtApi *api, const OrtValueInfo *info, mary_ort_value *value)
{
    const OrtTypeInfo *type_info = NULL;
    const OrtTensorTypeAndShapeInfo *tensor_info = NULL;
    enum ONNXType kind;
    *value = (mary_ort_value){.name = "", .rank = -1};
    if (info == NULL)
        return MARY_OK;
    MARY_TRY(mary_ort_take(api, api->GetValueInfoName(info, &value->name)));
    MARY_TRY(mary_ort_take(api, api->GetValueInfoTypeInfo(info, &type_info)));
    if (type_info == NULL)
        return MARY_OK;
    MARY_TRY(mary_ort_take(api, api->GetOnnxTypeFromTypeInfo(type_info, &kind)));
    if (kind != ONNX_TYPE_TENSOR)
        return MARY_OK;
    MARY_TRY(mary_ort_take(api, api->CastTypeInfoToTensorInfo(type_info, &tensor_info)));
    return tensor_info == NULL ? MARY_OK : describe_tensor(api, tensor_info, value);
}

/* ---- nodes ---- */

mary_status mary_ort_node_inputs(const OrtApi *api, const OrtNode *node, const OrtValueInfo ***infos, size_t *count)
{
    *infos = NULL;
    return MARY_ORT_LIST(api, Node_GetNumInputs, Node_GetInputs, node, infos, count);
}

mary_status mary_ort_node_outputs(const OrtApi *api, const OrtNode *node, const OrtValueInfo ***infos, size_t *count)
{
    *infos = NULL;
    return MARY_ORT_LIST(api, Node_GetNumOutputs, Node_GetOutputs, node, infos, count);
}

static mary_status names_of(const OrtApi *api, const OrtValueInfo *const *infos, size_t count, const char ***names)
{
    *names = mary_calloc(count, sizeof **names);
    if (*names == NULL)
        return mary_fail_memory(count * sizeof **names);
    for (size_t i = 0; i < count; i++) {
        (*names)[i] = "";
        if (infos[i] != NULL)
            MARY_TRY(mary_ort_take(api, api->GetValueInfoName(infos[i], &(*names)[i])));
    }
    return MARY_OK;
}

/* ---- attributes ---- */

/* The bytes of an attribute that is no tensor or graph, with a NUL behind them; mary_free. ONNX Runtime tells the size
 * by failing. */
static mary_status read_attribute(const OrtApi *api, const OrtOpAttr *attribute, OrtOpAttrType type, char **bytes,
                                  size_t *size)
{
    char none;
    *bytes = NULL;
    *size = 0;
    OrtStatus *failure = api->ReadOpAttr(attribute, type, &none, 0, size);
    if (failure != NULL && *size == 0)
        return mary_ort_take(api, failure);
    if (failure != NULL)
        api->ReleaseStatus(failure);
    *bytes = mary_calloc(*size + 1, 1);
    if (*bytes == NULL)
        return mary_fail_memory(*size + 1);
    if (failure == NULL)
        return MARY_OK; /* an empty list */
    return mary_ort_take(api, api->ReadOpAttr(attribute, type, *bytes, *size, size));
}

static mary_status add_tensor(const OrtApi *api, const OrtOpAttr *attribute, const char *name, Onnx__NodeProto *message)
{
    OrtValue *value = NULL;
    mary_tensor tensor;
    Onnx__TensorProto *encoded = NULL;
    MARY_TRY(mary_ort_take(api, api->OpAttr_GetTensorAttributeAsOrtValue(attribute, &value)));
    mary_status status = mary_ort_tensor(api, value, name, &tensor);
    if (status == MARY_OK)
        status = mary_constant_encode(&tensor, "", &encoded);
    api->ReleaseValue(value);
    if (status == MARY_OK)
        status = mary_node_set_tensor(message, name, encoded);
    if (status != MARY_OK && encoded != NULL)
        onnx__tensor_proto__free_unpacked(encoded, &mary_proto_allocator);
    return status;
}

static mary_status add_plain(const OrtApi *api, const OrtOpAttr *attribute, OrtOpAttrType type, const char *name,
                             Onnx__NodeProto *message)
{
    char *bytes = NULL;
    size_t size;
    mary_status status = read_attribute(api, attribute, type, &bytes, &size);
    const void *values = bytes; /* allocated: aligned for all of them */
    if (status == MARY_OK && type == ORT_OP_ATTR_INT)
        status = mary_node_set_int(message, name, *(const int64_t *)values);
    else if (status == MARY_OK && type == ORT_OP_ATTR_FLOAT)
        status = mary_node_set_float(message, name, *(const float *)values);
    else if (status == MARY_OK && type == ORT_OP_ATTR_INTS)
        status = mary_node_set_ints(message, name, values, size / sizeof(int64_t));
    else if (status == MARY_OK && type == ORT_OP_ATTR_FLOATS)
        status = mary_node_set_floats(message, name, values, size / sizeof(float));
    else if (status == MARY_OK)
        status = mary_node_set_string(message, name, values);
    mary_free(bytes);
    return status;
}

static mary_status add_attribute(const OrtApi *api, const OrtOpAttr *attribute, Onnx__NodeProto *message)
{
    OrtOpAttrType type;
    const char *name;
    MARY_TRY(mary_ort_take(api, api->OpAttr_GetName(attribute, &name)));
    MARY_TRY(mary_ort_take(api, api->OpAttr_GetType(attribute, &type)));
    switch (type) {
    case ORT_OP_ATTR_INT:
    case ORT_OP_ATTR_INTS:
    case ORT_OP_ATTR_FLOAT:
    case ORT_OP_ATTR_FLOATS:
    case ORT_OP_ATTR_STRING:
        return add_plain(api, attribute, type, name, message);
    case ORT_OP_ATTR_TENSOR:
        return add_tensor(api, attribute, name, message);
    default:
        return mary_fail(MARY_ERROR_UNSUPPORTED, "node '%s': attribute '%s' is of a kind that mary does not take",
                         mary_node_label(message), name);
    }
}

static mary_status add_attributes(const OrtApi *api, const OrtNode *node, Onnx__NodeProto *message)
{
    const OrtOpAttr **attributes = NULL;
    size_t count = 0;
    mary_status status = MARY_ORT_LIST(api, Node_GetNumAttributes, Node_GetAttributes, node, &attributes, &count);
    for (size_t i = 0; i < count && status == MARY_OK; i++)
        status = add_attribute(api, attributes[i], message);
    mary_free(attributes);
    return status;
}

mary_status mary_ort_node_message(const OrtApi *api, const OrtNode *node, Onnx__NodeProto **message)
{
    const char *name, *type, *domain, **input_names = NULL, **output_names = NULL;
    const OrtValueInfo **inputs = NULL, **outputs = NULL;
    size_t input_count = 0, output_count = 0;
    mary_status status = MARY_OK;
    *message = NULL;
    MARY_TRY_GOTO(mary_ort_take(api, api->Node_GetName(node, &name)), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->Node_GetOperatorType(node, &type)), done);
    MARY_TRY_GOTO(mary_ort_take(api, api->Node_GetDomain(node, &domain)), done);
    MARY_TRY_GOTO(mary_ort_node_inputs(api, node, &inputs, &input_count), done);
    MARY_TRY_GOTO(mary_ort_node_outputs(api, node, &outputs, &output_count), done);
    MARY_TRY_GOTO(names_of(api, inputs, input_count, &input_names), done);
    MARY_TRY_GOTO(names_of(api, outputs, output_count, &output_names), done);
    MARY_TRY_GOTO(mary_node_create(domain, type, name, input_names, input_count, output_names, output_count, message),
                  done);
    status = add_attributes(api, node, *message);
done:
    mary_free(inputs);
    mary_free(outputs);
    mary_free(input_names);
    mary_free(output_names);
    if (status != MARY_OK && *message != NULL) {
        mary_node_free(*message);
        *message = NULL;
    }
    return status;
}
