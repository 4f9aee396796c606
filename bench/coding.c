/* How fast packed models are unpacked, on one core, and how many bits a weight takes.
 *
 *   mary_bench_coding MODEL.onnx...
 *
 * One line of JSON a model and coder: bytes of the file, of its codes (positions and tables included), bits per weight,
 * the order-0 entropy of the codes tensor by tensor, and MB/s of weights as floats, by processor time: for everything
 * that unpacking does, and for the streams of codes alone, when each coder decodes all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convert/coding/coders.h"
#include "convert/coding/survey.h"
#include "onnx/coding/packed.h"
#include "onnx/coding/symbols_model.h"

enum { REPEATS = 15, CODERS = 3 + MARY_SYMBOLS_CONTEXTS };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = mary_alloc(*size);
    if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
        mary_free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

static mary_status pack(const char *path, const char *coder, const uint8_t *bytes, size_t size)
{
    const mary_pack_options options = {.coder = coder, .threads = 1};
    void *packed, *plain;
    size_t packed_size, plain_size;
    mary_pack_report *report;
    double best = 1e9, entropy = 0;
    MARY_TRY(mary_pack(bytes, size, &options, &packed, &packed_size, &report));
    mary_status status = MARY_OK;
    for (int i = 0; i < REPEATS && status == MARY_OK; i++) {
        double time = now();
        status = mary_unpack(packed, packed_size, &plain, &plain_size);
        time = now() - time;
        best = time < best ? time : best;
        mary_bytes_free(plain);
    }
    const mary_pack_totals *t = mary_pack_totals_of(report);
    for (size_t i = 0; mary_pack_row(report, i) != NULL; i++)
        entropy += mary_pack_row(report, i)->entropy * (double)mary_pack_row(report, i)->elements;
    uint64_t codes = t->codes + t->positions + t->tables;
    printf("{\"model\": \"%s\", \"coder\": \"%s\", \"plain\": %zu, \"packed\": %zu, \"weights\": %llu, \"codes\": "
           "%llu, \"levels\": %llu, "
           "\"biases\": %llu, \"other\": %llu, \"graph\": %llu, \"entropy\": %.4f, \"unpack_ms\": %.3f, "
           "\"unpack_mb_s\": %.0f}\n",
           path, coder, size, packed_size, (unsigned long long)t->weights, (unsigned long long)codes,
           (unsigned long long)t->levels, (unsigned long long)t->biases, (unsigned long long)t->other,
           (unsigned long long)t->graph, t->weights == 0 ? 0 : entropy / (double)t->weights, 1e3 * best,
           4e-6 * (double)t->weights / best);
    mary_pack_report_free(&report);
    mary_bytes_free(packed);
    return status;
}

static mary_status decode(int coder, const mary_buffer *stream, mary_code_matrix *matrix)
{
    if (coder < 2)
        return mary_huffman_decode(stream->bytes, stream->size, coder == 1, matrix);
    return coder == 2 ? mary_binary_decode(stream->bytes, stream->size, matrix)
                      : mary_symbols_decode(stream->bytes, stream->size, matrix);
}

/* Adds the bytes and the seconds that each coder takes for one tensor. */
static mary_status time_coders(const mary_code_matrix *matrix, double *bytes, double *seconds)
{
    mary_status status = MARY_OK;
    mary_code_matrix decoded = *matrix;
    decoded.codes = mary_alloc((size_t)(matrix->rows * matrix->row_length));
    if (decoded.codes == NULL)
        return mary_fail_memory((size_t)matrix->rows);
    for (int coder = 0; coder < CODERS && status == MARY_OK; coder++) {
        mary_buffer stream = {0};
        mary_stream_bits bits;
        uint64_t decisions;
        double best = 1e9;
        status = coder < 2    ? mary_huffman_encode(matrix, coder == 1, &stream, &bits)
                 : coder == 2 ? mary_binary_encode(matrix, &stream, &decisions)
                              : mary_symbols_encode(matrix, coder - 3, &stream);
        for (int i = 0; i < REPEATS && status == MARY_OK; i++) {
            double time = now();
            status = decode(coder, &stream, &decoded);
            time = now() - time;
            best = time < best ? time : best;
        }
        bytes[coder] += (double)stream.size;
        seconds[coder] += best;
        mary_buffer_free(&stream);
    }
    mary_free(decoded.codes);
    return status;
}

static mary_status coders_alone(const char *path, const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"huffman", "huffman gaps", "binary"}; /* then the symbol coder's sets */
    const int named = sizeof names / sizeof *names;
    double total[CODERS] = {0}, seconds[CODERS] = {0}, weights = 0;
    mary_model *model = NULL;
    mary_span *spans = NULL;
    size_t count = 0;
    mary_status status = MARY_OK;
    MARY_TRY(mary_model_load_memory(bytes, size, &model));
    MARY_TRY_GOTO(mary_survey(bytes, size, model, &spans, &count), done);
    for (size_t i = 0; i < count; i++) {
        const mary_span *span = &spans[i];
        if (span->kind != MARY_SPAN_CODES)
            continue;
        mary_code_matrix matrix = {span->rows, span->row_length, span->taps, 1, NULL};
        const size_t codes = (size_t)(span->rows * span->row_length),
                     row_bytes = mary_packed_row_bytes(span->row_length, span->bits);
        matrix.codes = mary_alloc(codes);
        if (matrix.codes == NULL) {
            status = mary_fail_memory(codes);
            goto done;
        }
        for (int64_t r = 0; r < span->rows; r++)
            mary_packed_spread(bytes + span->offset + (size_t)r * row_bytes, span->row_length, span->bits,
                               matrix.codes + r * span->row_length);
        for (size_t k = 0; k < codes; k++)
            matrix.alphabet = matrix.codes[k] >= matrix.alphabet ? matrix.codes[k] + 1 : matrix.alphabet;
        weights += (double)codes;
        status = time_coders(&matrix, total, seconds);
        mary_free(matrix.codes);
        if (status != MARY_OK)
            goto done;
    }
    for (int i = 0; i < CODERS && weights > 0; i++) {
        char set[32];
        snprintf(set, sizeof set, "symbols %d", i - named);
        printf("{\"model\": \"%s\", \"alone\": \"%s\", \"codes\": %.0f, \"bits\": %.4f, \"mb_s\": %.0f}\n", path,
               i < named ? names[i] : set, total[i], 8 * total[i] / weights, 4e-6 * weights / seconds[i]);
    }
done:
    mary_free(spans);
    mary_model_free(&model);
    return status;
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        size_t size = 0;
        uint8_t *bytes = read_file(arguments[i], &size);
        mary_status status = bytes == NULL ? mary_fail(MARY_ERROR_INVALID, "cannot be read") : MARY_OK;
        static const char *const coders[] = {"huffman", "arithmetic", "auto"};
        for (int c = 0; c < 3 && status == MARY_OK; c++)
            status = pack(arguments[i], coders[c], bytes, size);
        if (status == MARY_OK)
            status = coders_alone(arguments[i], bytes, size);
        mary_free(bytes);
        if (status != MARY_OK) {
            fprintf(stderr, "%s: %s\n", arguments[i], mary_error_message());
            return status;
        }
    }
    return 0;
}
