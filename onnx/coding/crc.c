#include "onnx/coding/crc.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0xedb88320u

/* tables[k][b]: what byte b does to the sum when k more bytes follow it, so that eight bytes are looked up at once. */
static uint32_t tables[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void build(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t sum = b;
        for (int i = 0; i < 8; i++)
            sum = (sum >> 1) ^ (sum & 1 ? POLYNOMIAL : 0);
        tables[0][b] = sum;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int k = 1; k < 8; k++)
            tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 255];
    }
}

uint32_t mary_crc32(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint32_t sum = 0xffffffffu;
    pthread_once(&once, build);
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= sum;
        sum = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^
              tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^ tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
    }
    for (; size > 0; size--)
        sum = (sum >> 8) ^ tables[0][(sum ^ *at++) & 255];
    return ~sum;
}
