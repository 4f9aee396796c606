/* Every coder gives back what it was given, and damaged streams never more than an error or other codes. */
#include "onnx/coding/planes.h"
#include "onnx/coding/symbols_model.h"
#include "tests/convert/coding/matrices.h"

enum { CODERS = 3 + MARY_SYMBOLS_CONTEXTS };

static mary_status encode(int coder, const mary_code_matrix *matrix, mary_buffer *stream)
{
    mary_stream_bits bits;
    uint64_t decisions;
    if (coder < 2)
        return mary_huffman_encode(matrix, coder == 1, stream, &bits);
    return coder == 2 ? mary_binary_encode(matrix, stream, &decisions) : mary_symbols_encode(matrix, coder - 3, stream);
}

/* From a copy of exactly its size, so that a sanitizer sees a byte behind it. */
static mary_status decode(int coder, const uint8_t *stream, size_t size, mary_code_matrix *matrix)
{
    uint8_t *copy = mary_alloc(size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, stream, size);
    mary_status status;
    if (coder < 2)
        status = mary_huffman_decode(copy, size, coder == 1, matrix);
    else
        status = coder == 2 ? mary_binary_decode(copy, size, matrix) : mary_symbols_decode(copy, size, matrix);
    mary_free(copy);
    return status;
}

static void check(const mary_code_matrix *matrix, int coder, mary_buffer *stream)
{
    const size_t count = (size_t)(matrix->rows * matrix->row_length);
    mary_code_matrix decoded = *matrix;
    uint8_t *before = mary_alloc(count);
    decoded.codes = mary_calloc(count, 1);
    memcpy(before, matrix->codes, count);
    assert_ok(encode(coder, matrix, stream));
    ck_assert_mem_eq(before, matrix->codes, count); /* encoders leave the codes as they are */
    assert_ok(decode(coder, stream->bytes, stream->size, &decoded));
    ck_assert_mem_eq(decoded.codes, matrix->codes, count);
    mary_free(before);
    mary_free(decoded.codes);
}

START_TEST(codes_come_back)
{
    static const int alphabets[] = {1, 2, 3, 4, 5, 15, 16, 17, 18, 31, 33, 100, 200, 240, 241, 242, 255, 256};
    static const int64_t shapes[][3] = {{1, 1, 1}, {1, 7, 1}, {5, 1, 1}, {3, 27, 9}, {16, 144, 9}, {9, 500, 25}};
    for (size_t a = 0; a < sizeof alphabets / sizeof *alphabets; a++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            for (int skew = 0; skew < 6; skew++) {
                mary_code_matrix matrix = make_matrix(shapes[s][0], shapes[s][1], shapes[s][2], alphabets[a], skew);
                for (int coder = 0; coder < CODERS; coder++) {
                    mary_buffer stream = {0};
                    check(&matrix, coder, &stream);
                    mary_buffer_free(&stream);
                }
                mary_free(matrix.codes);
            }
        }
    }
}
END_TEST

START_TEST(more_codes_than_a_block_come_back)
{
    for (int skew = 0; skew < 4; skew++) {
        mary_code_matrix matrix = make_matrix(64, 2 * MARY_SYMBOLS_BLOCK / 64 + skew % 2, 1, 16 + 16 * skew, skew);
        for (int coder = 0; coder < CODERS; coder++) {
            mary_buffer stream = {0};
            check(&matrix, coder, &stream);
            mary_buffer_free(&stream);
        }
        mary_free(matrix.codes);
    }
}
END_TEST

/* The point of the arithmetic coders: below one bit a weight, and below the entropy where neighbours are alike. */
START_TEST(arithmetic_coders_get_below_what_huffman_can)
{
    mary_code_matrix sparse = make_matrix(200, 500, 1, 16, 2), alike = make_matrix(200, 500, 1, 16, 5);
    mary_buffer binary = {0}, symbols = {0}, huffman = {0};
    uint64_t counts[256];
    mary_count_codes(&sparse, counts);
    assert_ok(encode(0, &sparse, &huffman));
    assert_ok(encode(2, &sparse, &binary));
    ck_assert_uint_ge(huffman.size, 100000 / 8);
    ck_assert_double_lt((double)binary.size * 8 / 100000, 1.03 * entropy_of(counts));
    mary_count_codes(&alike, counts);
    assert_ok(encode(3 + 1, &alike, &symbols));
    ck_assert_double_lt((double)symbols.size * 8 / 100000, 0.6 * entropy_of(counts));
    mary_buffer_free(&binary);
    mary_buffer_free(&symbols);
    mary_buffer_free(&huffman);
    mary_free(sparse.codes);
    mary_free(alike.codes);
}
END_TEST

