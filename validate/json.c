#include "validate/json.h"

#include <math.h>
#include <stdlib.h>

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

mary_status mary_json_format(json_t *value, char **text)
{
    char *dumped = value != NULL ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    *text = dumped != NULL ? mary_strdup(dumped) : NULL;
    free(dumped); /* allocated by libjansson */
    return *text != NULL ? MARY_OK : mary_fail_memory(1024);
}
