/* Filling a mary_pack_report. */
#ifndef MARY_CONVERT_CODING_REPORT_H
#define MARY_CONVERT_CODING_REPORT_H

#include "convert/coding/choose.h"

mary_status mary_pack_report_create(size_t rows, mary_pack_report **report);
/* Adds a row, which has its own copy of the name, and counts its bytes. The next two parts of it are filled from
 * `encoded` when that is not NULL. */
mary_status mary_pack_report_add(mary_pack_report *report, const mary_span *span, mary_coder coder, bool in_text,
                                 size_t stream_size, const mary_encoded *encoded);
/* Everything that no row counts is graph. */
void mary_pack_report_finish(mary_pack_report *report, size_t file_before, size_t file_after);

#endif
