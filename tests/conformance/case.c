#include "tests/conformance/case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "onnx/model.h"

enum { MOST_VALUES = 64 };

/* A value of a data set, decoded from its .pb file. */
typedef struct value {
    Onnx__TensorProto *message;
    mary_constant constant;
} value;

typedef struct tolerance {
    double relative;
    double absolute;
} tolerance;

static mary_status value_read(const char *path, value *result)
{
    static const mary_model nowhere = {0}; /* tests have no external data */
    mary_status status = MARY_ERROR_INVALID;
    uint8_t *bytes = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return mary_fail(MARY_ERROR_INVALID, "%s: cannot be opened", path);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    bytes = size >= 0 ? mary_alloc((size_t)size) : NULL;
    if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        mary_fail(status, "%s: cannot be read", path);
        goto done;
    }
    result->message = onnx__tensor_proto__unpack(&mary_proto_allocator, (size_t)size, bytes);
    if (result->message == NULL) {
        mary_fail(status, "%s: is not a tensor", path);
        goto done;
    }
    status = mary_constant_decode(&nowhere, result->message, &result->constant);
done:
    mary_free(bytes);
    fclose(file);
    return status;
}

static void value_free(value *freed)
{
    if (freed->message != NULL) {
        mary_constant_free(&freed->constant);
        onnx__tensor_proto__free_unpacked(freed->message, &mary_proto_allocator);
    }
    *freed = (value){0};
}

/* Whether two elements agree. `wanted` rules the relative tolerance, as in numpy.testing.assert_allclose. */
static bool element_agrees(double got, double wanted, const tolerance *allowed)
{
    if (isnan(got) || isnan(wanted))
        return isnan(got) && isnan(wanted);
    if (isinf(got) || isinf(wanted))
        return got == wanted;
    return fabs(got - wanted) <= allowed->absolute + allowed->relative * fabs(wanted);
}

static mary_status array_compare(const mary_array *got, const mary_tensor *wanted, tolerance allowed)
{
    char shape_wanted[128], shape_got[128];
    mary_tensor ours = {.type = got->type, .shape = {.rank = got->rank}, .data = got->data};
    memcpy(ours.shape.dims, got->dims, sizeof ours.shape.dims);
    if (ours.type != wanted->type)
        return mary_fail(MARY_ERROR_INTERNAL, "output %s is %s instead of %s", got->name, mary_type_name(ours.type),
                         mary_type_name(wanted->type));
    if (!mary_shape_equal(&ours.shape, &wanted->shape))
        return mary_fail(MARY_ERROR_INTERNAL, "output %s is %s instead of %s", got->name,
                         mary_shape_format(&ours.shape, shape_got, sizeof shape_got),
                         mary_shape_format(&wanted->shape, shape_wanted, sizeof shape_wanted));
    const int64_t count = mary_shape_count(&ours.shape);
    if (got->bytes != (size_t)count * mary_type_size(got->type))
        return mary_fail(MARY_ERROR_INTERNAL, "output %s has %zu bytes", got->name, got->bytes);
    if (!mary_type_is_float(ours.type)) {
        if (memcmp(ours.data, wanted->data, got->bytes) == 0)
            return MARY_OK;
        allowed = (tolerance){0};
    } else if (ours.type == MARY_BFLOAT16) {
        allowed.relative = fmax(allowed.relative, 0x1p-6); /* two units in the last place */
    } else if (ours.type == MARY_FLOAT16) {
        allowed.relative = fmax(allowed.relative, 0x1p-9); /* the same */
    }
    for (int64_t i = 0; i < count; i++) {
        const double a = mary_tensor_double(&ours, i), b = mary_tensor_double(wanted, i);
        if (!element_agrees(a, b, &allowed))
            return mary_fail(MARY_ERROR_INTERNAL, "output %s %s: element %" PRId64 " is %.9g instead of %.9g",
                             got->name, mary_shape_format(&ours.shape, shape_got, sizeof shape_got), i, a, b);
    }
    if (mary_type_is_float(ours.type))
        return MARY_OK;
    return mary_fail(MARY_ERROR_INTERNAL, "output %s: integers differ beyond what a double shows", got->name);
}

