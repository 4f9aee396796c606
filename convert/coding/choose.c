#include "convert/coding/choose.h"

#include <math.h>

#include "onnx/coding/symbols_model.h"

enum {
    ENTRY = 12,             /* bytes, about, that a tensor costs in the directory */
    SMALL_CODES = 1 << 17,  /* weights: a tensor this small is decoded in some milliseconds whatever coder it has */
    CONTEXTS_PART = 256,    /* what sets of the symbol coder that take longer have to save: one part of so many */
    MANY_NUMBERS = 1 << 18, /* bytes, from where the fastest coder of numbers is worth it */
    NUMBERS_PART = 32,      /* the slowest one has to save one part of so many, */
    NUMBERS_TIME = 24       /* and a byte for every so many that it decodes, which take it some 6 microseconds */
};

static void take(mary_encoded *best, mary_coder coder, mary_buffer *stream, const mary_stream_bits *bits)
{
    mary_buffer_free(&best->stream);
    best->stream = *stream;
    best->coder = coder;
    best->bits = bits != NULL ? *bits : (mary_stream_bits){0};
    *stream = (mary_buffer){0};
}

/* Takes over `stream` when it is smaller than what there is. */
static void offer(mary_encoded *best, mary_coder coder, mary_buffer *stream, const mary_stream_bits *bits)
{
    if (best->coder == MARY_CODER_RAW || stream->size < best->stream.size)
        take(best, coder, stream, bits);
    stream->size = 0;
}

/* Binary decisions take time, some 10 ns each, so they have to save one percent. Codes that are nearly all the same
 * need little more than one; of others, two are allowed where a tensor is small. */
static bool fast_enough(const mary_code_matrix *matrix, uint64_t decisions, size_t size, size_t others)
{
    const uint64_t weights = (uint64_t)(matrix->rows * matrix->row_length);
    if (size + others / 100 > others)
        return false;
    return decisions <= weights + weights / 2 || (weights <= SMALL_CODES && decisions <= 2 * weights + weights / 4);
}

static mary_status encode_matrix(const mary_code_matrix *matrix, mary_coder_choice choice, mary_encoded *best)
{
    mary_buffer stream = {0};
    mary_stream_bits bits;
    uint64_t decisions;
    mary_status status = MARY_OK;
    for (int gaps = 0; gaps < 2 && choice != MARY_CHOOSE_ARITHMETIC; gaps++) {
        MARY_TRY_GOTO(mary_huffman_encode(matrix, gaps, &stream, &bits), done);
        offer(best, gaps ? MARY_CODER_GAPS : MARY_CODER_HUFFMAN, &stream, &bits);
    }
    for (int contexts = 0; contexts < MARY_SYMBOLS_CONTEXTS && choice != MARY_CHOOSE_HUFFMAN; contexts++) {
        MARY_TRY_GOTO(mary_symbols_encode(matrix, contexts, &stream), done);
        if (!mary_symbols_by_row(contexts) || stream.size + best->stream.size / CONTEXTS_PART < best->stream.size)
            offer(best, MARY_CODER_SYMBOLS, &stream, NULL);
        stream.size = 0;
    }
    if (choice != MARY_CHOOSE_HUFFMAN) {
        MARY_TRY_GOTO(mary_binary_encode(matrix, &stream, &decisions), done);
        if (fast_enough(matrix, decisions, stream.size, best->stream.size))
            offer(best, MARY_CODER_BINARY, &stream, NULL);
    }
done:
    mary_buffer_free(&stream);
    return status;
}

static double entropy_of(const mary_code_matrix *matrix)
{
    uint64_t counts[256];
    const double total = (double)matrix->rows * (double)matrix->row_length;
    double sum = 0;
    mary_count_codes(matrix, counts);
    for (int i = 0; i < 256; i++)
        sum += counts[i] > 0 ? (double)counts[i] * log2(total / (double)counts[i]) : 0;
    return sum / total;
}

