/* What `mary pack --report` writes and `mary inspect --json` has for a packed model. */
#ifndef MARY_VALIDATE_PACKING_JSON_H
#define MARY_VALIDATE_PACKING_JSON_H

#include <jansson.h>

#include "mary.h"

/* `original`: path of the float model, or NULL; `original_bytes` its size. */
typedef struct mary_pack_files {
    const char *input, *output, *original;
    uint64_t original_bytes;
} mary_pack_files;

/* NULL when memory ran out. */
json_t *mary_pack_report_json(const mary_pack_report *report, const mary_pack_files *files);

#endif
