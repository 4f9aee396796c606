#include "cli/report/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *mary_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *mary_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    char *copy = mary_strdup(text); /* not UTF-8: keep what is ASCII */
    if (copy == NULL)
        return NULL;
    for (char *at = copy; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    value = json_string(copy);
    mary_free(copy);
    return value;
}

mary_status mary_json_write(json_t *value, const char *path)
{
    mary_status status = MARY_OK;
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (text == NULL)
        return mary_fail_memory(1024);
    if (path == NULL) {
        printf("%s\n", text); /* main checks stdout */
    } else {
        mary_output output;
        status = mary_output_open(&output, path);
        if (status == MARY_OK) {
            fprintf(output.file, "%s\n", text);
            status = mary_output_commit(&output);
        }
    }
    free(text); /* allocated by libjansson */
    return status;
}
