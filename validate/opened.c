#include "validate/opened.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char *external_location(const Onnx__TensorProto *tensor)
{
    if (tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return NULL;
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        if (strcmp(tensor->external_data[i]->key, "location") == 0)
            return tensor->external_data[i]->value;
    }
    return NULL;
}

mary_status mary_constant_numbers(const mary_model *model, const Onnx__TensorProto *message, float **values,
                                  mary_shape *shape)
{
    mary_constant constant;
    mary_type type;
    *values = NULL;
    MARY_TRY(mary_tensor_describe(message, &type, shape));
    if (mary_type_size(type) == 0)
        return mary_fail(MARY_ERROR_INVALID, "tensor '%s' of type %s is not numeric", message->name,
                         mary_type_name(type));
    MARY_TRY(mary_constant_decode(model, message, &constant));
    int64_t count = mary_shape_count(shape);
    *values = mary_alloc((size_t)count * sizeof **values);
    for (int64_t i = 0; *values != NULL && i < count; i++)
        (*values)[i] = (float)mary_tensor_double(&constant.tensor, i);
    mary_constant_free(&constant);
    return *values != NULL ? MARY_OK : mary_fail_memory((size_t)count * sizeof **values);
}

/* Was this location already met among the first `count` initializers? Files are few and neighbours usually share one.
 */
static bool met_before(const Onnx__GraphProto *graph, size_t count, const char *location)
{
    for (size_t i = count; i-- > 0;) {
        const char *other = external_location(graph->initializer[i]);
        if (other != NULL && strcmp(other, location) == 0)
            return true;
    }
    return false;
}

const char *mary_model_source_name(const mary_model_source *source)
{
    return source->path != NULL ? source->path : "<memory>";
}

mary_status mary_model_source_load(const mary_model_source *source, mary_model **model)
{
    *model = NULL;
    if (source->bytes != NULL)
        return mary_model_load_memory(source->bytes, source->size, model);
    if (source->path == NULL)
        return mary_fail(MARY_ERROR_USAGE, "a model without path and bytes");
    return mary_model_load(source->path, model);
}

mary_status mary_model_source_bytes(const mary_model_source *source, const mary_model *model, uint64_t *bytes)
{
    struct stat information;
    *bytes = source->size;
    if (source->bytes != NULL)
        return MARY_OK;
    if (stat(source->path, &information) != 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: %s", source->path, strerror(errno));
    *bytes = (uint64_t)information.st_size;
    const Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; graph != NULL && model->directory != NULL && i < graph->n_initializer; i++) {
        const char *location = external_location(graph->initializer[i]);
        if (location == NULL || met_before(graph, i, location))
            continue;
        char *file = mary_asprintf("%s/%s", model->directory, location);
        if (file == NULL)
            return mary_fail_memory(strlen(location));
        if (stat(file, &information) == 0)
            *bytes += (uint64_t)information.st_size;
        mary_free(file);
    }
    return MARY_OK;
}

typedef mary_status describer(const mary_session *session, int index, mary_array *description);

static mary_status describe(const mary_session *session, int count, describer *get, mary_array **arrays)
{
    *arrays = mary_calloc((size_t)count, sizeof **arrays);
    if (*arrays == NULL)
        return mary_fail_memory((size_t)count * sizeof **arrays);
    for (int i = 0; i < count; i++)
        MARY_TRY(get(session, i, &(*arrays)[i]));
    return MARY_OK;
}

double mary_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

mary_status mary_opened_model_open(mary_opened_model *model, const mary_model_source *source,
                                   const mary_session_options *options)
{
    memset(model, 0, sizeof *model);
    model->path = mary_model_source_name(source);
    double begin = mary_now();
    mary_model *loaded = NULL;
    mary_status status = mary_model_source_load(source, &loaded);
    if (status == MARY_OK)
        status = mary_model_source_bytes(source, loaded, &model->bytes);
    if (status != MARY_OK) {
        mary_model_free(&loaded);
        return status;
    }
    status = mary_session_create(&loaded, options, &model->session);
    if (status != MARY_OK) {
        if (strstr(mary_error_message(), model->path) == NULL)
            mary_fail_context(status, "%s", model->path);
        return status;
    }
    model->create_seconds = mary_now() - begin;
    model->input_count = mary_session_input_count(model->session);
    model->output_count = mary_session_output_count(model->session);
    status = describe(model->session, model->input_count, mary_session_input, &model->inputs);
    if (status == MARY_OK)
        status = describe(model->session, model->output_count, mary_session_output, &model->outputs);
    if (status != MARY_OK)
        mary_opened_model_close(model);
    return status;
}

void mary_opened_model_close(mary_opened_model *model)
{
    mary_session_free(&model->session);
    mary_free(model->inputs);
    mary_free(model->outputs);
    memset(model, 0, sizeof *model);
}
