/* Bytes -> a packed model; or, past the checksums that would keep a fuzzer out, a directory, or a stream of one coder.
 * The first byte chooses. */
#include <string.h>

#include "onnx/coding/floats_model.h"
#include "onnx/coding/packed.h"
#include "onnx/coding/planes.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_CODES = 1 << 16 };

static void whole_file(const uint8_t *bytes, size_t size)
{
    void *plain;
    size_t plain_size;
    mary_pack_report *report;
    if (mary_unpack(bytes, size, &plain, &plain_size) == MARY_OK) {
        fuzz_touch(plain, plain_size);
        mary_bytes_free(plain);
    }
    if (mary_pack_describe(bytes, size, &report) == MARY_OK)
        mary_pack_report_free(&report);
}

/* Two bytes of sizes, then a text with its directory, then streams. */
static void directory(const uint8_t *bytes, size_t size)
{
    if (size < 4)
        return;
    mary_packed packed = {.text_size = bytes[0], .directory_size = bytes[1], .plain_size = bytes[2] + 256u * bytes[3]};
    bytes += 4, size -= 4;
    if (packed.text_size > size || packed.directory_size > packed.text_size)
        return;
    packed.text = mary_alloc(packed.text_size);
    uint8_t *plain = mary_alloc(packed.plain_size);
    if (packed.text != NULL && plain != NULL) {
        memcpy(packed.text, bytes, packed.text_size);
        if (mary_packed_read_directory(&packed, bytes + packed.text_size, size - packed.text_size) == MARY_OK &&
            mary_packed_decode(&packed, 1, plain) == MARY_OK)
            fuzz_touch(plain, packed.plain_size);
    }
    mary_free(plain);
    mary_packed_free(&packed);
}

/* Rows, row length, taps and alphabet, then a stream of codes. */
static void codes(int coder, const uint8_t *bytes, size_t size)
{
    if (size < 5)
        return;
    mary_code_matrix matrix = {1 + bytes[0], 1 + bytes[1] + 4 * (bytes[4] & 63), 1 + bytes[2] % 9, 1 + bytes[3], NULL};
    size_t count = (size_t)(matrix.rows * matrix.row_length);
    mary_status status;
    bytes += 5, size -= 5;
    matrix.codes = mary_alloc(count);
    if (matrix.codes == NULL || count > MOST_CODES) {
        mary_free(matrix.codes);
        return;
    }
    if (coder < 2)
        status = mary_huffman_decode(bytes, size, coder == 1, &matrix);
    else
        status = coder == 2 ? mary_binary_decode(bytes, size, &matrix) : mary_symbols_decode(bytes, size, &matrix);
    for (size_t i = 0; i < count && status == MARY_OK; i++) {
        if (matrix.codes[i] >= matrix.alphabet)
            abort(); /* a code that no level has must not get past a decoder */
    }
    mary_free(matrix.codes);
}

typedef mary_status decode_numbers(const uint8_t *bytes, size_t size, mary_byte_array *array);

/* Element (and 4: by the coder of floats), row length and rows, then a stream of numbers. */
static void numbers(bool planes, const uint8_t *bytes, size_t size)
{
    if (size < 3)
        return;
    decode_numbers *decode = planes ? mary_planes_decode : (bytes[0] & 4) != 0 ? mary_floats_decode : mary_bytes_decode;
    mary_byte_array array = {.element = 1 << (bytes[0] & 3), .row_length = 1 + bytes[1]};
    array.size = (size_t)array.element * array.row_length * bytes[2];
    array.bytes = mary_calloc(array.size + 1, 1);
    if (array.bytes != NULL && array.size <= MOST_CODES && decode(bytes + 3, size - 3, &array) == MARY_OK)
        fuzz_touch(array.bytes, array.size);
    mary_free(array.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_begin();
    if (size == 0)
        return 0;
    const int kind = bytes[0] & 7;
    if (bytes[0] >= 8 || kind == 7) /* files begin with a tag, 8 */
        whole_file(bytes + (kind == 7), size - (kind == 7));
    else if (kind == 0)
        directory(bytes + 1, size - 1);
    else if (kind <= 4)
        codes(kind - 1, bytes + 1, size - 1);
    else
        numbers(kind == 6, bytes + 1, size - 1);
    return 0;
}
