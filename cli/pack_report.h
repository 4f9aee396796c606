/* What `mary pack` and `mary inspect` say about packed models. */
#ifndef MARY_CLI_PACK_REPORT_H
#define MARY_CLI_PACK_REPORT_H

#include "cli/report/json.h"

/* `original`: path of the float model, or NULL; `original_bytes` its size. */
typedef struct mary_pack_files {
    const char *input, *output, *original;
    uint64_t original_bytes;
} mary_pack_files;

/* One line a tensor that is not left in the graph, one for each of these kinds that is. */
mary_status mary_pack_report_print(const mary_pack_report *report);
/* Every byte of the file, by what it is for. */
void mary_pack_totals_print(const mary_pack_report *report);
json_t *mary_pack_report_json(const mary_pack_report *report, const mary_pack_files *files);

#endif
