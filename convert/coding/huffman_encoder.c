/* Huffman codes of the least mean length with at most 15 bits, by package-merge (Larmore and Hirschberg 1990). */
#include "convert/coding/huffman_encoder.h"

#include <stdlib.h>

void mary_count_codes(const mary_code_matrix *matrix, uint64_t *counts)
{
    const size_t count = (size_t)(matrix->rows * matrix->row_length);
    memset(counts, 0, 256 * sizeof *counts);
    for (size_t i = 0; i < count; i++)
        counts[matrix->codes[i]]++;
}

int mary_commonest_code(const uint64_t *counts)
{
    int best = 0;
    for (int i = 1; i < 256; i++)
        best = counts[i] > counts[best] ? i : best;
    return best;
}

/* ---- lengths ---- */

/* A symbol, or two packages of the list before. */
typedef struct package {
    uint64_t weight;
    int16_t symbol; /* -1: a package */
    int16_t first;  /* its two parts are `first` and `first + 1` of the list before */
} package;

static int by_weight(const void *a, const void *b)
{
    const package *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? -1 : 1)
                                  : (x->symbol > y->symbol) - (x->symbol < y->symbol);
}

/* Every symbol inside the package is one bit longer. */
static void lengthen(package (*lists)[512], int level, int item, uint8_t *lengths)
{
    const package *p = &lists[level][item];
    if (p->symbol >= 0) {
        lengths[p->symbol]++;
        return;
    }
    lengthen(lists, level - 1, p->first, lengths);
    lengthen(lists, level - 1, p->first + 1, lengths);
}

mary_status mary_huffman_build(const uint64_t *counts, int symbols, mary_huffman_table *table)
{
    package leaves[256];
    int used = 0;
    *table = (mary_huffman_table){.symbols = symbols, .single = -1};
    for (int i = 0; i < symbols; i++) {
        if (counts[i] > 0)
            leaves[used++] = (package){counts[i], (int16_t)i, 0};
    }
    if (used <= 1) {
        table->single = used == 1 ? leaves[0].symbol : 0;
        return MARY_OK;
    }
    qsort(leaves, (size_t)used, sizeof *leaves, by_weight);
    package(*lists)[512] = mary_alloc(MARY_HUFFMAN_BITS * sizeof *lists);
    if (lists == NULL)
        return mary_fail_memory(MARY_HUFFMAN_BITS * sizeof *lists);
    int count = used;
    memcpy(lists[0], leaves, (size_t)used * sizeof *leaves);
    for (int level = 1; level < MARY_HUFFMAN_BITS; level++) { /* pairs of the list before, merged with the symbols */
        int pairs = count / 2, leaf = 0, pair = 0;
        count = 0;
        while (leaf < used || pair < pairs) {
            const package *before = lists[level - 1];
            uint64_t weight = pair < pairs ? before[2 * pair].weight + before[2 * pair + 1].weight : 0;
            if (pair == pairs || (leaf < used && leaves[leaf].weight <= weight))
                lists[level][count++] = leaves[leaf++];
            else
                lists[level][count++] = (package){weight, -1, (int16_t)(2 * pair++)};
        }
    }
    for (int i = 0; i < 2 * used - 2; i++)
        lengthen(lists, MARY_HUFFMAN_BITS - 1, i, table->lengths);
    mary_free(lists);
    return MARY_OK;
}

/* ---- streams ---- */

typedef struct bit_writer {
    mary_buffer *out;
    uint64_t window, written;
    int bits;
} bit_writer;

static void write_bits(bit_writer *writer, unsigned value, int count)
{
    writer->window = writer->window << count | value;
    writer->bits += count;
    writer->written += (uint64_t)count;
    for (; writer->bits >= 8; writer->bits -= 8)
        mary_buffer_byte(writer->out, (unsigned)(writer->window >> (writer->bits - 8)) & 255);
}

