#include "onnx/coding/huffman.h"

#include <string.h>

#include "onnx/coding/matrix.h"
#include "onnx/coding/varint.h"

void mary_huffman_codes(const mary_huffman_table *table, uint16_t *codes)
{
    unsigned next = 0;
    for (int length = 1; length <= MARY_HUFFMAN_BITS; length++) {
        for (int i = 0; i < table->symbols; i++) {
            if (table->lengths[i] == length)
                codes[i] = (uint16_t)next++;
        }
        next <<= 1;
    }
}

uint32_t mary_huffman_kraft(const mary_huffman_table *table)
{
    uint32_t sum = 0;
    for (int i = 0; i < table->symbols; i++)
        sum += table->lengths[i] > 0 ? 1u << (MARY_HUFFMAN_BITS - table->lengths[i]) : 0;
    return sum;
}

/* ---- decoding: one look-up a symbol ---- */

typedef struct huffman_reader {
    const uint8_t *at, *end;
    uint64_t window; /* unread bits, from the high end */
    int bits;        /* of them; below 0: read behind the end */
} huffman_reader;

typedef struct huffman_lookup {
    int bits;                                 /* of the index: those of the longest code */
    uint16_t entries[1 << MARY_HUFFMAN_BITS]; /* symbol, and length from bit 8 on */
} huffman_lookup;

static mary_status read_table(const uint8_t **at, const uint8_t *end, int symbols, mary_huffman_table *table)
{
    *table = (mary_huffman_table){.symbols = symbols, .single = -1};
    size_t bytes = ((size_t)symbols + 1) / 2;
    if (end - *at < 2 || (**at == 1 && (size_t)(end - *at - 1) < bytes))
        return mary_fail(MARY_ERROR_INVALID, "the Huffman table is cut short");
    int kind = *(*at)++;
    if (kind > 1)
        return mary_fail(MARY_ERROR_INVALID, "a Huffman table of the unknown kind %d", kind);
    if (kind == 0) {
        table->single = *(*at)++;
        if (table->single >= symbols)
            return mary_fail(MARY_ERROR_INVALID, "the only symbol is %d of %d", table->single, symbols);
        return MARY_OK;
    }
    for (int i = 0; i < symbols; i++)
        table->lengths[i] = (*at)[i / 2] >> (i % 2 * 4) & 15;
    *at += bytes;
    uint32_t kraft = mary_huffman_kraft(table);
    if (kraft != 1u << MARY_HUFFMAN_BITS)
        return mary_fail(MARY_ERROR_INVALID, "the lengths of a Huffman table have the Kraft sum %u/%u", kraft,
                         1u << MARY_HUFFMAN_BITS);
    return MARY_OK;
}

static void build_lookup(const mary_huffman_table *table, huffman_lookup *lookup)
{
    uint16_t codes[256];
    mary_huffman_codes(table, codes);
    lookup->bits = 0;
    if (table->single >= 0) {
        lookup->entries[0] = (uint16_t)table->single;
        return;
    }
    for (int i = 0; i < table->symbols; i++)
        lookup->bits = table->lengths[i] > lookup->bits ? table->lengths[i] : lookup->bits;
    for (int i = 0; i < table->symbols; i++) {
        int length = table->lengths[i], rest = lookup->bits - length;
        for (int k = 0; length > 0 && k < 1 << rest; k++)
            lookup->entries[(codes[i] << rest) + k] = (uint16_t)(i | length << 8);
    }
}

static inline void refill(huffman_reader *reader)
{
    if (reader->end - reader->at >= 8) {
        uint64_t word;
        memcpy(&word, reader->at, 8);
        reader->window |= __builtin_bswap64(word) >> reader->bits;
        int bytes = (63 - reader->bits) >> 3;
        reader->at += bytes;
        reader->bits += 8 * bytes;
        return;
    }
    while (reader->bits <= 56 && reader->at < reader->end) {
        reader->window |= (uint64_t)*reader->at++ << (56 - reader->bits);
        reader->bits += 8;
    }
}

