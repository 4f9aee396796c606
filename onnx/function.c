#include "onnx/function.h"

#include <string.h>

#include "onnx/wire.h"

/* Fields that are newer than the packaged schema. */
#define FUNCTION_ATTRIBUTE_PROTO 11
#define FUNCTION_OVERLOAD        13
#define NODE_OVERLOAD            8

static const char *canonical(const char *domain)
{
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* "domain:name" or "domain:name:overload"; the caller frees it. */
static char *key_of(const char *domain, const char *name, const ProtobufCMessage *message, uint32_t overload_field)
{
    const uint8_t *overload = (const uint8_t *)"";
    size_t size = 0;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        if (message->unknown_fields[i].tag == overload_field)
            (void)mary_wire_payload(&message->unknown_fields[i], &overload, &size);
    }
    return mary_asprintf("%s:%s%s%.*s", canonical(domain), name == NULL ? "" : name, size > 0 ? ":" : "",
                         size > 1000 ? 1000 : (int)size, (const char *)overload);
}

mary_status mary_functions_index(mary_functions *functions, const mary_model *model)
{
    const Onnx__ModelProto *proto = model->proto;
    functions->keys = mary_calloc(proto->n_functions, sizeof *functions->keys);
    if (functions->keys == NULL)
        return mary_fail_memory(proto->n_functions * sizeof *functions->keys);
    for (size_t i = 0; i < proto->n_functions; i++) {
        const Onnx__FunctionProto *function = proto->functions[i];
        if (function->name == NULL || *function->name == '\0')
            return mary_fail(MARY_ERROR_INVALID, "function %zu has no name", i);
        char *key = key_of(function->domain, function->name, &function->base, FUNCTION_OVERLOAD);
        if (key == NULL)
            return mary_fail_memory(strlen(function->name));
        functions->keys[functions->count++] = key;
        bool added;
        MARY_TRY(mary_names_add(&functions->positions, key, i, &added));
        if (!added)
            return mary_fail(MARY_ERROR_INVALID, "function '%s' is defined twice", key);
    }
    return MARY_OK;
}

void mary_functions_free(mary_functions *functions)
{
    for (size_t i = 0; i < functions->count; i++)
        mary_free(functions->keys[i]);
    mary_free(functions->keys);
    mary_names_free(&functions->positions);
    *functions = (mary_functions){0};
}

mary_status mary_functions_find(const mary_functions *functions, const mary_model *model, const Onnx__NodeProto *node,
                                Onnx__FunctionProto **function)
{
    *function = NULL;
    if (functions->count == 0)
        return MARY_OK;
    size_t position;
    char *key = key_of(node->domain, node->op_type, &node->base, NODE_OVERLOAD);
    if (key == NULL)
        return mary_fail_memory(1);
    if (mary_names_get(&functions->positions, key, &position))
        *function = model->proto->functions[position];
    mary_free(key);
    return MARY_OK;
}

mary_status mary_function_default(const Onnx__FunctionProto *function, const char *name,
                                  Onnx__AttributeProto **attribute)
{
    *attribute = NULL;
    for (unsigned i = 0; i < function->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &function->base.unknown_fields[i];
        const uint8_t *bytes;
        size_t size;
        if (field->tag != FUNCTION_ATTRIBUTE_PROTO || !mary_wire_payload(field, &bytes, &size))
            continue;
        Onnx__AttributeProto *found;
        MARY_TRY(mary_wire_unpack(&onnx__attribute_proto__descriptor, bytes, size, false,
                                  (ProtobufCMessage **)(void *)&found));
        if (found->name != NULL && strcmp(found->name, name) == 0) {
            *attribute = found;
            return MARY_OK;
        }
        onnx__attribute_proto__free_unpacked(found, &mary_proto_allocator);
    }
    return MARY_OK;
}

int64_t mary_function_opset(const Onnx__FunctionProto *function, const char *domain)
{
    for (size_t i = 0; i < function->n_opset_import; i++) {
        if (strcmp(canonical(function->opset_import[i]->domain), canonical(domain)) == 0)
            return function->opset_import[i]->version;
    }
    return 0;
}
