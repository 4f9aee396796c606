/* Walks floats with the model of floats_model.h. Included by the decoder and by the encoder, which define FLOATS_CODER,
 * FLOATS_BIT(coder, p, bit) and FLOATS_BITS(coder, count, bits), which return what they code; what the decoder passes
 * for it is ignored. */

static inline int walk_bit(const mary_floats_model *m, mary_bit_model *model, FLOATS_CODER *coder, int coming)
{
    const int bit = FLOATS_BIT(coder, mary_bit_model_predict(*model) * 16 + 8, coming);
    mary_bit_model_update(model, bit, MARY_FLOATS_LIMIT, m->tables);
    return bit;
}

typedef struct step_models {
    mary_bit_model *of[MARY_FLOATS_INPUTS]; /* [MARY_FLOATS_NODES] each */
} step_models;

static inline int walk_node(mary_floats_model *m, const step_models *models, int node, FLOATS_CODER *coder, int coming)
{
    mary_bit_model *of[MARY_FLOATS_INPUTS];
    int32_t inputs[MARY_FLOATS_INPUTS];
    for (int i = 0; i < MARY_FLOATS_INPUTS; i++)
        of[i] = &models->of[i][node];
    const unsigned p = mary_mix_predict(m->tables, m->weights[node], of, inputs, MARY_FLOATS_INPUTS);
    const int bit = FLOATS_BIT(coder, p, coming);
    mary_mix_learn(m->tables, m->weights[node], of, inputs, MARY_FLOATS_INPUTS, p, bit, MARY_FLOATS_RATE,
                   MARY_FLOATS_LIMIT);
    return bit;
}

/* How far an exponent is from what was expected. */
static inline int walk_step(mary_floats_model *m, FLOATS_CODER *coder, const step_models *models, int coming)
{
    int size = 1;
    if (!walk_node(m, models, 0, coder, coming != 0))
        return 0;
    const int down = walk_node(m, models, 1, coder, coming < 0), coming_size = coming < 0 ? -coming : coming;
    while (size <= MARY_FLOATS_UNARY && walk_node(m, models, 1 + size, coder, coming_size > size))
        size++;
    if (size > MARY_FLOATS_UNARY)
        size += (int)FLOATS_BITS(coder, 8, (uint32_t)(coming_size - size));
    return down ? -size : size;
}

static inline int step_context(int step)
{
    return (step < -MARY_FLOATS_FAR  ? -MARY_FLOATS_FAR
            : step > MARY_FLOATS_FAR ? MARY_FLOATS_FAR
                                     : step) +
           MARY_FLOATS_FAR;
}

static inline int exponent_of(uint32_t number)
{
    return (int)(number >> MARY_FLOATS_MANTISSA & 255);
}

/* The first bits of `near`'s mantissa, if sign and exponent are those of `number`. */
static inline unsigned first_of(uint32_t near, uint32_t number)
{
    return near >> MARY_FLOATS_MANTISSA == number >> MARY_FLOATS_MANTISSA
               ? near >> (MARY_FLOATS_MANTISSA - MARY_FLOATS_FIRST) & ((1u << MARY_FLOATS_FIRST) - 1)
               : 4;
}

/* Both walk over numbers[count]: the encoder reads each before it is written back. */
static void walk_floats(mary_floats_model *m, FLOATS_CODER *coder, uint32_t *numbers, size_t count, size_t row_length,
                        int noughts)
{
    const int rest = MARY_FLOATS_MANTISSA - MARY_FLOATS_FIRST - noughts;
    for (size_t at = 0, column = 0, repeated = 0; at < count; at++, column = column + 1 < row_length ? column + 1 : 0) {
        const bool above = at >= row_length, before = column > 0;
        const uint32_t coming = numbers[at], up = above ? numbers[at - row_length] : 0;
        const uint32_t left = at > 0 ? numbers[at - 1] : 0x3f800000;
        const int side = before ? (int)(left >> 31) : 2;
        if (before) {
            const int repeats = above ? up == numbers[at - row_length - 1] : 2;
            repeated = (size_t)walk_bit(m, &m->repeats[repeats][repeated], coder, coming == left);
            if (repeated) {
                numbers[at] = left;
                continue;
            }
        }
        repeated = 0;
        if (walk_bit(m, &m->zeros[above ? up == 0 : 2][side], coder, coming == 0)) {
            numbers[at] = 0;
            continue;
        }
        const int from = exponent_of(above ? up : left);
        const int last = !above    ? MARY_FLOATS_STEPS - 1
                         : !before ? MARY_FLOATS_STEPS - 2
                                   : step_context(exponent_of(left) - exponent_of(numbers[at - row_length - 1]));
        const step_models models = {
            {m->last[last], m->columns[column < MARY_FLOATS_COLUMNS ? column : MARY_FLOATS_COLUMNS - 1],
             m->sides[before ? step_context(exponent_of(left) - from) : MARY_FLOATS_STEPS - 1]}};
        const int exponent = (from + walk_step(m, coder, &models, exponent_of(coming) - from)) & 255;
        uint32_t number = (uint32_t)exponent << MARY_FLOATS_MANTISSA;
        number |= (uint32_t)walk_bit(m, &m->signs[above ? up >> 31 : 2][side], coder, coming >> 31 != 0) << 31;
        mary_bit_model *first = m->first[above ? first_of(up, number) : 4][before ? first_of(left, number) : 4];
        unsigned partial = 1; /* the bits so far behind a 1 */
        for (int i = 1; i <= MARY_FLOATS_FIRST; i++)
            partial =
                partial << 1 | (unsigned)walk_bit(m, &first[partial], coder, coming >> (MARY_FLOATS_MANTISSA - i) & 1);
        number |= (partial & ((1u << MARY_FLOATS_FIRST) - 1)) << (MARY_FLOATS_MANTISSA - MARY_FLOATS_FIRST);
        if (rest > 0)
            number |= FLOATS_BITS(coder, rest, coming >> noughts & ((1u << rest) - 1)) << noughts;
        numbers[at] = number;
    }
}