static void write_table(const mary_huffman_table *table, mary_buffer *out)
{
    mary_buffer_byte(out, table->single < 0);
    if (table->single >= 0) {
        mary_buffer_byte(out, (unsigned)table->single);
        return;
    }
    for (int i = 0; i < table->symbols; i += 2)
        mary_buffer_byte(out, table->lengths[i] | (i + 1 < table->symbols ? table->lengths[i + 1] << 4 : 0));
}

/* Calls for each gap symbol and each code that is not the commonest, in order. */
static void walk_gaps(const mary_code_matrix *matrix, int common, void *context, void (*gap)(void *context, int symbol),
                      void (*code)(void *context, int symbol))
{
    const size_t count = (size_t)(matrix->rows * matrix->row_length);
    size_t skipped = 0;
    for (size_t i = 0; i < count; i++) {
        if (matrix->codes[i] == common) {
            skipped++;
            continue;
        }
        for (; skipped >= MARY_HUFFMAN_SKIP; skipped -= MARY_HUFFMAN_SKIP)
            gap(context, MARY_HUFFMAN_SKIP);
        gap(context, (int)skipped);
        code(context, matrix->codes[i]);
        skipped = 0;
    }
}

typedef struct gap_statistics {
    uint64_t gaps[256], codes[256];
} gap_statistics;

static void count_gap(void *context, int symbol)
{
    ((gap_statistics *)context)->gaps[symbol]++;
}

static void count_code(void *context, int symbol)
{
    ((gap_statistics *)context)->codes[symbol]++;
}

typedef struct gap_writer {
    bit_writer bits;
    const mary_huffman_table *gap_table, *table;
    uint16_t gap_codes[256], codes[256];
    uint64_t gap_bits;
} gap_writer;

static void write_gap(void *context, int symbol)
{
    gap_writer *writer = context;
    if (writer->gap_table->single < 0)
        write_bits(&writer->bits, writer->gap_codes[symbol], writer->gap_table->lengths[symbol]);
    writer->gap_bits += writer->gap_table->lengths[symbol];
}

static void write_code(void *context, int symbol)
{
    gap_writer *writer = context;
    if (writer->table->single < 0)
        write_bits(&writer->bits, writer->codes[symbol], writer->table->lengths[symbol]);
}

mary_status mary_huffman_encode(const mary_code_matrix *matrix, bool gaps, mary_buffer *out, mary_stream_bits *bits)
{
    uint64_t counts[256], others = 0;
    gap_statistics statistics = {0};
    mary_huffman_table table, gap_table;
    gap_writer writer = {.bits.out = out, .gap_table = &gap_table, .table = &table};
    size_t start = out->size;
    mary_count_codes(matrix, counts);
    int common = mary_commonest_code(counts);
    if (gaps) {
        walk_gaps(matrix, common, &statistics, count_gap, count_code);
        for (int i = 0; i < 256; i++)
            others += statistics.codes[i];
        MARY_TRY(mary_huffman_build(statistics.gaps, MARY_HUFFMAN_GAPS, &gap_table));
        MARY_TRY(mary_huffman_build(statistics.codes, matrix->alphabet, &table));
        mary_huffman_codes(&gap_table, writer.gap_codes);
        mary_buffer_byte(out, (unsigned)common);
        mary_buffer_varint(out, others);
        write_table(&gap_table, out);
    } else {
        MARY_TRY(mary_huffman_build(counts, matrix->alphabet, &table));
    }
    write_table(&table, out);
    mary_huffman_codes(&table, writer.codes);
    *bits = (mary_stream_bits){.tables = 8 * (out->size - start)};
    if (gaps) {
        walk_gaps(matrix, common, &writer, write_gap, write_code);
    } else {
        const size_t count = (size_t)(matrix->rows * matrix->row_length);
        for (size_t i = 0; i < count; i++)
            write_code(&writer, matrix->codes[i]);
    }
    bits->positions = writer.gap_bits;
    bits->codes = writer.bits.written - writer.gap_bits;
    if (writer.bits.bits > 0)
        write_bits(&writer.bits, 0, 8 - writer.bits.bits);
    return out->failed ? mary_fail_memory(out->capacity) : MARY_OK;
}
