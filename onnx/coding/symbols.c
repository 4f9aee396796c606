/* The symbol coder: two interleaved range variants of asymmetric numeral systems (Duda 2013) over adaptive
 * distributions. A stream is its set of contexts, the code that is a class of its own + 1 or 0 as two bytes, then
 * blocks: both states, and the 16-bit words that decoding them consumes. */
#include "onnx/coding/symbols_model.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void mary_distribution_rebuild(mary_distribution *d, int classes)
{
    if (d->total >= MARY_SYMBOLS_MOST) {
        d->total = 0;
        for (int i = 0; i < classes; i++) {
            d->counts[i] = (uint16_t)(d->counts[i] - (d->counts[i] >> 1));
            d->total = (uint16_t)(d->total + d->counts[i]);
        }
    }
    /* Each class has one, the rest is shared in proportion. */
    const uint64_t inverse = ((uint64_t)(MARY_SYMBOLS_PART - classes) << 32) / d->total;
    uint64_t sum = 0;
    for (int i = 0; i < MARY_SYMBOLS_CLASSES; i++) {
        d->starts[i] = i < classes ? (int16_t)((int)(sum * inverse >> 32) + i) : MARY_SYMBOLS_PART;
        sum += d->counts[i];
    }
    /* Soon while little is known: after 1, 1, 1, 1, ... 2, ... up to 128 more. */
    unsigned pause = d->seen < 4 ? 1 : d->seen / 4u;
    d->wait = (uint16_t)(pause > 128 ? 128 : pause);
    d->seen = (uint16_t)(d->seen + d->wait > 1024 ? 1024 : d->seen + d->wait);
}

void mary_distribution_init(mary_distribution *d, int classes)
{
    memset(d, 0, sizeof *d);
    for (int i = 0; i < classes; i++)
        d->counts[i] = MARY_SYMBOLS_STEP / 3;
    d->total = (uint16_t)(MARY_SYMBOLS_STEP / 3 * classes);
    mary_distribution_rebuild(d, classes);
}

void mary_symbols_begin_row(mary_symbols_model *m)
{
    mary_distribution *row = &m->row;
    row->total = 0;
    for (int i = 0; i < m->classes; i++) {
        row->counts[i] = (uint16_t)(1 + (uint32_t)m->all.counts[i] * (16 * MARY_SYMBOLS_STEP) / m->all.total);
        row->total = (uint16_t)(row->total + row->counts[i]);
    }
    row->seen = 16;
    mary_distribution_rebuild(row, m->classes);
}

int mary_symbols_step(int alphabet, int isolate)
{
    return isolate >= 0 ? (alphabet - 1 + MARY_SYMBOLS_CLASSES - 2) / (MARY_SYMBOLS_CLASSES - 1)
                        : (alphabet + MARY_SYMBOLS_CLASSES - 1) / MARY_SYMBOLS_CLASSES;
}

mary_status mary_symbols_model_create(const mary_code_matrix *matrix, int contexts, int isolate,
                                      mary_symbols_model **model)
{
    const size_t fixed = 17 + 17 + (contexts == 3 ? 17 * 17 : 0);
    const size_t channels = mary_symbols_by_row(contexts) ? (size_t)(matrix->row_length / matrix->taps) + 1 : 0;
    size_t count, bytes;
    if (!mary_size_add(channels, fixed, &count) || !mary_size_mul(count, sizeof(mary_distribution), &bytes))
        return mary_fail_memory(SIZE_MAX);
    mary_symbols_model *m = mary_calloc(1, sizeof *m);
    mary_distribution *memory = mary_alloc(bytes);
    if (m == NULL || memory == NULL) {
        mary_free(m);
        mary_free(memory);
        return mary_fail_memory(bytes);
    }
    m->common = isolate;
    m->step = mary_symbols_step(matrix->alphabet, isolate);
    for (int code = 0; code < matrix->alphabet; code++) {
        int index = isolate < 0 ? code : code - (code > isolate);
        int class = index / m->step + (isolate >= 0);
        m->class_of[code] = (uint8_t)(code == isolate ? 0 : class);
        m->place[code] = (uint8_t)(code == isolate ? 0 : index % m->step);
        if (m->class_of[code] >= m->classes)
            m->classes = m->class_of[code] + 1;
    }
    m->class_of[256] = MARY_SYMBOLS_CLASSES;
    mary_distribution_init(&m->all, m->classes);
    for (size_t i = 0; i < count; i++)
        memory[i] = m->all;
    m->row = m->all;
    for (int i = 0; i < m->classes; i++)
        mary_distribution_init(&m->places[i], m->step);
    m->memory = memory;
    m->before = memory;
    m->above = m->before + 17;
    m->before_above = m->above + 17;
    m->channels = m->above + 17; /* no set has both */
    *model = m;
    return MARY_OK;
}

