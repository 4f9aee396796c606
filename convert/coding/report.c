#include "convert/coding/report.h"

struct mary_pack_report {
    mary_packed_row *rows;
    size_t count, capacity;
    mary_pack_totals totals;
};

static const char *const coder_names[MARY_CODER_COUNT] = {"raw",     "huffman", "huffman gaps", "binary",
                                                          "symbols", "bytes",   "planes",       "floats"};
static const char *const kind_names[] = {"codes", "levels", "biases", "other"};

mary_status mary_pack_report_create(size_t rows, mary_pack_report **report)
{
    mary_pack_report *made = mary_calloc(1, sizeof *made);
    *report = NULL;
    if (made != NULL)
        made->rows = mary_calloc(rows + 1, sizeof *made->rows);
    if (made == NULL || made->rows == NULL) {
        mary_free(made);
        return mary_fail_memory(rows * sizeof *made->rows);
    }
    made->capacity = rows;
    *report = made;
    return MARY_OK;
}

void mary_pack_report_free(mary_pack_report **report)
{
    if (*report == NULL)
        return;
    for (size_t i = 0; i < (*report)->count; i++)
        mary_free((char *)(uintptr_t)(*report)->rows[i].name);
    mary_free((*report)->rows);
    mary_free(*report);
    *report = NULL;
}

mary_status mary_pack_report_add(mary_pack_report *report, const mary_span *span, mary_coder coder, bool in_text,
                                 size_t stream_size, const mary_encoded *encoded)
{
    mary_pack_totals *totals = &report->totals;
    mary_packed_row row = {.name = mary_strdup(span->name),
                           .kind = kind_names[span->kind],
                           .coder = in_text ? "graph" : coder_names[coder],
                           .bytes_before = span->size,
                           .bytes_after = in_text ? 0 : stream_size};
    if (row.name == NULL || report->count == report->capacity) {
        mary_free((char *)(uintptr_t)row.name);
        return mary_fail_memory(sizeof row);
    }
    if (span->kind == MARY_SPAN_CODES) {
        row.elements = span->rows * span->row_length;
        totals->weights += (uint64_t)row.elements;
        if (encoded != NULL) {
            row.entropy = encoded->entropy;
            row.position_bytes = in_text ? 0 : encoded->bits.positions / 8;
            row.table_bytes = in_text ? 0 : encoded->bits.tables / 8;
        }
    } else {
        row.elements = (int64_t)(span->size / (size_t)span->element);
    }
    uint64_t *const sums[] = {&totals->codes, &totals->levels, &totals->biases, &totals->other};
    *sums[span->kind] += row.bytes_after - row.position_bytes - row.table_bytes;
    totals->positions += row.position_bytes;
    totals->tables += row.table_bytes;
    report->rows[report->count++] = row;
    return MARY_OK;
}

void mary_pack_report_finish(mary_pack_report *report, size_t file_before, size_t file_after)
{
    mary_pack_totals *t = &report->totals;
    t->file_before = file_before;
    t->file_after = file_after;
    t->graph = file_after - (t->codes + t->positions + t->tables + t->levels + t->biases + t->other);
}

const mary_packed_row *mary_pack_row(const mary_pack_report *report, size_t index)
{
    return index < report->count ? &report->rows[index] : NULL;
}

const mary_pack_totals *mary_pack_totals_of(const mary_pack_report *report)
{
    return &report->totals;
}
