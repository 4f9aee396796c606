/* What a model must be before anything else looks at it. */
#include "onnx/check.h"

#include <string.h>

#include "onnx/function.h"

#define OLDEST_IR 3
#define NEWEST_IR 14

static const char *canonical(const char *domain)
{
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* The same domain may be listed twice (both spellings of the default one, say), but with one version only. */
static mary_status check_imports(Onnx__OperatorSetIdProto *const *imports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *domain = canonical(imports[i]->domain);
        if (imports[i]->version < 1)
            return mary_fail(MARY_ERROR_INVALID, "opset import '%s' has the version %lld", domain,
                             (long long)imports[i]->version);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(domain, canonical(imports[j]->domain)) == 0 && imports[i]->version != imports[j]->version)
                return mary_fail(MARY_ERROR_INVALID, "opset import '%s' is there twice, with versions %lld and %lld",
                                 domain, (long long)imports[j]->version, (long long)imports[i]->version);
        }
        if (i >= 1000)
            return mary_fail(MARY_ERROR_INVALID, "there are %zu opset imports", count);
    }
    return MARY_OK;
}

static mary_status check_functions(const mary_model *model)
{
    mary_functions functions = {0};
    mary_status status = mary_functions_index(&functions, model);
    mary_functions_free(&functions);
    for (size_t i = 0; i < model->proto->n_functions && status == MARY_OK; i++) {
        Onnx__FunctionProto *function = model->proto->functions[i];
        status = check_imports(function->opset_import, function->n_opset_import);
        if (status != MARY_OK)
            return mary_fail_context(status, "function '%s'", function->name);
        status = mary_check_function(model, function);
    }
    return status;
}

mary_status mary_model_check(mary_model *model)
{
    const Onnx__ModelProto *proto = model->proto;
    if (proto->graph == NULL && proto->n_opset_import == 0)
        return mary_fail(MARY_ERROR_INVALID, "not an ONNX model: there is no graph");
    if (proto->graph == NULL)
        return mary_fail(MARY_ERROR_INVALID, "the model has no graph");
    if (!proto->has_ir_version || proto->ir_version < OLDEST_IR)
        return mary_fail(MARY_ERROR_INVALID, "IR version %lld is older than %d", (long long)proto->ir_version,
                         OLDEST_IR);
    if (proto->ir_version > NEWEST_IR)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "IR version %lld is newer than %d", (long long)proto->ir_version,
                         NEWEST_IR);
    if (proto->n_opset_import == 0)
        return mary_fail(MARY_ERROR_INVALID, "there are no opset imports");
    MARY_TRY(check_imports(proto->opset_import, proto->n_opset_import));
    MARY_TRY(check_functions(model));
    return mary_check_graph(model, proto->graph);
}
