#include <string.h>

#include "cli/data/images.h"

/* The array's name is the file's name without folder and endings. */
static char *stem(const char *path)
{
    char *name = mary_strdup(mary_cli_base_name(path));
    if (name == NULL)
        return NULL;
    static const char *const endings[] = {".gz", ".npy", ".idx"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t length = strlen(name), ending = strlen(endings[i]);
        if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
            name[length - ending] = '\0';
    }
    return name;
}

mary_status mary_reader_open_file(mary_reader *reader, const char *path)
{
    memset(reader, 0, sizeof *reader);
    mary_status status = mary_bytes_open_file(&reader->bytes, path);
    if (status != MARY_OK)
        goto error;
    reader->name = stem(path);
    if (reader->name == NULL) {
        status = mary_fail_memory(strlen(path));
        goto error;
    }
    int first = gzgetc(reader->bytes.file);
    if (first < 0 || gzungetc(first, reader->bytes.file) < 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: the file is empty or damaged", path);
        goto error;
    }
    status = first == 0x93 ? mary_npy_begin(reader) : mary_idx_begin(reader);
    if (status == MARY_OK)
        return MARY_OK;
error:
    mary_reader_close(reader);
    return status;
}

mary_status mary_reader_open_member(mary_reader *reader, const char *path, const char *array)
{
    memset(reader, 0, sizeof *reader);
    char *member = mary_asprintf("%s.npy", array);
    reader->name = mary_strdup(array);
    mary_status status = MARY_OK;
    if (member == NULL || reader->name == NULL)
        status = mary_fail_memory(strlen(array));
    if (status == MARY_OK)
        status = mary_bytes_open_member(&reader->bytes, path, member);
    if (status == MARY_OK)
        status = mary_npy_begin(reader);
    mary_free(member);
    if (status != MARY_OK)
        mary_reader_close(reader);
    return status;
}

static void swap_elements(char *data, int64_t count, size_t size)
{
    for (int64_t i = 0; i < count; i++, data += size) {
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            char kept = data[a];
            data[a] = data[b];
            data[b] = kept;
        }
    }
}

/* Reads all of a first-index-fastest array and brings it into row-major order. */
static mary_status read_fortran(mary_reader *reader)
{
    size_t size = mary_type_size(reader->type);
    int64_t count = mary_shape_count(&reader->shape);
    char *stored = mary_alloc((size_t)count * size);
    reader->whole = mary_alloc((size_t)count * size);
    mary_status status = MARY_OK;
    if (stored == NULL || reader->whole == NULL)
        status = mary_fail_memory((size_t)count * size);
    if (status == MARY_OK)
        status = mary_bytes_read(&reader->bytes, stored, (size_t)count * size);
    if (status == MARY_OK) {
        int64_t index[MARY_MAX_RANK] = {0}, stride[MARY_MAX_RANK], step = 1;
        for (int i = 0; i < reader->shape.rank; i++) {
            stride[i] = step;
            step *= reader->shape.dims[i];
        }
        for (int64_t to = 0, from = 0; to < count; to++) {
            memcpy(reader->whole + (size_t)to * size, stored + (size_t)from * size, size);
            for (int i = reader->shape.rank - 1; i >= 0; i--) { /* the next index in row-major order */
                from += stride[i];
                if (++index[i] < reader->shape.dims[i])
                    break;
                from -= stride[i] * reader->shape.dims[i];
                index[i] = 0;
            }
        }
    }
    mary_free(stored);
    return status;
}

mary_status mary_reader_next(mary_reader *reader, int64_t count, void *to)
{
    size_t size = mary_type_size(reader->type);
    if (count > mary_shape_count(&reader->shape) - reader->position)
        return mary_fail(MARY_ERROR_INTERNAL, "%s: read past the end of the array", reader->bytes.label);
    if (count == 0)
        return MARY_OK;
    if (reader->images != NULL) {
        MARY_TRY(mary_images_next(reader->images, count, to));
        reader->position += count;
        return MARY_OK;
    }
    if (reader->fortran && reader->whole == NULL)
        MARY_TRY(read_fortran(reader));
    if (reader->fortran)
        memcpy(to, reader->whole + (size_t)reader->position * size, (size_t)count * size);
    else
        MARY_TRY(mary_bytes_read(&reader->bytes, to, (size_t)count * size));
    if (reader->swap)
        swap_elements(to, count, size);
    reader->position += count;
    return MARY_OK;
}

mary_status mary_reader_skip(mary_reader *reader, int64_t count)
{
    if (count > mary_shape_count(&reader->shape) - reader->position)
        return mary_fail(MARY_ERROR_INTERNAL, "%s: read past the end of the array", reader->bytes.label);
    if (reader->images != NULL)
        MARY_TRY(mary_images_skip(reader->images, count));
    else if (!reader->fortran)
        MARY_TRY(mary_bytes_skip(&reader->bytes, (uint64_t)count * mary_type_size(reader->type)));
    reader->position += count;
    return MARY_OK;
}

void mary_reader_close(mary_reader *reader)
{
    mary_bytes_close(&reader->bytes);
    mary_images_free(&reader->images);
    mary_free(reader->name);
    mary_free(reader->whole);
    memset(reader, 0, sizeof *reader);
}
