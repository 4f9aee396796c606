/* Every clean-up pass gives the graph that it should, and leaves alone what it must. */
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#include "convert/passes/passes.h"
#include "tests/support/graph_match.h"
#include "tests/support/model_builder.h"

static void float_input(mary_model *model)
{
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, 2, 3, 3));
}
static void float_output(mary_model *model)
{
    build_output(model->proto->graph, "y", MARY_FLOAT, SHAPE(-1, 2, 3, 3));
}

typedef mary_status pass(mary_model *model, mary_convert_report *report);

/* Runs the passes, NULL last, and drops what they left unused. */
static mary_convert_report *apply(mary_model *model, pass *first, pass *second)
{
    mary_convert_report *report;
    assert_ok(mary_convert_report_create(&report));
    assert_ok(first(model, report));
    if (second != NULL)
        assert_ok(second(model, report));
    return report;
}

static void check(mary_model *model, mary_model *expected, pass *first, pass *second)
{
    mary_convert_report *report = apply(model, first, second);
    assert_graph(model, expected);
    mary_convert_report_free(&report);
    model = build_reload(model); /* still valid */
    mary_model_free(&model);
    mary_model_free(&expected);
}

static const float weight[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

START_TEST(matcher_sees_every_kind_of_difference)
{
    char where[512];
    for (int change = 0; change < 8; change++) {
        mary_model *models[2];
        for (int i = 0; i < 2; i++) {
            bool c = i == 1;
            mary_model *model = models[i] = build_model(13);
            Onnx__GraphProto *graph = model->proto->graph;
            float_input(model);
            float_output(model);
            build_floats(graph, i == 0 ? "w" : "v", SHAPE(1), c && change == 1 ? weight + 1 : weight);
            Onnx__NodeProto *node =
                build_node(graph, c && change == 2 ? "Sub" : "Add", i == 0 ? "x,w" : "x,v", i == 0 ? "a" : "b");
            if (c && change == 3)
                assert_ok(mary_node_set_int(node, "axis", 1));
            build_node(graph, "Mul", i == 0 ? "a,a" : change == 4 ? "b,x" : "b,b", "y");
            if (c && change == 5)
                build_node(graph, "Relu", "x", "unused");
            if (c && change == 6)
                build_floats(graph, "spare", SHAPE(1), weight);
            if (c && change == 7)
                build_input(graph, "z", MARY_FLOAT, SHAPE(1));
        }
        bool same = graph_match(models[0], models[1], where, sizeof where);
        ck_assert_msg(same == (change == 0), "change %d: %s", change, where);
        ck_assert(same || where[0] != '\0');
        mary_model_free(&models[0]);
        mary_model_free(&models[1]);
    }
}
END_TEST

START_TEST(constant_nodes_and_what_follows_from_them_are_folded)
{
    mary_model *model = build_model(13), *expected = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float_input(model);
    float_output(model);
    Onnx__NodeProto *constant = build_node(graph, "Constant", "", "c");
    assert_ok(mary_node_set_ints(constant, "value_ints", (int64_t[]){1, 2, 1, 1}, 4));
    build_floats(graph, "w", SHAPE(2), weight);
    build_node(graph, "Reshape", "w,c", "r");
    build_node(graph, "Identity", "r", "i");
    Onnx__NodeProto *transpose = build_node(graph, "Transpose", "i", "t");
    assert_ok(mary_node_set_ints(transpose, "perm", (int64_t[]){0, 1, 3, 2}, 4));
    build_node(graph, "Add", "x,t", "y");

    float_input(expected);
    float_output(expected);
    build_floats(expected->proto->graph, "w", SHAPE(1, 2, 1, 1), weight);
    build_node(expected->proto->graph, "Add", "x,w", "y");
    check(model, expected, mary_pass_fold_constants, mary_pass_drop_unused);
}
END_TEST

START_TEST(folding_never_blows_the_file_up)
{
    for (int i = 0; i < 2; i++) { /* the same graph, folded and as it was */
        mary_model *model = build_model(13), *expected = build_model(13);
        mary_model *models[2] = {model, expected};
        for (int k = 0; k < 2; k++) {
            Onnx__GraphProto *graph = models[k]->proto->graph;
            build_input(graph, "x", MARY_FLOAT, SHAPE(-1));
            build_output(graph, "y", MARY_FLOAT, SHAPE(-1));
            build_floats(graph, "w", SHAPE(16), weight);
            if (i == 0) { /* 64 bytes to 6.4 MB */
                build_ints(graph, "shape", SHAPE(2), (int64_t[]){100000, 16});
                build_node(graph, "Expand", "w,shape", "e");
            } else { /* quantised weights stay quantised */
                build_constant(graph, "q", MARY_INT8, SHAPE(16), "abcdefghijklmnop");
                build_floats(graph, "s", SHAPE(), weight);
                build_node(graph, "DequantizeLinear", "q,s", "e");
                build_node(graph, "Add", "x,w", "x2");
            }
            build_node(graph, "Add", i == 0 ? "x,e" : "x2,e", "y");
        }
        check(model, expected, mary_pass_fold_constants, NULL);
    }
}
END_TEST

START_TEST(identity_dropout_and_empty_pads_are_taken_out)
{
    mary_model *model = build_model(13), *expected = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float_input(model);
    float_output(model);
    build_node(graph, "Identity", "x", "a");
    build_node(graph, "Relu", "a", "b");
    build_node(graph, "Dropout", "b", "c,mask");
    build_node(graph, "Identity", "c", "d");
    const int64_t pads[8] = {0};
    build_ints(graph, "pads", SHAPE(8), pads);
    build_node(graph, "Pad", "d,pads", "d2");
    build_node(graph, "Neg", "d2", "e");
    build_node(graph, "Identity", "e", "y"); /* the output keeps its name */
    float_input(expected);
    float_output(expected);
    build_node(expected->proto->graph, "Relu", "x", "r");
    build_node(expected->proto->graph, "Neg", "r", "y");
    check(model, expected, mary_pass_remove_identity, mary_pass_drop_unused);
}
END_TEST

START_TEST(identity_that_names_two_outputs_or_an_input_and_training_dropout_stay)
{
    mary_model *models[2] = {build_model(13), build_model(13)};
    for (int k = 0; k < 2; k++) {
        Onnx__GraphProto *graph = models[k]->proto->graph;
        float_input(models[k]);
        float_output(models[k]);
        build_output(graph, "z", MARY_FLOAT, SHAPE(-1, 2, 3, 3));
        build_output(graph, "same", MARY_FLOAT, SHAPE(-1, 2, 3, 3));
        build_constant(graph, "ratio", MARY_FLOAT, SHAPE(), weight);
        build_constant(graph, "training", MARY_BOOL, SHAPE(), "\1");
        build_node(graph, "Dropout", "x,ratio,training", "a");
        build_node(graph, "Relu", "a", "y");
        build_node(graph, "Identity", "y", "z");
        build_node(graph, "Identity", "x", "same");
    }
    check(models[0], models[1], mary_pass_remove_identity, NULL);
}
END_TEST

static void batchnorm(Onnx__GraphProto *graph, const char *input, const char *output, const float *parameters)
{
    static const char *const names[] = {"scale", "shift", "mean", "variance"};
    char inputs[128];
    for (int i = 0; i < 4; i++)
        build_floats(graph, names[i], SHAPE(2), parameters + 2 * i);
    snprintf(inputs, sizeof inputs, "%s,scale,shift,mean,variance", input);
    assert_ok(mary_node_set_float(build_node(graph, "BatchNormalization", inputs, output), "epsilon", 0.0f));
}

static const float parameters[8] = {2, 3, 0.5f, -1, 1, 2, 4, 0.25f}; /* y = x * {1, 6} + {-0.5, -13} */

START_TEST(batchnorm_folds_into_conv_with_and_without_bias_and_across_add)
{
    for (int bias = 0; bias < 3; bias++) {
        mary_model *model = build_model(13), *expected = build_model(13);
        Onnx__GraphProto *graph = model->proto->graph;
        float_input(model);
        float_output(model);
        build_floats(graph, "w", SHAPE(2, 2, 2, 1), weight);
        build_floats(graph, "b", bias == 2 ? SHAPE(1, 2, 1, 1) : SHAPE(2), weight + 4);
        build_node(graph, "Conv", bias == 1 ? "x,w,b" : "x,w", "c");
        if (bias == 2)
            build_node(graph, "Add", "b,c", "c2");
        batchnorm(graph, bias == 2 ? "c2" : "c", "n", parameters);
        build_node(graph, "Relu", "n", "y");

        float scaled[8], shift[2];
        for (int i = 0; i < 8; i++)
            scaled[i] = weight[i] * (i < 4 ? 1 : 6);
        shift[0] = -0.5f + (bias > 0 ? 5 : 0);
        shift[1] = -13 + (bias > 0 ? 36 : 0);
        float_input(expected);
        float_output(expected);
        build_floats(expected->proto->graph, "w", SHAPE(2, 2, 2, 1), scaled);
        build_floats(expected->proto->graph, "b", SHAPE(2), shift);
        build_node(expected->proto->graph, "Conv", "x,w,b", "c");
        build_node(expected->proto->graph, "Relu", "c", "y");
        check(model, expected, mary_pass_fold_batchnorm, mary_pass_drop_unused);
    }
}
END_TEST

START_TEST(batchnorm_folds_into_grouped_conv_transpose_and_gemm)
{
    for (int kind = 0; kind < 3; kind++) {
        mary_model *model = build_model(13), *expected = build_model(13);
        mary_model *models[2] = {model, expected};
        float scaled[8];
        for (int i = 0; i < 8; i++) /* ConvTranspose: group i/4 of one output; Gemm: columns, or rows with transB */
            scaled[i] = weight[i] * ((kind == 0 ? i / 4 : kind == 1 ? i % 2 : i / 4) == 0 ? 1 : 6);
        for (int k = 0; k < 2; k++) {
            Onnx__GraphProto *graph = models[k]->proto->graph;
            mary_shape shape = kind == 0 ? SHAPE(4, 1, 2) : kind == 1 ? SHAPE(4, 2) : SHAPE(2, 4);
            build_input(graph, "x", MARY_FLOAT, kind == 0 ? SHAPE(-1, 4, 5) : SHAPE(-1, 4));
            build_output(graph, "y", MARY_FLOAT, kind == 0 ? SHAPE(-1, 2, 6) : SHAPE(-1, 2));
            build_floats(graph, "w", shape, k == 0 ? weight : scaled);
            /* Gemm's bias comes with a factor */
            build_floats(graph, "b", SHAPE(2),
                         k == 0      ? (float[]){1, 2}
                         : kind == 0 ? (float[]){0.5f, -1}
                                     : (float[]){1.5f, 11});
            Onnx__NodeProto *node =
                build_node(graph, kind == 0 ? "ConvTranspose" : "Gemm", "x,w,b", k == 0 ? "c" : "y");
            if (kind == 0)
                assert_ok(mary_node_set_int(node, "group", 2));
            if (kind == 2)
                assert_ok(mary_node_set_int(node, "transB", 1));
            if (kind > 0 && k == 0)
                assert_ok(mary_node_set_float(node, "beta", 2.0f));
            if (k == 0)
                batchnorm(graph, "c", "y", parameters);
        }
        check(model, expected, mary_pass_fold_batchnorm, mary_pass_drop_unused);
    }
}
END_TEST

START_TEST(weight_that_others_use_is_copied_when_batchnorm_is_folded)
{
    mary_model *model = build_model(13), *expected = build_model(13);
    mary_model *models[2] = {model, expected};
    float scaled[4] = {1, 2, 18, 24}, shift[2] = {-0.5f, -13};
    for (int k = 0; k < 2; k++) {
        Onnx__GraphProto *graph = models[k]->proto->graph;
        float_input(models[k]);
        float_output(models[k]);
        build_floats(graph, "w", SHAPE(2, 2, 1, 1), weight);
        build_node(graph, "Conv", "x,w", "a");
        if (k == 1) {
            build_floats(graph, "v", SHAPE(2, 2, 1, 1), scaled);
            build_floats(graph, "b", SHAPE(2), shift);
        }
        build_node(graph, "Conv", k == 0 ? "x,w" : "x,v,b", "c");
        if (k == 0)
            batchnorm(graph, "c", "n", parameters);
        build_node(graph, "Add", k == 0 ? "a,n" : "a,c", "y");
    }
    check(model, expected, mary_pass_fold_batchnorm, mary_pass_drop_unused);
}
END_TEST

START_TEST(batchnorm_is_left_alone_when_its_input_is_used_elsewhere_or_it_trains)
{
    for (int kind = 0; kind < 3; kind++) {
        mary_model *models[2] = {build_model(14), build_model(14)};
        for (int k = 0; k < 2; k++) {
            Onnx__GraphProto *graph = models[k]->proto->graph;
            float_input(models[k]);
            float_output(models[k]);
            build_floats(graph, "w", SHAPE(2, 2, 1, 1), weight);
            build_node(graph, "Conv", "x,w", "c");
            batchnorm(graph, "c", kind == 0 ? "n" : "y", parameters);
            if (kind == 0)
                build_node(graph, "Add", "c,n", "y");
            else if (kind == 1)
                assert_ok(mary_node_set_int(graph->node[1], "training_mode", 1));
            else
                build_output(graph, "c", MARY_FLOAT, SHAPE(-1, 2, 3, 3));
        }
        check(models[0], models[1], mary_pass_fold_batchnorm, NULL);
    }
}
END_TEST

START_TEST(equal_tensors_become_one_and_others_do_not)
{
    mary_model *model = build_model(13), *expected = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float_input(model);
    float_output(model);
    build_floats(graph, "a", SHAPE(2, 2, 1, 1), weight);
    build_floats(graph, "b", SHAPE(2, 2, 1, 1), weight);     /* the same */
    build_floats(graph, "c", SHAPE(2, 2, 1, 1), weight + 1); /* other values */
    build_floats(graph, "d", SHAPE(4, 1, 1, 1), weight);     /* other shape */
    build_node(graph, "Conv", "x,a", "1");
    build_node(graph, "Conv", "1,b", "2");
    build_node(graph, "Conv", "2,c", "3");
    build_node(graph, "Conv", "3,d", "y");
    graph = expected->proto->graph;
    float_input(expected);
    float_output(expected);
    build_floats(graph, "a", SHAPE(2, 2, 1, 1), weight);
    build_floats(graph, "c", SHAPE(2, 2, 1, 1), weight + 1);
    build_floats(graph, "d", SHAPE(4, 1, 1, 1), weight);
    build_node(graph, "Conv", "x,a", "1");
    build_node(graph, "Conv", "1,a", "2");
    build_node(graph, "Conv", "2,c", "3");
    build_node(graph, "Conv", "3,d", "y");
    check(model, expected, mary_pass_deduplicate, NULL);
}
END_TEST

START_TEST(initializers_that_only_a_subgraph_or_an_output_uses_are_live)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "condition", MARY_BOOL, SHAPE());
    build_output(graph, "y", MARY_FLOAT, SHAPE(2));
    build_output(graph, "out", MARY_FLOAT, SHAPE(2));
    build_floats(graph, "inner", SHAPE(2), weight);
    build_floats(graph, "out", SHAPE(2), weight);
    build_floats(graph, "dead", SHAPE(2), weight);
    Onnx__NodeProto *node = build_node(graph, "If", "condition", "y");
    for (int i = 0; i < 2; i++) {
        Onnx__GraphProto *body = build_graph(i == 0 ? "then" : "else");
        build_output(body, "result", MARY_FLOAT, SHAPE(2));
        build_node(body, i == 0 ? "Neg" : "Abs", "inner", "result");
        assert_ok(mary_node_set_graph(node, i == 0 ? "then_branch" : "else_branch", body));
    }
    mary_convert_report *report = apply(model, mary_pass_drop_unused, mary_pass_deduplicate);
    ck_assert_uint_eq(graph->n_initializer, 2);
    ck_assert_str_eq(graph->initializer[0]->name, "inner");
    ck_assert_str_eq(graph->initializer[1]->name, "out");
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

