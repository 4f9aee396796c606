/* The ONNX model that holds a stream. */
#ifndef MARY_CONVERT_CODING_WRAP_H
#define MARY_CONVERT_CODING_WRAP_H

#include "convert/coding/buffer.h"
#include "onnx/model.h"

/* Appends the serialised model: inputs and outputs are those of `original`, one MaryPacked node between them. */
mary_status mary_wrap(const mary_model *original, const mary_buffer *stream, mary_buffer *out);

#endif
