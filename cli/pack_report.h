/* What `mary pack` and `mary inspect` say about packed models. */
#ifndef MARY_CLI_PACK_REPORT_H
#define MARY_CLI_PACK_REPORT_H

#include "mary.h"

/* One line a tensor that is not left in the graph, one for each of these kinds that is. */
mary_status mary_pack_report_print(const mary_pack_report *report);
/* Every byte of the file, by what it is for. */
void mary_pack_totals_print(const mary_pack_report *report);

#endif
