/* Editing nodes. */
#include "onnx/edit.h"

#include <string.h>

#include "onnx/message.h"

mary_status mary_edit_string(char **field, const char *text)
{
    char *copy = mary_strdup(text);
    if (copy == NULL)
        return mary_fail_memory(strlen(text) + 1);
    if (*field != (char *)protobuf_c_empty_string)
        mary_free(*field);
    *field = copy;
    return MARY_OK;
}

static mary_status copy_names(const char *const *names, size_t count, char ***copies, size_t *copied)
{
    *copies = mary_calloc(count, sizeof **copies);
    if (*copies == NULL)
        return mary_fail_memory(count * sizeof **copies);
    for (size_t i = 0; i < count; i++) {
        MARY_TRY(mary_edit_string(&(*copies)[i], names[i] == NULL ? "" : names[i]));
        *copied = i + 1;
    }
    return MARY_OK;
}

mary_status mary_node_create(const char *domain, const char *op_type, const char *name, const char *const *inputs,
                             size_t input_count, const char *const *outputs, size_t output_count,
                             Onnx__NodeProto **node)
{
    *node = NULL;
    Onnx__NodeProto *made = mary_alloc(sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    onnx__node_proto__init(made);
    mary_status status = mary_edit_string(&made->op_type, op_type);
    if (status == MARY_OK && domain != NULL && *domain != '\0')
        status = mary_edit_string(&made->domain, domain);
    if (status == MARY_OK && name != NULL && *name != '\0')
        status = mary_edit_string(&made->name, name);
    if (status == MARY_OK)
        status = copy_names(inputs, input_count, &made->input, &made->n_input);
    if (status == MARY_OK)
        status = copy_names(outputs, output_count, &made->output, &made->n_output);
    if (status == MARY_OK)
        *node = made;
    else
        mary_node_free(made);
    return status;
}

void mary_node_free(Onnx__NodeProto *node)
{
    onnx__node_proto__free_unpacked(node, &mary_proto_allocator);
}

static void attribute_free(Onnx__AttributeProto *attribute)
{
    onnx__attribute_proto__free_unpacked(attribute, &mary_proto_allocator);
}

static mary_status attribute_create(const char *name, Onnx__AttributeProto__AttributeType type,
                                    Onnx__AttributeProto **attribute)
{
    Onnx__AttributeProto *made = mary_alloc(sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    onnx__attribute_proto__init(made);
    made->has_type = true;
    made->type = type;
    mary_status status = mary_edit_string(&made->name, name);
    if (status == MARY_OK)
        *attribute = made;
    else
        attribute_free(made);
    return status;
}

/* Takes the attribute over: on failure it is freed, so that callers need no clean-up. */
static mary_status attribute_put(Onnx__NodeProto *node, Onnx__AttributeProto *attribute)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (node->attribute[i]->name != NULL && strcmp(node->attribute[i]->name, attribute->name) == 0) {
            attribute_free(node->attribute[i]);
            node->attribute[i] = attribute;
            return MARY_OK;
        }
    }
    size_t bytes = (node->n_attribute + 1) * sizeof(void *);
    Onnx__AttributeProto **grown = mary_realloc(node->attribute, bytes);
    if (grown == NULL) {
        attribute_free(attribute);
        return mary_fail_memory(bytes);
    }
    node->attribute = grown;
    grown[node->n_attribute++] = attribute;
    return MARY_OK;
}

mary_status mary_node_set_int(Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, &attribute));
    attribute->has_i = true;
    attribute->i = value;
    return attribute_put(node, attribute);
}

mary_status mary_node_set_float(Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, &attribute));
    attribute->has_f = true;
    attribute->f = value;
    return attribute_put(node, attribute);
}

mary_status mary_node_set_string(Onnx__NodeProto *node, const char *name, const char *value)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, &attribute));
    attribute->has_s = true;
    attribute->s.data = (uint8_t *)mary_strdup(value);
    if (attribute->s.data == NULL) {
        attribute_free(attribute);
        return mary_fail_memory(strlen(value) + 1);
    }
    attribute->s.len = strlen(value);
    return attribute_put(node, attribute);
}

mary_status mary_node_set_ints(Onnx__NodeProto *node, const char *name, const int64_t *values, size_t count)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, &attribute));
    attribute->ints = mary_calloc(count, sizeof *attribute->ints);
    if (attribute->ints == NULL) {
        attribute_free(attribute);
        return mary_fail_memory(count * sizeof *values);
    }
    attribute->n_ints = count;
    if (count > 0)
        memcpy(attribute->ints, values, count * sizeof *values);
    return attribute_put(node, attribute);
}

mary_status mary_node_set_floats(Onnx__NodeProto *node, const char *name, const float *values, size_t count)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, &attribute));
    attribute->floats = mary_calloc(count, sizeof *attribute->floats);
    if (attribute->floats == NULL) {
        attribute_free(attribute);
        return mary_fail_memory(count * sizeof *values);
    }
    attribute->n_floats = count;
    if (count > 0)
        memcpy(attribute->floats, values, count * sizeof *values);
    return attribute_put(node, attribute);
}

mary_status mary_node_set_tensor(Onnx__NodeProto *node, const char *name, Onnx__TensorProto *value)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, &attribute));
    mary_status status = attribute_put(node, attribute);
    if (status == MARY_OK)
        attribute->t = value;
    return status;
}

mary_status mary_node_set_graph(Onnx__NodeProto *node, const char *name, Onnx__GraphProto *value)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH, &attribute));
    mary_status status = attribute_put(node, attribute);
    if (status == MARY_OK)
        attribute->g = value;
    return status;
}

mary_status mary_node_set_reference(Onnx__NodeProto *node, const char *name, const char *reference,
                                    Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = NULL;
    MARY_TRY(attribute_create(name, type, &attribute));
    mary_status status = mary_edit_string(&attribute->ref_attr_name, reference);
    if (status == MARY_OK)
        return attribute_put(node, attribute);
    attribute_free(attribute);
    return status;
}

mary_status mary_node_copy_attribute(Onnx__NodeProto *node, const Onnx__AttributeProto *attribute)
{
    Onnx__AttributeProto *copy;
    MARY_TRY(MARY_COPY(Onnx__AttributeProto, attribute, &copy));
    return attribute_put(node, copy);
}

void mary_node_remove_attribute(Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (node->attribute[i]->name == NULL || strcmp(node->attribute[i]->name, name) != 0)
            continue;
        attribute_free(node->attribute[i]);
        node->n_attribute--;
        memmove(&node->attribute[i], &node->attribute[i + 1], (node->n_attribute - i) * sizeof(void *));
        return;
    }
}

mary_status mary_node_set_input(Onnx__NodeProto *node, size_t index, const char *name)
{
    if (index >= node->n_input) {
        size_t bytes = (index + 1) * sizeof(char *);
        char **grown = mary_realloc(node->input, bytes);
        if (grown == NULL)
            return mary_fail_memory(bytes);
        node->input = grown;
        while (node->n_input <= index) {
            grown[node->n_input] = NULL;
            MARY_TRY(mary_edit_string(&grown[node->n_input], ""));
            node->n_input++;
        }
    }
    return mary_edit_string(&node->input[index], name);
}
