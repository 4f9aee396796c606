/* Models that break the rules are refused with one line that names what is wrong. */
#include "tests/support/model_builder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mary_model *model;
static Onnx__GraphProto *graph;

static void start(void)
{
    model = build_model(13);
    graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
}

static void refuse(const char *text)
{
    assert_fails(mary_model_check(model), MARY_ERROR_INVALID, text);
    mary_model_free(&model);
}

START_TEST(versions_and_imports)
{
    start();
    model->proto->ir_version = 2;
    refuse("IR version 2");
    start();
    model->proto->ir_version = 1000;
    assert_fails(mary_model_check(model), MARY_ERROR_UNSUPPORTED, "1000");
    mary_model_free(&model);
    start();
    model->proto->opset_import[0]->version = 0;
    refuse("version 0");
    start();
    build_node(graph, "com.acme:Thing", "x", "y");
    refuse("'com.acme'");
    start();
    assert_ok(mary_model_set_opset(model, "com.acme", 1));
    assert_ok(mary_edit_string(&model->proto->opset_import[1]->domain, "ai.onnx"));
    refuse("versions 13 and 1");
    start();
    onnx__graph_proto__free_unpacked(model->proto->graph, &mary_proto_allocator);
    model->proto->graph = NULL;
    refuse("no graph");
}
END_TEST

