/* Writing a model. Weights are embedded as long as the file stays below protobuf's limit, else they go to one file
 * beside it. */
#include "onnx/save.h"

#include <stdio.h>
#include <string.h>

#include "onnx/external.h"

#define LIMIT ((size_t)INT32_MAX) /* no protobuf parser reads a larger message */
#define SMALL 1024                /* bytes: smaller tensors are never worth a place in the data file */
#define PAGE  4096                /* data starts on pages, so that readers can map it */

/* ---- first look: what is external now, and how large everything is embedded ---- */

typedef struct tensor_survey {
    const mary_model *model;
    size_t external_bytes;
    bool any_external;
} tensor_survey;

static mary_status look(void *context, mary_shallow *shallow, Onnx__TensorProto *tensor, bool is_initializer)
{
    (void)shallow, (void)is_initializer;
    tensor_survey *survey = context;
    if (!mary_tensor_is_external(tensor))
        return MARY_OK;
    size_t bytes;
    MARY_TRY(mary_external_size(survey->model, tensor, &bytes));
    survey->any_external = true;
    if (!mary_size_add(survey->external_bytes, bytes, &survey->external_bytes))
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s': external data has length %zu", tensor->name, bytes);
    return MARY_OK;
}

/* ---- everything in one file ---- */

static mary_status embed(void *context, mary_shallow *shallow, Onnx__TensorProto *tensor, bool is_initializer)
{
    (void)is_initializer;
    if (!mary_tensor_is_external(tensor))
        return MARY_OK;
    size_t bytes;
    MARY_TRY(mary_external_size(context, tensor, &bytes));
    void *data = mary_shallow_alloc(shallow, bytes);
    if (data == NULL)
        return mary_fail_memory(bytes);
    MARY_TRY(mary_external_read(context, tensor, data, bytes));
    tensor->n_external_data = 0;
    tensor->has_data_location = false;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){bytes, data};
    return MARY_OK;
}

/* ---- weights in a file of their own ---- */

typedef struct data_export {
    const mary_model *model;
    mary_atomic_file file;
    const char *location;
} data_export;

static char *number(mary_shallow *shallow, size_t value)
{
    char *text = mary_shallow_alloc(shallow, 24);
    if (text != NULL)
        snprintf(text, 24, "%zu", value);
    return text;
}

static mary_status set_external(mary_shallow *shallow, Onnx__TensorProto *tensor, const char *location, size_t offset,
                                size_t bytes)
{
    static const char *const keys[3] = {"location", "offset", "length"};
    const char *values[3] = {location, number(shallow, offset), number(shallow, bytes)};
    Onnx__StringStringEntryProto **entries = mary_shallow_alloc(shallow, sizeof(void *) * 3);
    Onnx__StringStringEntryProto *items = mary_shallow_alloc(shallow, sizeof *items * 3);
    if (values[1] == NULL || values[2] == NULL || entries == NULL || items == NULL)
        return mary_fail_memory(sizeof *items * 3);
    for (int i = 0; i < 3; i++) {
        onnx__string_string_entry_proto__init(&items[i]);
        items[i].key = (char *)(uintptr_t)keys[i];
        items[i].value = (char *)(uintptr_t)values[i];
        entries[i] = &items[i];
    }
    tensor->external_data = entries;
    tensor->n_external_data = 3;
    tensor->has_data_location = true;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->has_raw_data = false;
    tensor->raw_data = (ProtobufCBinaryData){0};
    tensor->n_float_data = tensor->n_int32_data = tensor->n_int64_data = 0;
    tensor->n_double_data = tensor->n_uint64_data = 0;
    return MARY_OK;
}

static mary_status move_out(void *context, mary_shallow *shallow, Onnx__TensorProto *tensor, bool is_initializer)
{
    static const uint8_t zeros[PAGE];
    data_export *export = context;
    if (!is_initializer) /* readers expect the data of attributes in place */
        return embed((void *)(uintptr_t) export->model, shallow, tensor, false);
    if (mary_type_size((mary_type)tensor->data_type) == 0)
        return MARY_OK; /* strings, and types that we do not know */
    mary_constant constant;
    MARY_TRY(mary_constant_decode(export->model, tensor, &constant));
    mary_status status = MARY_OK;
    size_t bytes = mary_tensor_bytes(&constant.tensor);
    if (bytes < SMALL) {
        status = embed((void *)(uintptr_t) export->model, shallow, tensor, true);
    } else {
        mary_atomic_file_write(&export->file, zeros, (PAGE - export->file.written % PAGE) % PAGE);
        status = set_external(shallow, tensor, export->location, export->file.written, bytes);
        mary_atomic_file_write(&export->file, constant.tensor.data, bytes);
    }
    mary_constant_free(&constant);
    return status;
}

