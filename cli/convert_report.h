/* A conversion's report, for the console and as JSON. */
#ifndef MARY_CLI_CONVERT_REPORT_H
#define MARY_CLI_CONVERT_REPORT_H

#include "cli/report/json.h"

/* The table of layers and the totals, on stdout; files as they are on disk. */
mary_status mary_convert_report_print(const mary_convert_report *report, const char *input, const char *output,
                                      uint64_t bytes_before, uint64_t bytes_after);
/* The same as JSON, keys as in docs/operators.md, "Reports". NULL: memory ran out. */
json_t *mary_convert_report_json(const mary_convert_report *report, const char *input, const char *output,
                                 uint64_t bytes_before, uint64_t bytes_after);

#endif
