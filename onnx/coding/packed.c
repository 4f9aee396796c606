#include "onnx/coding/packed.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "onnx/coding/bytes_model.h"
#include "onnx/coding/crc.h"
#include "onnx/coding/floats_model.h"
#include "onnx/coding/planes.h"
#include "onnx/coding/varint.h"

enum { BYTES_PER_THREAD = 1 << 15, MOST_THREADS = 16 }; /* of streams: with less, starting a thread does not pay */

const Onnx__TensorProto *mary_packed_stream(const Onnx__ModelProto *model)
{
    const Onnx__GraphProto *graph = model->graph;
    if (graph == NULL || graph->n_node != 1 || graph->n_initializer != 1 || graph->node[0]->n_input < 1)
        return NULL;
    const Onnx__NodeProto *node = graph->node[0];
    const Onnx__TensorProto *stream = graph->initializer[0];
    if (node->op_type == NULL || strcmp(node->op_type, MARY_PACKED_OP) != 0 || node->domain == NULL ||
        strcmp(node->domain, MARY_PACKED_DOMAIN) != 0 || stream->name == NULL ||
        strcmp(node->input[0], stream->name) != 0 || stream->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 ||
        !stream->has_raw_data)
        return NULL;
    return stream;
}

/* ---- codes in bytes ---- */

size_t mary_packed_row_bytes(int64_t row_length, int bits)
{
    return ((size_t)row_length * (size_t)bits + 7) / 8;
}

void mary_packed_spread(const uint8_t *packed, int64_t count, int bits, uint8_t *codes)
{
    const unsigned mask = (1u << bits) - 1, per_byte = 8 / (unsigned)bits;
    int64_t k = 0;
    for (; k + per_byte <= count; packed++) {
        for (unsigned i = 0; i < per_byte; i++)
            codes[k++] = (uint8_t)(*packed >> (i * (unsigned)bits) & mask);
    }
    for (unsigned i = 0; k < count; i++)
        codes[k++] = (uint8_t)(*packed >> (i * (unsigned)bits) & mask);
}

/* `bits` is a constant wherever this is called. */
static inline __attribute__((always_inline)) void join(const uint8_t *codes, int64_t count, unsigned bits,
                                                       uint8_t *packed)
{
    const int64_t per_byte = 8 / bits, whole = count / per_byte;
    for (int64_t at = 0; at < whole; at++) {
        unsigned byte = 0;
        for (unsigned i = 0; i < per_byte; i++)
            byte |= (unsigned)codes[at * per_byte + i] << (i * bits);
        packed[at] = (uint8_t)byte;
    }
    for (int64_t k = whole * per_byte; k < count; k++)
        packed[whole] =
            (uint8_t)((k % per_byte == 0 ? 0u : packed[whole]) | (unsigned)codes[k] << (k % per_byte * bits));
}

void mary_packed_join(const uint8_t *codes, int64_t count, int bits, uint8_t *packed)
{
    switch (bits) {
    case 1:
        join(codes, count, 1, packed);
        break;
    case 2:
        join(codes, count, 2, packed);
        break;
    case 4:
        join(codes, count, 4, packed);
        break;
    default:
        join(codes, count, 8, packed);
    }
}

/* ---- reading ---- */

typedef struct directory_reader {
    const uint8_t *at, *end;
    bool failed;
} directory_reader;

static uint64_t number(directory_reader *reader)
{
    uint64_t value = 0;
    reader->failed |= !mary_varint_read(&reader->at, reader->end, &value);
    return value;
}

/* A size: at most what a payload can have. */
static size_t length(directory_reader *reader)
{
    uint64_t value = number(reader);
    reader->failed |= value > MARY_PACKED_MOST;
    return reader->failed ? 0 : (size_t)value;
}

static uint32_t word(directory_reader *reader)
{
    uint32_t value = 0;
    if (reader->end - reader->at < 4) {
        reader->failed = true;
        return 0;
    }
    memcpy(&value, reader->at, 4);
    reader->at += 4;
    return value;
}

