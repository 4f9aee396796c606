#include "onnx/coding/crc.h"

#include <string.h>

#define POLYNOMIAL 0xedb88320u

/* tables[k][b]: what byte b does to the sum when k more bytes follow it, so that eight bytes are looked up at once. */
typedef struct crc_tables {
    uint32_t tables[8][256];
} crc_tables;

static void build(crc_tables *t)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t sum = b;
        for (int i = 0; i < 8; i++)
            sum = (sum >> 1) ^ (sum & 1 ? POLYNOMIAL : 0);
        t->tables[0][b] = sum;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int k = 1; k < 8; k++)
            t->tables[k][b] = (t->tables[k - 1][b] >> 8) ^ t->tables[0][t->tables[k - 1][b] & 255];
    }
}

uint32_t mary_crc32(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint32_t sum = 0xffffffffu;
    crc_tables t;
    if (size < 64) { /* not worth the tables */
        for (size_t i = 0; i < size; i++) {
            sum ^= at[i];
            for (int k = 0; k < 8; k++)
                sum = (sum >> 1) ^ (sum & 1 ? POLYNOMIAL : 0);
        }
        return ~sum;
    }
    build(&t);
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= sum;
        sum = t.tables[7][low & 255] ^ t.tables[6][low >> 8 & 255] ^ t.tables[5][low >> 16 & 255] ^
              t.tables[4][low >> 24] ^ t.tables[3][high & 255] ^ t.tables[2][high >> 8 & 255] ^
              t.tables[1][high >> 16 & 255] ^ t.tables[0][high >> 24];
    }
    for (; size > 0; size--)
        sum = (sum >> 8) ^ t.tables[0][(sum ^ *at++) & 255];
    return ~sum;
}
