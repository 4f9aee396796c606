#include "onnx/check.h"
#include "onnx/external.h"

#include <string.h>

/* Bits of one element in raw_data; 0: cannot be there. Indexed by TensorProto.DataType of ONNX 1.23; the numbers above
 * 16 are newer than the packaged schema: float8 (four kinds), uint4, int4, float4, float8 scale, uint2, int2. */
static const uint8_t element_bits[] = {0,  32,  8,  8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64,
                                       64, 128, 16, 8, 8,  8,  8,  4,  4, 4, 8,  2,  2};

/* Elements in the typed field that belongs to the data type. */
static size_t typed_count(const Onnx__TensorProto *tensor)
{
    switch (tensor->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        return tensor->n_float_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64:
        return tensor->n_float_data / 2 + tensor->n_float_data % 2;
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        return tensor->n_double_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX128:
        return tensor->n_double_data / 2 + tensor->n_double_data % 2;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return tensor->n_int64_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
        return tensor->n_uint64_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__STRING:
        return tensor->n_string_data;
    default:
        return tensor->n_int32_data;
    }
}

static mary_status check_data(const mary_model *model, const Onnx__TensorProto *tensor, const char *name, size_t count)
{
    unsigned bits = element_bits[tensor->data_type];
    size_t bytes = bits >= 8 ? count * (bits / 8) : count / (8 / (bits == 0 ? 8 : bits));
    if (bits > 0 && bits < 8 && count % (8 / bits) != 0)
        bytes++;
    bool has_raw = tensor->has_raw_data && tensor->raw_data.len > 0;
    if (bits == 0 && (has_raw || mary_tensor_is_external(tensor)))
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' stores strings as raw bytes", name);
    if (mary_tensor_is_external(tensor))
        return mary_external_check(model, tensor, bytes);
    size_t typed = typed_count(tensor);
    if (has_raw && typed > 0)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has its data twice: %zu raw bytes and %zu elements", name,
                         tensor->raw_data.len, typed);
    if (has_raw && tensor->raw_data.len != bytes)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has %zu bytes of data, its shape needs %zu", name,
                         tensor->raw_data.len, bytes);
    if (!has_raw && typed != (bits >= 8 || bits == 0 ? count : bytes))
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has %zu elements of data, its shape needs %zu", name, typed,
                         count);
    return MARY_OK;
}

mary_status mary_check_tensor(const mary_model *model, const Onnx__TensorProto *tensor, const char *what)
{
    const char *name = tensor->name == NULL || *tensor->name == '\0' ? what : tensor->name;
    mary_type type;
    mary_shape shape;
    if (tensor->n_dims > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has rank %zu, the most is %d", name, tensor->n_dims,
                         MARY_MAX_RANK);
    MARY_TRY(mary_tensor_describe(tensor, &type, &shape));
    if (tensor->data_type <= 0 || (size_t)tensor->data_type >= sizeof element_bits)
        return mary_fail(tensor->data_type <= 0 ? MARY_ERROR_INVALID : MARY_ERROR_UNSUPPORTED,
                         "tensor '%s' has the data type %d", name, tensor->data_type);
    if (tensor->segment != NULL)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "tensor '%s' is stored in segments", name);
    return check_data(model, tensor, name, (size_t)mary_shape_count(&shape));
}
