/* Walks a matrix with the model of binary_model.h. Included by the decoder and by the encoder, which define
 *
 *   BINARY_WALK                  name of the function
 *   BINARY_CODER                 type of the range coder
 *   BINARY_BIT(coder, p, bit)    codes a bit: the decoder ignores `bit`, both return it
 *   BINARY_CODE                  the matrix's code at hand: a constant for the decoder, which writes it afterwards */

static inline __attribute__((always_inline)) void walk_learn(mary_binary_model *m, mary_bit_model *const *models,
                                                             int32_t *weights, const int32_t *inputs, unsigned p,
                                                             const int bit)
{
    mary_mix_learn(m->tables, weights, models, inputs, MARY_BINARY_INPUTS, p, bit, MARY_BINARY_RATE, MARY_BINARY_LIMIT);
}

/* `rare`: a constant; a 1 is. Then the processor guesses that it is a 0, and goes on with what comes next while the
 * decision is still being worked out. */
static inline __attribute__((always_inline)) int walk_bit(mary_binary_model *m, BINARY_CODER *coder,
                                                          mary_bit_model *const *models, int32_t *weights, int bit,
                                                          const bool rare)
{
    int32_t inputs[MARY_BINARY_INPUTS];
    const unsigned p = mary_mix_predict(m->tables, weights, models, inputs, MARY_BINARY_INPUTS);
    bit = BINARY_BIT(coder, p, bit);
    if (!rare) {
        walk_learn(m, models, weights, inputs, p, bit);
        return bit;
    }
    if (__builtin_expect(bit, 0)) {
        walk_learn(m, models, weights, inputs, p, 1);
        return 1;
    }
    walk_learn(m, models, weights, inputs, p, 0);
    return 0;
}

/* The index of a code other than the commonest, among these. `before`, `above`: codes, or the alphabet's size. */
static int walk_index(mary_binary_model *m, BINARY_CODER *coder, int before, int above, int index)
{
    size_t node = 1;
    for (int i = m->depth - 1; i >= 0; i--) {
        mary_bit_model *models[MARY_BINARY_INPUTS] = {&m->all[node], &m->in_row[node],
                                                      &m->before[(size_t)before * m->nodes + node],
                                                      &m->above[(size_t)above * m->nodes + node]};
        node = 2 * node + (size_t)walk_bit(m, coder, models, m->index_weights[node], index >> i & 1, false);
    }
    return (int)(node - m->nodes);
}

/* false: an index that no code has. */
static bool BINARY_WALK(mary_binary_model *m, BINARY_CODER *coder, const mary_code_matrix *matrix)
{
    const int64_t length = matrix->row_length, taps = matrix->taps;
    const int common = m->common, alphabet = matrix->alphabet;
    for (int64_t r = 0; r < matrix->rows; r++) {
        uint8_t *row = matrix->codes + r * length;
        unsigned recent = 0; /* significance of this row's last codes, the latest in bit 0 */
        m->row = MARY_BIT_MODEL_HALF;
        mary_bit_model_init(m->in_row, m->nodes);
        for (int64_t k = 0; k < length; k++) {
            unsigned column = m->history[k];
            unsigned near = m->ones[recent & 255] * 9u + m->ones[column];
            unsigned tap = taps > 1 && k >= taps && row[k - taps] != common;
            unsigned pattern =
                (recent & 7) | (column & 3) << 3 | (m->history[k + 1] & 1u) << 5 | tap << 6 | (unsigned)(taps > 1) << 7;
            mary_bit_model *models[MARY_BINARY_INPUTS] = {&m->row, &m->column[k], &m->near[near], &m->pattern[pattern]};
            int code = BINARY_CODE;
            if (walk_bit(m, coder, models, m->weights, code != common, true)) {
                int before = k > 0 ? row[k - 1] : alphabet, above = r > 0 ? row[k - length] : alphabet;
                int index = walk_index(m, coder, before, above, code - (code > common));
                code = index + (index >= common);
                if (code >= alphabet)
                    return false;
                row[k] = (uint8_t)code;
                recent = recent << 1 | 1;
                m->history[k] = (uint8_t)(column << 1 | 1);
            } else {
                row[k] = (uint8_t)common;
                recent <<= 1;
                m->history[k] = (uint8_t)(column << 1);
            }
        }
    }
    return true;
}