START_TEST(both_spellings_of_the_default_domain_are_one)
{
    start();
    assert_ok(mary_edit_string(&model->proto->opset_import[0]->domain, "ai.onnx"));
    build_node(graph, "Relu", "x", "y");
    assert_ok(mary_model_check(model));
    ck_assert_int_eq(mary_model_opset(model, ""), 13);
    mary_model_free(&model);
    start(); /* listed twice, with one version: legal, and both follow an upgrade */
    assert_ok(mary_model_set_opset(model, "com.acme", 13));
    assert_ok(mary_edit_string(&model->proto->opset_import[1]->domain, "ai.onnx"));
    assert_ok(mary_model_upgrade(model, 14));
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(names_are_there_and_unique)
{
    start();
    build_node(graph, "Relu", "x", "y");
    build_node(graph, "Neg", "x", "y");
    refuse("'y' is defined twice");
    start();
    build_node(graph, "Relu", "x", "x");
    refuse("'x' is defined twice");
    start();
    build_floats(graph, "w", SHAPE(1), (float[]){1});
    build_floats(graph, "w", SHAPE(1), (float[]){1});
    refuse("initializer 'w'");
    start();
    build_floats(graph, "", SHAPE(1), (float[]){1});
    refuse("initializer 0");
    start();
    build_input(graph, "", MARY_FLOAT, SHAPE(1));
    refuse("input 1");
    start();
    build_node(graph, "", "x", "y");
    refuse("'y' has no op_type");
    start();
    build_node(graph, "Relu", "nowhere", "y");
    refuse("'y' (Relu) reads 'nowhere'");
    start();
    build_output(graph, "nothing", MARY_FLOAT, SHAPE(1));
    refuse("'nothing' is made by nothing");
    start();
    Onnx__NodeProto *node = build_node(graph, "Relu", "x", "y");
    assert_ok(mary_node_set_int(node, "a", 1));
    assert_ok(mary_node_set_int(node, "b", 1));
    assert_ok(mary_edit_string(&node->attribute[1]->name, "a"));
    refuse("attribute 'a' is there twice");
}
END_TEST

START_TEST(initializer_may_be_an_input_too)
{
    start();
    model->proto->ir_version = 3;
    build_input(graph, "w", MARY_FLOAT, SHAPE(1));
    build_floats(graph, "w", SHAPE(1), (float[]){1});
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(nodes_are_sorted_and_cycles_named)
{
    start();
    build_node(graph, "Neg", "b", "c");
    build_node(graph, "Neg", "x", "a");
    build_node(graph, "Add", "a,x", "b");
    assert_ok(mary_model_check(model));
    ck_assert_str_eq(graph->node[0]->output[0], "a");
    ck_assert_str_eq(graph->node[1]->output[0], "b");
    ck_assert_str_eq(graph->node[2]->output[0], "c");
    mary_model_free(&model);
    start();
    build_node(graph, "Neg", "b", "a");
    build_node(graph, "Neg", "a", "b");
    refuse("cycle");
    start(); /* through a subgraph */
    Onnx__GraphProto *branch = build_graph("branch");
    build_node(branch, "Neg", "y", "inner");
    assert_ok(mary_node_set_graph(build_node(graph, "If", "x", "y"), "then_branch", branch));
    refuse("'y' is part of a cycle");
}
END_TEST

START_TEST(subgraphs_see_outer_values_only)
{
    start();
    Onnx__GraphProto *branch = build_graph("branch");
    build_node(branch, "Neg", "x", "inner");
    build_output(branch, "inner", MARY_FLOAT, SHAPE());
    assert_ok(mary_node_set_graph(build_node(graph, "If", "x", "y"), "then_branch", branch));
    build_node(graph, "Neg", "inner", "z");
    refuse("reads 'inner'");
}
END_TEST

START_TEST(subgraphs_nest_only_so_deep)
{
    start();
    Onnx__GraphProto *inside = build_graph("deepest");
    for (int i = 0; i < 40; i++) {
        Onnx__GraphProto *around = build_graph("around");
        assert_ok(mary_node_set_graph(build_node(around, "If", "x", ""), "then_branch", inside));
        inside = around;
    }
    assert_ok(mary_node_set_graph(build_node(graph, "If", "x", "y"), "then_branch", inside));
    refuse("nested deeper than 32");
}
END_TEST

START_TEST(long_chains_need_no_deep_stack)
{
    start();
    enum { LENGTH = 100000 };
    graph->node = mary_realloc(graph->node, LENGTH * sizeof(void *));
    for (int i = LENGTH - 1; i >= 0; i--) { /* backwards: the sort has to go all the way down */
        char in[16], out[16];
        snprintf(in, sizeof in, "v%d", i - 1);
        snprintf(out, sizeof out, "v%d", i);
        const char *inputs[] = {i == 0 ? "x" : in}, *outputs[] = {out};
        assert_ok(mary_node_create("", "Neg", "", inputs, 1, outputs, 1, &graph->node[graph->n_node]));
        graph->n_node++;
    }
    assert_ok(mary_model_check(model));
    ck_assert_str_eq(graph->node[0]->output[0], "v0");
    mary_model_free(&model);
}
END_TEST

/* An initializer "w" with these dims and this many raw bytes. */
static Onnx__TensorProto *add_tensor(mary_type type, mary_shape shape, size_t bytes)
{
    static char zeros[64];
    start();
    build_constant(graph, "w", MARY_UINT8, SHAPE((int64_t)bytes), zeros);
    Onnx__TensorProto *tensor = graph->initializer[0];
    tensor->data_type = (int32_t)type;
    mary_free(tensor->dims);
    tensor->n_dims = (size_t)shape.rank;
    tensor->dims = mary_calloc((size_t)shape.rank, sizeof(int64_t));
    memcpy(tensor->dims, shape.dims, (size_t)shape.rank * sizeof(int64_t));
    return tensor;
}

START_TEST(shapes_match_the_data)
{
    add_tensor(MARY_FLOAT, SHAPE(2, 3), 24);
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
    add_tensor(MARY_FLOAT, SHAPE(2, 3), 20);
    refuse("'w' has 20 bytes of data, its shape needs 24");
    add_tensor(MARY_FLOAT, SHAPE(2, -3), 24);
    refuse("-3 at axis 1");
    add_tensor(MARY_FLOAT, SHAPE(INT64_MAX, INT64_MAX), 24);
    refuse("too large");
    add_tensor(MARY_FLOAT, SHAPE(INT64_MAX, 0), 0); /* a zero hides no overflow */
    refuse("too large");
    add_tensor(MARY_UNDEFINED, SHAPE(1), 4);
    refuse("data type 0");
    add_tensor(MARY_STRING, SHAPE(4), 4);
    refuse("strings as raw bytes");
    add_tensor((mary_type)22, SHAPE(3), 2); /* int4: two in a byte */
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
    Onnx__TensorProto *tensor = add_tensor(MARY_INT64, SHAPE(1), 8);
    tensor->int64_data = mary_calloc(1, sizeof(int64_t));
    tensor->n_int64_data = 1;
    refuse("data twice");
    tensor = add_tensor(MARY_INT8, SHAPE(3), 0);
    tensor->int32_data = mary_calloc(2, sizeof(int32_t));
    tensor->n_int32_data = 2;
    refuse("has 2 elements of data, its shape needs 3");
    tensor = add_tensor(MARY_FLOAT, SHAPE(1), 4);
    mary_free(tensor->dims);
    tensor->dims = mary_calloc(9, sizeof(int64_t));
    tensor->n_dims = 9;
    refuse("rank 9");
}
END_TEST

START_TEST(tensors_in_attributes_are_checked)
{
    Onnx__TensorProto *tensor = add_tensor(MARY_FLOAT, SHAPE(5), 4);
    graph->n_initializer = 0;
    assert_ok(mary_node_set_tensor(build_node(graph, "Constant", "", "c"), "value", tensor));
    refuse("'w' has 4 bytes");
    start();
    Onnx__NodeProto *node = build_node(graph, "Constant", "", "c");
    assert_ok(mary_node_set_int(node, "value", 1));
    node->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    refuse("'c': attribute 'value' has no value");
}
END_TEST

static void set_external(Onnx__TensorProto *tensor, const char *location, const char *offset, const char *length)
{
    const char *entries[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    tensor->has_data_location = true;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = mary_calloc(3, sizeof(void *));
    for (int i = 0; i < 3; i++) {
        Onnx__StringStringEntryProto *entry = mary_alloc(sizeof *entry);
        onnx__string_string_entry_proto__init(entry);
        assert_ok(mary_edit_string(&entry->key, entries[i][0]));
        assert_ok(mary_edit_string(&entry->value, entries[i][1]));
        tensor->external_data[tensor->n_external_data++] = entry;
    }
}

static void start_external(const char *location, const char *offset, const char *length)
{
    set_external(add_tensor(MARY_FLOAT, SHAPE(2), 0), location, offset, length);
}

START_TEST(external_data_stays_inside_the_models_directory)
{
    char directory[] = "/tmp/mary-check-XXXXXX", file[64], link[64], fifo[64];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/data", directory);
    snprintf(link, sizeof link, "%s/link", directory);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    FILE *out = fopen(file, "wb");
    float values[3] = {0, 1, 2};
    fwrite(values, 1, sizeof values, out);
    fclose(out);
    ck_assert_int_eq(symlink("/etc/passwd", link), 0);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    static const struct {
        const char *location, *offset, *length, *text;
    } cases[] = {
        {"/etc/passwd", "0", "8", "absolute path '/etc/passwd'"},
        {"../passwd", "0", "8", "leaves"},
        {"a/../../passwd", "0", "8", "leaves"},
        {"..", "0", "8", "leaves"},
        {"link", "0", "8", "leaves"},
        {"fifo", "0", "8", "not a regular file"},
        {".", "0", "8", "not a regular file"},
        {"absent", "0", "8", "No such file"},
        {"", "0", "8", "no location"},
        {"data", "8", "8", "outside 'data', which has 12 bytes"},
        {"data", "18446744073709551612", "8", "offset '18446744073709551612'"},
        {"data", "9223372036854775807", "8", "outside"},
        {"data", "-4", "8", "offset '-4'"},
        {"data", "4", "12", "length 12, its shape needs 8"},
        {"data", "", "8", "offset ''"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start_external(cases[i].location, cases[i].offset, cases[i].length);
        model->directory = mary_strdup(directory);
        refuse(cases[i].text);
    }
    start_external("data", "4", "8");
    refuse("the model is not a file");
    start_external("data", "4", "8");
    model->directory = mary_strdup(directory);
    assert_ok(mary_model_check(model));
    float *floats;
    mary_shape shape;
    assert_ok(mary_constant_floats(model, graph->initializer[0], &floats, &shape));
    ck_assert(floats[0] == 1 && floats[1] == 2);
    mary_free(floats);
    mary_model_free(&model);
    unlink(file), unlink(link), unlink(fifo), rmdir(directory);
}
END_TEST

START_TEST(functions_are_closed_and_unique)
{
    start();
    build_function_node(build_function(model, "local", "F", "a", "b", 13), "Relu", "x", "b");
    refuse("function 'F': node 'b' (Relu) reads 'x'");
    start();
    build_function_node(build_function(model, "local", "F", "a", "b", 13), "Relu", "a", "b");
    build_function_node(build_function(model, "local", "F", "a", "b", 13), "Relu", "a", "b");
    refuse("'local:F' is defined twice");
    start();
    Onnx__NodeProto *node = build_node(graph, "Relu", "x", "y");
    assert_ok(mary_node_set_reference(node, "a", "b", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
    refuse("refers to an attribute of a function");
}
END_TEST

MARY_TEST_MAIN("onnx/check", versions_and_imports, both_spellings_of_the_default_domain_are_one,
               names_are_there_and_unique, initializer_may_be_an_input_too, nodes_are_sorted_and_cycles_named,
               subgraphs_see_outer_values_only, subgraphs_nest_only_so_deep, long_chains_need_no_deep_stack,
               shapes_match_the_data, tensors_in_attributes_are_checked,
               external_data_stays_inside_the_models_directory, functions_are_closed_and_unique)
