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

/* The array's name made safe for a file, unique among the first `index`; the caller frees it. */
static char *file_name(const mary_array *arrays, int index)
{
    char *name = mary_strdup(arrays[index].name);
    if (name == NULL)
        return NULL;
    for (char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL)
            *at = '_';
    }
    bool usable = name[0] != '\0' && name[0] != '.' && strlen(name) < 200;
    for (int i = 0; i < index && usable; i++) {
        char *other = file_name(arrays, i);
        usable = other != NULL && strcmp(other, name) != 0;
        mary_free(other);
    }
    if (usable)
        return name;
    mary_free(name);
    return mary_asprintf("output_%d", index);
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
    for (int i = 0; i < count; i++) {
        char *name = pb ? mary_asprintf("output_%d", i) : file_name(arrays, i);
        char *file = name != NULL ? mary_asprintf("%s/%s.%s", path, name, pb ? "pb" : "npy") : NULL;
        mary_status status = file == NULL ? mary_fail_memory(strlen(path))
                             : pb         ? write_pb(file, &arrays[i])
                                          : write_npy(file, &arrays[i]);
        mary_free(name);
        mary_free(file);
        if (status != MARY_OK)
            return status;
    }
    return MARY_OK;
}

/* Adds one member; libzip keeps the bytes until it closes the archive. */
static mary_status add_member(zip_t *archive, const char *path, const mary_array *arrays, int index)
{
    char *bytes = NULL, *member = NULL;
    size_t size = 0;
    mary_shape shape = shape_of(&arrays[index]);
    FILE *memory = open_memstream(&bytes, &size);
    if (memory == NULL)
        return mary_fail_memory(arrays[index].bytes);
    mary_status status = mary_npy_write(memory, arrays[index].type, &shape, arrays[index].data);
    bool complete = !ferror(memory) && fclose(memory) == 0;
    char *name = file_name(arrays, index);
    member = name != NULL ? mary_asprintf("%s.npy", name) : NULL;
    if (status == MARY_OK && (!complete || member == NULL))
        status = mary_fail_memory(arrays[index].bytes);
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
    mary_free(name);
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
    mary_status status = MARY_OK;
    for (int i = 0; i < count && status == MARY_OK; i++)
        status = add_member(archive, path, arrays, i);
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