/* At least 15 bits are in the window, or the stream is at its end. */
static inline int read_symbol(huffman_reader *reader, const huffman_lookup *lookup)
{
    unsigned entry = lookup->entries[reader->window >> 1 >> (63 - lookup->bits)];
    reader->window <<= entry >> 8;
    reader->bits -= (int)(entry >> 8);
    return (int)(entry & 255);
}

static mary_status fail_cut(void)
{
    return mary_fail(MARY_ERROR_INVALID, "the Huffman stream is cut short");
}

static mary_status decode_dense(huffman_reader *reader, const huffman_lookup *lookup, mary_code_matrix *matrix)
{
    const size_t count = (size_t)(matrix->rows * matrix->row_length);
    size_t i = 0;
    for (; i + 3 <= count; i += 3) { /* three of 15 bits fit what a refill gives */
        refill(reader);
        for (size_t k = 0; k < 3; k++)
            matrix->codes[i + k] = (uint8_t)read_symbol(reader, lookup);
        if (reader->bits < 0)
            return fail_cut();
    }
    for (; i < count; i++) {
        refill(reader);
        matrix->codes[i] = (uint8_t)read_symbol(reader, lookup);
    }
    return reader->bits < 0 ? fail_cut() : MARY_OK;
}

static mary_status decode_gaps(huffman_reader *reader, const huffman_lookup *gap_lookup, const huffman_lookup *lookup,
                               int common, uint64_t others, mary_code_matrix *matrix)
{
    const uint64_t count = (uint64_t)(matrix->rows * matrix->row_length);
    uint64_t at = 0;
    if (others > count)
        return mary_fail(MARY_ERROR_INVALID, "more codes than weights");
    memset(matrix->codes, common, count);
    for (; others > 0; others--, at++) {
        int gap;
        do {
            refill(reader);
            gap = read_symbol(reader, gap_lookup);
            at += (uint64_t)gap;
            if (at >= count)
                return mary_fail(MARY_ERROR_INVALID, "a position is behind the last weight");
        } while (gap == MARY_HUFFMAN_SKIP);
        matrix->codes[at] = (uint8_t)read_symbol(reader, lookup);
        if (reader->bits < 0)
            return fail_cut();
    }
    return MARY_OK;
}

mary_status mary_huffman_decode(const uint8_t *bytes, size_t size, bool gaps, mary_code_matrix *matrix)
{
    mary_status status = MARY_OK;
    mary_huffman_table table;
    huffman_reader reader = {.at = bytes, .end = bytes + size};
    uint64_t others = 0;
    int common = 0;
    huffman_lookup *lookup = mary_alloc(sizeof *lookup), *gap_lookup = gaps ? mary_alloc(sizeof *gap_lookup) : NULL;
    if (lookup == NULL || (gaps && gap_lookup == NULL)) {
        status = mary_fail_memory(sizeof *lookup);
        goto done;
    }
    if (gaps) {
        if (size == 0 || bytes[0] >= matrix->alphabet) {
            status = mary_fail(MARY_ERROR_INVALID, "the commonest code is not one");
            goto done;
        }
        common = *reader.at++;
        if (!mary_varint_read(&reader.at, reader.end, &others)) {
            status = fail_cut();
            goto done;
        }
        MARY_TRY_GOTO(read_table(&reader.at, reader.end, MARY_HUFFMAN_GAPS, &table), done);
        build_lookup(&table, gap_lookup);
    }
    MARY_TRY_GOTO(read_table(&reader.at, reader.end, matrix->alphabet, &table), done);
    build_lookup(&table, lookup);
    status =
        gaps ? decode_gaps(&reader, gap_lookup, lookup, common, others, matrix) : decode_dense(&reader, lookup, matrix);
done:
    mary_free(lookup);
    mary_free(gap_lookup);
    return status;
}
