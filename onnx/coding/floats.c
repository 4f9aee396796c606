#include "onnx/coding/floats_model.h"

#include "onnx/coding/range.h"
#include "onnx/coding/varint.h"

void mary_floats_model_create(mary_floats_model *m)
{
    m->tables = mary_logistic_tables();
    mary_bit_model_init(m->repeats[0], 3 * 2);
    mary_bit_model_init(m->zeros[0], 3 * 3);
    mary_bit_model_init(m->signs[0], 3 * 3);
    mary_bit_model_init(m->last[0], MARY_FLOATS_STEPS * MARY_FLOATS_NODES);
    mary_bit_model_init(m->columns[0], MARY_FLOATS_COLUMNS * MARY_FLOATS_NODES);
    mary_bit_model_init(m->sides[0], MARY_FLOATS_STEPS * MARY_FLOATS_NODES);
    for (int n = 0; n < MARY_FLOATS_NODES; n++) {
        for (int i = 0; i < MARY_FLOATS_INPUTS; i++)
            m->weights[n][i] = MARY_MIX_ONE * 2 / 5;
    }
    mary_bit_model_init(m->first[0][0], 5 * 5 << MARY_FLOATS_FIRST);
}

/* Both streams. Bits behind the end are zeros. */
typedef struct floats_decoder {
    mary_range_decoder decisions;
    const uint8_t *at, *end;
    uint64_t bits; /* the next one is the lowest */
    int count;     /* of bits; more than were asked for */
} floats_decoder;

static inline uint32_t read_bits(floats_decoder *decoder, int count)
{
    while (decoder->count < count) {
        decoder->bits |= (uint64_t)(decoder->at < decoder->end ? *decoder->at++ : 0) << decoder->count;
        decoder->count += 8;
    }
    const uint32_t bits = (uint32_t)(decoder->bits & ((1ull << count) - 1));
    decoder->bits >>= count;
    decoder->count -= count;
    return bits;
}

#define FLOATS_CODER                    floats_decoder
#define FLOATS_BIT(coder, p, bit)       ((void)(bit), mary_range_bit(&(coder)->decisions, p))
#define FLOATS_BITS(coder, count, bits) ((void)(bits), read_bits(coder, count))
#include "onnx/coding/floats_template.h"

mary_status mary_floats_decode(const uint8_t *bytes, size_t size, mary_byte_array *array)
{
    const uint8_t *at = bytes, *end = bytes + size;
    const unsigned noughts = size > 0 ? *at++ : 255;
    uint64_t length;
    mary_floats_model model;
    if (array->element != 4 || noughts > MARY_FLOATS_MANTISSA - MARY_FLOATS_FIRST ||
        !mary_varint_read(&at, end, &length) || length > (size_t)(end - at))
        return mary_fail(MARY_ERROR_INVALID, "not a stream of floats");
    floats_decoder decoder = {.at = at + length, .end = end};
    uint32_t *numbers = mary_alloc(array->size);
    if (numbers == NULL)
        return mary_fail_memory(array->size);
    mary_floats_model_create(&model);
    mary_range_start(&decoder.decisions, at, (size_t)length);
    memset(numbers, 0, array->size);
    walk_floats(&model, &decoder, numbers, array->size / 4, array->row_length, (int)noughts);
    memcpy(array->bytes, numbers, array->size);
    mary_free(numbers);
    return MARY_OK;
}
