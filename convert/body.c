/* Function bodies. One body serves every bit width, per-row and shared levels and every opset from 12 on: it uses only
 * operators whose definitions did not change in what is used here (axes are inputs or avoided).
 *
 * Everything that depends on codes and levels alone has constant inputs in a converted model, so runtimes fold it when
 * they load the model; tests/convert/test_ort.py checks that nothing of it is left in what ONNX Runtime runs.
 *
 *   shifts = 8-bits - [0, bits, 2*bits, ... < 8]           left, then right by 8-bits: one code per byte [R, B, 8/bits]
 *   index  = those [R, B*8/bits] cut to row_length
 *   table  = levels expanded to [R, 2^bits]
 *   W      = GatherElements(table, index, axis 1)          [R, row_length] */
#include "convert/body.h"

#include <string.h>

#include "onnx/edit.h"

/* A function under construction; the first failure sticks. */
typedef struct builder {
    Onnx__FunctionProto *function;
    Onnx__NodeProto *last; /* the node added last, for its attributes */
    mary_status status;
} builder;

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

static void each(builder *b, const char *names, mary_status (*add)(builder *b, const char *name))
{
    char storage[256];
    const char *list[16];
    int count = split(names, storage, sizeof storage, list, 16);
    for (int i = 0; i < count && b->status == MARY_OK; i++)
        b->status = add(b, list[i]);
}

static mary_status add_input(builder *b, const char *name)
{
    return append_string(&b->function->input, &b->function->n_input, name);
}

static mary_status add_attribute(builder *b, const char *name)
{
    return append_string(&b->function->attribute, &b->function->n_attribute, name);
}

static void node(builder *b, const char *op, const char *inputs, const char *output)
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

static void set_int(builder *b, const char *name, int64_t value)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_int(b->last, name, value);
}

static void set_string(builder *b, const char *name, const char *value)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_string(b->last, name, value);
}

static void set_reference(builder *b, const char *name, const char *reference, Onnx__AttributeProto__AttributeType type)
{
    if (b->status == MARY_OK)
        b->status = mary_node_set_reference(b->last, name, reference, type);
}

#define INT        ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
#define INTS       ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
#define FLOATS_ONE ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
#define STRING     ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING

static void scalar(builder *b, const char *output, int64_t value)
{
    node(b, "Constant", "", output);
    set_int(b, "value_int", value);
}

static void vector(builder *b, const char *output, int64_t first, int64_t second, int64_t third, size_t count)
{
    node(b, "Constant", "", output);
    if (b->status == MARY_OK)
        b->status = mary_node_set_ints(b->last, "value_ints", (const int64_t[]){first, second, third}, count);
}

static void from_attribute(builder *b, const char *output, const char *attribute,
                           Onnx__AttributeProto__AttributeType type)
{
    node(b, "Constant", "", output);
    set_reference(b, type == INT ? "value_int" : "value_ints", attribute, type);
}

/* codes, levels and the attributes bits, row_length, weight_shape to W, [R, row_length]; leaves zero, one, shape
 * defined. */
static void decode(builder *b)
{
    vector(b, "zero", 0, 0, 0, 1);
    vector(b, "one", 1, 0, 0, 1);
    vector(b, "bytes", 0, -1, 1, 3);
    vector(b, "flat", 0, -1, 0, 2);
    scalar(b, "start", 0);
    scalar(b, "eight", 8);
    from_attribute(b, "bits", "bits", INT);
    from_attribute(b, "length0", "row_length", INT);
    from_attribute(b, "shape", "weight_shape", INTS);
    node(b, "Reshape", "length0 one", "length");
    node(b, "Range", "start eight bits", "places");
    node(b, "Sub", "eight bits", "right");
    node(b, "Sub", "right places", "left");
    node(b, "Cast", "right", "right8");
    set_int(b, "to", MARY_UINT8);
    node(b, "Cast", "left", "left8");
    set_int(b, "to", MARY_UINT8);
    node(b, "Reshape", "codes bytes", "packed");
    node(b, "BitShift", "packed left8", "high");
    set_string(b, "direction", "LEFT");
    node(b, "BitShift", "high right8", "low");
    set_string(b, "direction", "RIGHT");
    node(b, "Reshape", "low flat", "padded");
    node(b, "Slice", "padded zero length one", "cut");
    node(b, "Cast", "cut", "index");
    set_int(b, "to", MARY_INT64);
    node(b, "Slice", "codes zero one one", "column"); /* [R, 1], for its shape */
    node(b, "Shape", "column", "rows");
    node(b, "Expand", "levels rows", "table");
    node(b, "GatherElements", "table index", "W");
    set_int(b, "axis", 1);
}

static void convolution_attributes(builder *b, bool transposed)
{
    set_reference(b, "auto_pad", "auto_pad", STRING);
    set_reference(b, "dilations", "dilations", INTS);
    set_reference(b, "group", "group", INT);
    set_reference(b, "kernel_shape", "kernel_shape", INTS);
    if (transposed) {
        set_reference(b, "output_padding", "output_padding", INTS);
        set_reference(b, "output_shape", "output_shape", INTS);
    }
    set_reference(b, "pads", "pads", INTS);
    set_reference(b, "strides", "strides", INTS);
}

