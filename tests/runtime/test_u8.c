/* Integer subgraphs compute what the float operators between DequantizeLinear and QuantizeLinear compute, to within one
 * step of the result's scale, and exactly where values are only moved. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/program.h"

/* x float [N,8,6,6] -> QuantizeLinear -> q, with scale 0.05 and zero point 100; "s", "z" are these. */
static mary_model *quantised_input(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 8, 6, 6));
    build_floats(graph, "s", SHAPE(), (const float[]){0.05f});
    build_constant(graph, "z", MARY_UINT8, SHAPE(), (const uint8_t[]){100});
    build_floats(graph, "s2", SHAPE(), (const float[]){0.03f});
    build_constant(graph, "z2", MARY_UINT8, SHAPE(), (const uint8_t[]){30});
    build_constant(graph, "zero", MARY_UINT8, SHAPE(), (const uint8_t[]){0});
    build_node(graph, "QuantizeLinear", "x,s,z", "q");
    return model;
}

/* u8 `value` -> DequantizeLinear -> graph output "y" of this shape. */
static void finish(mary_model *model, const char *value, const char *scale, const char *zero_point, mary_shape shape)
{
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s,%s,%s", value, scale, zero_point);
    build_node(model->proto->graph, "DequantizeLinear", inputs, "y");
    build_output(model->proto->graph, "y", MARY_FLOAT, shape);
}

static mary_array run_model(const mary_model *model, bool fuse)
{
    static float x[3 * 8 * 36];
    mary_model *copy;
    mary_session *session = NULL;
    mary_array output,
        input = {.name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {3, 8, 6, 6}, .data = x, .bytes = sizeof x};
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        x[i] = 6.0f * sinf((float)(i * i % 977) * 0.7f);
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.no_fusion = !fuse, .threads = 1}, &session));
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    mary_session_free(&session);
    return output;
}

/* At most `allowed` from the model run as it is written, and these operators left. Frees the model. */
static void check(mary_model *model, float allowed, const char *expected)
{
    mary_array fused = run_model(model, true), apart = run_model(model, false);
    ck_assert_uint_eq(fused.bytes, apart.bytes);
    for (size_t i = 0; i < fused.bytes / sizeof(float); i++)
        ck_assert_float_le(fabsf(((float *)fused.data)[i] - ((float *)apart.data)[i]), allowed);
    mary_array_free(&fused);
    mary_array_free(&apart);

    mary_program *program = NULL;
    char labels[400] = "";
    assert_ok(mary_program_create(&model, mary_cpu_best(), true, NULL, &program));
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed)
            strcat(strcat(labels, program->nodes[i].label), " ");
    }
    ck_assert_str_eq(labels, expected);
    mary_program_free(&program);
}

START_TEST(pooling_stays_on_bytes)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    Onnx__NodeProto *pool = build_node(graph, "MaxPool", "f", "p");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (const int64_t[]){2, 2}, 2));
    assert_ok(mary_node_set_ints(pool, "strides", (const int64_t[]){2, 2}, 2));
    build_node(graph, "QuantizeLinear", "p,s,z", "r");
    finish(model, "r", "s", "z", SHAPE(-1, 8, 3, 3));
    check(model, 0, "QuantizeLinear MaxPool DequantizeLinear ");
}
END_TEST

START_TEST(other_parameters_keep_pooling_in_float)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    Onnx__NodeProto *pool = build_node(graph, "MaxPool", "f", "p");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (const int64_t[]){2, 2}, 2));
    build_node(graph, "QuantizeLinear", "p,s2,z", "r");
    finish(model, "r", "s2", "z", SHAPE(-1, 8, 5, 5));
    check(model, 0, "QuantizeLinear DequantizeLinear MaxPool QuantizeLinear DequantizeLinear ");
}
END_TEST

START_TEST(padding_is_the_zero_point)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    const int64_t pads[] = {0, 0, 1, 1, 0, 0, 2, 0};
    build_ints(graph, "pads", SHAPE(8), pads);
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    build_node(graph, "Pad", "f,pads", "p");
    build_node(graph, "QuantizeLinear", "p,s,z", "r");
    finish(model, "r", "s", "z", SHAPE(-1, 8, 9, 7));
    check(model, 0, "QuantizeLinear Pad DequantizeLinear ");
}
END_TEST

START_TEST(every_half_of_a_split_is_moved)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    assert_ok(mary_node_set_int(build_node(graph, "Split", "f", "a,b"), "axis", 1));
    build_node(graph, "QuantizeLinear", "a,s,z", "qa");
    build_node(graph, "QuantizeLinear", "b,s,z", "qb");
    build_node(graph, "DequantizeLinear", "qb,s,z", "fb");
    build_node(graph, "DequantizeLinear", "qa,s,z", "fa");
    assert_ok(mary_node_set_int(build_node(graph, "Concat", "fb,fa", "c"), "axis", 1));
    build_node(graph, "QuantizeLinear", "c,s,z", "r");
    finish(model, "r", "s", "z", SHAPE(-1, 8, 6, 6));
    check(model, 0, "QuantizeLinear Split Concat DequantizeLinear ");
}
END_TEST

