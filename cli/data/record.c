/* One folder of ONNX test data: input_0.pb, input_1.pb, ..., output_0.pb, ...: a TensorProto each. */
#include <errno.h>
#include <string.h>

#include "cli/data/data.h"
#include "onnx/model.h"

enum { MAX_PB_BYTES = 1 << 30 };

static mary_status read_all(const char *path, unsigned char **bytes, size_t *size)
{
    uint64_t length;
    *bytes = NULL;
    MARY_TRY(mary_cli_file_bytes(path, &length));
    if (length > MAX_PB_BYTES)
        return mary_fail(MARY_ERROR_INVALID, "%s: %llu bytes are too many for a tensor", path,
                         (unsigned long long)length);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", path, strerror(errno));
    mary_status status = MARY_OK;
    *bytes = mary_alloc((size_t)length);
    if (*bytes == NULL)
        status = mary_fail_memory((size_t)length);
    else if (fread(*bytes, 1, (size_t)length, file) != length)
        status = mary_fail(MARY_ERROR_INVALID, "%s: cannot be read", path);
    fclose(file);
    *size = (size_t)length;
    if (status != MARY_OK) {
        mary_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/* *name: a copy of the tensor's own name, "" when it has none; the caller frees it and array->data. */
static mary_status read_tensor(const char *path, mary_array *array, char **name)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    Onnx__TensorProto *message = NULL;
    mary_constant constant = {0};
    mary_model outside = {0}; /* no directory: external data is refused */
    *name = NULL;
    memset(array, 0, sizeof *array);
    mary_status status = read_all(path, &bytes, &size);
    if (status != MARY_OK)
        return status;
    message = onnx__tensor_proto__unpack(&mary_proto_allocator, size, bytes);
    if (message == NULL) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: not a TensorProto", path);
        goto error;
    }
    outside.path = mary_strdup(path);
    *name = mary_strdup(message->name != NULL ? message->name : "");
    if (outside.path == NULL || *name == NULL) {
        status = mary_fail_memory(strlen(path));
        goto error;
    }
    status = mary_constant_decode(&outside, message, &constant);
    if (status != MARY_OK) {
        mary_fail_context(status, "%s", path);
        goto error;
    }
    array->type = constant.tensor.type;
    array->rank = constant.tensor.shape.rank;
    memcpy(array->dims, constant.tensor.shape.dims, sizeof array->dims);
    array->bytes = mary_tensor_bytes(&constant.tensor);
    array->data = mary_alloc_aligned(array->bytes);
    if (array->data == NULL)
        status = mary_fail_memory(array->bytes);
    else
        memcpy(array->data, constant.tensor.data, array->bytes);
error:
    if (status != MARY_OK) {
        mary_free(*name);
        *name = NULL;
    }
    mary_constant_free(&constant);
    if (message != NULL)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    mary_free(outside.path);
    mary_free(bytes);
    return status;
}

static mary_status append(mary_array **arrays, int *count, const mary_array *array)
{
    mary_array *grown = mary_realloc(*arrays, (size_t)(*count + 1) * sizeof **arrays);
    if (grown == NULL)
        return mary_fail_memory((size_t)(*count + 1) * sizeof **arrays);
    *arrays = grown;
    grown[(*count)++] = *array;
    return MARY_OK;
}

static const char *input_name(const char *stored, int position, const mary_array *inputs, int input_count)
{
    for (int i = 0; i < input_count; i++) {
        if (strcmp(inputs[i].name, stored) == 0)
            return inputs[i].name;
    }
    return position < input_count ? inputs[position].name : NULL;
}

/* kind is "input" or "output"; stops at the first number that is not there. */
static mary_status read_kind(mary_test_record *record, const char *folder, const char *kind, const mary_array *inputs,
                             int input_count)
{
    bool is_input = strcmp(kind, "input") == 0;
    for (int i = 0;; i++) {
        char *path = mary_asprintf("%s/%s_%d.pb", folder, kind, i), *name = NULL;
        if (path == NULL)
            return mary_fail_memory(strlen(folder));
        FILE *probe = fopen(path, "rb");
        if (probe == NULL) {
            mary_free(path);
            return MARY_OK;
        }
        fclose(probe);
        mary_array array = {0};
        mary_status status = read_tensor(path, &array, &name);
        if (status == MARY_OK && is_input) {
            array.name = input_name(name, i, inputs, input_count);
            if (array.name == NULL)
                status = mary_fail(MARY_ERROR_INVALID, "%s: the model has only %d inputs", path, input_count);
        }
        if (status == MARY_OK)
            status = append(is_input ? &record->inputs : &record->outputs,
                            is_input ? &record->input_count : &record->output_count, &array);
        if (status != MARY_OK)
            mary_free(array.data);
        mary_free(name);
        mary_free(path);
        if (status != MARY_OK)
            return status;
    }
}

mary_status mary_test_record_read(mary_test_record *record, const char *folder, const mary_array *inputs,
                                  int input_count)
{
    memset(record, 0, sizeof *record);
    mary_status status = read_kind(record, folder, "input", inputs, input_count);
    if (status == MARY_OK)
        status = read_kind(record, folder, "output", inputs, input_count);
    if (status != MARY_OK)
        mary_test_record_free(record);
    return status;
}

void mary_test_record_free(mary_test_record *record)
{
    for (int i = 0; i < record->input_count; i++)
        mary_free(record->inputs[i].data);
    for (int i = 0; i < record->output_count; i++)
        mary_free(record->outputs[i].data);
    mary_free(record->inputs);
    mary_free(record->outputs);
    memset(record, 0, sizeof *record);
}
