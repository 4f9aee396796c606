#include "onnx/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

mary_status mary_file_read(const char *path, void **bytes, size_t *size)
{
    mary_status status = MARY_OK;
    struct stat information;
    *bytes = NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &information) != 0 || !S_ISREG(information.st_mode)) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: not a regular file", path);
        goto done;
    }
    *size = (size_t)information.st_size;
    *bytes = mary_alloc(*size);
    if (*bytes == NULL)
        status = mary_fail_memory(*size);
    else if (fread(*bytes, 1, *size, file) != *size)
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, ferror(file) ? strerror(errno) : "it became shorter");
done:
    if (status != MARY_OK) {
        mary_free(*bytes);
        *bytes = NULL;
    }
    fclose(file);
    return status;
}
