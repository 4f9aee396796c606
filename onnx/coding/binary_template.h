/* Walks a matrix with the model of binary_model.h. Included by the decoder and by the encoder, which define
 *
 *   BINARY_WALK                  name of the function
 *   BINARY_CODER                 type of the range coder
 *   BINARY_BIT(coder, p, bit)    codes a bit: the decoder ignores `bit`, both return it
 *   BINARY_CODE                  the matrix's code at hand: a constant for the decoder, which writes it afterwards */

/* `rare`: a constant; a 1 is. Then the processor guesses that it is a 0, and goes on with what comes next while the
 * decision is still being worked out. */
static inline __attribute__((always_inline)) int walk_bit(const mary_logistic *tables, BINARY_CODER *coder,
                                                          mary_bit_model *const *models, int32_t *weights,
                                                          const int count, int bit, const bool rare)
{
    int32_t inputs[MARY_BINARY_INPUTS];
    const unsigned p = mary_mix_predict(tables, weights, models, inputs, count);
    bit = BINARY_BIT(coder, p, bit);
    if (rare && __builtin_expect(bit, 0)) {
        mary_mix_learn(tables, weights, models, inputs, count, p, 1, MARY_BINARY_RATE, MARY_BINARY_LIMIT);
        return 1;
    }
    bit = rare ? 0 : bit;
    mary_mix_learn(tables, weights, models, inputs, count, p, bit, MARY_BINARY_RATE, MARY_BINARY_LIMIT);
    return bit;
}

/* A code other than the commonest. `beside`: a code, or the alphabet's size. */
static int walk_other(mary_binary_model *m, BINARY_CODER *coder, int beside, int code)
{
    mary_bit_model *beside_models = m->beside + (size_t)beside * (size_t)m->nodes;
    unsigned path = m->path[code];
    int node = m->root;
    for (; node >= 0; path >>= 1) {
        mary_bit_model *models[] = {&m->in_row[node], &beside_models[node]};
        node = m->next[node][walk_bit(m->tables, coder, models, m->node_weights[node], MARY_BINARY_NODE_INPUTS,
                                      path & 1, false)];
    }
    return ~node;
}

/* The code above in the kernel, unless it is the commonest, else that to the left. `at`: in the row; `before`: codes of
 * the kernel, or without one of the row, that come before it. */
static inline int walk_beside(const mary_binary_model *m, const uint8_t *at, int64_t before)
{
    if (before >= m->width && at[-m->width] != m->common)
        return at[-m->width];
    return before > 0 ? at[-1] : m->alphabet;
}

static void BINARY_WALK(mary_binary_model *m, BINARY_CODER *coder, const mary_code_matrix *matrix)
{
    const int64_t length = matrix->row_length, taps = matrix->taps;
    const int common = m->common;
    for (int64_t r = 0; r < matrix->rows; r++) {
        uint8_t *row = matrix->codes + r * length;
        mary_bit_model *channel = m->channel;
        unsigned recent = 0; /* significance of the kernel's last codes, or of the row's, the latest in bit 0 */
        int64_t tap = 0;
        mary_binary_model_row(m);
        for (int64_t k = 0; k < length; k++) {
            const unsigned neighbours = (recent & 1) | (recent >> m->above & 3) << 1;
            mary_bit_model *models[] = {&m->row[recent & 1], channel,
                                        &m->pattern[tap < MARY_BINARY_TAPS ? tap : 0][neighbours]};
            const int code = BINARY_CODE;
            recent <<= 1;
            if (walk_bit(m->tables, coder, models, m->weights, MARY_BINARY_INPUTS, code != common, true)) {
                const int beside = walk_beside(m, row + k, taps > 1 ? tap : k);
                row[k] = (uint8_t)walk_other(m, coder, beside, code);
                recent |= 1;
            } else {
                row[k] = (uint8_t)common;
            }
            if (++tap == taps) {
                tap = 0;
                channel++;
                recent = taps > 1 ? 0 : recent;
            }
        }
    }
}
