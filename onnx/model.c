#include "onnx/model.h"

#include <string.h>

#include "onnx/edit.h"
#include "onnx/message.h"

/* "" and "ai.onnx" are two spellings of one domain. */
static const char *canonical(const char *domain)
{
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static Onnx__OperatorSetIdProto *find_import(const mary_model *model, const char *domain)
{
    for (size_t i = 0; i < model->proto->n_opset_import; i++) {
        if (strcmp(canonical(model->proto->opset_import[i]->domain), canonical(domain)) == 0)
            return model->proto->opset_import[i];
    }
    return NULL;
}

int64_t mary_model_opset(const mary_model *model, const char *domain)
{
    const Onnx__OperatorSetIdProto *import = find_import(model, domain);
    if (import != NULL)
        return import->version;
    /* ONNX Runtime's own domain has one version, and its tools write files that use it without importing it. */
    return strcmp(canonical(domain), "com.microsoft") == 0 ? 1 : 0;
}

mary_status mary_model_set_opset(mary_model *model, const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *import = find_import(model, domain);
    if (import == NULL) {
        Onnx__ModelProto *proto = model->proto;
        size_t bytes = (proto->n_opset_import + 1) * sizeof(void *);
        Onnx__OperatorSetIdProto **grown = mary_realloc(proto->opset_import, bytes);
        if (grown == NULL)
            return mary_fail_memory(bytes);
        proto->opset_import = grown;
        import = mary_alloc(sizeof *import);
        if (import == NULL)
            return mary_fail_memory(sizeof *import);
        onnx__operator_set_id_proto__init(import);
        mary_status status = mary_edit_string(&import->domain, canonical(domain));
        if (status != MARY_OK) {
            mary_free(import);
            return status;
        }
        grown[proto->n_opset_import++] = import;
    }
    for (size_t i = 0; i < model->proto->n_opset_import; i++) { /* a file may list both spellings of a domain */
        Onnx__OperatorSetIdProto *same = model->proto->opset_import[i];
        if (strcmp(canonical(same->domain), canonical(domain)) == 0) {
            same->has_version = true;
            same->version = version;
        }
    }
    return MARY_OK;
}

mary_status mary_model_copy(const mary_model *model, mary_model **copy)
{
    *copy = NULL;
    mary_model *made = mary_calloc(1, sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    mary_status status = MARY_COPY(Onnx__ModelProto, model->proto, &made->proto);
    if (status == MARY_OK) {
        made->path = mary_strdup(model->path);
        made->directory = model->directory == NULL ? NULL : mary_strdup(model->directory);
        if (made->path == NULL || (made->directory == NULL && model->directory != NULL))
            status = mary_fail_memory(strlen(model->path) + 1);
    }
    if (status == MARY_OK)
        *copy = made;
    else
        mary_model_free(&made);
    return status;
}