START_TEST(a_chain_of_element_wise_operators_is_a_table)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    build_node(graph, "Sigmoid", "f", "g");
    build_node(graph, "DequantizeLinear", "q,s,z", "f2");
    build_node(graph, "Mul", "f2,g", "h");
    build_node(graph, "QuantizeLinear", "h,s2,z2", "r");
    finish(model, "r", "s2", "z2", SHAPE(-1, 8, 6, 6));
    check(model, 0, "QuantizeLinear Table DequantizeLinear ");
}
END_TEST

START_TEST(other_parameters_are_a_table_and_the_same_are_nothing)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    build_node(graph, "QuantizeLinear", "f,s2,z2", "r");
    build_node(graph, "DequantizeLinear", "r,s2,z2", "g");
    build_node(graph, "QuantizeLinear", "g,s2,z2", "t");
    finish(model, "t", "s2", "z2", SHAPE(-1, 8, 6, 6));
    check(model, 0, "QuantizeLinear Table Identity DequantizeLinear ");
}
END_TEST

/* x is added to itself shifted by one row of pixels, so that the operands differ. */
START_TEST(addition_and_product_take_scales)
{
    for (int product = 0; product < 2; product++) {
        mary_model *model = quantised_input();
        Onnx__GraphProto *graph = model->proto->graph;
        build_node(graph, "DequantizeLinear", "q,s,z", "f");
        build_node(graph, "QuantizeLinear", "f,s2,z2", "q2");
        build_node(graph, "DequantizeLinear", "q,s,z", "a");
        build_node(graph, "DequantizeLinear", "q2,s2,z2", "b");
        build_node(graph, product ? "Mul" : "Add", "a,b", "c");
        build_node(graph, "Relu", "c", "d");
        build_node(graph, "QuantizeLinear", "d,s,zero", "r");
        finish(model, "r", "s", "zero", SHAPE(-1, 8, 6, 6));
        check(model, 0.0501f,
              product ? "QuantizeLinear Table QLinearMul DequantizeLinear "
                      : "QuantizeLinear Table QLinearAdd DequantizeLinear ");
    }
}
END_TEST

START_TEST(average_pools_take_scales)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    Onnx__NodeProto *pool = build_node(graph, "AveragePool", "f", "p");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (const int64_t[]){3, 3}, 2));
    build_node(graph, "QuantizeLinear", "p,s2,z", "r");
    build_node(graph, "DequantizeLinear", "r,s2,z", "g");
    build_node(graph, "GlobalAveragePool", "g", "h");
    build_node(graph, "QuantizeLinear", "h,s2,z2", "t");
    finish(model, "t", "s2", "z2", SHAPE(-1, 8, 1, 1));
    check(model, 0.0301f, "QuantizeLinear QLinearAveragePool QLinearGlobalAveragePool DequantizeLinear ");
}
END_TEST

START_TEST(a_mean_over_the_pixels_is_a_pool)
{
    for (int keep = 0; keep < 2; keep++) {
        mary_model *model = quantised_input();
        Onnx__GraphProto *graph = model->proto->graph;
        build_node(graph, "DequantizeLinear", "q,s,z", "f");
        Onnx__NodeProto *mean = build_node(graph, "ReduceMean", "f", "m");
        assert_ok(mary_node_set_ints(mean, "axes", (const int64_t[]){2, -1}, 2));
        assert_ok(mary_node_set_int(mean, "keepdims", keep));
        build_node(graph, "QuantizeLinear", "m,s2,z2", "t");
        finish(model, "t", "s2", "z2", keep ? SHAPE(-1, 8, 1, 1) : SHAPE(-1, 8));
        check(model, 0.0301f, "QuantizeLinear SpatialMean DequantizeLinear ");
    }
}
END_TEST

START_TEST(normalisation_before_a_convolution_is_affine)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    float values[4][8];
    for (int i = 0; i < 8; i++) {
        values[0][i] = 0.5f + 0.1f * (float)i;
        values[1][i] = 0.3f * (float)i - 1.0f;
        values[2][i] = 0.2f * (float)i;
        values[3][i] = 1.0f + 0.5f * (float)i;
    }
    const char *const names[] = {"scale", "shift", "mean", "variance"};
    for (int i = 0; i < 4; i++)
        build_floats(graph, names[i], SHAPE(8), values[i]);
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    build_node(graph, "BatchNormalization", "f,scale,shift,mean,variance", "n");
    build_node(graph, "Relu", "n", "p");
    build_node(graph, "QuantizeLinear", "p,s2,zero", "r");
    finish(model, "r", "s2", "zero", SHAPE(-1, 8, 6, 6));
    check(model, 0.0301f, "QuantizeLinear ChannelAffine DequantizeLinear ");
}
END_TEST

