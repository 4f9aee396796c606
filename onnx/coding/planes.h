/* Many numbers: their highest bytes as code matrices by the symbol coder, the other bytes as they are. Faster than
 * onnx/coding/bytes.c by an order of magnitude, and behind it by a few percent of what it saves.
 *
 * A stream: how many planes are coded; each one's length (varint) and stream of symbols, the highest first; the other
 * bytes, number by number. */
#ifndef MARY_ONNX_CODING_PLANES_H
#define MARY_ONNX_CODING_PLANES_H

#include "onnx/coding/bytes_model.h"

mary_status mary_planes_decode(const uint8_t *bytes, size_t size, mary_byte_array *array);

#endif