static bool codes_numbers(mary_coder coder)
{
    return coder == MARY_CODER_RAW || coder == MARY_CODER_BYTES || coder == MARY_CODER_PLANES ||
           coder == MARY_CODER_FLOATS;
}

static bool read_tensor(directory_reader *reader, mary_packed_tensor *tensor)
{
    unsigned kind = (unsigned)(length(reader) & 255);
    tensor->coder = (mary_coder)(kind & 15);
    tensor->is_codes = kind >= 128;
    if (tensor->is_codes) {
        mary_code_matrix *matrix = &tensor->matrix;
        tensor->bits = 1 << (kind >> 4 & 3);
        matrix->rows = (int64_t)length(reader);
        matrix->row_length = (int64_t)length(reader);
        matrix->taps = (int64_t)length(reader);
        matrix->alphabet = (int)length(reader);
        size_t codes;
        if (reader->failed || tensor->coder > MARY_CODER_SYMBOLS || matrix->rows < 1 || matrix->row_length < 1 ||
            matrix->taps < 1 || matrix->taps > matrix->row_length || matrix->alphabet < 1 ||
            matrix->alphabet > 1 << tensor->bits ||
            !mary_size_mul((size_t)matrix->rows, (size_t)matrix->row_length, &codes) || codes > MARY_PACKED_MOST ||
            !mary_size_mul((size_t)matrix->rows, mary_packed_row_bytes(matrix->row_length, tensor->bits),
                           &tensor->size))
            return false;
    } else {
        tensor->size = length(reader);
        tensor->element = 1 << (kind >> 4 & 3);
        tensor->row_length = length(reader);
        if (reader->failed || tensor->row_length < 1 || tensor->size % (size_t)tensor->element != 0 ||
            !codes_numbers(tensor->coder))
            return false;
    }
    tensor->stream_size = length(reader);
    tensor->checksum = word(reader);
    return !reader->failed && (tensor->coder != MARY_CODER_RAW || tensor->stream_size == tensor->size);
}

/* Tensors follow each other in the original, and their streams in the stream. */
mary_status mary_packed_read_directory(mary_packed *packed, const uint8_t *streams, size_t streams_size)
{
    directory_reader reader = {packed->text, packed->text + packed->directory_size, false};
    size_t count = length(&reader), text = 0, plain = 0;
    if (reader.failed || count > packed->directory_size)
        return mary_fail(MARY_ERROR_INVALID, "the directory of the packed model is damaged");
    packed->tensors = mary_calloc(count + 1, sizeof *packed->tensors);
    if (packed->tensors == NULL)
        return mary_fail_memory(count * sizeof *packed->tensors);
    for (size_t i = 0; i < count; i++) {
        mary_packed_tensor *tensor = &packed->tensors[i];
        size_t gap = length(&reader);
        if (!read_tensor(&reader, tensor) || gap > packed->text_size - packed->directory_size - text ||
            tensor->stream_size > streams_size || gap > packed->plain_size - plain ||
            tensor->size > packed->plain_size - plain - gap)
            return mary_fail(MARY_ERROR_INVALID, "the directory of the packed model is damaged at tensor %zu", i);
        text += gap;
        tensor->offset = plain + gap;
        tensor->stream = streams;
        plain += gap + tensor->size;
        streams += tensor->stream_size;
        streams_size -= tensor->stream_size;
    }
    packed->tensor_count = count;
    if (reader.at != reader.end || plain + (packed->text_size - packed->directory_size - text) != packed->plain_size)
        return mary_fail(MARY_ERROR_INVALID, "the directory of the packed model does not add up");
    return MARY_OK;
}

