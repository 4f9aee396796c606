/* Small files for the data tests, in a folder of their own that is removed afterwards. */
#ifndef MARY_TESTS_CLI_FILES_H
#define MARY_TESTS_CLI_FILES_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include "tests/support/suite.h"

static char folder[64];

static inline void setup_folder(void)
{
    strcpy(folder, "/tmp/mary-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* A path in the folder; four of them may be in use at once. */
static inline const char *path_of(const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline const char *write_file(const char *name, const void *bytes, size_t size)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
    return path;
}

static inline const char *write_gzip(const char *name, const void *bytes, size_t size)
{
    const char *path = path_of(name);
    gzFile file = gzopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
    gzclose(file);
    return path;
}

/* .npy version 1 with this header text; returns its size. */
static inline size_t make_npy(char *bytes, const char *header, const void *elements, size_t size)
{
    size_t length = strlen(header);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (char)(length & 255);
    bytes[9] = (char)(length >> 8);
    memcpy(bytes + 10, header, length);
    if (size > 0)
        memcpy(bytes + 10 + length, elements, size);
    return 10 + length + size;
}

static inline const char *write_npy(const char *name, const char *header, const void *elements, size_t size)
{
    char *bytes = malloc(size + strlen(header) + 10);
    const char *path = write_file(name, bytes, make_npy(bytes, header, elements, size));
    free(bytes);
    return path;
}

/* Adds one member to an archive. */
static inline const char *add_member(const char *archive, const char *member, const char *header, const void *elements,
                                     size_t size, bool deflate)
{
    const char *path = path_of(archive);
    char *bytes = malloc(size + strlen(header) + 10);
    size_t length = make_npy(bytes, header, elements, size);
    zip_t *zip = zip_open(path, ZIP_CREATE, NULL);
    ck_assert_ptr_nonnull(zip);
    zip_int64_t index = zip_file_add(zip, member, zip_source_buffer(zip, bytes, length, 1), ZIP_FL_OVERWRITE);
    ck_assert(index >= 0);
    zip_set_file_compression(zip, (zip_uint64_t)index, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    ck_assert_int_eq(zip_close(zip), 0);
    return path;
}

#endif
