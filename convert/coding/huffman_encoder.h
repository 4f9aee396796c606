#ifndef MARY_CONVERT_CODING_HUFFMAN_ENCODER_H
#define MARY_CONVERT_CODING_HUFFMAN_ENCODER_H

#include "convert/coding/coders.h"
#include "onnx/coding/huffman.h"

/* The lengths of `symbols` (1..256) symbols that occur `counts` times; the mean length is within [H, H + 1), H the
 * entropy. Symbols that do not occur have none. */
mary_status mary_huffman_build(const uint64_t *counts, int symbols, mary_huffman_table *table);

#endif
