/* Files that are complete under their name or not there at all: written beside the target, then renamed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static mary_status fail(const char *path, int error)
{
    return mary_fail(MARY_ERROR_WRITE, "%s: cannot be written: %s", path, strerror(error));
}

static mary_status open_temporary(mary_output *output, const char *path)
{
    output->temporary = mary_asprintf("%s.XXXXXX", path);
    if (output->temporary == NULL)
        return mary_fail_memory(strlen(path));
    int descriptor = mkstemp(output->temporary);
    if (descriptor < 0) {
        int error = errno;
        mary_free(output->temporary);
        output->temporary = NULL;
        return fail(path, error);
    }
    /* mkstemp is stricter than the user's umask asks for. */
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(descriptor, 0666 & ~mask) == 0)
        output->file = fdopen(descriptor, "wb");
    if (output->file == NULL) {
        int error = errno;
        close(descriptor);
        return fail(path, error);
    }
    return MARY_OK;
}

mary_status mary_output_open(mary_output *output, const char *path)
{
    memset(output, 0, sizeof *output);
    output->path = mary_strdup(path);
    if (output->path == NULL)
        return mary_fail_memory(strlen(path));
    mary_status status = MARY_OK;
    struct stat information;
    if (stat(path, &information) == 0 && !S_ISREG(information.st_mode)) {
        /* Never replace a device or a pipe by a file: /dev/null must stay what it is. */
        output->file = fopen(path, "wb");
        if (output->file == NULL)
            status = fail(path, errno);
    } else {
        status = open_temporary(output, path);
    }
    if (status != MARY_OK)
        mary_output_discard(output);
    return status;
}

mary_status mary_output_commit(mary_output *output)
{
    mary_status status = MARY_OK;
    errno = 0;
    bool failed = fflush(output->file) != 0 || ferror(output->file);
    if (failed)
        status = fail(output->path, errno != 0 ? errno : EIO);
    if (fclose(output->file) != 0 && status == MARY_OK)
        status = fail(output->path, errno);
    output->file = NULL;
    if (status == MARY_OK && output->temporary != NULL) {
        if (rename(output->temporary, output->path) != 0) {
            status = fail(output->path, errno);
        } else {
            mary_free(output->temporary);
            output->temporary = NULL;
        }
    }
    mary_output_discard(output);
    return status;
}

void mary_output_discard(mary_output *output)
{
    if (output->file != NULL)
        fclose(output->file);
    if (output->temporary != NULL)
        unlink(output->temporary);
    mary_free(output->temporary);
    mary_free(output->path);
    memset(output, 0, sizeof *output);
}

mary_status mary_output_write(const char *path, const void *bytes, size_t size)
{
    mary_output output;
    MARY_TRY(mary_output_open(&output, path));
    fwrite(bytes, 1, size, output.file); /* a short write sets the stream's error flag, which commit checks */
    return mary_output_commit(&output);
}
