/* Opset upgrades, structurally. What the rewritten graphs compute is compared with ONNX Runtime by upgrade_test.py,
 * which uses this program: test_upgrade IN.onnx OUT.onnx OPSET. */
#include "tests/support/model_builder.h"

#include <stdio.h>
#include <string.h>

static mary_model *model;
static Onnx__GraphProto *graph;

static void start(int64_t opset)
{
    model = build_model(opset);
    graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(2, 3, 4));
}

static const char *types(const Onnx__GraphProto *of)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < of->n_node; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? " " : "", of->node[i]->op_type);
    return text;
}

START_TEST(newer_or_equal_is_no_change)
{
    start(13);
    build_node(graph, "Softmax", "x", "y");
    assert_ok(mary_model_upgrade(model, 11));
    assert_ok(mary_model_upgrade(model, 13));
    ck_assert_int_eq(mary_model_opset(model, ""), 13);
    ck_assert_str_eq(types(graph), "Softmax");
    mary_model_free(&model);
}
END_TEST

START_TEST(attributes_become_inputs)
{
    start(7);
    assert_ok(mary_node_set_ints(build_node(graph, "Squeeze", "x", "y"), "axes", (int64_t[]){0}, 1));
    assert_ok(mary_model_upgrade(model, 13));
    ck_assert_int_eq(mary_model_opset(model, ""), 13);
    ck_assert_str_eq(types(graph), "Constant Squeeze");
    ck_assert_uint_eq(graph->node[1]->n_attribute, 0);
    ck_assert_str_eq(graph->node[1]->input[1], graph->node[0]->output[0]);
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(clip_bounds_have_the_type_of_the_data)
{
    start(7);
    build_input(graph, "h", MARY_FLOAT16, SHAPE(2));
    build_node(graph, "Relu", "h", "r");
    Onnx__NodeProto *clip = build_node(graph, "Clip", "r", "y");
    assert_ok(mary_node_set_float(clip, "max", 6));
    assert_ok(mary_model_upgrade(model, 11));
    ck_assert_str_eq(types(graph), "Relu Constant Clip");
    ck_assert_int_eq(graph->node[1]->attribute[0]->t->data_type, MARY_FLOAT16);
    ck_assert_uint_eq(graph->node[2]->n_input, 3);
    ck_assert_str_eq(graph->node[2]->input[1], "");
    mary_model_free(&model);
}
END_TEST

START_TEST(softmax_is_rewritten_only_when_the_axis_is_not_last)
{
    start(11);
    build_output(graph, "z", MARY_FLOAT, SHAPE(-1));
    assert_ok(mary_node_set_int(build_node(graph, "Softmax", "x", "y"), "axis", 2));
    build_node(graph, "Softmax", "y", "z");
    assert_ok(mary_model_upgrade(model, 13));
    ck_assert_str_eq(types(graph), "Softmax Shape Flatten Softmax Reshape");
    ck_assert_str_eq(graph->node[4]->output[0], "z");
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(subgraphs_and_functions_are_upgraded)
{
    start(11);
    Onnx__GraphProto *branch = build_graph("branch");
    assert_ok(mary_node_set_ints(build_node(branch, "Unsqueeze", "x", "inner"), "axes", (int64_t[]){0}, 1));
    build_output(branch, "inner", MARY_FLOAT, SHAPE(1, 2, 3, 4));
    assert_ok(mary_node_set_graph(build_node(graph, "If", "x", "y"), "then_branch", branch));
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a", "b", 11);
    assert_ok(mary_node_set_ints(build_function_node(f, "ReduceSum", "a", "b"), "axes", (int64_t[]){1}, 1));
    assert_ok(mary_model_upgrade(model, 13));
    ck_assert_str_eq(types(graph->node[0]->attribute[0]->g), "Constant Unsqueeze");
    ck_assert_uint_eq(f->n_node, 2);
    ck_assert_int_eq(f->opset_import[0]->version, 13);
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(inlining_brings_functions_to_the_models_opset)
{
    start(13);
    Onnx__FunctionProto *f = build_function(model, "local", "F", "a", "b", 11);
    assert_ok(mary_node_set_ints(build_function_node(f, "ReduceSum", "a", "b"), "axes", (int64_t[]){1}, 1));
    build_node(graph, "local:F", "x", "y");
    assert_ok(mary_model_inline_functions(model, NULL));
    ck_assert_str_eq(types(graph), "Constant ReduceSum");
    assert_ok(mary_model_check(model));
    mary_model_free(&model);
}
END_TEST

START_TEST(what_cannot_be_upgraded_is_named)
{
    start(8);
    build_node(graph, "Scan", "x", "y");
    assert_fails(mary_model_upgrade(model, 13), MARY_ERROR_UNSUPPORTED,
                 "node 'y' (Scan) cannot be upgraded to opset 9");
    mary_model_free(&model);
    start(7);
    assert_ok(mary_node_set_int(build_node(graph, "BatchNormalization", "x,x,x,x,x", "y"), "spatial", 0));
    assert_fails(mary_model_upgrade(model, 13), MARY_ERROR_UNSUPPORTED, "spatial is 0");
    mary_model_free(&model);
    start(7);
    build_node(graph, "Dropout", "x", "y,mask");
    build_node(graph, "Neg", "mask", "z");
    assert_fails(mary_model_upgrade(model, 13), MARY_ERROR_UNSUPPORTED, "mask");
    mary_model_free(&model);
    start(10);
    build_input(graph, "scales", MARY_FLOAT, SHAPE(3));
    build_node(graph, "Resize", "x,scales", "y");
    assert_fails(mary_model_upgrade(model, 13), MARY_ERROR_UNSUPPORTED, "'scales' are not constant");
    mary_model_free(&model);
    start(6);
    assert_fails(mary_model_upgrade(model, 13), MARY_ERROR_UNSUPPORTED, "opset 6 is older than 7");
    mary_model_free(&model);
    start(13);
    assert_fails(mary_model_upgrade(model, 1000), MARY_ERROR_UNSUPPORTED, "opset 1000");
    mary_model_free(&model);
}
END_TEST

START_TEST(failed_allocation_is_a_status)
{
    for (int64_t n = 0;; n++) {
        start(9);
        build_floats(graph, "scales", SHAPE(3), (float[]){1, 2, 0.5f});
        build_node(graph, "Upsample", "x,scales", "a");
        assert_ok(mary_node_set_float(build_node(graph, "Clip", "a", "b"), "max", 6));
        build_node(graph, "Softmax", "b", "c");
        build_node(graph, "Dropout", "c", "d");
        mary_memory_fail_after(n);
        mary_status status = mary_model_upgrade(model, 13);
        mary_memory_fail_after(-1);
        mary_model_free(&model);
        if (status == MARY_OK)
            break;
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
        ck_assert(n < 10000);
    }
}
END_TEST

static const TTest *const *all_tests(size_t *count)
{
    static const TTest *tests[9];
    size_t n = 0;
    tests[n++] = newer_or_equal_is_no_change;
    tests[n++] = attributes_become_inputs;
    tests[n++] = clip_bounds_have_the_type_of_the_data;
    tests[n++] = softmax_is_rewritten_only_when_the_axis_is_not_last;
    tests[n++] = subgraphs_and_functions_are_upgraded;
    tests[n++] = inlining_brings_functions_to_the_models_opset;
    tests[n++] = what_cannot_be_upgraded_is_named;
    tests[n++] = failed_allocation_is_a_status;
    *count = n;
    return tests;
}

static int upgrade_file(const char *from, const char *to, const char *opset)
{
    mary_status status = mary_model_load(from, &model);
    if (status == MARY_OK)
        status = mary_model_upgrade(model, atoi(opset));
    if (status == MARY_OK)
        status = mary_model_check(model);
    if (status == MARY_OK)
        status = mary_model_save(model, to);
    if (status != MARY_OK)
        fprintf(stderr, "%s\n", mary_error_message());
    mary_model_free(&model);
    return (int)status;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return upgrade_file(argv[1], argv[2], argv[3]);
    size_t count;
    const TTest *const *tests = all_tests(&count);
    return mary_test_main("onnx/upgrade", tests, count);
}
