/* Codes, packed: little end first inside a byte, each row starting on a byte (docs/operators.md). */
#ifndef MARY_CONVERT_CODES_H
#define MARY_CONVERT_CODES_H

#include "onnx/memory.h"
#include "onnx/status.h"

/* The narrowest of 1, 2, 4 and 8 bits that holds codes 0..levels-1. */
int mary_codes_bits(int levels);
/* Bytes of one row of `count` codes. */
int64_t mary_codes_row_bytes(int64_t count, int bits);
/* codes[count], each below 2^bits, to packed[mary_codes_row_bytes]; what is left of the last byte is 0. */
void mary_codes_pack(const uint8_t *codes, int64_t count, int bits, uint8_t *packed);
void mary_codes_unpack(const uint8_t *packed, int64_t count, int bits, uint8_t *codes);

#endif
