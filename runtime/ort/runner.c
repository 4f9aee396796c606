#include "runtime/ort/runner.h"

#include <string.h>

#include "runtime/session.h"

static mary_status prepare(mary_ort_runner *r, const char *name, mary_model **model)
{
    r->name = mary_strdup(name);
    if (r->name == NULL)
        return mary_fail_memory(strlen(name) + 1);
    MARY_TRY(mary_session_create_threadless(model, NULL, &r->session));
    r->input_count = mary_session_input_count(r->session);
    r->output_count = mary_session_output_count(r->session);
    r->inputs = mary_calloc((size_t)r->input_count, sizeof *r->inputs);
    if (r->inputs == NULL)
        return mary_fail_memory((size_t)r->input_count * sizeof *r->inputs);
    for (int i = 0; i < r->input_count; i++)
        MARY_TRY(mary_session_input(r->session, i, &r->inputs[i]));
    return MARY_OK;
}

mary_status mary_ort_runner_init(mary_ort_runner *r, const OrtApi *api, const char *name, mary_model **model,
                                 int first_input, int threads)
{
    *r = (mary_ort_runner){.api = api, .first_input = first_input};
    mary_ort_pool_init(&r->pool, threads);
    mary_status status = prepare(r, name, model);
    if (status != MARY_OK)
        mary_ort_runner_free(r);
    mary_model_free(model);
    return status;
}

void mary_ort_runner_free(mary_ort_runner *r)
{
    mary_session_free(&r->session);
    mary_free(r->inputs);
    mary_free(r->name);
    *r = (mary_ort_runner){0};
}

/* ---- running ---- */

typedef struct computation {
    const mary_ort_runner *runner;
    OrtKernelContext *context;
} computation;

static mary_status place(void *data, int index, mary_array *output)
{
    static char nothing;
    const computation *c = data;
    const OrtApi *api = c->runner->api;
    OrtValue *value = NULL;
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    MARY_TRY(mary_ort_take(
        api, api->KernelContext_GetOutput(c->context, (size_t)index, output->dims, (size_t)output->rank, &value)));
    if (value == NULL)
        return mary_fail(MARY_ERROR_INTERNAL, "ONNX Runtime has no place for output '%s'", output->name);
    MARY_TRY(mary_ort_take(api, api->GetTensorTypeAndShape(value, &info)));
    mary_status status = mary_ort_take(api, api->GetTensorElementType(info, &type));
    api->ReleaseTensorTypeAndShapeInfo(info);
    MARY_TRY(status);
    if (mary_ort_type(type) != output->type)
        return mary_fail(MARY_ERROR_INTERNAL, "output '%s' is %s, ONNX Runtime takes it for %s", output->name,
                         mary_type_name(output->type), mary_type_name(mary_ort_type(type)));
    MARY_TRY(mary_ort_take(api, api->GetTensorMutableData(value, &output->data)));
    if (output->data == NULL && output->bytes == 0)
        output->data = &nothing;
    return MARY_OK;
}

static mary_status take_input(const mary_ort_runner *r, const OrtKernelContext *context, int index, mary_array *input)
{
    const OrtValue *value = NULL;
    const char *name = r->inputs[index].name;
    mary_tensor tensor;
    MARY_TRY(mary_ort_take(r->api, r->api->KernelContext_GetInput(context, (size_t)(r->first_input + index), &value)));
    if (value == NULL)
        return mary_fail(MARY_ERROR_INTERNAL, "ONNX Runtime does not give input '%s'", name);
    MARY_TRY(mary_ort_tensor(r->api, value, name, &tensor));
    *input = (mary_array){.name = name,
                          .type = tensor.type,
                          .rank = tensor.shape.rank,
                          .data = tensor.data,
                          .bytes = mary_tensor_bytes(&tensor)};
    memcpy(input->dims, tensor.shape.dims, sizeof input->dims);
    return MARY_OK;
}

mary_status mary_ort_runner_run(mary_ort_runner *r, OrtKernelContext *context)
{
    computation c = {.runner = r, .context = context};
    mary_status status = MARY_OK;
    mary_array *inputs = mary_calloc((size_t)r->input_count, sizeof *inputs);
    if (inputs == NULL)
        status = mary_fail_memory((size_t)r->input_count * sizeof *inputs);
    for (int i = 0; i < r->input_count && status == MARY_OK; i++)
        status = take_input(r, context, i, &inputs[i]);
    if (status == MARY_OK) {
        mary_ort_parallel parallel;
        const mary_outlet outlet = {place, &c};
        mary_ort_parallel_init(&parallel, r->api, context, mary_ort_pool_threads(&r->pool, r->api, context));
        status = mary_session_run_on(r->session, inputs, r->input_count, &parallel.parallel, &outlet);
    }
    mary_free(inputs);
    return status == MARY_OK ? MARY_OK : mary_fail_context(status, "%s", r->name);
}
