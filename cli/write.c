#include "cli/write.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "cli/data/reader.h"
#include "onnx/model.h"

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), wanted = strlen(ending);
    return length > wanted && strcmp(text + length - wanted, ending) == 0;
}

static void free_names(char **names, int count)
{
    for (int i = 0; names != NULL && i < count; i++)
        mary_free(names[i]);
    mary_free(names);
}

static bool is_taken(char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* The array's name made safe for a file; NULL when nothing usable is left of it, or when memory ran out. */
static char *safe_name(const char *text)
{
    char *name = mary_strdup(text);
    for (char *at = name; at != NULL && *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL)
            *at = '_';
    }
    if (name != NULL && name[0] != '\0' && name[0] != '.' && strlen(name) < 200)
        return name;
    mary_free(name);
    return NULL;
}

/* A file name for each array, all different: its own where that is possible, else output_N. NULL when memory ran out;
 * the caller frees it with free_names. */
static char **file_names(const mary_array *arrays, int count)
{
    char **names = mary_calloc((size_t)count, sizeof *names);
    for (int i = 0; names != NULL && i < count; i++) {
        names[i] = safe_name(arrays[i].name);
        for (int attempt = i; names[i] == NULL || is_taken(names, i, names[i]); attempt += count) {
            mary_free(names[i]);
            names[i] = mary_asprintf("output_%d", attempt);
            if (names[i] == NULL) {
                free_names(names, count);
                return NULL;
            }
        }
    }
    return names;
}

static mary_shape shape_of(const mary_array *array)
{
    mary_shape shape = {.rank = array->rank};
    memcpy(shape.dims, array->dims, sizeof shape.dims);
    return shape;
}

static mary_status write_npy(const char *path, const mary_array *array)
{
    mary_output output;
    mary_shape shape = shape_of(array);
    MARY_TRY(mary_output_open(&output, path));
    mary_status status = mary_npy_write(output.file, array->type, &shape, array->data);
    if (status == MARY_OK)
        return mary_output_commit(&output);
    mary_output_discard(&output);
    return status;
}

static mary_status write_pb(const char *path, const mary_array *array)
{
    mary_tensor tensor = {.type = array->type, .shape = shape_of(array), .data = array->data};
    Onnx__TensorProto *message = NULL;
    MARY_TRY(mary_constant_encode(&tensor, array->name, &message));
    size_t size = onnx__tensor_proto__get_packed_size(message);
    uint8_t *bytes = mary_alloc(size);
    mary_status status = MARY_OK;
    if (bytes == NULL) {
        status = mary_fail_memory(size);
    } else {
        onnx__tensor_proto__pack(message, bytes);
        status = mary_output_write(path, bytes, size);
    }
    mary_free(bytes);
    onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    return status;
}

static mary_status write_folder(const char *path, bool pb, const mary_array *arrays, int count)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return mary_fail(MARY_ERROR_WRITE, "%s: cannot be made: %s", path, strerror(errno));
    char **names = file_names(arrays, count);
    mary_status status = names == NULL ? mary_fail_memory((size_t)count * sizeof *names) : MARY_OK;
    for (int i = 0; i < count && status == MARY_OK; i++) {
        char *file = pb ? mary_asprintf("%s/output_%d.pb", path, i) : mary_asprintf("%s/%s.npy", path, names[i]);
        status = file == NULL ? mary_fail_memory(strlen(path))
                 : pb         ? write_pb(file, &arrays[i])
                              : write_npy(file, &arrays[i]);
        mary_free(file);
    }
    free_names(names, count);
    return status;
}

/* Adds one member; libzip keeps the bytes until it closes the archive. */
static mary_status add_member(zip_t *archive, const char *path, const mary_array *array, const char *name)
{
    char *bytes = NULL;
    size_t size = 0;
    mary_shape shape = shape_of(array);
    FILE *memory = open_memstream(&bytes, &size);
    if (memory == NULL)
        return mary_fail_memory(array->bytes);
    mary_status status = mary_npy_write(memory, array->type, &shape, array->data);
    bool complete = !ferror(memory) && fclose(memory) == 0;
    char *member = mary_asprintf("%s.npy", name);
    if (status == MARY_OK && (!complete || member == NULL))
        status = mary_fail_memory(array->bytes);
    if (status == MARY_OK) {
        zip_source_t *source = zip_source_buffer(archive, bytes, size, 1); /* takes bytes over */
        if (source != NULL)
            bytes = NULL;
        if (source == NULL || zip_file_add(archive, member, source, ZIP_FL_ENC_UTF_8) < 0) {
            status = mary_fail(MARY_ERROR_WRITE, "%s: %s", path, zip_strerror(archive));
            zip_source_free(source);
        }
    }
    free(bytes);
    mary_free(member);
    return status;
}

static mary_status write_npz(const char *path, const mary_array *arrays, int count)
{
    int code = 0;
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code); /* writes beside `path` and renames */
    if (archive == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        mary_status status = mary_fail(MARY_ERROR_WRITE, "%s: cannot be written: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return status;
    }
    char **names = file_names(arrays, count);
    mary_status status = names == NULL ? mary_fail_memory((size_t)count * sizeof *names) : MARY_OK;
    for (int i = 0; i < count && status == MARY_OK; i++)
        status = add_member(archive, path, &arrays[i], names[i]);
    free_names(names, count);
    if (status == MARY_OK && zip_close(archive) == 0)
        return MARY_OK;
    if (status == MARY_OK)
        status = mary_fail(MARY_ERROR_WRITE, "%s: cannot be written: %s", path, zip_strerror(archive));
    zip_discard(archive);
    return status;
}

mary_status mary_write_outputs(const char *path, bool pb, const mary_array *arrays, int count)
{
    if (ends_with(path, ".npz"))
        return write_npz(path, arrays, count);
    if (ends_with(path, ".npy") || ends_with(path, ".pb")) {
        if (count != 1)
            return mary_fail(MARY_ERROR_USAGE, "%s: the model has %d outputs; name a folder or an .npz", path, count);
        return ends_with(path, ".npy") ? write_npy(path, &arrays[0]) : write_pb(path, &arrays[0]);
    }
    return write_folder(path, pb, arrays, count);
}
