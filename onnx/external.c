#include "onnx/external.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct data_range {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} data_range;

static const char *name_of(const Onnx__TensorProto *message)
{
    return message->name == NULL ? "" : message->name;
}

static mary_status parse_number(const Onnx__TensorProto *message, const Onnx__StringStringEntryProto *entry,
                                uint64_t *number)
{
    const char *text = entry->value == NULL ? "" : entry->value;
    uint64_t value = 0;
    bool good = *text != '\0';
    for (const char *at = text; *at != '\0' && good; at++)
        good = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(value, 10u, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
    if (!good || value > INT64_MAX)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data has %s '%s'", name_of(message), entry->key,
                         text);
    *number = value;
    return MARY_OK;
}

static mary_status parse(const Onnx__TensorProto *message, data_range *range)
{
    for (size_t i = 0; i < message->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = message->external_data[i];
        if (entry->key == NULL)
            continue;
        if (strcmp(entry->key, "location") == 0) {
            range->location = entry->value;
        } else if (strcmp(entry->key, "offset") == 0) {
            MARY_TRY(parse_number(message, entry, &range->offset));
        } else if (strcmp(entry->key, "length") == 0) {
            MARY_TRY(parse_number(message, entry, &range->length));
            range->has_length = true;
        }
    }
    if (range->location == NULL || *range->location == '\0')
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data has no location", name_of(message));
    return MARY_OK;
}

static bool has_parent_component(const char *path)
{
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        while (*at == '/')
            at++;
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

/* `path` resolved is still below `directory` resolved: no symbolic link leads out. */
static bool is_below(const char *directory, const char *path)
{
    char base[PATH_MAX], target[PATH_MAX];
    if (realpath(directory, base) == NULL || realpath(path, target) == NULL)
        return false;
    size_t length = strlen(base);
    if (length > 0 && base[length - 1] == '/')
        length--; /* the root directory */
    return strncmp(base, target, length) == 0 && target[length] == '/';
}

static mary_status open_file(const mary_model *model, const Onnx__TensorProto *message, const char *location, int *file,
                             uint64_t *size)
{
    const char *name = name_of(message);
    if (model->directory == NULL)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s', but the model is not a file", name,
                         location);
    if (location[0] == '/')
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data has the absolute path '%s'", name, location);
    if (has_parent_component(location))
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s' leaves the model's directory", name,
                         location);
    char *path = mary_asprintf("%s/%s", model->directory, location);
    if (path == NULL)
        return mary_fail_memory(strlen(model->directory) + strlen(location));
    mary_status status = MARY_OK;
    struct stat info;
    /* Not blocking: a FIFO must not hang us before it is refused. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &info) != 0)
        status = mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s': %s", name, location, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s' is not a regular file", name, location);
    else if (!is_below(model->directory, path))
        status = mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s' leaves the model's directory", name,
                           location);
    mary_free(path);
    if (status == MARY_OK) {
        *file = descriptor;
        *size = (uint64_t)info.st_size;
    } else if (descriptor >= 0) {
        close(descriptor);
    }
    return status;
}

static mary_status open_range(const mary_model *model, const Onnx__TensorProto *message, size_t bytes, int *file,
                              data_range *range)
{
    MARY_TRY(parse(message, range));
    if (range->has_length && range->length != bytes)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data has length %llu, its shape needs %zu bytes",
                         name_of(message), (unsigned long long)range->length, bytes);
    uint64_t size = 0;
    MARY_TRY(open_file(model, message, range->location, file, &size));
    if (range->offset <= size && bytes <= size - range->offset)
        return MARY_OK;
    close(*file);
    return mary_fail(MARY_ERROR_INVALID,
                     "tensor '%s': external data at offset %llu, %zu bytes, is outside '%s', which has %llu bytes",
                     name_of(message), (unsigned long long)range->offset, bytes, range->location,
                     (unsigned long long)size);
}

mary_status mary_external_check(const mary_model *model, const Onnx__TensorProto *message, size_t bytes)
{
    data_range range = {0};
    int file = -1;
    MARY_TRY(open_range(model, message, bytes, &file, &range));
    close(file);
    return MARY_OK;
}

mary_status mary_external_size(const mary_model *model, const Onnx__TensorProto *message, size_t *bytes)
{
    data_range range = {0};
    MARY_TRY(parse(message, &range));
    if (!range.has_length) {
        uint64_t size = 0;
        int file = -1;
        MARY_TRY(open_file(model, message, range.location, &file, &size));
        close(file);
        range.length = size > range.offset ? size - range.offset : 0;
    }
    *bytes = (size_t)range.length;
    return MARY_OK;
}

mary_status mary_external_read(const mary_model *model, const Onnx__TensorProto *message, void *buffer, size_t bytes)
{
    data_range range = {0};
    int file = -1;
    MARY_TRY(open_range(model, message, bytes, &file, &range));
    mary_status status = MARY_OK;
    for (size_t done = 0; done < bytes && status == MARY_OK;) {
        size_t wanted = bytes - done > (size_t)1 << 30 ? (size_t)1 << 30 : bytes - done;
        ssize_t got = pread(file, (char *)buffer + done, wanted, (off_t)(range.offset + done));
        if (got > 0)
            done += (size_t)got;
        else if (got == 0)
            status = mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s' ends early", name_of(message),
                               range.location);
        else if (errno != EINTR)
            status = mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data '%s': %s", name_of(message),
                               range.location, strerror(errno));
    }
    close(file);
    return status;
}
