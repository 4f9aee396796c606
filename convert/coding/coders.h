/* The encoders of code matrices, each the mirror image of a decoder in onnx/coding/matrix.h. They append to `out`. */
#ifndef MARY_CONVERT_CODING_CODERS_H
#define MARY_CONVERT_CODING_CODERS_H

#include "convert/coding/buffer.h"
#include "onnx/coding/bytes_model.h"
#include "onnx/coding/matrix.h"

/* Bits of a stream by what they say; the rest of its bytes is padding and final states. */
typedef struct mary_stream_bits {
    uint64_t codes, positions, tables;
} mary_stream_bits;

/* How often each code occurs; `counts` [256] is overwritten. */
void mary_count_codes(const mary_code_matrix *matrix, uint64_t *counts);
/* The code that occurs most often, the smallest of equals. */
int mary_commonest_code(const uint64_t *counts);

mary_status mary_huffman_encode(const mary_code_matrix *matrix, bool gaps, mary_buffer *out, mary_stream_bits *bits);
/* `decisions`: how many binary decisions there were. */
mary_status mary_binary_encode(const mary_code_matrix *matrix, mary_buffer *out, uint64_t *decisions);
/* `contexts`: which distributions are averaged, 0 ... MARY_SYMBOLS_CONTEXTS - 1. */
mary_status mary_symbols_encode(const mary_code_matrix *matrix, int contexts, mary_buffer *out);
/* Text or numbers; array->bytes is read only. */
mary_status mary_bytes_encode(const mary_byte_array *array, mary_buffer *out);
/* Numbers; array->coded says how many planes. array->size is a multiple of row_length numbers. */
mary_status mary_planes_encode(const mary_byte_array *array, mary_buffer *out);
/* Numbers of four bytes; array->coded does not matter. */
mary_status mary_floats_encode(const mary_byte_array *array, mary_buffer *out);

#endif
