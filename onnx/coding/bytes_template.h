/* Walks bytes with the model of bytes_model.h. Included by the decoder and by the encoder, which define BYTES_CODER and
 * BYTES_BIT(coder, p, bit), which both return the bit; what the decoder passes for it is ignored. */

/* `contexts` is a constant wherever this is called. */
static inline __attribute__((always_inline)) uint8_t walk_byte(mary_bytes_model *m, BYTES_CODER *coder, int set,
                                                               int contexts, unsigned limit, int coming)
{
    const bool text = contexts == MARY_BYTES_CONTEXTS;
    const int count = contexts + 1 + text;
    int expected = text && m->match_length > 0 && !m->match_missed ? m->history[m->match_at] | 256
                                                                   : 0; /* 0: nothing is expected */
    unsigned partial = 1;                                               /* the bits so far behind a 1 */
    for (int i = 7; i >= 0; i--) {
        mary_bit_model *models[MARY_BYTES_INPUTS];
        int32_t inputs[MARY_BYTES_INPUTS];
        for (int c = 0; c < contexts; c++)
            models[c] = m->slots + ((size_t)c << m->bits) +
                        ((m->hashes[c] ^ partial * 0x9e3779b1u) * 0x85ebca6bu >> (32 - m->bits));
        models[contexts] = &m->alone[set][partial];
        if (text) {
            if (expected >> (i + 1) != (int)partial)
                expected = 0;
            models[contexts + 1] = &m->match[expected == 0 ? 0 : m->match_length][expected >> i & 1];
        }
        for (int c = 0; c < count; c++)
            inputs[c] = m->tables->stretch[mary_bit_model_predict(*models[c])];
        if (text && expected == 0)
            inputs[contexts + 1] = 0;
        const unsigned p = mary_mix(m->tables, m->weights[set], inputs, count);
        const int bit = BYTES_BIT(coder, p, coming >> i & 1);
        mary_mix_update(m->weights[set], inputs, count, p, bit, 15);
        for (int c = 0; c < count; c++)
            mary_bit_model_update(models[c], bit, limit, m->tables);
        partial = partial << 1 | (unsigned)bit;
    }
    return (uint8_t)partial;
}

/* Both walk over array->bytes: the encoder reads each byte before it is written back. */
static void walk_text(mary_bytes_model *m, BYTES_CODER *coder, const mary_byte_array *array)
{
    for (size_t at = 0; at < array->size; at++) {
        int hit = 0;
        if (m->match_length >= MARY_BYTES_MATCH_LONG) { /* one decision says that it goes on, mostly */
            mary_bit_model *model = &m->hits[m->match_length];
            const unsigned p = mary_bit_model_predict(*model) * 16 + 8;
            hit = BYTES_BIT(coder, p, array->bytes[at] == m->history[m->match_at]);
            mary_bit_model_update(model, hit, 255, m->tables);
            m->match_missed = !hit;
        }
        if (hit) {
            array->bytes[at] = m->history[m->match_at];
        } else {
            const int set = mary_bytes_text_contexts(m);
            array->bytes[at] = walk_byte(m, coder, set, MARY_BYTES_CONTEXTS, 60, array->bytes[at]);
        }
        mary_bytes_append(m, array->bytes[at]);
    }
}

static void walk_numbers(mary_bytes_model *m, BYTES_CODER *coder, const mary_byte_array *array)
{
    const size_t element = (size_t)array->element;
    for (size_t at = 0; at < array->size; at += element) {
        for (size_t plane = 0; plane < (size_t)array->coded; plane++) {
            const int set = mary_bytes_number_contexts(m, array, at / element, plane);
            uint8_t *byte = &array->bytes[at + element - 1 - plane];
            *byte = walk_byte(m, coder, set, MARY_BYTES_NUMBER_CONTEXTS, 1023, *byte);
        }
    }
}
