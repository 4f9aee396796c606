/* Fusion changes how a graph runs, never what it computes: every pattern against the same model run node by node. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <string.h>

#include "runtime/program.h"

static float next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1.0f;
}

static void random_constant(Onnx__GraphProto *graph, const char *name, mary_shape shape, uint32_t seed)
{
    int64_t count = mary_shape_count(&shape);
    float *values = malloc(sizeof *values * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        values[i] = next_random(&seed);
    build_floats(graph, name, shape, values);
    free(values);
}

/* x [N,4,6,6] -> Conv 3x3 -> v [N,4,6,6]; two convolutions, so that the second can have a residual. */
static mary_model *two_convolutions(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 4, 6, 6));
    random_constant(graph, "w", SHAPE(4, 4, 3, 3), 1);
    random_constant(graph, "b", SHAPE(4), 2);
    const int64_t pads[] = {1, 1, 1, 1};
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "x,w,b", "u"), "pads", pads, 4));
    assert_ok(mary_node_set_ints(build_node(graph, "Conv", "u,w", "v"), "pads", pads, 4));
    return model;
}

static void finish_model(mary_model *model, const char *output)
{
    build_output(model->proto->graph, output, MARY_FLOAT, SHAPE(-1, 4, 6, 6));
}

static mary_array run_model(mary_model *model, bool fuse)
{
    mary_model *copy;
    mary_session *session = NULL;
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.no_fusion = !fuse, .threads = 1}, &session));
    float x[3 * 4 * 36];
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        x[i] = next_random(&seed);
    mary_array input = {.name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {3, 4, 6, 6}, .data = x, .bytes = sizeof x};
    mary_array output;
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    mary_session_free(&session);
    return output;
}

/* Same values with and without fusion, and exactly `expected` labels of the nodes that are left. Frees the model. */
static void check_fusion(mary_model *model, const char *expected)
{
    mary_array fused = run_model(model, true), apart = run_model(model, false);
    ck_assert_uint_eq(fused.bytes, apart.bytes);
    for (size_t i = 0; i < fused.bytes / sizeof(float); i++)
        ck_assert_float_eq_tol(((float *)fused.data)[i], ((float *)apart.data)[i], 1e-4f);
    mary_array_free(&fused);
    mary_array_free(&apart);

    mary_program *program = NULL;
    char labels[200] = "";
    assert_ok(mary_program_create(&model, mary_cpu_best(), true, NULL, &program));
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed)
            strcat(strcat(labels, program->nodes[i].label), " ");
    }
    ck_assert_str_eq(labels, expected);
    mary_program_free(&program);
}

START_TEST(relu_joins_the_convolution)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Relu", "v", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv+Relu ");
}
END_TEST

START_TEST(residual_and_relu_join_the_later_convolution)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Add", "u,v", "s");
    build_node(model->proto->graph, "Relu", "s", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv+Add+Relu ");
}
END_TEST

/* Shapes are looked at before weights are packed. */
START_TEST(residuals_are_found_beside_m_ary_products)
{
    static const uint8_t codes[6][2] = {{0x1b, 0x0e}, {0xe4, 0x01}, {0x2d, 0x0b},
                                        {0x93, 0x0c}, {0x00, 0x05}, {0xff, 0x02}};
    static const float levels[4] = {-1, -0.25f, 0.5f, 1};
    mary_model *model = two_convolutions();
    Onnx__GraphProto *graph = model->proto->graph;
    assert_ok(mary_model_set_opset(model, "ai.mary", 1));
    build_node(graph, "Add", "u,v", "s");
    build_constant(graph, "codes", MARY_UINT8, SHAPE(6, 2), codes);
    build_constant(graph, "levels", MARY_FLOAT, SHAPE(1, 4), levels);
    Onnx__NodeProto *product = build_node(graph, "ai.mary:MaryMatMul", "s,codes,levels", "y");
    assert_ok(mary_node_set_ints(product, "weight_shape", (const int64_t[]){6, 6}, 2));
    assert_ok(mary_node_set_int(product, "row_length", 6));
    assert_ok(mary_node_set_int(product, "bits", 2));
    finish_model(model, "y");
    check_fusion(model, "Conv Conv+Add MaryMatMul ");
}
END_TEST

