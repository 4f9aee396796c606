#include "convert/coding/coders.h"
#include "convert/coding/range_encoder.h"
#include "onnx/coding/floats_model.h"

typedef struct floats_encoder {
    mary_range_encoder decisions;
    mary_buffer rest;
    uint64_t bits; /* not yet written, the first one lowest */
    int count;
} floats_encoder;

static inline uint32_t encode_bits(floats_encoder *encoder, int count, uint32_t bits)
{
    encoder->bits |= (uint64_t)bits << encoder->count;
    for (encoder->count += count; encoder->count >= 8; encoder->count -= 8) {
        mary_buffer_byte(&encoder->rest, (unsigned)encoder->bits & 255);
        encoder->bits >>= 8;
    }
    return bits;
}

#define FLOATS_CODER                    floats_encoder
#define FLOATS_BIT(coder, p, bit)       mary_range_encode(&(coder)->decisions, p, bit)
#define FLOATS_BITS(coder, count, bits) encode_bits(coder, count, bits)
#include "onnx/coding/floats_template.h"

/* How many of the last bits are zero in all numbers. */
static int noughts_of(const uint32_t *numbers, size_t count)
{
    uint32_t all = 1u << (MARY_FLOATS_MANTISSA - MARY_FLOATS_FIRST);
    for (size_t i = 0; i < count; i++)
        all |= numbers[i];
    return __builtin_ctz(all);
}

mary_status mary_floats_encode(const mary_byte_array *array, mary_buffer *out)
{
    mary_floats_model model;
    mary_buffer decisions = {0};
    floats_encoder encoder = {0};
    mary_status status = MARY_OK;
    uint32_t *numbers = mary_alloc(array->size); /* whatever the payload's alignment */
    if (numbers == NULL)
        return mary_fail_memory(array->size);
    memcpy(numbers, array->bytes, array->size);
    const int noughts = noughts_of(numbers, array->size / 4);
    mary_floats_model_create(&model);
    mary_range_encoder_start(&encoder.decisions, &decisions);
    walk_floats(&model, &encoder, numbers, array->size / 4, array->row_length, noughts);
    mary_range_encoder_finish(&encoder.decisions);
    if (encoder.count > 0)
        mary_buffer_byte(&encoder.rest, (unsigned)encoder.bits);
    mary_buffer_byte(out, (unsigned)noughts);
    mary_buffer_varint(out, decisions.size);
    mary_buffer_put(out, decisions.bytes, decisions.size);
    mary_buffer_put(out, encoder.rest.bytes, encoder.rest.size);
    if (decisions.failed || encoder.rest.failed || out->failed)
        status = mary_fail_memory(array->size);
    mary_buffer_free(&decisions);
    mary_buffer_free(&encoder.rest);
    mary_free(numbers);
    return status;
}
