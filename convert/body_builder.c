/* Function bodies, node by node. */
#include "convert/body_builder.h"

#include <stdio.h>
#include <string.h>

static mary_status append_string(char ***list, size_t *count, const char *text)
{
    char **grown = mary_realloc(*list, (*count + 1) * sizeof *grown);
    if (grown == NULL)
        return mary_fail_memory((*count + 1) * sizeof *grown);
    *list = grown;
    grown[*count] = mary_strdup(text);
    if (grown[*count] == NULL)
        return mary_fail_memory(strlen(text) + 1);
    (*count)++;
    return MARY_OK;
}

/* Space-separated names. */
static int split(const char *text, char *storage, size_t size, const char **names, int most)
{
    int count = 0;
    size_t length = strlen(text);
    if (length >= size)
        return 0;
    memcpy(storage, text, length + 1);
    for (char *save = NULL, *name = strtok_r(storage, " ", &save); name != NULL && count < most;
         name = strtok_r(NULL, " ", &save))
        names[count++] = name;
    return count;
}

static void each(mary_body *b, const char *names, mary_status (*add)(mary_body *b, const char *name))
{
    char storage[256];
    const char *list[16];
    int count = split(names, storage, sizeof storage, list, 16);
    for (int i = 0; i < count && b->status == MARY_OK; i++)
        b->status = add(b, list[i]);
}

static mary_status add_input(mary_body *b, const char *name)
{
    return append_string(&b->function->input, &b->function->n_input, name);
}

static mary_status add_attribute(mary_body *b, const char *name)
{
    return append_string(&b->function->attribute, &b->function->n_attribute, name);
}

void mary_body_inputs(mary_body *b, const char *inputs)
{
    each(b, inputs, add_input);
}

void mary_body_attributes(mary_body *b, const char *attributes)
{
    each(b, attributes, add_attribute);
}

void mary_body_node(mary_body *b, const char *op, const char *inputs, const char *output)
{
    if (b->status != MARY_OK)
        return;
    char storage[256];
    const char *list[8];
    int count = split(inputs, storage, sizeof storage, list, 8);
    Onnx__NodeProto *made = NULL;
    b->status = mary_node_create("", op, "", list, (size_t)count, &output, 1, &made);
    if (b->status != MARY_OK)
        return;
    Onnx__NodeProto **grown = mary_realloc(b->function->node, (b->function->n_node + 1) * sizeof *grown);
    if (grown == NULL) {
        mary_node_free(made);
        b->status = mary_fail_memory((b->function->n_node + 1) * sizeof *grown);
        return;
    }
    b->function->node = grown;
    grown[b->function->n_node++] = made;
    b->last = made;
}

void mary_body_set_int(mary_body *b, const char *name, int64_t value)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_int(b->last, name, value);
}

void mary_body_set_ints(mary_body *b, const char *name, const int64_t *values, size_t count)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_ints(b->last, name, values, count);
}

void mary_body_set_string(mary_body *b, const char *name, const char *value)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_string(b->last, name, value);
}

void mary_body_set_reference(mary_body *b, const char *name, const char *reference,
                             Onnx__AttributeProto__AttributeType type)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_reference(b->last, name, reference, type);
}

void mary_body_scalar(mary_body *b, const char *output, int64_t value)
{
    mary_body_node(b, "Constant", "", output);
    mary_body_set_int(b, "value_int", value);
}

void mary_body_vector(mary_body *b, const char *output, int64_t first, int64_t second, int64_t third, size_t count)
{
    mary_body_node(b, "Constant", "", output);
    mary_body_set_ints(b, "value_ints", (const int64_t[]){first, second, third}, count);
}

void mary_body_from_attribute(mary_body *b, const char *output, const char *attribute,
                              Onnx__AttributeProto__AttributeType type)
{
    mary_body_node(b, "Constant", "", output);
    mary_body_set_reference(b, type == INT ? "value_int" : "value_ints", attribute, type);
}

/* codes, levels and the attributes bits, row_length, weight_shape to W, [R, row_length]; leaves zero, one, shape
 * defined. */
