/* mary_pack: the bytes of a model, payloads of tensors cut out and each coded by what suits it, the rest as text. */
#include "convert/coding/choose.h"
#include "convert/coding/report.h"
#include "convert/coding/wrap.h"
#include "onnx/coding/crc.h"
#include "onnx/wire.h"

#include <omp.h>

typedef struct packing {
    const uint8_t *bytes;
    size_t size;
    mary_model *model;
    mary_span *spans;
    mary_encoded *encoded; /* [count] */
    size_t count;
    mary_coder_choice choice;
    int threads;
} packing;

static mary_status parse_choice(const char *name, mary_coder_choice *choice)
{
    static const char *const names[] = {"auto", "huffman", "arithmetic"};
    for (int i = 0; i < 3; i++) {
        if (name == NULL || strcmp(name, names[i]) == 0) {
            *choice = (mary_coder_choice)i;
            return MARY_OK;
        }
    }
    return mary_fail(MARY_ERROR_USAGE, "coder '%s' is none of huffman, arithmetic, auto", name);
}

/* Messages are kept per thread, so the first span that fails is tried once more in this one. */
static mary_status encode_all(packing *p)
{
    size_t failed = p->count;
    int threads = p->threads > 0 ? p->threads : omp_get_max_threads();
#pragma omp parallel for schedule(dynamic) reduction(min : failed) num_threads(threads) if (p->size > 65536)
    for (size_t i = 0; i < p->count; i++) {
        mary_buffer_free(&p->encoded[i].stream);
        p->encoded[i] = (mary_encoded){0};
        if (mary_encode_span(p->bytes, &p->spans[i], p->choice, &p->encoded[i]) != MARY_OK)
            failed = i < failed ? i : failed;
    }
    if (failed == p->count)
        return MARY_OK;
    mary_buffer_free(&p->encoded[failed].stream);
    p->encoded[failed] = (mary_encoded){0};
    mary_status status = mary_encode_span(p->bytes, &p->spans[failed], p->choice, &p->encoded[failed]);
    return status == MARY_OK ? encode_all(p) : mary_fail_context(status, "tensor '%s'", p->spans[failed].name);
}

static void put_directory(const packing *p, mary_buffer *text)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < p->count; i++)
        count += !p->encoded[i].in_text;
    mary_buffer_varint(text, count);
    for (size_t i = 0; i < p->count; i++) {
        const mary_span *span = &p->spans[i];
        const mary_encoded *encoded = &p->encoded[i];
        if (encoded->in_text)
            continue;
        mary_buffer_varint(text, span->offset - at);
        at = span->offset + span->size;
        if (span->kind == MARY_SPAN_CODES) {
            mary_buffer_varint(text,
                               128u | (unsigned)__builtin_ctz((unsigned)span->bits) << 4 | (unsigned)encoded->coder);
            mary_buffer_varint(text, (uint64_t)span->rows);
            mary_buffer_varint(text, (uint64_t)span->row_length);
            mary_buffer_varint(text, (uint64_t)span->taps);
            mary_buffer_varint(text, (uint64_t)encoded->alphabet);
        } else {
            mary_buffer_varint(text, (unsigned)__builtin_ctz((unsigned)span->element) << 4 | (unsigned)encoded->coder);
            mary_buffer_varint(text, span->size);
            mary_buffer_varint(text, span->numbers_in_row);
        }
        mary_buffer_varint(text, encoded->stream.size);
        mary_buffer_integer(text, mary_crc32(p->bytes + span->offset, span->size), 4);
    }
}

static void put_rest(const packing *p, mary_buffer *text)
{
    size_t at = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->encoded[i].in_text)
            continue;
        mary_buffer_put(text, p->bytes + at, p->spans[i].offset - at);
        at = p->spans[i].offset + p->spans[i].size;
    }
    mary_buffer_put(text, p->bytes + at, p->size - at);
}

