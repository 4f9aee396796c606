/* Walks a matrix with the model of symbols_model.h. Included by the decoder and by the encoder, which define
 *
 *   SYMBOLS_WALK                          name of the function
 *   SYMBOLS_CODER                         type of the coder
 *   SYMBOLS_CODE(coder, starts, sum, symbol)   codes a symbol, whose frequencies are starts[i + 1] - starts[i] (`sum`:
 * the same as a vector); the decoder ignores `symbol`, both return it SYMBOLS_NEXT                          the
 * matrix's code at hand: a constant for the decoder, which writes it SYMBOLS_BLOCK(coder)                  at the end
 * of a block; false stops
 *
 * `contexts` is a constant where the function is called, so that each set gets code of its own. */

static inline __attribute__((always_inline)) int walk_symbol(SYMBOLS_CODER *coder, const mary_lanes *sum, int symbol)
{
    int16_t starts[MARY_SYMBOLS_CLASSES + 1];
    memcpy(starts, sum, sizeof *sum);
    starts[MARY_SYMBOLS_CLASSES] = 1 << MARY_SYMBOLS_SCALE;
    return SYMBOLS_CODE(coder, starts, sum, symbol);
}

static inline __attribute__((always_inline)) bool SYMBOLS_WALK(mary_symbols_model *m, SYMBOLS_CODER *coder,
                                                               const mary_code_matrix *matrix, const int contexts)
{
    const int64_t length = matrix->row_length, taps = matrix->taps, width = mary_kernel_width(taps);
    const int classes = m->classes, none = 256;
    int64_t left = MARY_SYMBOLS_BLOCK;
    for (int64_t r = 0; r < matrix->rows; r++) {
        uint8_t *row = matrix->codes + r * length;
        mary_distribution *channel = m->channels;
        int64_t tap = 0;
        if (mary_symbols_by_row(contexts))
            mary_symbols_begin_row(m);
        for (int64_t k = 0; k < length; k++) {
            /* The code to the left and the one above: in the kernel, or without one in the row and in the column. */
            const int before = m->class_of[(taps > 1 ? tap : k) > 0 ? row[k - 1] : none];
            const bool is_above = taps > 1 ? tap >= width : r > 0;
            const int above = m->class_of[is_above ? row[k - (taps > 1 ? width : length)] : none];
            mary_lanes sum = {0};
            mary_distribution *a = &m->all, *b = NULL, *c = NULL, *d = NULL;
            switch (contexts) {
            case 0: /* everything seen so far */
                mary_lanes_add(&sum, a, 4);
                break;
            case 1: /* left */
                a = &m->before[before];
                mary_lanes_add(&sum, a, 4);
                break;
            case 2: /* left, twice; row; channel */
                a = &m->before[before], b = &m->row, c = channel;
                mary_lanes_add(&sum, a, 2), mary_lanes_add(&sum, b, 1), mary_lanes_add(&sum, c, 1);
                break;
            case 3: /* left and above together */
                a = &m->before_above[before * 17 + above];
                mary_lanes_add(&sum, a, 4);
                break;
            case 4: /* left, twice; above, twice */
                a = &m->before[before], b = &m->above[above];
                mary_lanes_add(&sum, a, 2), mary_lanes_add(&sum, b, 2);
                break;
            default: /* left; everything; row; channel */
                b = &m->before[before], c = &m->row, d = channel;
                mary_lanes_add(&sum, a, 1), mary_lanes_add(&sum, b, 1), mary_lanes_add(&sum, c, 1),
                    mary_lanes_add(&sum, d, 1);
                break;
            }
            if (++tap == taps)
                tap = 0, channel++;
            int code = SYMBOLS_NEXT;
            const int symbol = walk_symbol(coder, &sum, m->class_of[code]);
            mary_distribution_update(a, symbol, classes);
            if (b != NULL)
                mary_distribution_update(b, symbol, classes);
            if (c != NULL)
                mary_distribution_update(c, symbol, classes);
            if (d != NULL)
                mary_distribution_update(d, symbol, classes);
            if (contexts == 2)
                mary_distribution_update(&m->all, symbol, classes); /* for the rows to begin with */
            int index = symbol;
            if (m->step > 1 && !(m->common >= 0 && symbol == 0)) {
                mary_lanes places = {0};
                mary_lanes_add(&places, &m->places[symbol], 4);
                const int place = walk_symbol(coder, &places, m->place[code]);
                mary_distribution_update(&m->places[symbol], place, m->step);
                index = (symbol - (m->common >= 0)) * m->step + place;
            } else if (m->common >= 0) {
                index = symbol - 1;
            }
            code = m->common < 0 ? index : symbol == 0 ? m->common : index + (index >= m->common);
            if (code >= matrix->alphabet)
                return false;
            row[k] = (uint8_t)code;
            if (--left == 0) {
                if (!SYMBOLS_BLOCK(coder))
                    return false;
                left = MARY_SYMBOLS_BLOCK;
            }
        }
    }
    return left == MARY_SYMBOLS_BLOCK || SYMBOLS_BLOCK(coder);
}

static bool walk(mary_symbols_model *m, SYMBOLS_CODER *coder, const mary_code_matrix *matrix, int contexts)
{
    switch (contexts) {
    case 0:
        return SYMBOLS_WALK(m, coder, matrix, 0);
    case 1:
        return SYMBOLS_WALK(m, coder, matrix, 1);
    case 2:
        return SYMBOLS_WALK(m, coder, matrix, 2);
    case 3:
        return SYMBOLS_WALK(m, coder, matrix, 3);
    case 4:
        return SYMBOLS_WALK(m, coder, matrix, 4);
    default:
        return SYMBOLS_WALK(m, coder, matrix, 5);
    }
}
