/* Numbers as protobuf writes them: seven bits a byte, low ones first. */
#ifndef MARY_ONNX_CODING_VARINT_H
#define MARY_ONNX_CODING_VARINT_H

#include <stdbool.h>
#include <stdint.h>

/* The number at *at, which moves behind it; false when it does not end before `end` or has more than 63 bits. */
static inline bool mary_varint_read(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 63 && *at < end; shift += 7) {
        *value |= (uint64_t)(**at & 127) << shift;
        if (*(*at)++ < 128)
            return true;
    }
    return false;
}

#endif