static mary_status put_stream(const packing *p, mary_buffer *stream)
{
    mary_buffer text = {0}, coded = {0};
    mary_status status = MARY_OK;
    put_directory(p, &text);
    const size_t directory = text.size;
    put_rest(p, &text);
    if (text.failed) {
        status = mary_fail_memory(text.capacity);
        goto done;
    }
    const uint32_t checksum = mary_crc32(text.bytes, text.size);
    const mary_byte_array array = {.bytes = text.bytes, .size = text.size};
    MARY_TRY_GOTO(mary_bytes_encode(&array, &coded), done);
    mary_buffer_put(stream, "MP", 2);
    mary_buffer_byte(stream, MARY_PACKED_VERSION);
    mary_buffer_varint(stream, p->size);
    mary_buffer_varint(stream, text.size);
    mary_buffer_varint(stream, directory);
    mary_buffer_varint(stream, coded.size);
    mary_buffer_integer(stream, checksum, 4);
    mary_buffer_put(stream, coded.bytes, coded.size);
    for (size_t i = 0; i < p->count; i++)
        mary_buffer_put(stream, p->encoded[i].stream.bytes, p->encoded[i].in_text ? 0 : p->encoded[i].stream.size);
    /* Readers refuse what claims to be many times its size. */
    while (!stream->failed && stream->size < (p->size > text.size ? p->size : text.size) / MARY_PACKED_EXPAND)
        mary_buffer_byte(stream, 0);
    if (stream->failed)
        status = mary_fail_memory(stream->capacity);
done:
    mary_buffer_free(&text);
    mary_buffer_free(&coded);
    return status;
}

/* What was packed is unpacked before anyone relies on it. */
static mary_status verify(const packing *p, const mary_buffer *stream)
{
    uint8_t *plain;
    size_t size;
    MARY_TRY(mary_packed_expand(stream->bytes, stream->size, 0, &plain, &size));
    bool same = size == p->size && memcmp(plain, p->bytes, size) == 0;
    mary_free(plain);
    return same ? MARY_OK : mary_fail(MARY_ERROR_INTERNAL, "unpacking does not give the same bytes again");
}

static mary_status make_report(const packing *p, size_t file_size, mary_pack_report **report)
{
    MARY_TRY(mary_pack_report_create(p->count, report));
    for (size_t i = 0; i < p->count; i++) {
        const mary_encoded *encoded = &p->encoded[i];
        mary_status status = mary_pack_report_add(*report, &p->spans[i], encoded->coder, encoded->in_text,
                                                  encoded->stream.size, encoded);
        if (status != MARY_OK) {
            mary_pack_report_free(report);
            return status;
        }
    }
    mary_pack_report_finish(*report, p->size, file_size);
    return MARY_OK;
}

mary_status mary_pack(const void *bytes, size_t size, const mary_pack_options *options, void **packed,
                      size_t *packed_size, mary_pack_report **report)
{
    mary_status status = MARY_OK;
    mary_buffer stream = {0}, out = {0};
    packing p = {.bytes = bytes, .size = size, .threads = options == NULL ? 0 : options->threads};
    *packed = NULL;
    if (report != NULL)
        *report = NULL;
    MARY_TRY(parse_choice(options == NULL ? NULL : options->coder, &p.choice));
    if (size > MARY_PACKED_MOST)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "a model of %zu bytes: the most that can be packed is 2 GiB", size);
    MARY_TRY(mary_model_load_bytes(bytes, size, NULL, &p.model));
    if (p.model->packed) {
        status = mary_fail(MARY_ERROR_USAGE, "the model is packed already");
        goto done;
    }
    MARY_TRY_GOTO(mary_survey(p.bytes, size, p.model, &p.spans, &p.count), done);
    p.encoded = mary_calloc(p.count + 1, sizeof *p.encoded);
    if (p.encoded == NULL) {
        status = mary_fail_memory(p.count * sizeof *p.encoded);
        goto done;
    }
    MARY_TRY_GOTO(encode_all(&p), done);
    MARY_TRY_GOTO(put_stream(&p, &stream), done);
    MARY_TRY_GOTO(verify(&p, &stream), done);
    MARY_TRY_GOTO(mary_wrap(p.model, &stream, &out), done);
    if (report != NULL)
        MARY_TRY_GOTO(make_report(&p, out.size, report), done);
    *packed = out.bytes;
    *packed_size = out.size;
    out = (mary_buffer){0};
done:
    for (size_t i = 0; i < p.count && p.encoded != NULL; i++)
        mary_buffer_free(&p.encoded[i].stream);
    mary_free(p.encoded);
    mary_free(p.spans);
    mary_buffer_free(&stream);
    mary_buffer_free(&out);
    mary_model_free(&p.model);
    return status;
}
