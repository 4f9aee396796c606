/* Compiling a claimed group, and running it. */
#include "runtime/ort/provider/provider.h"

#include "runtime/ort/runner.h"

typedef struct group {
    OrtNodeComputeInfo base; /* first: ONNX Runtime holds a pointer to it */
    mary_ort_runner runner;
} group;

/* ---- running ---- */

static OrtStatus *ORT_API_CALL compute(OrtNodeComputeInfo *self, void *state, OrtKernelContext *context)
{
    group *g = (group *)self; /* its first member */
    (void)state;
    return mary_ort_status(g->runner.api, mary_ort_runner_run(&g->runner, context));
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
    mary_ort_runner_free(&g->runner);
    mary_free(g);
}

static mary_status prepare_runner(const mary_ort_provider *provider, const OrtGraph *graph, const OrtNode *fused,
                                  mary_ort_runner *runner)
{
    mary_model *model = NULL;
    const char *name = "";
    MARY_TRY(mary_ort_take(provider->api, provider->api->Node_GetName(fused, &name)));
    MARY_TRY(mary_ort_graph_model(provider->api, graph, fused, &model));
    return mary_ort_runner_init(runner, provider->api, name, &model, 0, provider->options.threads);
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
    mary_status status = prepare_runner(provider, graph, fused, &g->runner);
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
