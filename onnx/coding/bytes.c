#include "onnx/coding/bytes_model.h"
#include "onnx/coding/dictionary.h"
#include "onnx/coding/range.h"

/* ---- the longest match ---- */

static uint32_t place_of(const uint8_t *behind)
{
    uint32_t hash = 0;
    for (int i = 1; i <= MARY_BYTES_MATCH_LEAST; i++)
        hash = (hash + behind[-i] + 1) * 0x2c1b3c6du;
    return hash >> (32 - MARY_BYTES_MATCH_BITS);
}

static void match_advance(mary_bytes_model *m)
{
    if (m->at < MARY_BYTES_MATCH_LEAST)
        return;
    uint32_t *place = &m->places[place_of(m->history + m->at)];
    if (m->match_length<MARY_BYTES_MATCH_LEAST && * place> 0) {
        size_t length = 0;
        while (length<MARY_BYTES_MATCH_MOST && * place> length &&
               m->history[*place - 1 - length] == m->history[m->at - 1 - length])
            length++;
        if (length >= MARY_BYTES_MATCH_LEAST) {
            m->match_at = *place;
            m->match_length = (int)length;
        }
    }
    *place = (uint32_t)m->at;
}

/* ---- the model ---- */

mary_status mary_bytes_model_create(const mary_byte_array *array, mary_bytes_model **model)
{
    mary_bytes_model *m = mary_calloc(1, sizeof *m);
    int bits = 10;
    *model = NULL;
    if (m == NULL)
        return mary_fail_memory(sizeof *m);
    while (bits < (array->element == 0 ? 15 : 13) && (size_t)1 << bits < 8 * array->size)
        bits++;
    m->bits = bits;
    m->slots = mary_alloc(MARY_BYTES_CONTEXTS * sizeof *m->slots << bits);
    if (array->element == 0) {
        m->history = mary_alloc(mary_dictionary_size + array->size);
        m->places = mary_calloc((size_t)1 << MARY_BYTES_MATCH_BITS, sizeof *m->places);
    }
    if (m->slots == NULL || (array->element == 0 && (m->history == NULL || m->places == NULL))) {
        mary_bytes_model_free(&m);
        return mary_fail_memory(array->size);
    }
    m->tables = mary_logistic_tables();
    mary_bit_model_init(m->slots, (size_t)MARY_BYTES_CONTEXTS << bits);
    mary_bit_model_init(m->alone[0], MARY_BYTES_SETS * 256);
    mary_bit_model_init(m->hits, MARY_BYTES_MATCH_MOST + 1);
    mary_bit_model_init(m->hits_of[0], MARY_BYTES_MATCH_SETS * 256);
    mary_bit_model_init(m->hits_after, 1 << MARY_BYTES_PAIR_BITS);
    for (int s = 0; s < MARY_BYTES_MATCH_SETS; s++) {
        for (int i = 0; i < MARY_BYTES_MATCH_INPUTS; i++)
            m->hit_weights[s][i] = MARY_MIX_ONE * 4 / 10;
    }
    for (int s = 0; s < MARY_BYTES_SETS; s++) {
        for (int c = 0; c < MARY_BYTES_INPUTS; c++)
            m->weights[s][c] = MARY_MIX_ONE * 3 / 10;
    }
    if (array->element == 0) {
        for (; m->at < mary_dictionary_size; m->at++) {
            m->history[m->at] = mary_dictionary[m->at];
            if (m->at >= MARY_BYTES_MATCH_LEAST)
                m->places[place_of(m->history + m->at)] = (uint32_t)m->at;
        }
    }
    *model = m;
    return MARY_OK;
}

void mary_bytes_model_free(mary_bytes_model **model)
{
    if (*model != NULL) {
        mary_free((*model)->slots);
        mary_free((*model)->history);
        mary_free((*model)->places);
    }
    mary_free(*model);
    *model = NULL;
}

static uint32_t hash(uint32_t context, uint64_t value)
{
    value = (value + context + 1) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(value >> 32) ^ (uint32_t)(value >> 15);
}

int mary_bytes_text_contexts(mary_bytes_model *m)
{
    static const int orders[MARY_BYTES_CONTEXTS] = {1, 2, 4, 0};
    uint64_t past = 0;
    size_t most = m->at < 8 ? m->at : 8;
    for (size_t i = most; i > 0; i--)
        past = past << 8 | m->history[m->at - i]; /* the latest byte is the lowest */
    for (int c = 0; c < MARY_BYTES_CONTEXTS - 1; c++)
        m->hashes[c] = hash((uint32_t)c, past & ((1ull << (8 * orders[c])) - 1));
    /* Bytes two to four back, for fields whose last byte counts on. */
    m->hashes[MARY_BYTES_CONTEXTS - 1] = hash(MARY_BYTES_CONTEXTS, past >> 8 & 0xffffff);
    int length = m->match_length;
    return length == 0 ? 0 : length >= 32 ? 5 : length / 8 + 1;
}

int mary_bytes_number_contexts(mary_bytes_model *m, const mary_byte_array *array, size_t index, size_t plane)
{
    const size_t element = (size_t)array->element, stride = array->row_length * element;
    const size_t place = index * element + element - 1 - plane;
    const uint8_t *b = array->bytes;
    const uint64_t before = index > 0 ? b[place - element] : 256, above = place >= stride ? b[place - stride] : 256;
    const uint64_t higher = plane > 0 ? b[place + 1] : 256;
    const uint64_t values[MARY_BYTES_NUMBER_CONTEXTS] = {before, above << 10 | higher, before << 10 | higher,
                                                         index % array->row_length << 10 | higher};
    for (int c = 0; c < MARY_BYTES_NUMBER_CONTEXTS; c++)
        m->hashes[c] = hash((uint32_t)(8 * c) + (uint32_t)plane, values[c] << 3);
    return (int)plane;
}

void mary_bytes_append(mary_bytes_model *m, uint8_t byte)
{
    if (m->match_length > 0 && m->history[m->match_at] == byte) {
        m->match_at++;
        m->match_length += m->match_length < MARY_BYTES_MATCH_MOST;
    } else { /* what differs in one byte, a number in a name, often goes on alike */
        m->match_at++;
        m->match_length = m->match_length >= 2;
    }
    m->history[m->at++] = byte;
    match_advance(m);
}

#define BYTES_CODER              mary_range_decoder
#define BYTES_BIT(coder, p, bit) ((void)(bit), mary_range_bit(coder, p))
#include "onnx/coding/bytes_template.h"

mary_status mary_bytes_decode(const uint8_t *bytes, size_t size, mary_byte_array *array)
{
    mary_bytes_model *model = NULL;
    mary_range_decoder decoder;
    if (array->element > 0) {
        const size_t element = (size_t)array->element, coded = size > 0 ? bytes[0] : 0;
        if (coded < 1 || coded > element || size - 1 < array->size / element * (element - coded))
            return mary_fail(MARY_ERROR_INVALID, "the stream of numbers is cut short");
        array->coded = (int)coded;
        bytes++, size--;
        for (size_t at = 0; at < array->size && coded < element; at += element) {
            memcpy(array->bytes + at, bytes, element - coded);
            bytes += element - coded, size -= element - coded;
        }
    }
    MARY_TRY(mary_bytes_model_create(array, &model));
    mary_range_start(&decoder, bytes, size);
    if (array->element == 0)
        walk_text(model, &decoder, array);
    else
        walk_numbers(model, &decoder, array);
    mary_bytes_model_free(&model);
    return MARY_OK;
}