START_TEST(inputs_with_a_value_are_dropped_below_ir_4_and_parameters_always)
{
    for (int ir = 3; ir <= 8; ir += 5) {
        mary_model *model = build_model(9);
        Onnx__GraphProto *graph = model->proto->graph;
        model->proto->ir_version = ir;
        float_input(model);
        float_output(model);
        build_input(graph, "w", MARY_FLOAT, SHAPE(2, 2, 1, 1));
        build_input(graph, "c", MARY_FLOAT, SHAPE());
        build_floats(graph, "w", SHAPE(2, 2, 1, 1), weight);
        build_floats(graph, "c", SHAPE(), weight);
        build_node(graph, "Conv", "x,w", "a");
        build_node(graph, "Mul", "a,c", "y");
        mary_convert_report *report = apply(model, mary_pass_inputs, NULL);
        ck_assert_uint_eq(graph->n_input, ir == 3 ? 1 : 2); /* from 4 on, "c" is a default that callers may replace */
        ck_assert_int_ge(model->proto->ir_version, 4);
        ck_assert_ptr_nonnull(mary_convert_warning(report, 0));
        ck_assert_ptr_nonnull(strstr(mary_convert_warning(report, 0), "'w'"));
        mary_convert_report_free(&report);
        mary_model_free(&model);
    }
}
END_TEST

MARY_TEST_MAIN("convert/passes", matcher_sees_every_kind_of_difference,
               constant_nodes_and_what_follows_from_them_are_folded, folding_never_blows_the_file_up,
               identity_dropout_and_empty_pads_are_taken_out,
               identity_that_names_two_outputs_or_an_input_and_training_dropout_stay,
               batchnorm_folds_into_conv_with_and_without_bias_and_across_add,
               batchnorm_folds_into_grouped_conv_transpose_and_gemm,
               weight_that_others_use_is_copied_when_batchnorm_is_folded,
               batchnorm_is_left_alone_when_its_input_is_used_elsewhere_or_it_trains,
               equal_tensors_become_one_and_others_do_not, initializers_that_only_a_subgraph_or_an_output_uses_are_live,
               inputs_with_a_value_are_dropped_below_ir_4_and_parameters_always)
