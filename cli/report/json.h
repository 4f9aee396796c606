/* JSON output that is complete or absent. */
#ifndef MARY_CLI_REPORT_JSON_H
#define MARY_CLI_REPORT_JSON_H

#include "cli/cli.h"
#include "validate/json.h"

/* Writes to `path` atomically, or to stdout when it is NULL; releases the value. A NULL value is memory that ran out.
 */
mary_status mary_json_write(json_t *value, const char *path);

#endif