void mary_symbols_model_free(mary_symbols_model **model)
{
    if (*model != NULL)
        mary_free((*model)->memory);
    mary_free(*model);
    *model = NULL;
}

typedef struct symbols_decoder {
    uint32_t state, other;
    const uint8_t *at, *end;
} symbols_decoder;

static bool read_states(symbols_decoder *decoder)
{
    if (decoder->end - decoder->at < 8)
        return false;
    memcpy(&decoder->state, decoder->at, 4);
    memcpy(&decoder->other, decoder->at + 4, 4);
    decoder->at += 8;
    return true;
}

static inline __attribute__((always_inline)) int decode_symbol(symbols_decoder *decoder, const int16_t *starts,
                                                               const mary_lanes *sum)
{
    const int slot = (int)(decoder->state & ((1u << MARY_SYMBOLS_SCALE) - 1));
#ifdef __SSE2__
    const __m128i *halves = (const __m128i *)sum, slots = _mm_set1_epi16((int16_t)slot);
    const __m128i behind = _mm_packs_epi16(_mm_cmpgt_epi16(halves[0], slots), _mm_cmpgt_epi16(halves[1], slots));
    const int symbol = __builtin_ctz((unsigned)_mm_movemask_epi8(behind) | 0x10000) - 1; /* the last before these */
#else
    const mary_lanes behind = *sum > (int16_t)slot; /* -1 in each lane that begins behind it */
    int16_t parts[MARY_SYMBOLS_CLASSES];
    memcpy(parts, &behind, sizeof parts);
    int symbol = MARY_SYMBOLS_CLASSES - 1;
    for (int i = 0; i < MARY_SYMBOLS_CLASSES; i++)
        symbol += parts[i];
#endif
    const uint32_t start = (uint32_t)starts[symbol], frequency = (uint32_t)starts[symbol + 1] - start;
    uint32_t state = frequency * (decoder->state >> MARY_SYMBOLS_SCALE) + (uint32_t)slot - start;
    if (state < MARY_SYMBOLS_LEAST_STATE) {
        uint16_t word = 0; /* zeros behind the end: the block's end will show that it is wrong */
        if (decoder->end - decoder->at >= 2)
            memcpy(&word, decoder->at, 2), decoder->at += 2;
        state = state << 16 | word;
    }
    decoder->state = decoder->other; /* the two take turns */
    decoder->other = state;
    return symbol;
}

/* Encoding began with these states. After the last block nothing is left. */
static bool end_block(symbols_decoder *decoder)
{
    bool whole = decoder->state == MARY_SYMBOLS_LEAST_STATE && decoder->other == MARY_SYMBOLS_LEAST_STATE;
    return whole && (decoder->at == decoder->end || read_states(decoder));
}

#define SYMBOLS_WALK                             decode
#define SYMBOLS_CODER                            symbols_decoder
#define SYMBOLS_CODE(coder, starts, sum, symbol) ((void)(symbol), decode_symbol(coder, starts, sum))
#define SYMBOLS_NEXT                             0
#define SYMBOLS_BLOCK(coder)                     end_block(coder)
#include "onnx/coding/symbols_template.h"

mary_status mary_symbols_decode(const uint8_t *bytes, size_t size, mary_code_matrix *matrix)
{
    mary_symbols_model *model = NULL;
    symbols_decoder decoder = {.at = bytes + 3, .end = bytes + size};
    if (size < 3 || bytes[0] >= MARY_SYMBOLS_CONTEXTS || bytes[2] > 1)
        return mary_fail(MARY_ERROR_INVALID, "not a stream of symbols");
    int isolate = bytes[1] + 256 * bytes[2] - 1;
    if (isolate >= matrix->alphabet || (isolate >= 0 && matrix->alphabet <= MARY_SYMBOLS_CLASSES) ||
        mary_symbols_step(matrix->alphabet, isolate) > MARY_SYMBOLS_CLASSES)
        return mary_fail(MARY_ERROR_INVALID, "the commonest code is not one");
    if (!read_states(&decoder))
        return mary_fail(MARY_ERROR_INVALID, "the stream is cut short");
    MARY_TRY(mary_symbols_model_create(matrix, bytes[0], isolate, &model));
    bool decoded = walk(model, &decoder, matrix, bytes[0]) && decoder.at == decoder.end;
    mary_symbols_model_free(&model);
    return decoded ? MARY_OK : mary_fail(MARY_ERROR_INVALID, "the stream is damaged");
}