static void shuffle(Onnx__GraphProto *graph, const char *from, const char *to, bool quantised)
{
    char inputs[64];
    const int64_t split[] = {0, 2, 4, 6, 6}, whole[] = {0, 8, 6, 6}, perm[] = {0, 2, 1, 3, 4};
    build_ints(graph, "split", SHAPE(5), split);
    build_ints(graph, "whole", SHAPE(4), whole);
    snprintf(inputs, sizeof inputs, "%s,split", from);
    build_node(graph, "Reshape", inputs, "r1");
    if (quantised) {
        build_node(graph, "QuantizeLinear", "r1,s,z", "q1");
        build_node(graph, "DequantizeLinear", "q1,s,z", "f1");
    }
    assert_ok(mary_node_set_ints(build_node(graph, "Transpose", quantised ? "f1" : "r1", "t"), "perm", perm, 5));
    if (quantised) {
        build_node(graph, "QuantizeLinear", "t,s,z", "q2");
        build_node(graph, "DequantizeLinear", "q2,s,z", "f2");
    }
    snprintf(inputs, sizeof inputs, "%s,whole", quantised ? "f2" : "t");
    build_node(graph, "Reshape", inputs, to);
}

START_TEST(a_channel_shuffle_is_one_operator)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    shuffle(graph, "f", "y", false);
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 8, 6, 6));
    check(model, 0, "QuantizeLinear DequantizeLinear ChannelShuffle ");

    model = quantised_input();
    graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    shuffle(graph, "f", "g", true);
    build_node(graph, "QuantizeLinear", "g,s,z", "r");
    finish(model, "r", "s", "z", SHAPE(-1, 8, 6, 6));
    check(model, 0, "QuantizeLinear ChannelShuffle DequantizeLinear ");
}
END_TEST

/* q (or `from`) -> MaryQLinearConv 1x1, 8 channels, 2 bits -> `to`. */
static void convolve(Onnx__GraphProto *graph, const char *from, const char *to)
{
    uint8_t codes[8 * 2];
    int8_t levels[8 * 4];
    float scales[8];
    for (int i = 0; i < 16; i++)
        codes[i] = (uint8_t)(i * 97 + 31);
    for (int i = 0; i < 8; i++) {
        scales[i] = 0.004f + 0.001f * (float)i;
        for (int k = 0; k < 4; k++)
            levels[4 * i + k] = (int8_t)(-90 + 60 * k + i);
    }
    build_constant(graph, "codes", MARY_UINT8, SHAPE(8, 2), codes);
    build_constant(graph, "levels", MARY_INT8, SHAPE(8, 4), levels);
    build_floats(graph, "w_scale", SHAPE(8), scales);
    build_constant(graph, "w_zero", MARY_INT8, SHAPE(8), (const int8_t[8]){0});
    char inputs[128];
    snprintf(inputs, sizeof inputs, "%s,s,z,codes,levels,w_scale,w_zero,s,z", from);
    Onnx__NodeProto *node = build_node(graph, "ai.mary:MaryQLinearConv", inputs, to);
    assert_ok(mary_node_set_ints(node, "weight_shape", (const int64_t[]){8, 8, 1, 1}, 4));
    assert_ok(mary_node_set_int(node, "row_length", 8));
    assert_ok(mary_node_set_int(node, "bits", 2));
}

static mary_model *convolution(void)
{
    mary_model *model = quantised_input();
    assert_ok(mary_model_set_opset(model, "ai.mary", 1));
    convolve(model->proto->graph, "q", "c");
    return model;
}

START_TEST(a_residual_joins_the_convolution)
{
    mary_model *model = convolution();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "a");
    build_node(graph, "DequantizeLinear", "c,s,z", "b");
    build_node(graph, "Add", "a,b", "d");
    build_node(graph, "Relu", "d", "e");
    build_node(graph, "QuantizeLinear", "e,s2,zero", "r");
    finish(model, "r", "s2", "zero", SHAPE(-1, 8, 6, 6));
    check(model, 0.0301f, "QuantizeLinear MaryQLinearConv+QLinearAdd DequantizeLinear ");
}
END_TEST

START_TEST(a_table_joins_the_convolution)
{
    mary_model *model = convolution();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "c,s,z", "a");
    build_node(graph, "HardSwish", "a", "b");
    build_node(graph, "QuantizeLinear", "b,s2,z2", "r");
    finish(model, "r", "s2", "z2", SHAPE(-1, 8, 6, 6));
    assert_ok(mary_model_set_opset(model, "", 14));
    check(model, 0, "QuantizeLinear MaryQLinearConv+Table DequantizeLinear ");
}
END_TEST

