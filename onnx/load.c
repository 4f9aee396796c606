/* Reading a model: bytes -> protobuf-c messages. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx/coding/packed.h"
#include "onnx/model.h"
#include "onnx/wire.h"

static mary_status unpack(const void *bytes, size_t size, bool is_file, Onnx__ModelProto **proto)
{
    if (size == 0)
        return mary_fail(MARY_ERROR_INVALID, "the file is empty");
    return mary_wire_unpack(&onnx__model_proto__descriptor, bytes, size, is_file, (ProtobufCMessage **)(void *)proto);
}

void mary_model_return_lent(mary_model *model)
{
    Onnx__GraphProto *graph = model->proto != NULL ? model->proto->graph : NULL;
    for (size_t i = 0; graph != NULL && i < graph->n_initializer; i++)
        graph->initializer[i]->raw_data = (ProtobufCBinaryData){0};
    model->lent = false;
}

/* A packed model becomes what it stands for. One that is packed twice stays an operator that nobody knows. */
static mary_status expand(mary_model *model)
{
    const Onnx__TensorProto *stream = mary_packed_stream(model->proto);
    uint8_t *plain;
    size_t size;
    if (stream == NULL)
        return MARY_OK;
    MARY_TRY(mary_packed_expand(stream->raw_data.data, stream->raw_data.len, 0, &plain, &size));
    onnx__model_proto__free_unpacked(model->proto, &mary_proto_allocator);
    model->proto = NULL;
    model->packed = true;
    mary_status status = unpack(plain, size, false, &model->proto);
    mary_free(plain);
    return status;
}

void mary_model_free(mary_model **model)
{
    if (*model == NULL)
        return;
    if ((*model)->lent)
        mary_model_return_lent(*model);
    if ((*model)->proto != NULL)
        onnx__model_proto__free_unpacked((*model)->proto, &mary_proto_allocator);
    mary_free((*model)->path);
    mary_free((*model)->directory);
    mary_free(*model);
    *model = NULL;
}

/* "a/b.onnx" -> "a", "b.onnx" -> "." */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mary_strdup(".");
    return slash == path ? mary_strdup("/") : mary_asprintf("%.*s", (int)(slash - path), path);
}

static mary_status create(const void *bytes, size_t size, const char *path, bool is_file, mary_model **model)
{
    mary_model *made = mary_calloc(1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    mary_status status = MARY_OK;
    made->path = mary_strdup(path);
    made->directory = is_file ? directory_of(path) : NULL;
    if (made->path == NULL || (is_file && made->directory == NULL))
        status = mary_fail_memory(strlen(path));
    else
        status = unpack(bytes, size, is_file, &made->proto);
    if (status == MARY_OK)
        status = expand(made);
    if (status == MARY_OK)
        *model = made;
    else
        mary_model_free(&made);
    return status;
}

static mary_status load_bytes(const void *bytes, size_t size, const char *path, bool is_file, mary_model **model)
{
    mary_status status = create(bytes, size, path, is_file, model);
    if (status == MARY_OK)
        status = mary_model_check(*model);
    if (status != MARY_OK)
        mary_model_free(model);
    return status;
}

mary_status mary_model_load_bytes(const void *bytes, size_t size, const char *name, mary_model **model)
{
    *model = NULL;
    mary_status status = load_bytes(bytes, size, name == NULL ? "" : name, false, model);
    return status == MARY_OK || name == NULL ? status : mary_fail_context(status, "%s", name);
}

mary_status mary_model_load_memory(const void *bytes, size_t size, mary_model **model)
{
    return mary_model_load_bytes(bytes, size, "<memory>", model);
}

/* The file is mapped only while it is parsed: the peak is the messages, and pages that the kernel may drop. */
static mary_status load_file(const char *path, mary_model **model)
{
    mary_status status = MARY_OK;
    void *bytes = MAP_FAILED;
    struct stat info = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &info) != 0)
        status = mary_fail(MARY_ERROR_INVALID, "%s", strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status =
            mary_fail(MARY_ERROR_INVALID, "%s", S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    else if (info.st_size == 0)
        status = mary_fail(MARY_ERROR_INVALID, "the file is empty");
    if (status != MARY_OK)
        goto done;
    bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED) {
        status = mary_fail(MARY_ERROR_INVALID, "%s", strerror(errno));
        goto done;
    }
    status = load_bytes(bytes, (size_t)info.st_size, path, true, model);
done:
    if (bytes != MAP_FAILED)
        munmap(bytes, (size_t)info.st_size);
    if (file >= 0)
        close(file);
    return status;
}

mary_status mary_model_load(const char *path, mary_model **model)
{
    *model = NULL;
    mary_status status = load_file(path, model);
    return status == MARY_OK ? status : mary_fail_context(status, "%s", path);
}
