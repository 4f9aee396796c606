/* A binary range decoder (Martin 1979): 64 bits of range, probabilities of 16 bits, four bytes at a time. The encoder
 * is convert/coding/range_encoder.h. Bytes behind the end are zeros: the encoder leaves trailing zeros out. */
#ifndef MARY_ONNX_CODING_RANGE_H
#define MARY_ONNX_CODING_RANGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mary_range_decoder {
    uint64_t range, code;
    const uint8_t *at, *end;
} mary_range_decoder;

static inline uint64_t mary_range_word(mary_range_decoder *decoder)
{
    uint64_t word = 0;
    for (int i = 0; i < 4; i++)
        word = word << 8 | (decoder->at < decoder->end ? *decoder->at++ : 0);
    return word;
}

static inline void mary_range_start(mary_range_decoder *decoder, const uint8_t *bytes, size_t size)
{
    *decoder = (mary_range_decoder){.range = UINT64_MAX, .at = bytes, .end = bytes + size};
    decoder->code = mary_range_word(decoder) << 32;
    decoder->code |= mary_range_word(decoder);
}

/* `p`: of a 1, in 65536ths, neither 0 nor 65536. */
static inline int mary_range_bit(mary_range_decoder *decoder, unsigned p)
{
    uint64_t bound = (decoder->range >> 16) * p;
    int bit = 0;
    if (__builtin_expect(decoder->code < bound, 0)) {
        bit = 1;
        decoder->range = bound;
    } else {
        decoder->range -= bound;
        decoder->code -= bound;
    }
    if (decoder->range >> 32 == 0) {
        decoder->range <<= 32;
        decoder->code = decoder->code << 32 | mary_range_word(decoder);
    }
    return bit;
}

#endif
