/* What the verbs add to libjansson: numbers that JSON lacks, and output that is complete or absent. */
#ifndef MARY_CLI_REPORT_JSON_H
#define MARY_CLI_REPORT_JSON_H

#include <jansson.h>

#include "cli/cli.h"

/* null for NaN and the infinities, which JSON cannot say. */
json_t *mary_json_real(double value);
/* Text from a file, invalid UTF-8 replaced. */
json_t *mary_json_text(const char *text);
/* Writes to `path` atomically, or to stdout when it is NULL; releases the value. A NULL value is memory that ran out.
 */
mary_status mary_json_write(json_t *value, const char *path);

#endif