static void build_convolution(builder *b)
{
    each(b, "X codes levels B", add_input);
    each(b, "auto_pad dilations group kernel_shape pads strides weight_shape row_length bits", add_attribute);
    decode(b);
    node(b, "Reshape", "W shape", "weight");
    node(b, "Conv", "X weight B", "Y");
    convolution_attributes(b, false);
}

/* Rows are [group, O/group], positions [I/group, taps]; the weight is [I, O/group, taps]. */
static void build_transposed_convolution(builder *b)
{
    each(b, "X codes levels B", add_input);
    each(b,
         "auto_pad dilations group kernel_shape output_padding output_shape pads strides weight_shape row_length bits",
         add_attribute);
    decode(b);
    from_attribute(b, "group0", "group", INT);
    node(b, "Reshape", "group0 one", "groups");
    vector(b, "two", 2, 0, 0, 1);
    vector(b, "rest", -1, 0, 0, 1);
    node(b, "Slice", "shape zero one zero", "inputs");
    node(b, "Slice", "shape one two zero", "outputs"); /* per group */
    node(b, "Div", "inputs groups", "group_inputs");
    node(b, "Concat", "groups outputs group_inputs rest", "split");
    set_int(b, "axis", 0);
    node(b, "Reshape", "W split", "grouped");
    node(b, "Transpose", "grouped", "turned");
    if (b->status == MARY_OK)
        b->status = mary_node_set_ints(b->last, "perm", (const int64_t[]){0, 2, 1, 3}, 4);
    node(b, "Reshape", "turned shape", "weight");
    node(b, "ConvTranspose", "X weight B", "Y");
    convolution_attributes(b, true);
}

static void build_gemm(builder *b)
{
    each(b, "A codes levels C", add_input);
    each(b, "alpha beta transA weight_shape row_length bits", add_attribute);
    decode(b);
    node(b, "Reshape", "W shape", "weight");
    node(b, "Gemm", "A weight C", "Y");
    set_reference(b, "alpha", "alpha", FLOATS_ONE);
    set_reference(b, "beta", "beta", FLOATS_ONE);
    set_reference(b, "transA", "transA", INT);
    set_int(b, "transB", 1);
}

static void build_matmul(builder *b)
{
    each(b, "A codes levels", add_input);
    each(b, "weight_shape row_length bits", add_attribute);
    decode(b);
    node(b, "Reshape", "W shape", "weight");
    node(b, "Transpose", "weight", "turned"); /* [K, N] */
    if (b->status == MARY_OK)
        b->status = mary_node_set_ints(b->last, "perm", (const int64_t[]){1, 0}, 2);
    node(b, "MatMul", "A turned", "Y");
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

static mary_status build(mary_layer_kind kind, int64_t opset, Onnx__FunctionProto **function)
{
    builder b = {.function = mary_alloc(sizeof *b.function), .status = MARY_OK};
    if (b.function == NULL)
        return mary_fail_memory(sizeof *b.function);
    onnx__function_proto__init(b.function);
    b.status = mary_edit_string(&b.function->domain, MARY_DOMAIN);
    if (b.status == MARY_OK)
        b.status = mary_edit_string(&b.function->name, mary_layer_mary_op(kind));
    if (b.status == MARY_OK)
        b.status = append_string(&b.function->output, &b.function->n_output, "Y");
    if (b.status == MARY_OK)
        b.status = add_opset(b.function, opset);
    if (kind == MARY_LAYER_CONV)
        build_convolution(&b);
    else if (kind == MARY_LAYER_CONV_TRANSPOSE)
        build_transposed_convolution(&b);
    else if (kind == MARY_LAYER_GEMM)
        build_gemm(&b);
    else
        build_matmul(&b);
    if (b.status != MARY_OK) {
        onnx__function_proto__free_unpacked(b.function, &mary_proto_allocator);
        return b.status;
    }
    *function = b.function;
    return MARY_OK;
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

mary_status mary_body_add(mary_model *model, mary_layer_kind kind)
{
    Onnx__FunctionProto *made = NULL;
    MARY_TRY(build(kind, mary_model_opset(model, ""), &made));
    mary_status status = MARY_OK;
    for (size_t i = 0; i < model->proto->n_functions; i++) {
        const Onnx__FunctionProto *there = model->proto->functions[i];
        if (there->name == NULL || there->domain == NULL || strcmp(there->domain, MARY_DOMAIN) != 0 ||
            strcmp(there->name, made->name) != 0)
            continue;
        if (!same_strings(there->input, there->n_input, made->input, made->n_input) ||
            !same_strings(there->attribute, there->n_attribute, made->attribute, made->n_attribute))
            status =
                mary_fail(MARY_ERROR_UNSUPPORTED, "the model has a function %s.%s of its own that takes other inputs",
                          MARY_DOMAIN, made->name);
        goto done;
    }
    status = mary_model_add_function(model, made);
    if (status == MARY_OK)
        made = NULL;
done:
    if (made != NULL)
        onnx__function_proto__free_unpacked(made, &mary_proto_allocator);
    return status;
}
