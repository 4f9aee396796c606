/* Makes the corpus of fuzz_unpack: packed models, and a stream of each coder in the form that the target reads.
 *
 *   make_unpack_corpus tests/fuzz/corpus/unpack MODEL.onnx...
 *
 * Deterministic. What it writes is committed. */
#include <stdio.h>
#include <string.h>

#include "convert/coding/coders.h"
#include "onnx/coding/crc.h"
#include "onnx/coding/symbols_model.h"
#include "mary.h"

static int write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "%s could not be written\n", path);
        return 1;
    }
    return 0;
}

static int write_codes(const char *folder)
{
    uint8_t codes[12 * 40];
    const mary_code_matrix matrix = {12, 40, 4, 21, codes};
    int failed = 0;
    for (int coder = 0; coder < 3 + MARY_SYMBOLS_CONTEXTS && !failed; coder++) {
        mary_buffer out = {0};
        mary_stream_bits bits;
        uint64_t decisions;
        char name[32];
        for (size_t i = 0; i < sizeof codes; i++)
            codes[i] = (uint8_t)(i * i % 7 == 1 ? i % 21 : 10);
        mary_buffer_byte(&out, coder < 3 ? 1 + (unsigned)coder : 4);
        mary_buffer_put(&out, (const uint8_t[]){11, 39, 3, 20, 0}, 5); /* one less than what they stand for */
        mary_status status = coder < 2    ? mary_huffman_encode(&matrix, coder == 1, &out, &bits)
                             : coder == 2 ? mary_binary_encode(&matrix, &out, &decisions)
                                          : mary_symbols_encode(&matrix, coder - 3, &out);
        snprintf(name, sizeof name, "codes-%d", coder);
        failed = status != MARY_OK || write_file(folder, name, out.bytes, out.size);
        mary_buffer_free(&out);
    }
    return failed;
}

static int write_numbers(const char *folder)
{
    static const char *const names[] = {"bytes", "planes", "floats"};
    static mary_status (*const encode[])(const mary_byte_array *,
                                         mary_buffer *) = {mary_bytes_encode, mary_planes_encode, mary_floats_encode};
    int failed = 0;
    for (int coder = 0; coder < 3 && !failed; coder++) {
        float values[60];
        mary_buffer out = {0};
        for (int i = 0; i < 60; i++)
            values[i] = (float)(i % 13) / 7 - 1;
        const mary_byte_array array = {
            .bytes = (uint8_t *)values, .size = sizeof values, .element = 4, .coded = 2, .row_length = 12};
        mary_buffer_byte(&out, coder == 1 ? 6 : 5);
        mary_buffer_put(&out, (const uint8_t[]){coder == 2 ? 2 | 4 : 2, 11, 5}, 3);
        failed = encode[coder](&array, &out) != MARY_OK || write_file(folder, names[coder], out.bytes, out.size);
        mary_buffer_free(&out);
    }
    return failed;
}

/* A directory with two raw tensors, and what lies between them: 3 bytes, [4], 2 bytes, [6], 1 byte. */
static int write_directory(const char *folder)
{
    static const uint8_t payloads[] = "wxyzuvwxyz";
    mary_buffer directory = {0}, out = {0};
    mary_buffer_byte(&directory, 2);
    for (int i = 0; i < 2; i++) {
        const unsigned gap = i == 0 ? 3 : 2, size = i == 0 ? 4 : 6;
        const uint8_t entry[] = {(uint8_t)gap, MARY_CODER_RAW, (uint8_t)size, (uint8_t)size, (uint8_t)size};
        mary_buffer_put(&directory, entry, sizeof entry);
        mary_buffer_integer(&directory, mary_crc32(payloads + (i == 0 ? 0 : 4), size), 4);
    }
    mary_buffer_byte(&out, 0);
    mary_buffer_put(&out, (const uint8_t[]){(uint8_t)(directory.size + 6), (uint8_t)directory.size, 16, 0}, 4);
    mary_buffer_put(&out, directory.bytes, directory.size);
    mary_buffer_put(&out, "abcdef", 6);
    mary_buffer_put(&out, payloads, 10);
    int failed = out.failed || write_file(folder, "directory", out.bytes, out.size);
    mary_buffer_free(&directory);
    mary_buffer_free(&out);
    return failed;
}

static int write_model(const char *folder, const char *path)
{
    static uint8_t bytes[1 << 20];
    const char *slash = strrchr(path, '/');
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 1;
    size_t size = fread(bytes, 1, sizeof bytes, file), packed_size;
    fclose(file);
    void *packed;
    if (mary_pack(bytes, size, NULL, &packed, &packed_size, NULL) != MARY_OK) {
        fprintf(stderr, "%s: %s\n", path, mary_error_message());
        return 1;
    }
    int failed = write_file(folder, slash == NULL ? path : slash + 1, packed, packed_size);
    mary_bytes_free(packed);
    return failed;
}

int main(int count, char **arguments)
{
    if (count < 2)
        return 2;
    int failed = write_codes(arguments[1]) || write_numbers(arguments[1]) || write_directory(arguments[1]);
    for (int i = 2; i < count && !failed; i++)
        failed = write_model(arguments[1], arguments[i]);
    return failed;
}
