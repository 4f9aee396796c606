/* Compiling a claimed group, and running it. */
#include "runtime/ort/provider/provider.h"

#include <string.h>

#include "runtime/ort/provider/pool.h"
#include "runtime/session.h"

typedef struct group {
    OrtNodeComputeInfo base; /* first: ONNX Runtime holds a pointer to it */
    const OrtApi *api;
    char *name; /* of the node that stands for the group */
    mary_session *session;
    mary_array *inputs; /* names, types and declared shapes; copied for every run */
    int input_count;
    mary_ort_pool pool;
} group;

/* ---- running ---- */

typedef struct computation {
    const group *group;
    OrtKernelContext *context;
} computation;

static mary_status place(void *data, int index, mary_array *output)
{
    static char nothing;
    const computation *c = data;
    const OrtApi *api = c->group->api;
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

static mary_status take_input(const group *g, const OrtKernelContext *context, int index, mary_array *input)
{
    const OrtValue *value = NULL;
    mary_tensor tensor;
    MARY_TRY(mary_ort_take(g->api, g->api->KernelContext_GetInput(context, (size_t)index, &value)));
    if (value == NULL)
        return mary_fail(MARY_ERROR_INTERNAL, "ONNX Runtime does not give input '%s'", g->inputs[index].name);
    MARY_TRY(mary_ort_tensor(g->api, value, g->inputs[index].name, &tensor));
    *input = (mary_array){.name = g->inputs[index].name,
                          .type = tensor.type,
                          .rank = tensor.shape.rank,
                          .data = tensor.data,
                          .bytes = mary_tensor_bytes(&tensor)};
    memcpy(input->dims, tensor.shape.dims, sizeof input->dims);
    return MARY_OK;
}

static OrtStatus *ORT_API_CALL compute(OrtNodeComputeInfo *self, void *state, OrtKernelContext *context)
{
    group *g = (group *)self; /* its first member */
    computation c = {.group = g, .context = context};
    mary_status status = MARY_OK;
    (void)state;
    mary_array *inputs = mary_calloc((size_t)g->input_count, sizeof *inputs);
    if (inputs == NULL)
        status = mary_fail_memory((size_t)g->input_count * sizeof *inputs);
    for (int i = 0; i < g->input_count && status == MARY_OK; i++)
        status = take_input(g, context, i, &inputs[i]);
    if (status == MARY_OK) {
        mary_ort_parallel parallel;
        const mary_outlet outlet = {place, &c};
        mary_ort_parallel_init(&parallel, g->api, context, mary_ort_pool_threads(&g->pool, g->api, context));
        status = mary_session_run_on(g->session, inputs, g->input_count, &parallel.parallel, &outlet);
    }
    mary_free(inputs);
    if (status != MARY_OK)
        mary_fail_context(status, "%s", g->name);
    return mary_ort_status(g->api, status);
}

/* All state is the group's: runs that go on at the same time are kept apart by its session. */
static OrtStatus *ORT_API_CALL create_state(OrtNodeComputeInfo *self, OrtNodeComputeContext *context, void **state)
{
    (void)context;
    *state = self;
    return NULL;
}

static void ORT_API_CALL release_state(OrtNodeComputeInfo *self, void *state)
{
    (void)self;
    (void)state;
}

/* ---- compiling ---- */

static void group_free(group *g)
{
    if (g == NULL)
        return;
    mary_session_free(&g->session);
    mary_free(g->inputs);
    mary_free(g->name);
    mary_free(g);
}

static mary_status prepare_session(const mary_ort_provider *provider, const OrtGraph *graph, const OrtNode *fused,
                                   group *g)
{
    mary_model *model = NULL;
    const char *name = "";
    MARY_TRY(mary_ort_take(provider->api, provider->api->Node_GetName(fused, &name)));
    g->name = mary_strdup(name);
    if (g->name == NULL)
        return mary_fail_memory(strlen(name) + 1);
    MARY_TRY(mary_ort_graph_model(provider->api, graph, fused, &model));
    MARY_TRY(mary_session_create_threadless(&model, NULL, &g->session));
    g->input_count = mary_session_input_count(g->session);
    g->inputs = mary_calloc((size_t)g->input_count, sizeof *g->inputs);
    if (g->inputs == NULL)
        return mary_fail_memory((size_t)g->input_count * sizeof *g->inputs);
    for (int i = 0; i < g->input_count; i++)
        MARY_TRY(mary_session_input(g->session, i, &g->inputs[i]));
    return MARY_OK;
}

static mary_status compile_group(const mary_ort_provider *provider, const OrtGraph *graph, const OrtNode *fused,
                                 group **result)
{
    group *g = mary_calloc(1, sizeof *g);
    *result = NULL;
    if (g == NULL)
        return mary_fail_memory(sizeof *g);
    g->base = (OrtNodeComputeInfo){.ort_version_supported = MARY_ORT_API_VERSION,
                                   .CreateState = create_state,
                                   .Compute = compute,
                                   .ReleaseState = release_state};
    g->api = provider->api;
    mary_ort_pool_init(&g->pool, provider->options.threads);
    mary_status status = prepare_session(provider, graph, fused, g);
    if (status == MARY_OK)
        *result = g;
    else
        group_free(g);
    return status;
}

OrtStatus *ORT_API_CALL mary_ort_compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count,
                                         OrtNodeComputeInfo **infos, OrtNode **context_nodes)
{
    mary_ort_provider *provider = (mary_ort_provider *)self; /* its first member */
    mary_status status = MARY_OK;
    (void)context_nodes;
    provider->compiled = true;
    for (size_t i = 0; i < count; i++)
        infos[i] = NULL;
    for (size_t i = 0; i < count && status == MARY_OK; i++) {
        group *g = NULL;
        status = compile_group(provider, graphs[i], fused[i], &g);
        infos[i] = g != NULL ? &g->base : NULL;
    }
    if (status == MARY_OK)
        return NULL;
    OrtStatus *failure = mary_ort_status(provider->api, mary_fail_context(status, MARY_ORT_PROVIDER_NAME));
    mary_ort_release_infos(self, infos, count);
    for (size_t i = 0; i < count; i++)
        infos[i] = NULL;
    return failure;
}

void ORT_API_CALL mary_ort_release_infos(OrtEp *self, OrtNodeComputeInfo **infos, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++)
        group_free((group *)infos[i]);
}
