#include "tests/support/model_builder.h"

#include <string.h>

#define MAX_NAMES 64

static void *allocated(void *block)
{
    ck_assert_ptr_nonnull(block);
    return block;
}

Onnx__GraphProto *build_graph(const char *name)
{
    Onnx__GraphProto *graph = allocated(mary_alloc(sizeof *graph));
    onnx__graph_proto__init(graph);
    assert_ok(mary_edit_string(&graph->name, name));
    return graph;
}

mary_model *build_model(int64_t opset)
{
    mary_model *model = allocated(mary_calloc(1, sizeof *model));
    model->path = allocated(mary_strdup("<test>"));
    model->proto = allocated(mary_alloc(sizeof *model->proto));
    onnx__model_proto__init(model->proto);
    model->proto->has_ir_version = true;
    model->proto->ir_version = 8;
    assert_ok(mary_model_set_opset(model, "", opset));
    model->proto->graph = build_graph("test");
    return model;
}

static void add_value(Onnx__ValueInfoProto ***list, size_t *count, const char *name, mary_type type, mary_shape shape)
{
    *list = allocated(mary_realloc(*list, (*count + 1) * sizeof **list));
    assert_ok(mary_value_info_create(name, type, &shape, &(*list)[*count]));
    (*count)++;
}

void build_input(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape)
{
    add_value(&graph->input, &graph->n_input, name, type, shape);
}

void build_output(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape)
{
    add_value(&graph->output, &graph->n_output, name, type, shape);
}

void build_constant(Onnx__GraphProto *graph, const char *name, mary_type type, mary_shape shape, const void *values)
{
    mary_tensor tensor = {.type = type, .shape = shape, .data = (void *)(uintptr_t)values};
    Onnx__TensorProto *message;
    assert_ok(mary_constant_encode(&tensor, name, &message));
    assert_ok(mary_graph_add_initializer(graph, message));
}

void build_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape, const float *values)
{
    build_constant(graph, name, MARY_FLOAT, shape, values);
}

void build_ints(Onnx__GraphProto *graph, const char *name, mary_shape shape, const int64_t *values)
{
    build_constant(graph, name, MARY_INT64, shape, values);
}

/* Cuts `text` at its commas in place. */
static size_t split(char *text, const char **names)
{
    size_t count = 0;
    if (*text == '\0')
        return 0;
    for (char *at = text; at != NULL; count++) {
        ck_assert_uint_lt(count, MAX_NAMES);
        char *comma = strchr(at, ',');
        if (comma != NULL)
            *comma++ = '\0';
        names[count] = at;
        at = comma;
    }
    return count;
}

static Onnx__NodeProto *make_node(const char *op_type, const char *inputs, const char *outputs)
{
    char *in = allocated(mary_strdup(inputs)), *out = allocated(mary_strdup(outputs));
    char *domain = allocated(mary_strdup(op_type));
    const char *in_names[MAX_NAMES], *out_names[MAX_NAMES];
    size_t in_count = split(in, in_names), out_count = split(out, out_names);
    char *colon = strchr(domain, ':');
    if (colon != NULL) {
        *colon = '\0';
        op_type = colon + 1;
    }
    Onnx__NodeProto *node;
    assert_ok(mary_node_create(colon == NULL ? "" : domain, op_type, out_count == 0 ? "" : out_names[0], in_names,
                               in_count, out_names, out_count, &node));
    mary_free(in);
    mary_free(out);
    mary_free(domain);
    return node;
}

Onnx__NodeProto *build_node(Onnx__GraphProto *graph, const char *op_type, const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = make_node(op_type, inputs, outputs);
    assert_ok(mary_graph_insert_node(graph, graph->n_node, node));
    return node;
}

static void fill_names(const char *text, char ***list, size_t *count)
{
    char *copy = allocated(mary_strdup(text));
    const char *names[MAX_NAMES];
    *count = split(copy, names);
    *list = allocated(mary_calloc(*count, sizeof **list));
    for (size_t i = 0; i < *count; i++)
        (*list)[i] = allocated(mary_strdup(names[i]));
    mary_free(copy);
}

Onnx__FunctionProto *build_function(mary_model *model, const char *domain, const char *name, const char *inputs,
                                    const char *outputs, int64_t opset)
{
    Onnx__FunctionProto *function = allocated(mary_alloc(sizeof *function));
    onnx__function_proto__init(function);
    assert_ok(mary_edit_string(&function->name, name));
    assert_ok(mary_edit_string(&function->domain, domain));
    fill_names(inputs, &function->input, &function->n_input);
    fill_names(outputs, &function->output, &function->n_output);
    function->opset_import = allocated(mary_calloc(1, sizeof(void *)));
    function->opset_import[0] = allocated(mary_alloc(sizeof *function->opset_import[0]));
    onnx__operator_set_id_proto__init(function->opset_import[0]);
    assert_ok(mary_edit_string(&function->opset_import[0]->domain, ""));
    function->opset_import[0]->has_version = true;
    function->opset_import[0]->version = opset;
    function->n_opset_import = 1;
    assert_ok(mary_model_add_function(model, function));
    if (mary_model_opset(model, domain) == 0)
        assert_ok(mary_model_set_opset(model, domain, 1));
    return function;
}

Onnx__NodeProto *build_function_node(Onnx__FunctionProto *function, const char *op_type, const char *inputs,
                                     const char *outputs)
{
    function->node = allocated(mary_realloc(function->node, (function->n_node + 1) * sizeof *function->node));
    return function->node[function->n_node++] = make_node(op_type, inputs, outputs);
}

uint8_t *build_bytes(const mary_model *model, size_t *size)
{
    *size = onnx__model_proto__get_packed_size(model->proto);
    uint8_t *bytes = allocated(mary_alloc(*size));
    onnx__model_proto__pack(model->proto, bytes);
    return bytes;
}

mary_model *build_reload(mary_model *model)
{
    size_t size;
    uint8_t *bytes = build_bytes(model, &size);
    mary_model_free(&model);
    assert_ok(mary_model_load_memory(bytes, size, &model));
    mary_free(bytes);
    return model;
}
