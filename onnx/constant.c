#include <string.h>

#include "onnx/edit.h"
#include "onnx/external.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little-endian and is used as it is");

static const char *name_of(const Onnx__TensorProto *message)
{
    return message->name == NULL ? "" : message->name;
}

mary_status mary_tensor_describe(const Onnx__TensorProto *message, mary_type *type, mary_shape *shape)
{
    mary_shape found = {0};
    if (message->n_dims > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has rank %zu, the most is %d", name_of(message),
                         message->n_dims, MARY_MAX_RANK);
    found.rank = (int)message->n_dims;
    for (int i = 0; i < found.rank; i++)
        found.dims[i] = message->dims[i];
    mary_status status = mary_shape_check(&found, name_of(message));
    if (status != MARY_OK)
        return mary_fail_context(status, "tensor");
    *type = (mary_type)message->data_type;
    *shape = found;
    return MARY_OK;
}

/* The typed field that holds elements of `type`: its items, how many, and the size of one. */
static const void *typed_field(const Onnx__TensorProto *message, mary_type type, size_t *count, size_t *item_size)
{
    switch (type) {
    case MARY_FLOAT:
        *count = message->n_float_data, *item_size = sizeof(float);
        return message->float_data;
    case MARY_DOUBLE:
        *count = message->n_double_data, *item_size = sizeof(double);
        return message->double_data;
    case MARY_INT64:
        *count = message->n_int64_data, *item_size = sizeof(int64_t);
        return message->int64_data;
    case MARY_UINT32:
    case MARY_UINT64:
        *count = message->n_uint64_data, *item_size = sizeof(uint64_t);
        return message->uint64_data;
    default:
        *count = message->n_int32_data, *item_size = sizeof(int32_t);
        return message->int32_data;
    }
}

/* Little-endian: the low bytes of an item come first. */
static void narrow(char *out, size_t size, const char *items, size_t item_size, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * size, items + i * item_size, size);
}

mary_status mary_constant_decode(const mary_model *model, const Onnx__TensorProto *message, mary_constant *constant)
{
    mary_tensor tensor = {0};
    *constant = (mary_constant){0};
    MARY_TRY(mary_tensor_describe(message, &tensor.type, &tensor.shape));
    size_t size = mary_type_size(tensor.type), count = (size_t)mary_shape_count(&tensor.shape);
    if (size == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "tensor '%s' has data type %s (%d)", name_of(message),
                         mary_type_name(tensor.type), message->data_type);
    if (message->segment != NULL)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "tensor '%s' is stored in segments", name_of(message));
    size_t bytes = count * size; /* mary_shape_check: fits */

    const char *stored = NULL; /* dense data in the message, when it has it that way */
    const char *items = NULL;
    size_t item_count = 0, item_size = 0;
    if (mary_tensor_is_external(message)) {
        item_count = count;
    } else if (message->has_raw_data && message->raw_data.len > 0) {
        if (message->raw_data.len != bytes)
            return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has %zu bytes of data, its shape needs %zu",
                             name_of(message), message->raw_data.len, bytes);
        item_count = count;
        stored = (const char *)message->raw_data.data;
    } else {
        items = typed_field(message, tensor.type, &item_count, &item_size);
        if (item_count != count)
            return mary_fail(MARY_ERROR_INVALID, "tensor '%s' has %zu elements of data, its shape needs %zu",
                             name_of(message), item_count, count);
        if (item_size == size)
            stored = items;
    }
    if (count > 0 && stored != NULL && (uintptr_t)stored % size == 0) {
        tensor.data = (void *)(uintptr_t)stored;
        *constant = (mary_constant){tensor, false};
        return MARY_OK;
    }
    tensor.data = mary_alloc_aligned(bytes);
    if (tensor.data == NULL)
        return mary_fail_memory(bytes);
    mary_status status = MARY_OK;
    if (mary_tensor_is_external(message))
        status = mary_external_read(model, message, tensor.data, bytes);
    else if (stored != NULL && bytes > 0)
        memcpy(tensor.data, stored, bytes);
    else if (items != NULL)
        narrow(tensor.data, size, items, item_size, count);
    if (status != MARY_OK) {
        mary_free(tensor.data);
        return status;
    }
    *constant = (mary_constant){tensor, true};
    return MARY_OK;
}

void mary_constant_free(mary_constant *constant)
{
    if (constant->owned)
        mary_free(constant->tensor.data);
    *constant = (mary_constant){0};
}

mary_status mary_constant_floats(const mary_model *model, const Onnx__TensorProto *message, float **values,
                                 mary_shape *shape)
{
    mary_constant constant;
    *values = NULL;
    MARY_TRY(mary_constant_decode(model, message, &constant));
    mary_status status = MARY_OK;
    const mary_tensor *tensor = &constant.tensor;
    int64_t count = mary_shape_count(&tensor->shape);
    if (!mary_type_is_float(tensor->type)) {
        status = mary_fail(MARY_ERROR_INVALID, "tensor '%s' is of type %s, not a float type", name_of(message),
                           mary_type_name(tensor->type));
        goto done;
    }
    float *floats;
    if (tensor->type == MARY_FLOAT && constant.owned) { /* read from elsewhere: already ours to give */
        floats = tensor->data;
        constant.owned = false;
    } else {
        floats = mary_alloc_aligned((size_t)count * sizeof *floats);
        if (floats == NULL) {
            status = mary_fail_memory((size_t)count * sizeof *floats);
            goto done;
        }
        if (tensor->type == MARY_FLOAT) {
            memcpy(floats, tensor->data, (size_t)count * sizeof *floats);
        } else {
            for (int64_t i = 0; i < count; i++)
                floats[i] = (float)mary_tensor_double(tensor, i);
        }
    }
    *values = floats;
    *shape = tensor->shape;
done:
    mary_constant_free(&constant);
    return status;
}

mary_status mary_constant_encode(const mary_tensor *tensor, const char *name, Onnx__TensorProto **message)
{
    *message = NULL;
    if (mary_type_size(tensor->type) == 0)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "tensor '%s' of type %s cannot be written", name,
                         mary_type_name(tensor->type));
    size_t bytes = (size_t)mary_shape_count(&tensor->shape) * mary_type_size(tensor->type);
    size_t dims = (size_t)tensor->shape.rank;
    Onnx__TensorProto *made = mary_alloc(sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    onnx__tensor_proto__init(made);
    made->has_data_type = true;
    made->data_type = (int32_t)tensor->type;
    made->has_raw_data = true;
    mary_status status = mary_edit_string(&made->name, name);
    if (status == MARY_OK && dims > 0) {
        made->dims = mary_alloc(dims * sizeof *made->dims);
        if (made->dims == NULL)
            status = mary_fail_memory(dims * sizeof *made->dims);
        else
            memcpy(made->dims, tensor->shape.dims, dims * sizeof *made->dims), made->n_dims = dims;
    }
    if (status == MARY_OK) {
        made->raw_data.data = mary_alloc(bytes);
        if (made->raw_data.data == NULL)
            status = mary_fail_memory(bytes);
        else if (bytes > 0)
            memcpy(made->raw_data.data, tensor->data, bytes);
        made->raw_data.len = bytes;
    }
    if (status != MARY_OK) {
        made->raw_data.len = 0;
        onnx__tensor_proto__free_unpacked(made, &mary_proto_allocator);
        return status;
    }
    *message = made;
    return MARY_OK;
}
