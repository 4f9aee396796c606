/* A node as ONNX Runtime describes it, as the message that mary's operators read. */
#include "onnx/edit.h"
#include "runtime/ort/custom_ops/custom_ops.h"

typedef struct reader {
    const OrtApi *api;
    const OrtKernelInfo *info;
    Onnx__NodeProto *node;
} reader;

/* A failed look-up says only that there is no such attribute of the type that was asked for. */
static bool found(const reader *r, OrtStatus *failure)
{
    if (failure == NULL)
        return true;
    r->api->ReleaseStatus(failure);
    return false;
}

static mary_status read_int(const reader *r, const char *name, bool *there)
{
    int64_t value;
    *there = found(r, r->api->KernelInfoGetAttribute_int64(r->info, name, &value));
    return *there ? mary_node_set_int(r->node, name, value) : MARY_OK;
}

static mary_status read_float(const reader *r, const char *name, bool *there)
{
    float value;
    *there = found(r, r->api->KernelInfoGetAttribute_float(r->info, name, &value));
    return *there ? mary_node_set_float(r->node, name, value) : MARY_OK;
}

static mary_status read_ints(const reader *r, const char *name, bool *there)
{
    size_t count = 0;
    mary_status status;
    /* One of another type looks like an empty list, which says as much as none. */
    *there = found(r, r->api->KernelInfoGetAttributeArray_int64(r->info, name, NULL, &count)) && count > 0;
    if (!*there)
        return MARY_OK;
    int64_t *values = mary_calloc(count, sizeof *values);
    if (values == NULL)
        return mary_fail_memory(count * sizeof *values);
    status = mary_ort_take(r->api, r->api->KernelInfoGetAttributeArray_int64(r->info, name, values, &count));
    if (status == MARY_OK)
        status = mary_node_set_ints(r->node, name, values, count);
    mary_free(values);
    return status;
}

static mary_status read_string(const reader *r, const char *name, bool *there)
{
    size_t size = 0; /* with the terminating zero */
    *there = found(r, r->api->KernelInfoGetAttribute_string(r->info, name, NULL, &size));
    if (!*there)
        return MARY_OK;
    char *text = mary_calloc(size + 1, 1);
    if (text == NULL)
        return mary_fail_memory(size + 1);
    mary_status status = mary_ort_take(r->api, r->api->KernelInfoGetAttribute_string(r->info, name, text, &size));
    if (status == MARY_OK)
        status = mary_node_set_string(r->node, name, text);
    mary_free(text);
    return status;
}

static mary_status read_attribute(const reader *r, const char *name, mary_ort_attribute_kind kind)
{
    static mary_status (*const readers[])(const reader *, const char *, bool *) = {[MARY_ORT_INT] = read_int,
                                                                                   [MARY_ORT_INTS] = read_ints,
                                                                                   [MARY_ORT_FLOAT] = read_float,
                                                                                   [MARY_ORT_STRING] = read_string};
    bool there;
    MARY_TRY(readers[kind](r, name, &there));
    /* One of another type is read as it is: the operator then says what is wrong with it. */
    for (int other = MARY_ORT_INT; !there && other <= MARY_ORT_STRING; other++)
        MARY_TRY(readers[other](r, name, &there));
    return MARY_OK;
}

/* The node's name or, `output`, that of its first output; freed with mary_free. */
static mary_status read_name(const OrtApi *api, const OrtKernelInfo *info, bool output, char **name)
{
    size_t size = 0;
    *name = NULL;
    MARY_TRY(mary_ort_take(api, output ? api->KernelInfo_GetOutputName(info, 0, NULL, &size)
                                       : api->KernelInfo_GetNodeName(info, NULL, &size)));
    *name = mary_calloc(size + 1, 1);
    if (*name == NULL)
        return mary_fail_memory(size + 1);
    return mary_ort_take(api, output ? api->KernelInfo_GetOutputName(info, 0, *name, &size)
                                     : api->KernelInfo_GetNodeName(info, *name, &size));
}

mary_status mary_ort_node_create(const OrtApi *api, const OrtKernelInfo *info, const mary_ort_definition *definition,
                                 Onnx__NodeProto **node)
{
    char *name = NULL, *output = NULL;
    mary_status status;
    *node = NULL;
    MARY_TRY_GOTO(read_name(api, info, false, &name), done);
    MARY_TRY_GOTO(read_name(api, info, true, &output), done);
    MARY_TRY_GOTO(mary_node_create("ai.mary", definition->type, name, NULL, 0, (const char *const[]){output}, 1, node),
                  done);
    const reader r = {.api = api, .info = info, .node = *node};
    for (int i = 0; i < MARY_ORT_MOST_ATTRIBUTES && definition->attributes[i].name != NULL; i++)
        MARY_TRY_GOTO(read_attribute(&r, definition->attributes[i].name, definition->attributes[i].kind), done);
done:
    mary_free(name);
    mary_free(output);
    if (status != MARY_OK) {
        mary_node_free(*node);
        *node = NULL;
    }
    return status;
}
