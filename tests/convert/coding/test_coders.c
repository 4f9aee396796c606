/* Every coder gives back what it was given, and damaged streams never more than an error or other codes. */
#include <math.h>
#include <stdlib.h>

#include "onnx/coding/binary_model.h"
#include "onnx/coding/floats_model.h"
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
    static const int64_t shapes[][3] = {{1, 1, 1},  {1, 7, 1},  {5, 1, 1},  {3, 27, 9}, {16, 144, 9},    {9, 500, 25},
                                        {4, 50, 9}, {5, 24, 2}, {5, 24, 3}, {5, 24, 4}, {2, 2200, 1089}, {3, 60, 60}};
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

/* In a kernel a code is like the one above, or has nothing to do with it. Only coders that look there see it. */
START_TEST(kernels_are_squares)
{
    enum { ROWS = 64, LENGTH = 32 * 9 };
    mary_code_matrix matrix = make_matrix(ROWS, LENGTH, 9, 16, 0);
    mary_buffer stream = {0};
    for (int64_t i = 0; i < ROWS * LENGTH; i++) {
        if (i % 9 >= 3 && random_bits() % 4 != 0)
            matrix.codes[i] = matrix.codes[i - 3];
    }
    const int seeing[] = {2, 3 + 3, 3 + 4};
    for (size_t i = 0; i < sizeof seeing / sizeof *seeing; i++) {
        stream.size = 0;
        assert_ok(encode(seeing[i], &matrix, &stream));
        ck_assert_msg((double)stream.size * 8 / (ROWS * LENGTH) < 3.2, "coder %d: %zu bytes", seeing[i], stream.size);
        matrix.taps = 1;
        stream.size = 0;
        assert_ok(encode(seeing[i], &matrix, &stream));
        ck_assert_msg((double)stream.size * 8 / (ROWS * LENGTH) > 3.7, "coder %d: %zu bytes", seeing[i], stream.size);
        matrix.taps = 9;
    }
    mary_buffer_free(&stream);
    mary_free(matrix.codes);
}
END_TEST

/* Every code but the commonest is a leaf where its path leads, and codes near the commonest are soon found. */
START_TEST(trees_of_decisions_have_all_codes)
{
    static const int alphabets[] = {1, 2, 3, 5, 16, 17, 100, 256};
    for (size_t a = 0; a < sizeof alphabets / sizeof *alphabets; a++) {
        const mary_code_matrix matrix = {.rows = 1, .row_length = 1, .taps = 1, .alphabet = alphabets[a]};
        for (int common = 0; common < matrix.alphabet; common += 1 + common / 3) {
            mary_binary_model *m;
            assert_ok(mary_binary_model_create(&matrix, common, &m));
            for (int offset = 0; offset < MARY_BINARY_OFFSETS; offset++) {
                mary_binary_model_tree(m, offset);
                for (int code = 0; code < matrix.alphabet; code++) {
                    int node = m->root, depth = 0;
                    for (; code != common && node >= 0; depth++)
                        node = m->next[node][m->path[code] >> depth & 1];
                    ck_assert(code == common || (~node == code && m->depth[code] == depth));
                    const int far = abs(code - common);
                    if (far > offset && far <= offset + MARY_BINARY_CHAIN)
                        ck_assert_int_le(depth, 1 + far - offset);
                    ck_assert_int_le(depth, 1 + MARY_BINARY_CHAIN + 8);
                }
            }
            mary_binary_model_free(&m);
        }
    }
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

/* A matrix of one code has no other to ask for, whatever the stream says. */
START_TEST(an_alphabet_of_one_code_has_no_tree)
{
    uint8_t stream[64], codes[100];
    mary_code_matrix matrix = {10, 10, 1, 1, codes};
    memset(stream, 0, sizeof stream);
    assert_ok(mary_binary_decode(stream, sizeof stream, &matrix));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(codes[i], 0);
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

typedef struct numbers_coder {
    mary_status (*encode)(const mary_byte_array *array, mary_buffer *out);
    mary_status (*decode)(const uint8_t *bytes, size_t size, mary_byte_array *array);
} numbers_coder;

static const numbers_coder by_bytes = {mary_bytes_encode, mary_bytes_decode},
                           by_planes = {mary_planes_encode, mary_planes_decode},
                           by_floats = {mary_floats_encode, mary_floats_decode};

/* Returns the size of the stream. */
static size_t check_numbers(const mary_byte_array *array, const numbers_coder *coder)
{
    mary_buffer stream = {0};
    mary_byte_array decoded = *array;
    decoded.bytes = mary_calloc(array->size + 1, 1);
    assert_ok(coder->encode(array, &stream));
    const size_t size = stream.size;
    uint8_t *copy = mary_alloc(size);
    memcpy(copy, stream.bytes, size);
    assert_ok(coder->decode(copy, size, &decoded));
    ck_assert_mem_eq(decoded.bytes, array->bytes, array->size);
    for (size_t i = 0; i < size; i += 1 + size / 50) { /* cut short, and damaged */
        coder->decode(copy, i, &decoded);
        copy[i] ^= 0x55;
        coder->decode(copy, size, &decoded);
        copy[i] ^= 0x55;
    }
    mary_free(copy);
    mary_free(decoded.bytes);
    mary_buffer_free(&stream);
    return size;
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
                check_numbers(&array, &by_bytes);
                check_numbers(&array, &by_planes);
                array.row_length = sizeof bytes / (size_t)element;
                check_numbers(&array, &by_planes);
            }
        }
        for (size_t row = 1; row <= sizeof bytes / 4; row += row < 4 ? 1 : 199)
            check_numbers(&(mary_byte_array){.bytes = bytes, .size = sizeof bytes, .element = 4, .row_length = row},
                          &by_floats);
        for (size_t size = 0; size < 20; size++)
            check_numbers(&(mary_byte_array){.bytes = bytes, .size = size}, &by_bytes);
        check_numbers(&(mary_byte_array){.bytes = bytes, .size = sizeof bytes}, &by_bytes);
    }
}
END_TEST

