/* What mary adds to libjansson: numbers that JSON lacks, and text that may not be UTF-8. */
#ifndef MARY_VALIDATE_JSON_H
#define MARY_VALIDATE_JSON_H

#include <jansson.h>

#include "onnx/memory.h"
#include "onnx/status.h"

/* null for NaN and the infinities, which JSON cannot say. */
json_t *mary_json_real(double value);
/* Text from a file, invalid UTF-8 replaced. */
json_t *mary_json_text(const char *text);
/* Indented, freed with mary_free; releases the value. A NULL value is memory that ran out. */
mary_status mary_json_format(json_t *value, char **text);

#endif