void mary_body_decode(mary_body *b)
{
    mary_body_vector(b, "zero", 0, 0, 0, 1);
    mary_body_vector(b, "one", 1, 0, 0, 1);
    mary_body_vector(b, "bytes", 0, -1, 1, 3);
    mary_body_vector(b, "flat", 0, -1, 0, 2);
    mary_body_scalar(b, "start", 0);
    mary_body_scalar(b, "eight", 8);
    mary_body_from_attribute(b, "bits", "bits", INT);
    mary_body_from_attribute(b, "length0", "row_length", INT);
    mary_body_from_attribute(b, "shape", "weight_shape", INTS);
    mary_body_node(b, "Reshape", "length0 one", "length");
    mary_body_node(b, "Range", "start eight bits", "places");
    mary_body_node(b, "Sub", "eight bits", "right");
    mary_body_node(b, "Sub", "right places", "left");
    mary_body_node(b, "Cast", "right", "right8");
    mary_body_set_int(b, "to", MARY_UINT8);
    mary_body_node(b, "Cast", "left", "left8");
    mary_body_set_int(b, "to", MARY_UINT8);
    mary_body_node(b, "Reshape", "codes bytes", "packed");
    mary_body_node(b, "BitShift", "packed left8", "high");
    mary_body_set_string(b, "direction", "LEFT");
    mary_body_node(b, "BitShift", "high right8", "low");
    mary_body_set_string(b, "direction", "RIGHT");
    mary_body_node(b, "Reshape", "low flat", "padded");
    mary_body_node(b, "Slice", "padded zero length one", "cut");
    mary_body_node(b, "Cast", "cut", "index");
    mary_body_set_int(b, "to", MARY_INT64);
    mary_body_node(b, "Slice", "codes zero one one", "column"); /* [R, 1], for its shape */
    mary_body_node(b, "Shape", "column", "rows");
    mary_body_node(b, "Expand", "levels rows", "table");
    mary_body_node(b, "GatherElements", "table index", "W");
    mary_body_set_int(b, "axis", 1);
}

void mary_body_convolution(mary_body *b, bool transposed)
{
    mary_body_set_reference(b, "auto_pad", "auto_pad", STRING);
    mary_body_set_reference(b, "dilations", "dilations", INTS);
    mary_body_set_reference(b, "group", "group", INT);
    mary_body_set_reference(b, "kernel_shape", "kernel_shape", INTS);
    if (transposed) {
        mary_body_set_reference(b, "output_padding", "output_padding", INTS);
        mary_body_set_reference(b, "output_shape", "output_shape", INTS);
    }
    mary_body_set_reference(b, "pads", "pads", INTS);
    mary_body_set_reference(b, "strides", "strides", INTS);
}

static mary_status add_opset(Onnx__FunctionProto *function, int64_t opset)
{
    Onnx__OperatorSetIdProto *import = mary_alloc(sizeof *import);
    function->opset_import = mary_alloc(sizeof(Onnx__OperatorSetIdProto *));
    if (import == NULL || function->opset_import == NULL) {
        mary_free(import);
        return mary_fail_memory(sizeof *import);
    }
    onnx__operator_set_id_proto__init(import);
    function->opset_import[0] = import;
    function->n_opset_import = 1;
    import->has_version = true;
    import->version = opset;
    return mary_edit_string(&import->domain, "");
}

static bool same_strings(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return true;
}

void mary_body_begin(mary_body *b, const char *name, int64_t opset, const char *standard, const char *weights)
{
    char documentation[192];
    snprintf(documentation, sizeof documentation,
             "%s with weights W[r, k] = %s of `weight_shape`. A row has `row_length` codes of `bits` bits, little end "
             "first.",
             standard, weights);
    *b = (mary_body){.function = mary_alloc(sizeof *b->function), .status = MARY_OK};
    if (b->function == NULL) {
        b->status = mary_fail_memory(sizeof *b->function);
        return;
    }
    onnx__function_proto__init(b->function);
    b->status = mary_edit_string(&b->function->domain, MARY_DOMAIN);
    if (b->status == MARY_OK)
        b->status = mary_edit_string(&b->function->name, name);
    if (b->status == MARY_OK)
        b->status = mary_edit_string(&b->function->doc_string, documentation);
    if (b->status == MARY_OK)
        b->status = append_string(&b->function->output, &b->function->n_output, "Y");
    if (b->status == MARY_OK)
        b->status = add_opset(b->function, opset);
}

mary_status mary_body_finish(mary_body *b, mary_model *model)
{
    mary_status status = b->status;
    for (size_t i = 0; i < model->proto->n_functions && status == MARY_OK; i++) {
        const Onnx__FunctionProto *there = model->proto->functions[i];
        if (there->name == NULL || there->domain == NULL || strcmp(there->domain, MARY_DOMAIN) != 0 ||
            strcmp(there->name, b->function->name) != 0)
            continue;
        if (!same_strings(there->input, there->n_input, b->function->input, b->function->n_input) ||
            !same_strings(there->attribute, there->n_attribute, b->function->attribute, b->function->n_attribute))
            status =
                mary_fail(MARY_ERROR_UNSUPPORTED, "the model has a function %s.%s of its own that takes other inputs",
                          MARY_DOMAIN, b->function->name);
        goto done;
    }
    if (status == MARY_OK)
        status = mary_model_add_function(model, b->function);
    if (status == MARY_OK)
        b->function = NULL;
done:
    if (b->function != NULL)
        onnx__function_proto__free_unpacked(b->function, &mary_proto_allocator);
    b->function = NULL;
    return status;
}