mary_status mary_packed_read(const uint8_t *bytes, size_t size, mary_packed *packed)
{
    mary_status status = MARY_OK;
    directory_reader reader = {bytes, bytes + size, false};
    *packed = (mary_packed){0};
    if (size < 3 || bytes[0] != 'M' || bytes[1] != 'P')
        return mary_fail(MARY_ERROR_INVALID, "the packed model does not begin as one");
    if (bytes[2] != MARY_PACKED_VERSION)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the packed model has version %d of the format, this is mary for %d",
                         bytes[2], MARY_PACKED_VERSION);
    reader.at += 3;
    packed->plain_size = length(&reader);
    packed->text_size = length(&reader);
    packed->directory_size = length(&reader);
    packed->coded_text_size = length(&reader);
    uint32_t checksum = word(&reader);
    if (reader.failed || packed->directory_size > packed->text_size ||
        packed->text_size - packed->directory_size > packed->plain_size ||
        packed->coded_text_size > (size_t)(reader.end - reader.at))
        return mary_fail(MARY_ERROR_INVALID, "the packed model is cut short");
    if (packed->plain_size / MARY_PACKED_EXPAND > size || packed->text_size / MARY_PACKED_EXPAND > size)
        return mary_fail(MARY_ERROR_INVALID, "the packed model of %zu bytes claims to stand for %zu", size,
                         packed->plain_size);
    packed->header_size = (size_t)(reader.at - bytes);
    packed->text = mary_alloc(packed->text_size);
    if (packed->text == NULL)
        return mary_fail_memory(packed->text_size);
    mary_byte_array text = {.bytes = packed->text, .size = packed->text_size};
    MARY_TRY_GOTO(mary_bytes_decode(reader.at, packed->coded_text_size, &text), done);
    if (mary_crc32(packed->text, packed->text_size) != checksum) {
        status = mary_fail(MARY_ERROR_INVALID, "the graph of the packed model does not have its checksum");
        goto done;
    }
    reader.at += packed->coded_text_size;
    status = mary_packed_read_directory(packed, reader.at, (size_t)(reader.end - reader.at));
done:
    if (status != MARY_OK)
        mary_packed_free(packed);
    return status;
}

void mary_packed_free(mary_packed *packed)
{
    mary_free(packed->text);
    mary_free(packed->tensors);
    *packed = (mary_packed){0};
}

/* ---- decoding ---- */

static mary_status decode_codes(const mary_packed_tensor *tensor, uint8_t *payload)
{
    mary_code_matrix matrix = tensor->matrix;
    const int64_t row_length = matrix.row_length;
    const size_t row_bytes = mary_packed_row_bytes(row_length, tensor->bits);
    mary_status status = MARY_OK;
    matrix.codes = tensor->bits == 8 ? payload : mary_alloc((size_t)(matrix.rows * row_length));
    if (matrix.codes == NULL)
        return mary_fail_memory((size_t)(matrix.rows * row_length));
    if (tensor->coder == MARY_CODER_BINARY)
        status = mary_binary_decode(tensor->stream, tensor->stream_size, &matrix);
    else if (tensor->coder == MARY_CODER_SYMBOLS)
        status = mary_symbols_decode(tensor->stream, tensor->stream_size, &matrix);
    else
        status = mary_huffman_decode(tensor->stream, tensor->stream_size, tensor->coder == MARY_CODER_GAPS, &matrix);
    if (tensor->bits < 8) {
        for (int64_t r = 0; r < matrix.rows && status == MARY_OK; r++)
            mary_packed_join(matrix.codes + r * row_length, row_length, tensor->bits, payload + (size_t)r * row_bytes);
        mary_free(matrix.codes);
    }
    return status;
}

static mary_status decode_tensor(const mary_packed_tensor *tensor, uint8_t *payload)
{
    mary_status status = MARY_OK;
    if (tensor->coder == MARY_CODER_RAW) {
        memcpy(payload, tensor->stream, tensor->size);
    } else if (tensor->is_codes) {
        status = decode_codes(tensor, payload);
    } else {
        mary_byte_array array = {
            .bytes = payload, .size = tensor->size, .element = tensor->element, .row_length = tensor->row_length};
        status = tensor->coder == MARY_CODER_BYTES    ? mary_bytes_decode(tensor->stream, tensor->stream_size, &array)
                 : tensor->coder == MARY_CODER_PLANES ? mary_planes_decode(tensor->stream, tensor->stream_size, &array)
                                                      : mary_floats_decode(tensor->stream, tensor->stream_size, &array);
    }
    if (status == MARY_OK && mary_crc32(payload, tensor->size) != tensor->checksum)
        status = mary_fail(MARY_ERROR_INVALID, "it does not have its checksum");
    return status;
}

