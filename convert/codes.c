/* Packing and unpacking of codes. */
#include "convert/codes.h"

#include <string.h>

int mary_codes_bits(int levels)
{
    return levels <= 2 ? 1 : levels <= 4 ? 2 : levels <= 16 ? 4 : 8;
}

int64_t mary_codes_row_bytes(int64_t count, int bits)
{
    int per_byte = 8 / bits;
    return count / per_byte + (count % per_byte != 0);
}

void mary_codes_pack(const uint8_t *codes, int64_t count, int bits, uint8_t *packed)
{
    int per_byte = 8 / bits;
    if (bits == 8) {
        memcpy(packed, codes, (size_t)count);
        return;
    }
    int64_t whole = count / per_byte;
    for (int64_t byte = 0; byte < whole; byte++) {
        unsigned value = 0;
        for (int i = 0; i < per_byte; i++)
            value |= (unsigned)codes[byte * per_byte + i] << (i * bits);
        packed[byte] = (uint8_t)value;
    }
    if (whole * per_byte < count) {
        unsigned value = 0;
        for (int64_t i = whole * per_byte; i < count; i++)
            value |= (unsigned)codes[i] << ((int)(i - whole * per_byte) * bits);
        packed[whole] = (uint8_t)value;
    }
}

void mary_codes_unpack(const uint8_t *packed, int64_t count, int bits, uint8_t *codes)
{
    int per_byte = 8 / bits;
    unsigned mask = (1u << bits) - 1;
    for (int64_t i = 0; i < count; i++)
        codes[i] = (uint8_t)(packed[i / per_byte] >> ((int)(i % per_byte) * bits) & mask);
}