START_TEST(a_convolution_that_others_read_keeps_its_result)
{
    mary_model *model = convolution();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "DequantizeLinear", "q,s,z", "a");
    build_node(graph, "DequantizeLinear", "c,s,z", "b");
    build_node(graph, "Add", "a,b", "d");
    build_node(graph, "QuantizeLinear", "d,s2,z2", "r");
    finish(model, "r", "s2", "z2", SHAPE(-1, 8, 6, 6));
    build_output(graph, "c", MARY_UINT8, SHAPE(-1, 8, 6, 6));
    mary_program *program = NULL;
    char labels[400] = "";
    assert_ok(mary_program_create(&model, mary_cpu_best(), true, NULL, &program));
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed)
            strcat(strcat(labels, program->nodes[i].label), " ");
    }
    ck_assert_str_eq(labels, "QuantizeLinear MaryQLinearConv QLinearAdd DequantizeLinear ");
    mary_program_free(&program);
}
END_TEST

START_TEST(int8_layers_of_other_tools_run_on_integers)
{
    mary_model *model = quantised_input();
    Onnx__GraphProto *graph = model->proto->graph;
    int8_t weights[8 * 8], product[8 * 5];
    int32_t bias[8];
    float scales[8], units[8];
    for (int i = 0; i < 64; i++)
        weights[i] = (int8_t)(i * 37 % 255 - 127);
    for (int i = 0; i < 40; i++)
        product[i] = (int8_t)(i * 53 % 255 - 127);
    for (int i = 0; i < 8; i++) {
        bias[i] = 1000 * i - 3000;
        scales[i] = 0.002f + 0.001f * (float)i;
        units[i] = scales[i] * 0.05f;
    }
    build_constant(graph, "w", MARY_INT8, SHAPE(8, 8, 1, 1), weights);
    build_floats(graph, "ws", SHAPE(8), scales);
    build_constant(graph, "wz", MARY_INT8, SHAPE(8), (const int8_t[8]){0});
    build_constant(graph, "b", MARY_INT32, SHAPE(8), bias);
    build_floats(graph, "bs", SHAPE(8), units);
    build_constant(graph, "p", MARY_INT8, SHAPE(8, 5), product);
    build_floats(graph, "ps", SHAPE(), (const float[]){0.01f});
    build_node(graph, "DequantizeLinear", "q,s,z", "f");
    assert_ok(mary_node_set_int(build_node(graph, "DequantizeLinear", "w,ws,wz", "wf"), "axis", 0));
    assert_ok(mary_node_set_int(build_node(graph, "DequantizeLinear", "b,bs", "bf"), "axis", 0));
    build_node(graph, "Conv", "f,wf,bf", "c");
    build_node(graph, "Relu", "c", "d");
    build_node(graph, "QuantizeLinear", "d,s2,zero", "r");
    build_node(graph, "DequantizeLinear", "r,s2,zero", "g");
    assert_ok(mary_node_set_ints(build_node(graph, "MaxPool", "g", "m"), "kernel_shape", (const int64_t[]){6, 6}, 2));
    build_node(graph, "QuantizeLinear", "m,s2,zero", "t");
    build_node(graph, "DequantizeLinear", "t,s2,zero", "u");
    build_node(graph, "Flatten", "u", "v");
    build_node(graph, "QuantizeLinear", "v,s2,zero", "k");
    build_node(graph, "DequantizeLinear", "k,s2,zero", "l");
    build_node(graph, "DequantizeLinear", "p,ps", "pf");
    build_node(graph, "MatMul", "l,pf", "n");
    build_node(graph, "QuantizeLinear", "n,s2,z2", "o");
    finish(model, "o", "s2", "z2", SHAPE(-1, 5));
    check(model, 0.0301f, "QuantizeLinear MaryQLinearConv MaxPool Flatten MaryQLinearMatMul DequantizeLinear ");
}
END_TEST

MARY_TEST_MAIN("runtime/u8", pooling_stays_on_bytes, other_parameters_keep_pooling_in_float,
               every_half_of_a_split_is_moved, padding_is_the_zero_point, a_chain_of_element_wise_operators_is_a_table,
               other_parameters_are_a_table_and_the_same_are_nothing, addition_and_product_take_scales,
               average_pools_take_scales, a_mean_over_the_pixels_is_a_pool,
               normalisation_before_a_convolution_is_affine, a_channel_shuffle_is_one_operator,
               a_residual_joins_the_convolution, a_table_joins_the_convolution,
               a_convolution_that_others_read_keeps_its_result, int8_layers_of_other_tools_run_on_integers)
