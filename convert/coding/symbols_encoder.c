#include "convert/coding/coders.h"
#include "onnx/coding/symbols_model.h"

/* Symbols are encoded last first, so a block's are kept until it is full. */
typedef struct symbols_encoder {
    mary_buffer *out;
    struct {
        uint16_t start, frequency;
    } * steps; /* [2 * BLOCK]: a class and a place for each weight */
    size_t count;
    uint16_t *words; /* [2 * BLOCK]: at most one a step */
} symbols_encoder;

static inline int keep(symbols_encoder *encoder, const int16_t *starts, int symbol)
{
    encoder->steps[encoder->count].start = (uint16_t)starts[symbol];
    encoder->steps[encoder->count++].frequency = (uint16_t)(starts[symbol + 1] - starts[symbol]);
    return symbol;
}

static bool encode_block(symbols_encoder *encoder)
{
    uint32_t states[2] = {MARY_SYMBOLS_LEAST_STATE, MARY_SYMBOLS_LEAST_STATE};
    size_t words = 0;
    for (size_t i = encoder->count; i-- > 0;) {
        const uint32_t start = encoder->steps[i].start, frequency = encoder->steps[i].frequency;
        uint32_t state = states[i & 1];
        if (state >= (uint64_t)frequency << (32 - MARY_SYMBOLS_SCALE)) {
            encoder->words[words++] = (uint16_t)state;
            state >>= 16;
        }
        states[i & 1] = (state / frequency << MARY_SYMBOLS_SCALE) + state % frequency + start;
    }
    /* The decoder takes turns, so that after an odd number of steps it holds them the other way round: it only asks
     * whether both are what they were here at first. */
    mary_buffer_integer(encoder->out, states[0], 4);
    mary_buffer_integer(encoder->out, states[1], 4);
    for (; words > 0; words--)
        mary_buffer_integer(encoder->out, encoder->words[words - 1], 2);
    encoder->count = 0;
    return !encoder->out->failed;
}

#define SYMBOLS_WALK                             encode
#define SYMBOLS_CODER                            symbols_encoder
#define SYMBOLS_CODE(coder, starts, sum, symbol) keep(coder, starts, symbol)
#define SYMBOLS_NEXT                             row[k]
#define SYMBOLS_BLOCK(coder)                     encode_block(coder)
#include "onnx/coding/symbols_template.h"

mary_status mary_symbols_encode(const mary_code_matrix *matrix, int contexts, mary_buffer *out)
{
    mary_status status = MARY_OK;
    mary_symbols_model *model = NULL;
    symbols_encoder encoder = {.out = out};
    uint64_t counts[256], total = 0;
    mary_count_codes(matrix, counts);
    int isolate = mary_commonest_code(counts);
    for (int i = 0; i < 256; i++)
        total += counts[i];
    /* A class of its own pays when it is coded without a place, and most codes are that one. */
    if (matrix->alphabet <= MARY_SYMBOLS_CLASSES || counts[isolate] * 2 <= total ||
        mary_symbols_step(matrix->alphabet, isolate) > MARY_SYMBOLS_CLASSES)
        isolate = -1;
    encoder.steps = mary_alloc(2 * MARY_SYMBOLS_BLOCK * sizeof *encoder.steps);
    encoder.words = mary_alloc(2 * MARY_SYMBOLS_BLOCK * sizeof *encoder.words);
    if (encoder.steps == NULL || encoder.words == NULL) {
        status = mary_fail_memory(2 * MARY_SYMBOLS_BLOCK * sizeof *encoder.steps);
        goto done;
    }
    MARY_TRY_GOTO(mary_symbols_model_create(matrix, contexts, isolate, &model), done);
    mary_buffer_byte(out, (unsigned)contexts);
    mary_buffer_integer(out, (uint64_t)(isolate + 1), 2);
    if (!walk(model, &encoder, matrix, contexts) || out->failed)
        status = mary_fail_memory(out->capacity);
done:
    mary_symbols_model_free(&model);
    mary_free(encoder.steps);
    mary_free(encoder.words);
    return status;
}
