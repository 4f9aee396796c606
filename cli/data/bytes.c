#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/data/reader.h"

enum { PIECE = 1 << 30 }; /* gzread counts in int */

mary_status mary_bytes_open_file(mary_bytes *bytes, const char *path)
{
    memset(bytes, 0, sizeof *bytes);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    struct stat information;
    if (fstat(descriptor, &information) != 0 || !S_ISREG(information.st_mode)) {
        close(descriptor);
        return mary_fail(MARY_ERROR_INVALID, "%s: not a regular file", path);
    }
    bytes->label = mary_strdup(path);
    bytes->file = bytes->label != NULL ? gzdopen(descriptor, "rb") : NULL;
    if (bytes->file == NULL) {
        close(descriptor);
        mary_bytes_close(bytes);
        return mary_fail_memory(strlen(path));
    }
    gzbuffer(bytes->file, 1 << 16);
    /* zlib hands a file that is not gzip through unchanged. */
    bytes->left = gzdirect(bytes->file) ? (uint64_t)information.st_size : UINT64_MAX;
    return MARY_OK;
}

mary_status mary_bytes_open_member(mary_bytes *bytes, const char *path, const char *name)
{
    memset(bytes, 0, sizeof *bytes);
    mary_status status = MARY_OK;
    bytes->label = mary_asprintf("%s:%s", path, name);
    if (bytes->label == NULL)
        return mary_fail_memory(strlen(path));
    size_t length = strlen(bytes->label);
    if (length > 4 && strcmp(bytes->label + length - 4, ".npy") == 0)
        bytes->label[length - 4] = '\0';
    int code = 0;
    bytes->archive = zip_open(path, ZIP_RDONLY, &code);
    if (bytes->archive == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        goto error;
    }
    zip_stat_t information;
    bytes->member = zip_fopen(bytes->archive, name, 0);
    if (bytes->member == NULL || zip_stat(bytes->archive, name, 0, &information) != 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: %s", bytes->label, zip_strerror(bytes->archive));
        goto error;
    }
    bytes->left = information.valid & ZIP_STAT_SIZE ? information.size : UINT64_MAX;
    bytes->stored = (information.valid & ZIP_STAT_COMP_METHOD) != 0 && information.comp_method == ZIP_CM_STORE;
    return MARY_OK;
error:
    mary_bytes_close(bytes);
    return status;
}

static mary_status read_error(const mary_bytes *bytes, int64_t got)
{
    if (bytes->member != NULL && got < 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", bytes->label, zip_file_strerror(bytes->member));
    if (bytes->file != NULL) {
        int code = Z_OK;
        const char *text = gzerror(bytes->file, &code);
        if (code == Z_ERRNO)
            return mary_fail(MARY_ERROR_INVALID, "%s: %s", bytes->label, strerror(errno));
        if (code != Z_OK && code != Z_BUF_ERROR) /* the latter is how zlib says that the file is cut off */
            return mary_fail(MARY_ERROR_INVALID, "%s: %s", bytes->label, text);
    }
    return mary_fail(MARY_ERROR_INVALID, "%s: ends early, the file is truncated", bytes->label);
}

mary_status mary_bytes_read(mary_bytes *bytes, void *to, size_t size)
{
    if (size > bytes->left)
        return read_error(bytes, 0);
    char *at = to;
    for (size_t rest = size; rest > 0;) {
        size_t piece = rest < PIECE ? rest : PIECE;
        int64_t got =
            bytes->member != NULL ? zip_fread(bytes->member, at, piece) : gzread(bytes->file, at, (unsigned)piece);
        if (got <= 0)
            return read_error(bytes, got);
        at += got;
        rest -= (size_t)got;
    }
    if (bytes->left != UINT64_MAX)
        bytes->left -= size;
    return MARY_OK;
}

mary_status mary_bytes_skip(mary_bytes *bytes, uint64_t size)
{
    if (size > bytes->left || size > INT64_MAX)
        return read_error(bytes, 0);
    bool sought = bytes->file != NULL ? gzseek(bytes->file, (z_off_t)size, SEEK_CUR) >= 0
                                      : bytes->stored && zip_fseek(bytes->member, (zip_int64_t)size, SEEK_CUR) == 0;
    if (sought) { /* past the end, the next read will say so */
        bytes->left -= bytes->left != UINT64_MAX ? size : 0;
        return MARY_OK;
    }
    char discarded[1 << 14];
    while (size > 0) {
        size_t piece = size < sizeof discarded ? (size_t)size : sizeof discarded;
        MARY_TRY(mary_bytes_read(bytes, discarded, piece));
        size -= piece;
    }
    return MARY_OK;
}

void mary_bytes_close(mary_bytes *bytes)
{
    if (bytes->file != NULL)
        gzclose(bytes->file);
    if (bytes->member != NULL)
        zip_fclose(bytes->member);
    if (bytes->archive != NULL)
        zip_discard(bytes->archive);
    mary_free(bytes->label);
    memset(bytes, 0, sizeof *bytes);
}
