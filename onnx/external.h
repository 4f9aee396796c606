/* Tensor data that lives in a file beside the model. The file's name is hostile: it may only lead to a regular file
 * below the model's directory. */
#ifndef MARY_ONNX_EXTERNAL_H
#define MARY_ONNX_EXTERNAL_H

#include "onnx/model.h"

static inline bool mary_tensor_is_external(const Onnx__TensorProto *message)
{
    return message->has_data_location && message->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* Location, range and file are as they must be for a tensor of `bytes` bytes; nothing is read. */
mary_status mary_external_check(const mary_model *model, const Onnx__TensorProto *message, size_t bytes);
/* The bytes that it has, whatever its type: the stated length, or all of the file after the offset. */
mary_status mary_external_size(const mary_model *model, const Onnx__TensorProto *message, size_t *bytes);
/* Reads exactly `bytes` bytes. */
mary_status mary_external_read(const mary_model *model, const Onnx__TensorProto *message, void *buffer, size_t bytes);

#endif
