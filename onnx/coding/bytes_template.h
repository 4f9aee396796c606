/* Walks bytes with the model of bytes_model.h. Included by the decoder and by the encoder, which define BYTES_CODER and
 * BYTES_BIT(coder, p, bit), which both return the bit; what the decoder passes for it is ignored. */

/* `contexts` is a constant wherever this is called. */
static inline __attribute__((always_inline)) uint8_t walk_byte(mary_bytes_model *m, BYTES_CODER *coder, int set,
                                                               int contexts, unsigned limit, int coming)
{
    const int count = contexts + 1;
    unsigned partial = 1; /* the bits so far behind a 1 */
    for (int i = 7; i >= 0; i--) {
        mary_bit_model *models[MARY_BYTES_INPUTS];
        int32_t inputs[MARY_BYTES_INPUTS];
        for (int c = 0; c < contexts; c++)
            models[c] = m->slots + ((size_t)c << m->bits) +
                        ((m->hashes[c] ^ partial * 0x9e3779b1u) * 0x85ebca6bu >> (32 - m->bits));
        models[contexts] = &m->alone[set][partial];
        const unsigned p = mary_mix_predict(m->tables, m->weights[set], models, inputs, count);
        const int bit = BYTES_BIT(coder, p, coming >> i & 1);
        mary_mix_learn(m->tables, m->weights[set], models, inputs, count, p, bit, 14, limit);
        partial = partial << 1 | (unsigned)bit;
    }
    return (uint8_t)partial;
}

/* Is the next byte of text the one that the match expects? By how long that has gone on, what it is, what was before.
 */
static inline bool walk_match(mary_bytes_model *m, BYTES_CODER *coder, unsigned expected, int coming)
{
    const int length = m->match_length, set = (length >= 16) + (length >= 32);
    mary_bit_model *const models[MARY_BYTES_MATCH_INPUTS] = {
        &m->hits[length], &m->hits_of[set][expected],
        &m->hits_after[(m->history[m->at - 1] * 0x9e3779b1u ^ expected * 0x85ebca6bu) * 0x2c1b3c6du >>
                       (32 - MARY_BYTES_PAIR_BITS)]};
    int32_t inputs[MARY_BYTES_MATCH_INPUTS];
    const unsigned p = mary_mix_predict(m->tables, m->hit_weights[set], models, inputs, MARY_BYTES_MATCH_INPUTS);
    const int hit = BYTES_BIT(coder, p, coming);
    mary_mix_learn(m->tables, m->hit_weights[set], models, inputs, MARY_BYTES_MATCH_INPUTS, p, hit, 14, 60);
    return hit;
}

/* Both walk over array->bytes: the encoder reads each byte before it is written back. */
static void walk_text(mary_bytes_model *m, BYTES_CODER *coder, const mary_byte_array *array)
{
    for (size_t at = 0; at < array->size; at++) {
        const uint8_t expected = m->match_length > 0 ? m->history[m->match_at] : 0;
        if (m->match_length > 0 && walk_match(m, coder, expected, array->bytes[at] == expected))
            array->bytes[at] = expected;
        else
            array->bytes[at] =
                walk_byte(m, coder, mary_bytes_text_contexts(m), MARY_BYTES_CONTEXTS, 30, array->bytes[at]);
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
