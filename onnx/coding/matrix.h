/* What the coders of weights code: a matrix of codes, and how its positions lie. */
#ifndef MARY_ONNX_CODING_MATRIX_H
#define MARY_ONNX_CODING_MATRIX_H

#include "onnx/memory.h"
#include "onnx/status.h"

typedef struct mary_code_matrix {
    int64_t rows, row_length;
    int64_t taps;   /* of a kernel, one after the other in the row; 1: no convolution. At most row_length */
    int alphabet;   /* codes are 0 ... alphabet - 1; 1..256 */
    uint8_t *codes; /* [rows, row_length], one a byte */
} mary_code_matrix;

/* Taps in a row of the kernel, which is taken for a square one; else it is one row. */
static inline int64_t mary_kernel_width(int64_t taps)
{
    int64_t width = 1;
    while (width * width < taps)
        width++;
    return width * width == taps ? width : taps;
}

/* How the codes of a tensor are stored. The numbers are those of the file format. */
typedef enum mary_coder {
    MARY_CODER_RAW = 0, /* the payload itself */
    MARY_CODER_HUFFMAN, /* onnx/coding/huffman.c */
    MARY_CODER_GAPS,    /* the same, with the positions of the codes that are not the commonest */
    MARY_CODER_BINARY,  /* onnx/coding/binary.c: one binary decision after the other, contexts mixed */
    MARY_CODER_SYMBOLS, /* onnx/coding/symbols.c: a code at a time, distributions averaged */
    MARY_CODER_BYTES,   /* onnx/coding/bytes.c: numbers, byte by byte */
    MARY_CODER_PLANES,  /* onnx/coding/planes.c: the highest bytes of numbers as symbols */
    MARY_CODER_FLOATS,  /* onnx/coding/floats.c: signs, exponents and first bits, the rest as it is */
    MARY_CODER_COUNT
} mary_coder;

/* Decoders fill matrix->codes from a stream that may hold anything: what is no stream of such a matrix is
 * MARY_ERROR_INVALID, or decodes to something else, which the checksum finds. */
mary_status mary_huffman_decode(const uint8_t *bytes, size_t size, bool gaps, mary_code_matrix *matrix);
mary_status mary_binary_decode(const uint8_t *bytes, size_t size, mary_code_matrix *matrix);
mary_status mary_symbols_decode(const uint8_t *bytes, size_t size, mary_code_matrix *matrix);

#endif