/* Reads `prefix`0.pb, `prefix`1.pb, ... until one is not there. */
static mary_status values_read(const char *prefix, value *values, int *count)
{
    for (*count = 0; *count < MOST_VALUES; (*count)++) {
        char path[8320];
        snprintf(path, sizeof path, "%s%d.pb", prefix, *count);
        if (access(path, R_OK) != 0)
            return MARY_OK;
        const mary_status status = value_read(path, &values[*count]);
        if (status != MARY_OK) {
            value_free(&values[*count]);
            return status;
        }
    }
    return mary_fail(MARY_ERROR_INTERNAL, "%s: more than %d files", prefix, MOST_VALUES);
}

/* Releases before bfloat16 had a type in numpy stored it as uint16. */
static mary_type stored_type(mary_type stored, mary_type described)
{
    return stored == MARY_UINT16 && described == MARY_BFLOAT16 ? MARY_BFLOAT16 : stored;
}

static mary_status data_set_run(mary_session *session, const char *folder, tolerance allowed)
{
    value given[MOST_VALUES] = {0}, wanted[MOST_VALUES] = {0};
    mary_array inputs[MOST_VALUES] = {0}, outputs[MOST_VALUES] = {0};
    int given_count = 0, wanted_count = 0;
    char prefix[8300];
    const int output_count = mary_session_output_count(session);

    snprintf(prefix, sizeof prefix, "%s/input_", folder);
    mary_status status = values_read(prefix, given, &given_count);
    snprintf(prefix, sizeof prefix, "%s/output_", folder);
    if (status == MARY_OK)
        status = values_read(prefix, wanted, &wanted_count);
    if (status == MARY_OK && (wanted_count != output_count || given_count > mary_session_input_count(session)))
        status = mary_fail(MARY_ERROR_INTERNAL, "%d inputs and %d outputs in the test, %d and %d in the session",
                           given_count, wanted_count, mary_session_input_count(session), output_count);
    for (int i = 0; i < given_count && status == MARY_OK; i++) {
        const mary_tensor *tensor = &given[i].constant.tensor;
        status = mary_session_input(session, i, &inputs[i]);
        inputs[i].type = stored_type(tensor->type, inputs[i].type);
        inputs[i].rank = tensor->shape.rank;
        memcpy(inputs[i].dims, tensor->shape.dims, sizeof inputs[i].dims);
        inputs[i].data = tensor->data;
        inputs[i].bytes = mary_tensor_bytes(tensor);
    }
    if (status == MARY_OK)
        status = mary_session_run(session, inputs, given_count, outputs, output_count);
    if (status == MARY_OK) {
        for (int i = 0; i < output_count; i++) {
            mary_tensor *tensor = &wanted[i].constant.tensor;
            tensor->type = stored_type(tensor->type, outputs[i].type);
            if (status == MARY_OK)
                status = array_compare(&outputs[i], tensor, allowed);
            mary_array_free(&outputs[i]);
        }
    }
    for (int i = 0; i < MOST_VALUES; i++) {
        value_free(&given[i]);
        value_free(&wanted[i]);
    }
    return status;
}

mary_status case_run(const char *folder, const mary_session_options *session_options, char *message, size_t size)
{
    mary_model *model = NULL;
    mary_session *session = NULL;
    tolerance allowed = {1e-3, 1e-7};
    char path[8200];

    snprintf(path, sizeof path, "%s/tolerance", folder);
    FILE *file = fopen(path, "r");
    mary_status status = MARY_OK;
    if (file != NULL) {
        if (fscanf(file, "%lf %lf", &allowed.relative, &allowed.absolute) != 2)
            status = mary_fail(MARY_ERROR_INTERNAL, "%s: no two numbers", path);
        fclose(file);
    }
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (status == MARY_OK)
        status = mary_model_load(path, &model);
    if (status == MARY_OK)
        status = mary_session_create(&model, session_options, &session);
    for (int number = 0; status == MARY_OK; number++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, number);
        if (access(path, R_OK) == 0)
            status = data_set_run(session, path, allowed);
        else if (number == 0)
            status = mary_fail(MARY_ERROR_INTERNAL, "%s: no data set", folder);
        else
            break;
    }
    snprintf(message, size, "%s", status == MARY_OK ? "" : mary_error_message());
    mary_session_free(&session);
    mary_model_free(&model);
    return status;
}
