#include "onnx/model.h"

#include <stdio.h>
#include <string.h>

const Onnx__AttributeProto *mary_attribute_find(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        const char *found = node->attribute[i]->name;
        if (found != NULL && strcmp(found, name) == 0)
            return node->attribute[i];
    }
    return NULL;
}

static const char *type_name(Onnx__AttributeProto__AttributeType type)
{
    static const char *const names[] = {
        "undefined", "FLOAT",   "INT",    "STRING",        "TENSOR",         "GRAPH",      "FLOATS",     "INTS",
        "STRINGS",   "TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"};
    return (unsigned)type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

/* Finds the attribute and checks its type; *found is NULL when there is none. Files older than IR version 2 have no
 * type field: the caller's fields tell. */
static mary_status find_typed(const Onnx__NodeProto *node, const char *name, Onnx__AttributeProto__AttributeType type,
                              const Onnx__AttributeProto **found)
{
    const Onnx__AttributeProto *attribute = mary_attribute_find(node, name);
    *found = attribute;
    if (attribute == NULL)
        return MARY_OK;
    if (attribute->ref_attr_name != NULL && *attribute->ref_attr_name != '\0')
        return mary_fail(MARY_ERROR_INVALID,
                         "node '%s': attribute '%s' refers to attribute '%s' of a function, outside a function",
                         mary_node_label(node), name, attribute->ref_attr_name);
    if (attribute->has_type && attribute->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED &&
        attribute->type != type)
        return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute '%s' is of type %s, not %s", mary_node_label(node),
                         name, type_name(attribute->type), type_name(type));
    return MARY_OK;
}

mary_status mary_attribute_int(const Onnx__NodeProto *node, const char *name, int64_t fallback, int64_t *value)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, &attribute));
    *value = attribute == NULL ? fallback : attribute->i;
    return MARY_OK;
}

mary_status mary_attribute_float(const Onnx__NodeProto *node, const char *name, float fallback, float *value)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, &attribute));
    *value = attribute == NULL ? fallback : attribute->f;
    return MARY_OK;
}

mary_status mary_attribute_string(const Onnx__NodeProto *node, const char *name, const char *fallback,
                                  const char **value)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, &attribute));
    if (attribute == NULL)
        *value = fallback;
    else
        *value = attribute->s.len == 0 ? "" : (const char *)attribute->s.data;
    return MARY_OK;
}

mary_status mary_attribute_ints(const Onnx__NodeProto *node, const char *name, const int64_t **values, size_t *count)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, &attribute));
    *values = attribute == NULL ? NULL : attribute->ints;
    *count = attribute == NULL ? 0 : attribute->n_ints;
    return MARY_OK;
}

mary_status mary_attribute_floats(const Onnx__NodeProto *node, const char *name, const float **values, size_t *count)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, &attribute));
    *values = attribute == NULL ? NULL : attribute->floats;
    *count = attribute == NULL ? 0 : attribute->n_floats;
    return MARY_OK;
}

mary_status mary_attribute_tensor(const Onnx__NodeProto *node, const char *name, const Onnx__TensorProto **value)
{
    const Onnx__AttributeProto *attribute;
    MARY_TRY(find_typed(node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, &attribute));
    *value = attribute == NULL ? NULL : attribute->t;
    return MARY_OK;
}

const char *mary_node_label(const Onnx__NodeProto *node)
{
    static _Thread_local char labels[4][256]; /* a message may name several nodes */
    static _Thread_local unsigned next;
    if (node->name != NULL && *node->name != '\0')
        return node->name;
    char *label = labels[next++ % 4];
    const char *output = "";
    for (size_t i = 0; i < node->n_output && *output == '\0'; i++)
        output = node->output[i];
    snprintf(label, sizeof labels[0], "%s -> %s", node->op_type == NULL ? "" : node->op_type, output);
    return label;
}
