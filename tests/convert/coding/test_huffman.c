/* Properties that Huffman codes must have (METHODS.md, section 5, tests 3 and 4). */
#include "convert/coding/huffman_encoder.h"
#include "tests/convert/coding/matrices.h"

static void check_table(const uint64_t *counts, int symbols)
{
    mary_huffman_table table;
    uint16_t codes[256];
    uint64_t total = 0;
    double bits = 0;
    int used = 0;
    assert_ok(mary_huffman_build(counts, symbols, &table));
    for (int i = 0; i < symbols; i++) {
        total += counts[i];
        used += counts[i] > 0;
        bits += (double)counts[i] * table.lengths[i];
        ck_assert_int_le(table.lengths[i], MARY_HUFFMAN_BITS);
        if (counts[i] == 0 || used == 0)
            ck_assert_int_eq(table.lengths[i], 0);
    }
    double mean = bits / (double)total, entropy = entropy_of(counts);
    ck_assert_double_ge(mean, entropy - 1e-9);
    ck_assert_double_lt(mean, entropy + 1);
    if (used == 1) {
        ck_assert_int_ge(table.single, 0);
        return;
    }
    ck_assert_uint_eq(mary_huffman_kraft(&table), 1u << MARY_HUFFMAN_BITS);
    mary_huffman_codes(&table, codes);
    for (int a = 0; a < symbols; a++) { /* no code begins another */
        for (int b = 0; b < symbols; b++) {
            if (a != b && table.lengths[a] > 0 && table.lengths[b] >= table.lengths[a])
                ck_assert_int_ne(codes[b] >> (table.lengths[b] - table.lengths[a]), codes[a]);
        }
    }
}

START_TEST(the_mean_length_is_within_a_bit_of_the_entropy_and_the_kraft_sum_is_one)
{
    for (int round = 0; round < 300; round++) {
        uint64_t counts[256] = {0};
        int symbols = 2 + (int)(random_bits() % 255), steep = (int)(random_bits() % 5);
        for (int i = 0; i < symbols; i++)
            counts[i] = steep == 4 ? random_bits() % 3 : random_bits() >> (random_bits() % (1u + 6u * (unsigned)steep));
        counts[0] += counts[0] == 0;
        check_table(counts, symbols);
    }
}
END_TEST

START_TEST(lengths_are_limited_and_still_within_a_bit)
{
    uint64_t counts[256] = {0}; /* Fibonacci numbers: unlimited codes would have 39 bits */
    counts[0] = counts[1] = 1;
    for (int i = 2; i < 40; i++)
        counts[i] = counts[i - 1] + counts[i - 2];
    check_table(counts, 40);
}
END_TEST

START_TEST(one_symbol_needs_no_bits)
{
    uint64_t counts[256] = {0};
    counts[7] = 1000;
    check_table(counts, 16);
    mary_code_matrix matrix = make_matrix(10, 100, 1, 16, 4), decoded = matrix;
    mary_buffer stream = {0};
    mary_stream_bits bits;
    assert_ok(mary_huffman_encode(&matrix, false, &stream, &bits));
    ck_assert_uint_eq(stream.size, 2); /* which symbol it is */
    ck_assert_uint_eq(bits.codes, 0);
    decoded.codes = mary_calloc(10, 100);
    assert_ok(mary_huffman_decode(stream.bytes, stream.size, false, &decoded));
    ck_assert_mem_eq(decoded.codes, matrix.codes, 1000);
    mary_free(decoded.codes);
    mary_free(matrix.codes);
    mary_buffer_free(&stream);
}
END_TEST

/* Choi et al.: N·b / (Σ_i (|C_i| + 1) b_i + k·b): the codes, and the table; here the table has half a byte a symbol. */
START_TEST(the_compression_ratio_formula_equals_the_serialised_bits)
{
    for (int skew = 0; skew < 4; skew++) {
        const int alphabet = 32;
        mary_code_matrix matrix = make_matrix(40, 250, 1, alphabet, skew);
        uint64_t counts[256], bits = 0;
        mary_huffman_table table;
        mary_buffer stream = {0};
        mary_stream_bits split;
        mary_count_codes(&matrix, counts);
        assert_ok(mary_huffman_build(counts, alphabet, &table));
        for (int i = 0; i < alphabet; i++)
            bits += counts[i] * table.lengths[i];
        assert_ok(mary_huffman_encode(&matrix, false, &stream, &split));
        ck_assert_uint_eq(split.codes, bits);
        ck_assert_uint_eq(split.positions, 0);
        ck_assert_uint_eq(split.tables, 8 * (1 + (uint64_t)alphabet / 2));
        ck_assert_uint_eq(stream.size, (split.codes + split.tables + 7) / 8);
        stream.size = 0;
        assert_ok(mary_huffman_encode(&matrix, true, &stream, &split));
        ck_assert_uint_eq(stream.size, (split.codes + split.positions + split.tables + 7) / 8);
        mary_buffer_free(&stream);
        mary_free(matrix.codes);
    }
}
END_TEST

START_TEST(tables_whose_kraft_sum_is_not_one_are_refused)
{
    uint8_t codes[4];
    mary_code_matrix matrix = {2, 2, 1, 4, codes};
    const uint8_t too_many[] = {1, 0x11, 0x21, 0}, too_few[] = {1, 0x22, 0x02, 0}, whole[] = {1, 0x22, 0x22, 0x1b};
    assert_fails(mary_huffman_decode(too_many, sizeof too_many, false, &matrix), MARY_ERROR_INVALID, "Kraft");
    assert_fails(mary_huffman_decode(too_few, sizeof too_few, false, &matrix), MARY_ERROR_INVALID, "Kraft");
    assert_ok(mary_huffman_decode(whole, sizeof whole, false, &matrix));
    ck_assert_mem_eq(codes, "\0\1\2\3", 4);
    assert_fails(mary_huffman_decode(whole, 3, false, &matrix), MARY_ERROR_INVALID, "cut short");
}
END_TEST

MARY_TEST_MAIN("convert/coding/huffman", the_mean_length_is_within_a_bit_of_the_entropy_and_the_kraft_sum_is_one,
               lengths_are_limited_and_still_within_a_bit, one_symbol_needs_no_bits,
               the_compression_ratio_formula_equals_the_serialised_bits, tables_whose_kraft_sum_is_not_one_are_refused)
