#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "onnx/save.h"

#define BUFFER_SIZE ((size_t)256 << 10)

static void write_through(mary_atomic_file *file, const uint8_t *bytes, size_t size)
{
    while (size > 0 && file->error == 0) {
        ssize_t done = write(file->file, bytes, size > (size_t)1 << 30 ? (size_t)1 << 30 : size);
        if (done >= 0) {
            bytes += done;
            size -= (size_t)done;
        } else if (errno != EINTR) {
            file->error = errno;
        }
    }
}

void mary_atomic_file_write(mary_atomic_file *file, const void *bytes, size_t size)
{
    file->written += size;
    if (size > BUFFER_SIZE - file->used) {
        write_through(file, file->buffer, file->used);
        file->used = 0;
    }
    if (size >= BUFFER_SIZE) {
        write_through(file, bytes, size);
    } else if (size > 0) {
        memcpy(file->buffer + file->used, bytes, size);
        file->used += size;
    }
}

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes)
{
    mary_atomic_file_write((mary_atomic_file *)(void *)buffer, bytes, size);
}

static mary_status fail(const mary_atomic_file *file, int error)
{
    return mary_fail(MARY_ERROR_WRITE, "%s: %s", file->path, strerror(error));
}

/* Not mkstemp: the file gets the mode that the user's umask gives to any new file. */
static int open_temporary(const char *path, char **temporary)
{
    struct timespec now;
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        clock_gettime(CLOCK_REALTIME, &now);
        char *name =
            mary_asprintf("%s.%lx-%lx-%x.tmp", path, (unsigned long)getpid(), (unsigned long)now.tv_nsec, attempt);
        if (name == NULL) {
            errno = ENOMEM;
            return -1;
        }
        int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0) {
            *temporary = name;
            return file;
        }
        int error = errno;
        mary_free(name);
        errno = error;
        if (error != EEXIST)
            return -1;
    }
    return -1;
}

mary_status mary_atomic_file_open(mary_atomic_file *file, const char *path)
{
    *file = (mary_atomic_file){.base = {append}, .path = path, .file = -1};
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return mary_fail(MARY_ERROR_WRITE, "%s: %s", path,
                         S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    file->buffer = mary_alloc(BUFFER_SIZE);
    if (file->buffer == NULL)
        return mary_fail_memory(BUFFER_SIZE);
    file->file = open_temporary(path, &file->temporary);
    return file->file < 0 ? fail(file, errno) : MARY_OK;
}

mary_status mary_atomic_file_finish(mary_atomic_file *file)
{
    write_through(file, file->buffer, file->used);
    file->used = 0;
    if (file->error == 0 && fsync(file->file) != 0 && errno != EINVAL && errno != EROFS)
        file->error = errno;
    if (close(file->file) != 0 && file->error == 0)
        file->error = errno;
    file->file = -1;
    return file->error == 0 ? MARY_OK : fail(file, file->error);
}

/* Best effort: some file systems cannot sync a directory. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? mary_strdup(".") : mary_asprintf("%.*s", (int)(slash - path + 1), path);
    if (directory == NULL)
        return;
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        (void)fsync(file);
        close(file);
    }
    mary_free(directory);
}

mary_status mary_atomic_file_commit(mary_atomic_file *file)
{
    if (rename(file->temporary, file->path) != 0)
        return fail(file, errno);
    mary_free(file->temporary);
    file->temporary = NULL;
    sync_directory(file->path);
    return MARY_OK;
}

void mary_atomic_file_close(mary_atomic_file *file)
{
    if (file->buffer != NULL && file->file >= 0)
        close(file->file);
    if (file->temporary != NULL)
        unlink(file->temporary);
    mary_free(file->temporary);
    mary_free(file->buffer);
    *file = (mary_atomic_file){.file = -1};
}