static mary_status encode_codes(const uint8_t *payload, const mary_span *span, mary_coder_choice choice,
                                mary_encoded *encoded)
{
    const size_t count = (size_t)(span->rows * span->row_length);
    const size_t row_bytes = mary_packed_row_bytes(span->row_length, span->bits);
    mary_code_matrix matrix = {.rows = span->rows, .row_length = span->row_length, .taps = span->taps, .alphabet = 1};
    mary_status status = MARY_OK;
    matrix.codes = mary_alloc(count);
    if (matrix.codes == NULL)
        return mary_fail_memory(count);
    for (int64_t r = 0; r < span->rows; r++)
        mary_packed_spread(payload + (size_t)r * row_bytes, span->row_length, span->bits,
                           matrix.codes + r * span->row_length);
    for (size_t i = 0; i < count; i++)
        matrix.alphabet = matrix.codes[i] >= matrix.alphabet ? matrix.codes[i] + 1 : matrix.alphabet;
    encoded->alphabet = matrix.alphabet;
    encoded->entropy = entropy_of(&matrix);
    status = encode_matrix(&matrix, choice, encoded);
    mary_free(matrix.codes);
    return status;
}

/* Bits behind the last code of each row are zero: otherwise joining the codes would not give them back. */
static bool codes_are_tidy(const uint8_t *payload, const mary_span *span)
{
    const size_t row_bytes = mary_packed_row_bytes(span->row_length, span->bits);
    const unsigned used = (unsigned)((uint64_t)span->row_length * (unsigned)span->bits % 8);
    for (int64_t r = 0; r < span->rows && used > 0; r++) {
        if (payload[((size_t)r + 1) * row_bytes - 1] >> used != 0)
            return false;
    }
    return true;
}

static mary_status encode_numbers(const uint8_t *payload, const mary_span *span, mary_encoded *best)
{
    mary_buffer stream = {0};
    mary_byte_array array = {.size = span->size, .element = span->element, .row_length = span->numbers_in_row};
    mary_status status = MARY_OK;
    array.bytes = mary_alloc(span->size); /* coders read each byte and write it back */
    if (array.bytes == NULL)
        return mary_fail_memory(span->size);
    memcpy(array.bytes, payload, span->size);
    const bool many = span->size >= MANY_NUMBERS;
    /* All planes; the upper half; the highest. Of many numbers only those: the low bytes of floats are noise. */
    for (array.coded = many ? (span->element + 1) / 2 : span->element; array.coded > 0; array.coded /= 2) {
        MARY_TRY_GOTO(many ? mary_planes_encode(&array, &stream) : mary_bytes_encode(&array, &stream), done);
        offer(best, many ? MARY_CODER_PLANES : MARY_CODER_BYTES, &stream, NULL);
    }
    if (!many && span->element == 4) {
        MARY_TRY_GOTO(mary_floats_encode(&array, &stream), done);
        if (stream.size <= best->stream.size + stream.size / NUMBERS_PART + span->size / NUMBERS_TIME)
            take(best, MARY_CODER_FLOATS, &stream, NULL);
    }
done:
    mary_buffer_free(&stream);
    mary_free(array.bytes);
    return status;
}

mary_status mary_encode_span(const uint8_t *bytes, const mary_span *span, mary_coder_choice choice,
                             mary_encoded *encoded)
{
    const uint8_t *payload = bytes + span->offset;
    if (span->size < ENTRY) {
        encoded->in_text = true;
        return MARY_OK;
    }
    if (span->kind == MARY_SPAN_CODES && codes_are_tidy(payload, span))
        MARY_TRY(encode_codes(payload, span, choice, encoded));
    else if (span->kind != MARY_SPAN_CODES)
        MARY_TRY(encode_numbers(payload, span, encoded));
    if (encoded->coder != MARY_CODER_RAW && encoded->stream.size + ENTRY < span->size)
        return MARY_OK;
    encoded->coder = MARY_CODER_RAW;
    encoded->stream.size = 0;
    /* In the text, what cannot be compressed costs a few percent; in a stream of its own, an entry. */
    encoded->in_text = span->size < 40 * ENTRY;
    if (!encoded->in_text)
        mary_buffer_put(&encoded->stream, payload, span->size);
    return encoded->stream.failed ? mary_fail_memory(span->size) : MARY_OK;
}