START_TEST(damaged_streams_are_errors_or_other_codes)
{
    mary_code_matrix matrix = make_matrix(20, 50, 5, 21, 2), decoded = matrix;
    decoded.codes = mary_calloc(1000, 1);
    for (int coder = 0; coder < CODERS; coder++) {
        mary_buffer stream = {0};
        assert_ok(encode(coder, &matrix, &stream));
        for (size_t i = 0; i < stream.size; i++) {
            for (int flip = 1; flip < 256; flip += 9) {
                stream.bytes[i] ^= (uint8_t)flip;
                mary_status status = decode(coder, stream.bytes, stream.size, &decoded);
                ck_assert(status == MARY_OK || status == MARY_ERROR_INVALID);
                for (size_t k = 0; k < 1000 && status == MARY_OK; k++)
                    ck_assert_int_lt(decoded.codes[k], matrix.alphabet);
                stream.bytes[i] ^= (uint8_t)flip;
            }
            decode(coder, stream.bytes, i, &decoded); /* cut short */
        }
        mary_buffer_free(&stream);
    }
    mary_free(matrix.codes);
    mary_free(decoded.codes);
}
END_TEST

/* Found by fuzzing: classes of no codes. */
START_TEST(an_alphabet_of_one_code_cannot_have_it_isolated)
{
    static const uint8_t stream[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0};
    uint8_t codes[4];
    mary_code_matrix matrix = {2, 2, 1, 1, codes};
    assert_fails(mary_symbols_decode(stream, sizeof stream, &matrix), MARY_ERROR_INVALID, "commonest");
}
END_TEST

static void check_numbers(mary_byte_array *array, bool planes)
{
    mary_buffer stream = {0};
    mary_byte_array decoded = *array;
    decoded.bytes = mary_calloc(array->size + 1, 1);
    assert_ok(planes ? mary_planes_encode(array, &stream) : mary_bytes_encode(array, &stream));
    uint8_t *copy = mary_alloc(stream.size);
    memcpy(copy, stream.bytes, stream.size);
    assert_ok(planes ? mary_planes_decode(copy, stream.size, &decoded)
                     : mary_bytes_decode(copy, stream.size, &decoded));
    ck_assert_mem_eq(decoded.bytes, array->bytes, array->size);
    for (size_t i = 0; i < stream.size; i += 1 + stream.size / 50) { /* cut short, and damaged */
        if (planes)
            mary_planes_decode(copy, i, &decoded);
        else
            mary_bytes_decode(copy, i, &decoded);
        copy[i] ^= 0x55;
        if (planes)
            mary_planes_decode(copy, stream.size, &decoded);
        else
            mary_bytes_decode(copy, stream.size, &decoded);
        copy[i] ^= 0x55;
    }
    mary_free(copy);
    mary_free(decoded.bytes);
    mary_buffer_free(&stream);
}

START_TEST(numbers_and_text_come_back)
{
    uint8_t bytes[2400];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(round == 0 ? 0 : round == 1 ? random_bits() : random_bits() % 3 + i % 4 * 60);
        for (int element = 1; element <= 8; element *= 2) {
            for (int coded = element; coded > 0; coded /= 2) {
                mary_byte_array array = {
                    .bytes = bytes, .size = sizeof bytes, .element = element, .coded = coded, .row_length = 30};
                check_numbers(&array, false);
                check_numbers(&array, true);
                array.row_length = sizeof bytes / (size_t)element;
                check_numbers(&array, true);
            }
        }
        for (size_t size = 0; size < 20; size++)
            check_numbers(&(mary_byte_array){.bytes = bytes, .size = size}, false);
        check_numbers(&(mary_byte_array){.bytes = bytes, .size = sizeof bytes}, false);
    }
}
END_TEST

MARY_TEST_MAIN("convert/coding/coders", codes_come_back, more_codes_than_a_block_come_back,
               arithmetic_coders_get_below_what_huffman_can, damaged_streams_are_errors_or_other_codes,
               an_alphabet_of_one_code_cannot_have_it_isolated, numbers_and_text_come_back)