static mary_status write_model(const Onnx__ModelProto *proto, const char *path, size_t limit, mary_atomic_file *data)
{
    mary_atomic_file file = {.file = -1};
    mary_status status = MARY_OK;
    size_t size = onnx__model_proto__get_packed_size(proto);
    if (size > limit)
        status = mary_fail(MARY_ERROR_WRITE, "%s: %zu bytes are more than protobuf allows, even without weights", path,
                           size);
    if (status == MARY_OK)
        status = mary_atomic_file_open(&file, path);
    if (status == MARY_OK) {
        onnx__model_proto__pack_to_buffer(proto, &file.base);
        status = mary_atomic_file_finish(&file);
    }
    /* The data first: a model without its data would not load. */
    if (status == MARY_OK && data != NULL)
        status = mary_atomic_file_commit(data);
    if (status == MARY_OK)
        status = mary_atomic_file_commit(&file);
    mary_atomic_file_close(&file);
    return status;
}

static mary_status save_embedded(const mary_model *model, const char *path, size_t limit)
{
    mary_shallow shallow;
    MARY_TRY(mary_shallow_copy(&shallow, model->proto, embed, (void *)(uintptr_t)model));
    mary_status status = write_model(shallow.proto, path, limit, NULL);
    mary_shallow_free(&shallow);
    return status;
}

static mary_status save_with_data(const mary_model *model, const char *path, size_t limit)
{
    mary_shallow shallow = {0};
    data_export export = {.model = model, .file = {.file = -1}};
    mary_status status = MARY_OK;
    char *data_path = mary_asprintf("%s.data", path);
    if (data_path == NULL)
        return mary_fail_memory(strlen(path));
    const char *slash = strrchr(data_path, '/');
    export.location = slash == NULL ? data_path : slash + 1;
    MARY_TRY_GOTO(mary_atomic_file_open(&export.file, data_path), done);
    MARY_TRY_GOTO(mary_shallow_copy(&shallow, model->proto, move_out, &export), done);
    MARY_TRY_GOTO(mary_atomic_file_finish(&export.file), done);
    status = write_model(shallow.proto, path, limit, &export.file);
done:
    mary_shallow_free(&shallow);
    mary_atomic_file_close(&export.file);
    mary_free(data_path);
    return status;
}

mary_status mary_model_save_limited(const mary_model *model, const char *path, size_t limit)
{
    mary_shallow shallow;
    tensor_survey survey = {.model = model};
    MARY_TRY(mary_shallow_copy(&shallow, model->proto, look, &survey));
    mary_shallow_free(&shallow);
    size_t size = onnx__model_proto__get_packed_size(model->proto);
    if (size > limit || survey.external_bytes > limit - size)
        return save_with_data(model, path, limit);
    return survey.any_external ? save_embedded(model, path, limit) : write_model(model->proto, path, limit, NULL);
}

mary_status mary_model_save(const mary_model *model, const char *path)
{
    return mary_model_save_limited(model, path, LIMIT);
}

mary_status mary_model_save_memory(const mary_model *model, void **bytes, size_t *size)
{
    mary_shallow shallow;
    *bytes = NULL;
    *size = 0;
    tensor_survey survey = {.model = model};
    MARY_TRY(mary_shallow_copy(&shallow, model->proto, look, &survey));
    mary_shallow_free(&shallow);
    size_t packed = onnx__model_proto__get_packed_size(model->proto);
    if (packed > LIMIT || survey.external_bytes > LIMIT - packed)
        return mary_fail(MARY_ERROR_WRITE, "%s: larger than protobuf allows: only files can hold the model",
                         model->path);
    MARY_TRY(mary_shallow_copy(&shallow, model->proto, embed, (void *)(uintptr_t)model));
    mary_status status = MARY_OK;
    packed = onnx__model_proto__get_packed_size(shallow.proto);
    if (packed > LIMIT)
        status = mary_fail(MARY_ERROR_WRITE, "%s: %zu bytes are more than protobuf allows", model->path, packed);
    else if ((*bytes = mary_alloc(packed)) == NULL)
        status = mary_fail_memory(packed);
    else
        *size = onnx__model_proto__pack(shallow.proto, *bytes);
    mary_shallow_free(&shallow);
    return status;
}
