/* The encoder to onnx/coding/range.h. */
#ifndef MARY_CONVERT_CODING_RANGE_ENCODER_H
#define MARY_CONVERT_CODING_RANGE_ENCODER_H

#include "convert/coding/buffer.h"

typedef struct mary_range_encoder {
    uint64_t range, low;
    mary_buffer *out;
    size_t start; /* of this stream in `out`: a carry never goes further */
} mary_range_encoder;

static inline void mary_range_encoder_start(mary_range_encoder *encoder, mary_buffer *out)
{
    *encoder = (mary_range_encoder){.range = UINT64_MAX, .out = out, .start = out->size};
}

static inline void mary_range_carry(mary_range_encoder *encoder)
{
    mary_buffer *out = encoder->out;
    for (size_t i = out->size; !out->failed && i > encoder->start && ++out->bytes[i - 1] == 0; i--)
        ;
}

static inline void mary_range_emit(mary_range_encoder *encoder)
{
    for (int i = 0; i < 4; i++)
        mary_buffer_byte(encoder->out, (unsigned)(encoder->low >> (56 - 8 * i)) & 255);
    encoder->low <<= 32;
}

/* Returns the bit, as the decoder does. */
static inline int mary_range_encode(mary_range_encoder *encoder, unsigned p, int bit)
{
    uint64_t bound = (encoder->range >> 16) * p;
    if (bit) {
        encoder->range = bound;
    } else {
        encoder->low += bound;
        if (encoder->low < bound)
            mary_range_carry(encoder);
        encoder->range -= bound;
    }
    if (encoder->range >> 32 == 0) {
        mary_range_emit(encoder);
        encoder->range <<= 32;
    }
    return bit;
}

/* Ends with the number inside the range that has most zeros at its end, and leaves those out. */
static inline void mary_range_encoder_finish(mary_range_encoder *encoder)
{
    mary_buffer *out = encoder->out;
    unsigned __int128 last = (unsigned __int128)encoder->low + (encoder->range - 1), best = last;
    for (int zeros = 8; zeros < 64; zeros += 8) {
        unsigned __int128 rounded = last >> zeros << zeros;
        if (rounded < encoder->low)
            break;
        best = rounded;
    }
    if (best >> 64 != 0)
        mary_range_carry(encoder);
    encoder->low = (uint64_t)best;
    mary_range_emit(encoder);
    mary_range_emit(encoder);
    while (!out->failed && out->size > encoder->start && out->bytes[out->size - 1] == 0)
        out->size--;
}

#endif
