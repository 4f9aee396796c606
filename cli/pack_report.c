#include "cli/pack_report.h"

#include <inttypes.h>
#include <string.h>

#include "cli/report/table.h"

static double bits_each(const mary_packed_row *row)
{
    return row->elements == 0 ? 0 : 8.0 * (double)row->bytes_after / (double)row->elements;
}

mary_status mary_pack_report_print(const mary_pack_report *report)
{
    mary_table table;
    char text[32];
    uint64_t left_bytes = 0;
    size_t left = 0;
    mary_table_begin(&table, "<tensor|<kind|>elements|<coder|>before|>after|>bits each|>entropy");
    for (size_t i = 0;; i++) {
        const mary_packed_row *row = mary_pack_row(report, i);
        if (row == NULL)
            break;
        if (strcmp(row->coder, "graph") == 0) {
            left++;
            left_bytes += row->bytes_before;
            continue;
        }
        mary_table_cell(&table, "%s", row->name);
        mary_table_cell(&table, "%s", row->kind);
        mary_table_cell(&table, "%" PRId64, row->elements);
        mary_table_cell(&table, "%s", row->coder);
        mary_table_cell(&table, "%s", mary_cli_format_bytes((double)row->bytes_before, text, sizeof text));
        mary_table_cell(&table, "%s", mary_cli_format_bytes((double)row->bytes_after, text, sizeof text));
        mary_table_cell(&table, "%.3f", bits_each(row));
        if (row->entropy > 0)
            mary_table_cell(&table, "%.3f", row->entropy);
        else
            mary_table_cell(&table, "%s", "");
    }
    MARY_TRY(mary_table_end(&table, stdout));
    if (left > 0)
        printf("and %zu tensors of %s, which stay in the graph\n", left,
               mary_cli_format_bytes((double)left_bytes, text, sizeof text));
    return MARY_OK;
}

void mary_pack_totals_print(const mary_pack_report *report)
{
    const mary_pack_totals *t = mary_pack_totals_of(report);
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {{"codes", t->codes},   {"positions", t->positions}, {"tables", t->tables}, {"levels", t->levels},
                 {"biases", t->biases}, {"other", t->other},         {"graph", t->graph}};
    printf("bytes    ");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        printf("%s%s %" PRIu64, i == 0 ? "" : " + ", parts[i].name, parts[i].bytes);
    printf(" = %" PRIu64 "\n", t->file_after);
    if (t->weights > 0)
        printf("weights  %" PRIu64 " with codes: %.3f bits each, levels included\n", t->weights,
               8.0 * (double)(t->codes + t->positions + t->tables + t->levels) / (double)t->weights);
}
