/* Canonical Huffman codes of up to 256 symbols and at most 15 bits. Codes of one length ascend with their symbols, and
 * longer codes follow shorter ones, so that lengths say everything. One symbol alone needs no bits.
 *
 * A table in a stream: the byte 0 and the only symbol; or the byte 1 and the lengths, two in a byte, low half first.
 * Codes are written high bit first into bytes that are filled from the high bit. */
#ifndef MARY_ONNX_CODING_HUFFMAN_H
#define MARY_ONNX_CODING_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#include "onnx/status.h"

enum {
    MARY_HUFFMAN_BITS = 15,  /* of the longest code */
    MARY_HUFFMAN_GAPS = 256, /* gap symbols: 0 ... 254 codes skipped, 255: skip 255 and go on */
    MARY_HUFFMAN_SKIP = 255
};

typedef struct mary_huffman_table {
    int symbols;          /* of the alphabet, 1..256 */
    int single;           /* the only symbol, which takes no bits; -1: there are more */
    uint8_t lengths[256]; /* 0: does not occur */
} mary_huffman_table;

/* The codes themselves; unused symbols have 0. */
void mary_huffman_codes(const mary_huffman_table *table, uint16_t *codes);
/* Sum of 2^-length in units of 2^-15: a table of more than one symbol is usable when it is exactly 2^15. */
uint32_t mary_huffman_kraft(const mary_huffman_table *table);

#endif