/* ... and so a product whose inputs are all constant has no values yet then, for all that its inputs are known. */
START_TEST(m_ary_products_of_constants_wait_for_their_weights)
{
    static const uint8_t codes[4][9] = {{0x1b, 0x0e, 0x72, 0xc8, 0x00, 0x99, 0x3c, 0x55, 0xf0}, {0xe4}, {0x2d}, {0x93}};
    static const float levels[4] = {-1, -0.25f, 0.5f, 1};
    mary_model *model = two_convolutions();
    Onnx__GraphProto *graph = model->proto->graph;
    assert_ok(mary_model_set_opset(model, "ai.mary", 1));
    random_constant(graph, "image", SHAPE(1, 4, 6, 6), 3);
    build_constant(graph, "codes", MARY_UINT8, SHAPE(4, 9), codes);
    build_constant(graph, "levels", MARY_FLOAT, SHAPE(1, 4), levels);
    Onnx__NodeProto *product = build_node(graph, "ai.mary:MaryConv", "image,codes,levels", "p");
    assert_ok(mary_node_set_ints(product, "weight_shape", (const int64_t[]){4, 4, 3, 3}, 4));
    assert_ok(mary_node_set_ints(product, "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    assert_ok(mary_node_set_int(product, "row_length", 36));
    assert_ok(mary_node_set_int(product, "bits", 2));
    build_node(graph, "Add", "v,p", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv MaryConv Add ");
}
END_TEST

START_TEST(residual_of_an_activation_is_left_alone)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Relu", "v", "r");
    build_node(model->proto->graph, "Add", "r,x", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv+Relu Add ");
}
END_TEST

START_TEST(add_that_broadcasts_is_no_residual)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "GlobalAveragePool", "u", "g");
    build_node(model->proto->graph, "Add", "v,g", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv GlobalAveragePool Add ");
}
END_TEST

static void name_rows(Onnx__ValueInfoProto *port)
{
    Onnx__TensorShapeProto__Dimension *dim = port->type->tensor_type->shape->dim[0];
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    dim->dim_param = mary_strdup("N");
}

/* Both inputs have the dimension N; what is given need not. */
START_TEST(residual_of_another_size_than_its_name_promises_is_refused)
{
    static const char *const products[] = {"MatMul", "Gemm"};
    static float x[8 * 4], z[8 * 5];
    for (int i = 0; i < 2; i++) {
        mary_model *model = build_model(13);
        Onnx__GraphProto *graph = model->proto->graph;
        mary_session *session;
        build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 4));
        build_input(graph, "z", MARY_FLOAT, SHAPE(-1, 5));
        for (int k = 0; k < 2; k++)
            name_rows(graph->input[k]);
        random_constant(graph, "w", SHAPE(4, 5), 1);
        build_node(graph, products[i], "x,w", "p");
        build_node(graph, "Add", "p,z", "y");
        build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 5));
        assert_ok(mary_session_create(&model, &(mary_session_options){.threads = 1}, &session));
        for (int64_t rows = 1; rows <= 8; rows++) {
            mary_array inputs[] = {
                {.name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {3, 4}, .data = x, .bytes = sizeof x},
                {.name = "z", .type = MARY_FLOAT, .rank = 2, .dims = {rows, 5}, .data = z, .bytes = sizeof z}};
            mary_array output;
            if (rows == 3) {
                assert_ok(mary_session_run(session, inputs, 2, &output, 1));
                mary_array_free(&output);
            } else {
                assert_fails(mary_session_run(session, inputs, 2, &output, 1), MARY_ERROR_INVALID, "is added");
            }
        }
        mary_session_free(&session);
    }
}
END_TEST

START_TEST(silu_written_as_two_nodes_joins_the_convolution)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Sigmoid", "v", "s");
    build_node(model->proto->graph, "Mul", "v,s", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv+Mul ");
}
END_TEST

START_TEST(value_that_somebody_else_reads_is_kept)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Relu", "v", "r");
    build_node(model->proto->graph, "Add", "v,r", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv Relu Add ");
}
END_TEST

START_TEST(graph_output_is_kept)
{
    mary_model *model = two_convolutions();
    build_node(model->proto->graph, "Relu", "u", "r"); /* u is read by the second convolution, too */
    finish_model(model, "v");
    check_fusion(model, "Conv Conv ");
}
END_TEST

START_TEST(clip_with_bounds_that_are_computed_is_left_alone)
{
    mary_model *model = two_convolutions();
    Onnx__GraphProto *graph = model->proto->graph;
    const int64_t all[] = {0, 1, 2, 3};
    Onnx__NodeProto *least = build_node(graph, "ReduceMin", "u", "low");
    assert_ok(mary_node_set_ints(least, "axes", all, 4));
    assert_ok(mary_node_set_int(least, "keepdims", 0));
    build_node(graph, "Clip", "v,low", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv ReduceMin Clip ");
}
END_TEST

START_TEST(concat_inputs_are_written_in_place_without_harm)
{
    mary_model *model = two_convolutions();
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "Conv", "u,w1", "p");
    build_node(graph, "Conv", "u,w1", "q");
    random_constant(graph, "w1", SHAPE(2, 4, 1, 1), 5);
    assert_ok(mary_node_set_int(build_node(graph, "Concat", "p,v,q", "c"), "axis", 1));
    random_constant(graph, "w2", SHAPE(4, 8, 1, 1), 6);
    build_node(graph, "Conv", "c,w2", "y");
    finish_model(model, "y");
    check_fusion(model, "Conv Conv Conv Conv Concat Conv ");
}
END_TEST

MARY_TEST_MAIN("runtime/fuse", relu_joins_the_convolution, residual_and_relu_join_the_later_convolution,
               residuals_are_found_beside_m_ary_products, m_ary_products_of_constants_wait_for_their_weights,
               residual_of_an_activation_is_left_alone, add_that_broadcasts_is_no_residual,
               residual_of_another_size_than_its_name_promises_is_refused,
               silu_written_as_two_nodes_joins_the_convolution, value_that_somebody_else_reads_is_kept,
               graph_output_is_kept, clip_with_bounds_that_are_computed_is_left_alone,
               concat_inputs_are_written_in_place_without_harm)