/* Every bit pattern comes back: zeros of both signs, infinities, NaNs with their payload, exponents far apart. */
START_TEST(all_floats_come_back)
{
    static const uint32_t odd[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc12345, 0xffffffff,
                                   0x00000001, 0x7f7fffff, 0x3f800000, 0x3f800000, 0x80000001, 0};
    uint32_t numbers[12 * 12];
    for (int i = 0; i < 12 * 12; i++)
        numbers[i] = odd[i % 12 * (i / 12) % 12];
    for (size_t row = 1; row <= 12 * 12; row++)
        check_numbers(&(mary_byte_array){(uint8_t *)numbers, sizeof numbers, .element = 4, .row_length = row},
                      &by_floats);
    check_numbers(&(mary_byte_array){(uint8_t *)numbers, 0, .element = 4, .row_length = 1}, &by_floats);
}
END_TEST

/* Rows of 5 levels in tables of 16, each row with a scale of its own, and one level zero: of 4 * 16 numbers that are no
 * padding only the bits of the mantissa are new, and of levels that are multiples of 1/1024 few of these. */
START_TEST(tables_of_levels_cost_what_is_new_in_them)
{
    float exact[64 * 16], rounded[64 * 16];
    for (int row = 0; row < 64; row++) {
        for (int k = 0; k < 16; k++) {
            const double level = ((k < 5 ? k : 4) - 1) * (1 + random_bits() % 1000 / 1e6) * (1 + row % 7 / 10.0);
            exact[row * 16 + k] = k < 5 ? (float)level : exact[row * 16 + 4];
            rounded[row * 16 + k] = (float)(lround((double)exact[row * 16 + k] * 1024) / 1024.0);
        }
    }
    mary_byte_array array = {.bytes = (uint8_t *)exact, .size = sizeof exact, .element = 4, .row_length = 16};
    const size_t size = check_numbers(&array, &by_floats);
    ck_assert_uint_lt(size, 64 * 4 * 26 / 8);
    array.coded = 4;
    ck_assert_uint_lt(size, check_numbers(&array, &by_bytes));
    array.bytes = (uint8_t *)rounded;
    ck_assert_uint_lt(check_numbers(&array, &by_floats), size * 3 / 5);
}
END_TEST

MARY_TEST_MAIN("convert/coding/coders", codes_come_back, more_codes_than_a_block_come_back,
               arithmetic_coders_get_below_what_huffman_can, kernels_are_squares, trees_of_decisions_have_all_codes,
               an_alphabet_of_one_code_has_no_tree, damaged_streams_are_errors_or_other_codes,
               an_alphabet_of_one_code_cannot_have_it_isolated, numbers_and_text_come_back, all_floats_come_back,
               tables_of_levels_cost_what_is_new_in_them)
