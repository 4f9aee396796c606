/* Model-local functions replaced by their bodies. */
#include "tests/support/model_builder.h"

#include <stdio.h>
#include <string.h>

static mary_model *model;
static Onnx__GraphProto *graph;

static void start(void)
{
    model = build_model(13);
    graph = model->proto->graph;
}

/* The graph as text: "Type(inputs)->outputs; ...", names as they are. */
static const char *text_of(const Onnx__GraphProto *of)
{
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < of->n_node; i++) {
        const Onnx__NodeProto *node = of->node[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s(", i > 0 ? "; " : "", node->op_type);
        for (size_t j = 0; j < node->n_input; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", j > 0 ? "," : "", node->input[j]);
        used += (size_t)snprintf(text + used, sizeof text - used, ")->");
        for (size_t j = 0; j < node->n_output; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", j > 0 ? "," : "", node->output[j]);
    }
    return text;
}

START_TEST(body_replaces_the_call_with_fresh_names)
{
    start();
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a,b", "c", 13);
    build_function_node(f, "Mul", "a,b", "t");
    build_function_node(f, "Relu", "t", "c");
    build_node(graph, "local:F", "x,x", "y");
    build_node(graph, "local:F", "y,x", "z");
    assert_ok(mary_model_inline_functions(model, NULL));
    ck_assert_str_eq(text_of(graph), "Mul(x,x)->y/t; Relu(y/t)->y; Mul(y,x)->z/t; Relu(z/t)->z");
    ck_assert_uint_eq(model->proto->n_functions, 0);
    ck_assert_str_ne(graph->node[0]->name, graph->node[2]->name);
    mary_model_free(&model);
}
END_TEST

START_TEST(absent_inputs_and_outputs_stay_absent)
{
    start();
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a,low,high", "c,d", 13);
    build_function_node(f, "Clip", "a,low,high", "c");
    build_function_node(f, "Neg", "c", "d");
    build_node(graph, "local:F", "x,,h", ",y");
    build_node(graph, "local:F", "x", "z");
    assert_ok(mary_model_inline_functions(model, NULL));
    ck_assert_str_eq(text_of(graph), "Clip(x,,h)->F -> y/c; Neg(F -> y/c)->y; Clip(x,,)->z; Neg(z)->z/d");
    mary_model_free(&model);
}
END_TEST

static void add_default(Onnx__FunctionProto *function, const char *name, int64_t value)
{
    Onnx__NodeProto *holder;
    assert_ok(mary_node_create("", "Holder", "", NULL, 0, NULL, 0, &holder));
    assert_ok(mary_node_set_int(holder, name, value));
    size_t size = onnx__attribute_proto__get_packed_size(holder->attribute[0]);
    uint8_t *data = mary_alloc(size + 1);
    data[0] = (uint8_t)size;
    onnx__attribute_proto__pack(holder->attribute[0], data + 1);
    mary_node_free(holder);
    function->base.unknown_fields = mary_calloc(1, sizeof(ProtobufCMessageUnknownField));
    function->base.n_unknown_fields = 1;
    function->base.unknown_fields[0] = (ProtobufCMessageUnknownField){
        .tag = 11, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = size + 1, .data = data};
}

START_TEST(attribute_references_take_the_calls_value_or_the_default)
{
    start();
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a", "c", 13);
    Onnx__NodeProto *body = build_function_node(f, "Softmax", "a", "c");
    assert_ok(mary_node_set_reference(body, "axis", "the_axis", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
    assert_ok(mary_node_set_reference(body, "other", "nowhere", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
    add_default(f, "the_axis", 7);
    assert_ok(mary_node_set_int(build_node(graph, "local:F", "x", "y"), "the_axis", 2));
    build_node(graph, "local:F", "x", "z");
    build_input(graph, "x", MARY_FLOAT, SHAPE(2, 2));
    model = build_reload(model); /* the default is an unknown field of a real file, too */
    graph = model->proto->graph;
    assert_ok(mary_model_inline_functions(model, NULL));
    for (int i = 0; i < 2; i++) {
        int64_t axis;
        assert_ok(mary_attribute_int(graph->node[i], "axis", -1, &axis));
        ck_assert_int_eq(axis, i == 0 ? 2 : 7);
        ck_assert_uint_eq(graph->node[i]->n_attribute, 1);
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(references_and_names_inside_subgraphs_are_adapted)
{
    start();
    Onnx__FunctionProto *f = build_function(model, "local", "F", "c,a", "y", 13);
    Onnx__GraphProto *branch = build_graph("branch");
    Onnx__NodeProto *inside = build_node(branch, "Softmax", "a", "inner");
    assert_ok(mary_node_set_reference(inside, "axis", "the_axis", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
    build_output(branch, "inner", MARY_FLOAT, SHAPE());
    Onnx__NodeProto *condition = build_function_node(f, "If", "c", "y");
    assert_ok(mary_node_set_graph(condition, "then_branch", branch));
    build_node(graph, "Neg", "x", "inner");
    assert_ok(mary_node_set_int(build_node(graph, "local:F", "cond,inner", "out"), "the_axis", 3));
    assert_ok(mary_model_inline_functions(model, NULL));
    const Onnx__GraphProto *inlined = graph->node[1]->attribute[0]->g;
    ck_assert_str_eq(text_of(inlined), "Softmax(inner)->out/inner");
    ck_assert_str_eq(inlined->output[0]->name, "out/inner");
    int64_t axis;
    assert_ok(mary_attribute_int(inlined->node[0], "axis", -1, &axis));
    ck_assert_int_eq(axis, 3);
    mary_model_free(&model);
}
END_TEST

START_TEST(functions_call_functions_and_some_domains_are_kept)
{
    start();
    Onnx__FunctionProto *kept = build_function(model, "ai.mary", "K", "a", "b", 13);
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a", "b", 13);
    Onnx__FunctionProto *g = build_function(model, "local", "G", "a", "b", 13);
    build_function_node(kept, "local:G", "a", "b");
    build_function_node(f, "local:G", "a", "t");
    build_function_node(f, "ai.mary:K", "t", "b");
    build_function_node(g, "Abs", "a", "t");
    build_function_node(g, "Sqrt", "t", "b");
    build_node(graph, "local:F", "x", "y");
    assert_ok(mary_model_inline_functions(model, "ai.mary"));
    ck_assert_str_eq(text_of(graph), "Abs(x)->y/t_1/t; Sqrt(y/t_1/t)->y/t; K(y/t)->y");
    ck_assert_uint_eq(model->proto->n_functions, 1);
    ck_assert_str_eq(model->proto->functions[0]->name, "K");
    ck_assert_uint_eq(model->proto->functions[0]->n_node, 2);
    mary_model_free(&model);
}
END_TEST

START_TEST(output_that_is_an_input_or_listed_twice_gets_an_identity)
{
    start();
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a", "a,b,b", 13);
    build_function_node(f, "Neg", "a", "b");
    build_node(graph, "local:F", "x", "p,q,r");
    assert_ok(mary_model_inline_functions(model, NULL));
    ck_assert_str_eq(text_of(graph), "Neg(x)->q; Identity(x)->p; Identity(q)->r");
    mary_model_free(&model);
}
END_TEST

START_TEST(recursion_is_refused)
{
    start();
    build_function_node(build_function(model, "local", "F", "a", "b", 13), "local:G", "a", "b");
    build_function_node(build_function(model, "local", "G", "a", "b", 13), "local:F", "a", "b");
    build_node(graph, "local:F", "x", "y");
    assert_fails(mary_model_inline_functions(model, NULL), MARY_ERROR_INVALID, "calls itself");
    mary_model_free(&model);
}
END_TEST

START_TEST(exponential_expansion_is_refused)
{
    start();
    char name[8] = "F0", callee[16];
    build_function_node(build_function(model, "local", name, "a", "b", 13), "Neg", "a", "b");
    for (int i = 1; i < 20; i++) {
        snprintf(name, sizeof name, "F%d", i);
        snprintf(callee, sizeof callee, "local:F%d", i - 1);
        Onnx__FunctionProto *f = build_function(model, "local", name, "a", "b", 13);
        for (int j = 0; j < 10; j++) {
            char in[4] = "t0", out[4] = "t0";
            in[1] = (char)('0' + j - 1), out[1] = (char)('0' + j);
            build_function_node(f, callee, j == 0 ? "a" : in, j == 9 ? "b" : out);
        }
    }
    build_node(graph, "local:F19", "x", "y");
    assert_fails(mary_model_inline_functions(model, NULL), MARY_ERROR_INVALID, "expand to more than");
    mary_model_free(&model);
}
END_TEST

START_TEST(failed_allocation_is_a_status)
{
    for (int64_t n = 0;; n++) {
        start();
        Onnx__FunctionProto *f = build_function(model, "local", "F", "a,b", "c", 13);
        Onnx__NodeProto *body = build_function_node(f, "Softmax", "a", "t");
        assert_ok(mary_node_set_reference(body, "axis", "axis", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
        add_default(f, "axis", 1);
        build_function_node(f, "Relu", "t", "c");
        build_node(graph, "local:F", "x,x", "y");
        mary_memory_fail_after(n);
        mary_status status = mary_model_inline_functions(model, NULL);
        mary_memory_fail_after(-1);
        mary_model_free(&model);
        if (status == MARY_OK)
            break;
        ck_assert(n < 10000);
    }
}
END_TEST

MARY_TEST_MAIN("onnx/inline", body_replaces_the_call_with_fresh_names, absent_inputs_and_outputs_stay_absent,
               attribute_references_take_the_calls_value_or_the_default,
               references_and_names_inside_subgraphs_are_adapted, functions_call_functions_and_some_domains_are_kept,
               output_that_is_an_input_or_listed_twice_gets_an_identity, recursion_is_refused,
               exponential_expansion_is_refused, failed_allocation_is_a_status)
