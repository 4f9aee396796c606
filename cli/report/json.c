#include "cli/report/json.h"

mary_status mary_json_write(json_t *value, const char *path)
{
    char *text;
    mary_status status = mary_json_format(value, &text);
    if (status != MARY_OK)
        return status;
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
    mary_free(text);
    return status;
}
