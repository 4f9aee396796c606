/* Packed models: the file format, and reading it. docs/compression.md is its specification.
 *
 * A packed file is an ONNX model with the inputs and outputs of the original, one node of type MaryPacked, and one
 * initializer of bytes, its first input: the stream. The stream holds the serialised original model byte for byte: a
 * text, which is the original without the payloads of some tensors, and a stream for each of these payloads. */
#ifndef MARY_ONNX_CODING_PACKED_H
#define MARY_ONNX_CODING_PACKED_H

#include "onnx/coding/matrix.h"
#include "onnx/model.h"

#define MARY_PACKED_DOMAIN  "ai.mary"
#define MARY_PACKED_OP      "MaryPacked"
#define MARY_PACKED_VERSION 3
#define MARY_PACKED_MOST    ((size_t)INT32_MAX) /* bytes of the original: no protobuf message is larger */
#define MARY_PACKED_EXPAND  1024 /* the original is at most this many times the stream; the packer pads for it */

/* One payload of a tensor. */
typedef struct mary_packed_tensor {
    size_t offset, size; /* in the original's bytes */
    mary_coder coder;
    bool is_codes; /* of an ai.mary operator: a matrix of codes of `bits` bits */
    int bits;
    mary_code_matrix matrix; /* sizes only: codes is NULL */
    int element;             /* else numbers of so many bytes, */
    size_t row_length;       /* so many in a row */
    const uint8_t *stream;
    size_t stream_size;
    uint32_t checksum; /* CRC-32 of the payload */
} mary_packed_tensor;

typedef struct mary_packed {
    size_t plain_size;
    uint8_t *text; /* the directory, then the original without payloads */
    size_t text_size, directory_size;
    size_t coded_text_size, header_size;
    mary_packed_tensor *tensors; /* by offset */
    size_t tensor_count;
} mary_packed;

/* The stream of a packed model; NULL: the model is none. */
const Onnx__TensorProto *mary_packed_stream(const Onnx__ModelProto *model);

/* Reads everything but the payloads. Points into `bytes`. */
mary_status mary_packed_read(const uint8_t *bytes, size_t size, mary_packed *packed);
void mary_packed_free(mary_packed *packed);
/* A step of that, by itself for the fuzz target: packed->text and the sizes are there, tensors are not. */
mary_status mary_packed_read_directory(mary_packed *packed, const uint8_t *streams, size_t streams_size);
/* The original, packed->plain_size bytes. Tensors are decoded in parallel when there is enough to do, in at most
 * `threads` threads (0: one for each processor); with 1, none is started. */
mary_status mary_packed_decode(const mary_packed *packed, int threads, uint8_t *plain);

/* Both: *plain is freed with mary_free. */
mary_status mary_packed_expand(const uint8_t *stream, size_t size, int threads, uint8_t **plain, size_t *plain_size);

/* ---- codes of 1, 2, 4 or 8 bits, as ai.mary operators have them, and one a byte ---- */
size_t mary_packed_row_bytes(int64_t row_length, int bits);
void mary_packed_spread(const uint8_t *packed, int64_t count, int bits, uint8_t *codes);
void mary_packed_join(const uint8_t *codes, int64_t count, int bits, uint8_t *packed);

#endif