/* ---- threads: made for one model and gone with it, so that loading leaves none behind and works after a fork ---- */

typedef struct decoding {
    const mary_packed *packed;
    uint8_t *plain;
    atomic_size_t next, failed; /* the next tensor; the first that failed, or their number */
} decoding;

static void *decode_some(void *context)
{
    decoding *d = context;
    size_t i;
    while ((i = atomic_fetch_add(&d->next, 1)) < d->packed->tensor_count) {
        const mary_packed_tensor *tensor = &d->packed->tensors[i];
        if (decode_tensor(tensor, d->plain + tensor->offset) == MARY_OK)
            continue;
        size_t first = atomic_load(&d->failed);
        while (i < first && !atomic_compare_exchange_weak(&d->failed, &first, i))
            ;
    }
    return NULL;
}

static int useful_threads(const mary_packed *packed, int most)
{
    cpu_set_t processors;
    size_t streams = 0, threads = most > 0 ? (size_t)most : 1;
    for (size_t i = 0; i < packed->tensor_count; i++)
        streams += packed->tensors[i].stream_size;
    if (most <= 0 && sched_getaffinity(0, sizeof processors, &processors) == 0)
        threads = (size_t)CPU_COUNT(&processors);
    threads = threads < MOST_THREADS ? threads : MOST_THREADS;
    threads = threads < packed->tensor_count ? threads : packed->tensor_count;
    return (int)(threads < streams / BYTES_PER_THREAD ? threads : streams / BYTES_PER_THREAD);
}

static void decode_all(decoding *d, int most)
{
    pthread_t threads[MOST_THREADS];
    int started = 0, wanted = useful_threads(d->packed, most) - 1;
    while (started < wanted && pthread_create(&threads[started], NULL, decode_some, d) == 0)
        started++;
    decode_some(d);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

mary_status mary_packed_decode(const mary_packed *packed, int threads, uint8_t *plain)
{
    const uint8_t *text = packed->text + packed->directory_size;
    const size_t count = packed->tensor_count;
    decoding d = {.packed = packed, .plain = plain};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t gap = packed->tensors[i].offset - at;
        memcpy(plain + at, text, gap);
        text += gap;
        at = packed->tensors[i].offset + packed->tensors[i].size;
    }
    memcpy(plain + at, text, packed->plain_size - at);

    atomic_init(&d.next, 0);
    atomic_init(&d.failed, count);
    decode_all(&d, threads);
    size_t failed = atomic_load(&d.failed);
    if (failed < count) { /* messages are kept per thread: once more, in this one */
        mary_status status = decode_tensor(&packed->tensors[failed], plain + packed->tensors[failed].offset);
        return status == MARY_OK ? mary_packed_decode(packed, threads, plain)
                                 : mary_fail_context(status, "packed tensor %zu", failed);
    }
    return MARY_OK;
}

mary_status mary_packed_expand(const uint8_t *stream, size_t size, int threads, uint8_t **plain, size_t *plain_size)
{
    mary_packed packed;
    *plain = NULL;
    MARY_TRY(mary_packed_read(stream, size, &packed));
    mary_status status = MARY_OK;
    uint8_t *bytes = mary_alloc(packed.plain_size);
    if (bytes == NULL)
        status = mary_fail_memory(packed.plain_size);
    else
        status = mary_packed_decode(&packed, threads, bytes);
    if (status == MARY_OK) {
        *plain = bytes;
        *plain_size = packed.plain_size;
    } else {
        mary_free(bytes);
    }
    mary_packed_free(&packed);
    return status;
}
