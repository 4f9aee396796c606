/* Integer activations end to end: which nodes become integers, what the graph then looks like, and that it computes
 * what the float model does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/layer.h"
#include "tests/support/model_builder.h"

enum { RUNS = 3, BATCH = 4, CHANNELS = 3, SIDE = 12, SAMPLE = CHANNELS * SIDE * SIDE };

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void random_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape, float scale)
{
    static float values[8192];
    ck_assert_int_le(mary_shape_count(&shape), 8192);
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = scale * draw();
    build_floats(graph, name, shape, values);
}

static Onnx__NodeProto *conv(Onnx__GraphProto *graph, const char *x, const char *y, int64_t in, int64_t out,
                             int64_t kernel)
{
    char inputs[256], weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.w", y);
    snprintf(bias, sizeof bias, "%s.b", y);
    snprintf(inputs, sizeof inputs, "%s,%s,%s", x, weight, bias);
    random_floats(graph, weight, SHAPE(out, in, kernel, kernel), 1.5f / sqrtf((float)(in * kernel * kernel)));
    random_floats(graph, bias, SHAPE(out), 0.2f);
    Onnx__NodeProto *node = build_node(graph, "Conv", inputs, y);
    int64_t pad = kernel / 2;
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){pad, pad, pad, pad}, 4));
    return node;
}

/* x [N,3,12,12] -> conv, ReLU, max pool, residual block, Concat, SiLU gate, global pool, Gemm -> y [N,5] */
static mary_model *network(int64_t opset)
{
    mary_model *model = build_model(opset);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 3;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 5));
    conv(graph, "x", "c1", CHANNELS, 8, 3);
    build_node(graph, "Relu", "c1", "r1");
    Onnx__NodeProto *pool = build_node(graph, "MaxPool", "r1", "p1");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (int64_t[]){2, 2}, 2));
    assert_ok(mary_node_set_ints(pool, "strides", (int64_t[]){2, 2}, 2));
    conv(graph, "p1", "c2", 8, 8, 3);
    build_node(graph, "Relu", "c2", "r2");
    conv(graph, "r2", "c3", 8, 8, 3);
    build_node(graph, "Add", "c3,p1", "a1");
    build_node(graph, "Relu", "a1", "r3");
    conv(graph, "r3", "c4", 8, 8, 1);
    build_node(graph, "Relu", "c4", "r4");
    Onnx__NodeProto *concat = build_node(graph, "Concat", "r3,r4", "cat");
    assert_ok(mary_node_set_int(concat, "axis", 1));
    conv(graph, "cat", "c5", 16, 16, 1);
    build_node(graph, "Sigmoid", "c5", "s5");
    build_node(graph, "Mul", "c5,s5", "silu");
    conv(graph, "silu", "c6", 16, 16, 1);
    build_node(graph, "Mul", "c6,silu", "gated");
    build_node(graph, "GlobalAveragePool", "gated", "gap");
    build_node(graph, "Flatten", "gap", "flat");
    random_floats(graph, "fc.w", SHAPE(16, 5), 1);
    random_floats(graph, "fc.b", SHAPE(5), 1);
    build_node(graph, "Gemm", "flat,fc.w,fc.b", "y");
    return model;
}

/* ---- calibration samples ---- */

typedef struct samples {
    float values[BATCH * SAMPLE];
    mary_array array;
    float scale;
    int64_t bad_run; /* -1: none; else the run whose input holds NaN */
} samples;

static mary_status give(void *context, int64_t index, const mary_array **inputs, int *count)
{
    samples *s = context;
    state = (uint32_t)(100 + index);
    for (int i = 0; i < BATCH * SAMPLE; i++)
        s->values[i] = s->scale * draw();
    if (index == s->bad_run)
        s->values[17] = NAN;
    s->array = (mary_array){.name = "x",
                            .type = MARY_FLOAT,
                            .rank = 4,
                            .dims = {BATCH, CHANNELS, SIDE, SIDE},
                            .data = s->values,
                            .bytes = sizeof s->values};
    *inputs = &s->array;
    *count = 1;
    return MARY_OK;
}

static samples data = {.scale = 1, .bad_run = -1};
static mary_calibration calibration = {&data, RUNS, give};

static mary_convert_options integers(int levels)
{
    return (mary_convert_options){.levels = levels,
                                  .first_last_levels = MARY_SAME_LEVELS,
                                  .threads = 2,
                                  .activations = 8,
                                  .calibration = &calibration};
}

static mary_array run(const mary_model *model, int64_t batch)
{
    mary_model *copy;
    mary_session *session;
    mary_array output;
    static float x[BATCH * SAMPLE];
    state = 77;
    for (int64_t i = 0; i < batch * SAMPLE; i++)
        x[i] = draw();
    mary_array input = {.name = "x",
                        .type = MARY_FLOAT,
                        .rank = 4,
                        .dims = {batch, CHANNELS, SIDE, SIDE},
                        .data = x,
                        .bytes = (size_t)(batch * SAMPLE) * sizeof *x};
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    mary_session_free(&session);
    return output;
}

/* Largest difference relative to the largest value. */
static double distance(const mary_model *got, const mary_model *expected, int64_t batch)
{
    mary_array a = run(got, batch), b = run(expected, batch);
    double worst = 0, largest = 0;
    ck_assert_uint_eq(a.bytes, b.bytes);
    for (size_t i = 0; i < a.bytes / sizeof(float); i++) {
        double x = ((float *)a.data)[i], y = ((float *)b.data)[i];
        ck_assert(isfinite(x));
        worst = fmax(worst, fabs(x - y));
        largest = fmax(largest, fabs(y));
    }
    mary_array_free(&a);
    mary_array_free(&b);
    return worst / largest;
}

static size_t count_op(const mary_model *model, const char *op)
{
    size_t count = 0;
    for (size_t i = 0; i < model->proto->graph->n_node; i++)
        count += strcmp(model->proto->graph->node[i]->op_type, op) == 0;
    return count;
}

static const Onnx__NodeProto *find_node(const mary_model *model, const char *op)
{
    for (size_t i = 0; i < model->proto->graph->n_node; i++) {
        if (strcmp(model->proto->graph->node[i]->op_type, op) == 0)
            return model->proto->graph->node[i];
    }
    ck_abort_msg("no %s", op);
    return NULL;
}

static const Onnx__TensorProto *find_constant(const mary_model *model, const char *name)
{
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) {
        if (strcmp(model->proto->graph->initializer[i]->name, name) == 0)
            return model->proto->graph->initializer[i];
    }
    ck_abort_msg("no constant %s", name);
    return NULL;
}

static mary_model *converted(mary_model *model, mary_convert_options options, mary_convert_report **report)
{
    mary_model *copy;
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_convert(copy, &options, report));
    return build_reload(copy); /* takes it over */
}

START_TEST(everything_between_input_and_output_is_integer)
{
    mary_model *model = network(13);
    mary_convert_report *report;
    mary_model *made = converted(model, integers(256), &report);
    ck_assert_uint_eq(count_op(made, "MaryQLinearConv"), 6);
    ck_assert_uint_eq(count_op(made, "MaryQLinearGemm"), 1);
    ck_assert_uint_eq(count_op(made, "Relu"), 0); /* the ranges do it */
    ck_assert_uint_eq(count_op(made, "Conv"), 0);
    ck_assert_str_eq(made->proto->graph->node[0]->op_type, "QuantizeLinear");
    ck_assert_str_eq(made->proto->graph->node[0]->input[0], "x");
    const Onnx__NodeProto *last = made->proto->graph->node[made->proto->graph->n_node - 1];
    ck_assert_str_eq(last->op_type, "DequantizeLinear");
    ck_assert_str_eq(last->output[0], "y");
    ck_assert_ptr_null(mary_convert_float_node(report, 0));
    ck_assert_int_eq(mary_convert_calibration(report)->runs, RUNS);
    mary_convert_report_free(&report);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(every_reader_of_a_u8_tensor_has_a_dequantize_of_its_own)
{
    mary_model *model = network(13), *made = converted(model, integers(16), NULL);
    const Onnx__GraphProto *graph = made->proto->graph;
    mary_graph_index *index;
    assert_ok(mary_graph_index_create(graph, &index));
    for (size_t i = 0; i < graph->n_node; i++) {
        if (strcmp(graph->node[i]->op_type, "DequantizeLinear") == 0)
            ck_assert_uint_eq(mary_graph_use_count(index, graph->node[i]->output[0]), 1);
    }
    mary_graph_index_free(&index);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(results_are_close_to_float_at_any_batch)
{
    mary_model *model = network(13);
    for (size_t m = 0; m < 5; m++) { /* the last is auto */
        mary_convert_options options = integers(256);
        options.calibration_method = mary_calibration_method(m, NULL);
        mary_model *made = converted(model, options, NULL);
        for (int64_t batch = 1; batch <= BATCH; batch += BATCH - 1)
            ck_assert_msg(distance(made, model, batch) < 0.06, "%s: %g", options.calibration_method,
                          distance(made, model, batch));
        mary_model_free(&made);
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(bodies_and_dequantised_models_compute_the_same)
{
    mary_model *model = network(13);
    for (int levels = 2; levels <= 256; levels = levels == 16 ? 256 : levels == 4 ? 16 : levels + 1) {
        mary_model *made = converted(model, integers(levels), NULL), *inlined, *plain;
        assert_ok(mary_model_copy(made, &inlined));
        assert_ok(mary_model_inline_functions(inlined, NULL));
        ck_assert_uint_eq(count_op(inlined, "MaryQLinearConv"), 0);
        assert_ok(mary_model_copy(made, &plain));
        assert_ok(mary_dequantize(plain));
        ck_assert_uint_eq(count_op(plain, "MaryQLinearConv"), 0);
        ck_assert_uint_eq(count_op(plain, "Conv"), 6);
        ck_assert_uint_eq(plain->proto->n_functions, 0);
        ck_assert_int_eq(mary_model_opset(plain, MARY_DOMAIN), 0);
        ck_assert_double_le(distance(made, inlined, 2), 0.02); /* a step or so, where a rounding falls the other way */
        ck_assert_double_le(distance(plain, inlined, 2), 0.02);
        mary_model_free(&plain);
        mary_model_free(&inlined);
        mary_model_free(&made);
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(tensors_that_only_move_share_their_scale)
{
    mary_model *model = network(13), *made = converted(model, integers(16), NULL);
    const Onnx__NodeProto *pool = find_node(made, "MaxPool");
    const char *scale = NULL, *scale_out = NULL;
    for (size_t i = 0; i < made->proto->graph->n_node; i++) {
        const Onnx__NodeProto *node = made->proto->graph->node[i];
        if (strcmp(node->output[0], pool->input[0]) == 0)
            scale = node->input[1];
        if (strcmp(node->input[0], pool->output[0]) == 0)
            scale_out = node->input[1];
    }
    ck_assert_str_eq(scale, scale_out);
    mary_constant zero;
    const Onnx__NodeProto *first = find_node(made, "MaryQLinearConv"); /* its ReLU is in the range */
    assert_ok(mary_constant_decode(made, find_constant(made, first->input[8]), &zero));
    ck_assert_int_eq(zero.tensor.type, MARY_UINT8);
    ck_assert_int_eq(*(const uint8_t *)zero.tensor.data, 0);
    mary_constant_free(&zero);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(float_operators_stay_float_and_are_listed)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    mary_convert_report *report;
    state = 9;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4, SIDE, SIDE));
    conv(graph, "x", "c1", CHANNELS, 8, 3);
    Onnx__NodeProto *lrn = build_node(graph, "LRN", "c1", "lrn");
    assert_ok(mary_node_set_int(lrn, "size", 3));
    conv(graph, "lrn", "c2", 8, 4, 1);
    Onnx__NodeProto *softmax = build_node(graph, "Softmax", "c2", "y");
    assert_ok(mary_node_set_int(softmax, "axis", 1));
    mary_model *made = converted(model, integers(256), &report);
    ck_assert_uint_eq(count_op(made, "MaryQLinearConv"), 2);
    const mary_float_node_report *first = mary_convert_float_node(report, 0);
    ck_assert_ptr_nonnull(first);
    ck_assert_str_eq(first->op_type, "LRN");
    const mary_float_node_report *second = mary_convert_float_node(report, 1);
    ck_assert_str_eq(second->op_type, "Softmax");
    ck_assert_ptr_nonnull(strstr(second->reason, "nothing after it"));
    ck_assert_double_lt(distance(made, model, 2), 0.08);
    mary_convert_report_free(&report);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(a_value_that_is_read_outside_keeps_its_name)
{
    mary_model *model = network(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_output(graph, "r3", MARY_FLOAT, SHAPE(-1, 8, 6, 6));       /* an Add with its ReLU, read by integers, too */
    build_output(graph, "c1", MARY_FLOAT, SHAPE(-1, 8, SIDE, SIDE)); /* a convolution whose ReLU cannot be absorbed */
    mary_model *made = converted(model, integers(256), NULL);
    ck_assert_uint_eq(made->proto->graph->n_output, 3);
    ck_assert_str_eq(made->proto->graph->output[1]->name, "r3");
    ck_assert_uint_eq(count_op(made, "Relu"), 1);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(a_weight_that_two_layers_use_is_stored_once)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 21;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 3, SIDE, SIDE));
    random_floats(graph, "w", SHAPE(3, 3, 3, 3), 0.3f);
    for (int i = 0; i < 2; i++) {
        Onnx__NodeProto *node = build_node(graph, "Conv", i == 0 ? "x,w" : "h,w", i == 0 ? "h" : "y");
        assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    }
    mary_model *made = converted(model, integers(4), NULL);
    size_t codes = 0;
    for (size_t i = 0; i < made->proto->graph->n_initializer; i++)
        codes += strstr(made->proto->graph->initializer[i]->name, "_codes") != NULL;
    ck_assert_uint_eq(codes, 1);
    ck_assert_uint_eq(count_op(made, "MaryQLinearConv"), 2);
    assert_ok(mary_dequantize(made));
    ck_assert_double_le(distance(made, made, 1), 0);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(factors_of_gemm_and_matmul_are_folded)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 31;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, 7));
    random_floats(graph, "m1", SHAPE(SIDE, 16), 0.3f);
    random_floats(graph, "m2", SHAPE(16, 7), 0.3f);
    build_node(graph, "MatMul", "x,m1", "h");
    build_node(graph, "Relu", "h", "r");
    build_node(graph, "MatMul", "r,m2", "y");
    mary_model *made = converted(model, integers(256), NULL);
    ck_assert_uint_eq(count_op(made, "MaryQLinearMatMul"), 2);
    ck_assert_double_lt(distance(made, model, 2), 0.03);
    mary_model_free(&made);
    mary_model_free(&model);

    model = build_model(13);
    graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 6));
    build_node(graph, "Flatten", "x", "f");
    random_floats(graph, "g1", SHAPE(SAMPLE, 10), 0.1f);
    random_floats(graph, "g2", SHAPE(6, 10), 0.3f);
    random_floats(graph, "b1", SHAPE(1, 10), 0.5f);
    random_floats(graph, "b2", SHAPE(1), 0.5f);
    Onnx__NodeProto *first = build_node(graph, "Gemm", "f,g1,b1", "h");
    assert_ok(mary_node_set_float(first, "alpha", 0.25f));
    assert_ok(mary_node_set_float(first, "beta", 3.0f));
    Onnx__NodeProto *second = build_node(graph, "Gemm", "h,g2,b2", "y");
    assert_ok(mary_node_set_int(second, "transB", 1));
    made = converted(model, integers(256), NULL);
    ck_assert_uint_eq(count_op(made, "MaryQLinearGemm"), 2);
    ck_assert_double_lt(distance(made, model, 2), 0.03);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(an_old_model_is_raised_to_the_opset_that_bodies_need)
{
    mary_model *model = network(9), *made = converted(model, integers(256), NULL);
    ck_assert_int_ge(mary_model_opset(made, ""), 13);
    ck_assert_int_ge(made->proto->ir_version, 8);
    ck_assert_double_lt(distance(made, model, 2), 0.06);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(what_a_conversion_makes_is_declared)
{
    mary_model *model = network(13), *made = converted(model, integers(256), NULL);
    const Onnx__GraphProto *graph = made->proto->graph;
    size_t wanted = 0;
    for (size_t n = 0; n < graph->n_node; n++) {
        const char *output = graph->node[n]->output[0];
        bool is_byte = mary_layer_kind_of_integer(graph->node[n]) != MARY_LAYER_NONE ||
                       strcmp(graph->node[n]->op_type, "QuantizeLinear") == 0;
        bool declared = strcmp(output, graph->output[0]->name) == 0; /* as an output */
        wanted += !declared;
        for (size_t i = 0; i < graph->n_value_info; i++) {
            if (strcmp(graph->value_info[i]->name, output) != 0)
                continue;
            declared = true;
            ck_assert_int_eq(graph->value_info[i]->type->tensor_type->elem_type, is_byte ? MARY_UINT8 : MARY_FLOAT);
            ck_assert(graph->value_info[i]->type->tensor_type->shape->dim[0]->value_case !=
                      ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE); /* the batch stays free */
        }
        ck_assert_msg(declared, "%s", output);
    }
    ck_assert_uint_eq(graph->n_value_info, wanted); /* none for tensors that are gone */
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

/* ---- what cannot be done ---- */

/* Found by fuzzing: a node need not have outputs, and then has nothing that could be quantised. */
START_TEST(nodes_without_outputs_stay_as_they_are)
{
    mary_model *model = network(13);
    Onnx__GraphProto *graph = model->proto->graph;
    Onnx__NodeProto *nodes[] = {build_node(graph, "Conv", "x,c1.w,c1.b", "unused"),
                                build_node(graph, "Relu", "x", "no")};
    mary_convert_options options = integers(16);
    for (int i = 0; i < 2; i++) {
        mary_free(nodes[i]->output[0]);
        nodes[i]->output[0] = NULL;
        nodes[i]->n_output = 0;
    }
    assert_ok(mary_convert(model, &options, NULL));
    mary_model_free(&model);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    mary_model *model = network(13);
    mary_convert_options options = integers(16);
    options.calibration = NULL;
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "calibration data");
    options = integers(16);
    options.activations = 4;
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "4 bits");
    options = integers(16);
    options.calibration_method = "best";
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "'best'");
    mary_model_free(&model);
}
END_TEST

START_TEST(samples_that_are_not_finite_are_refused_by_place)
{
    mary_model *model = network(13);
    mary_convert_options options = integers(16);
    data.bad_run = 1;
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID,
                 "run 1: input 'x' has the value nan at position 17");
    data.bad_run = -1;
    mary_model_free(&model);
}
END_TEST

START_TEST(samples_of_zeros_warn_and_convert)
{
    mary_model *model = network(13);
    mary_convert_report *report;
    data.scale = 0;
    mary_model *made = converted(model, integers(16), &report);
    data.scale = 1;
    bool warned = false;
    for (size_t i = 0; mary_convert_warning(report, i) != NULL; i++)
        warned = warned || strstr(mary_convert_warning(report, i), "'x' is 0 in every calibration sample") != NULL;
    ck_assert(warned);
    mary_array output = run(made, 1);
    for (size_t i = 0; i < output.bytes / sizeof(float); i++)
        ck_assert(isfinite(((float *)output.data)[i]));
    mary_array_free(&output);
    mary_convert_report_free(&report);
    mary_model_free(&made);
    mary_model_free(&model);
}
END_TEST

START_TEST(activations_that_are_not_finite_stay_float)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    mary_convert_report *report;
    state = 41;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CHANNELS, SIDE, SIDE));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4, SIDE, SIDE));
    build_floats(graph, "huge", SHAPE(), (float[]){3e38f});
    build_node(graph, "Abs", "x", "positive");
    build_node(graph, "Mul", "positive,huge", "a");
    build_node(graph, "Mul", "a,huge", "infinite"); /* in all elements */
    conv(graph, "infinite", "z", CHANNELS, 4, 3);
    build_output(graph, "z", MARY_FLOAT, SHAPE(-1, 4, SIDE, SIDE));
    conv(graph, "x", "c2", CHANNELS, 4, 3);
    build_node(graph, "Relu", "c2", "y");
    mary_model *copy;
    mary_convert_options options = integers(256);
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_convert(copy, &options, &report));
    ck_assert_uint_eq(count_op(copy, "MaryConv"), 1); /* z: its input cannot be u8 */
    ck_assert_uint_eq(count_op(copy, "MaryQLinearConv"), 1);
    mary_convert_report_free(&report);
    mary_model_free(&copy);
    mary_model_free(&model);
}
END_TEST

START_TEST(running_out_of_memory_anywhere_is_a_status)
{
    mary_model *model = network(13);
    mary_convert_options options = integers(16);
    options.threads = 1;
    options.calibration_method = "min-max";
    for (int64_t countdown = 0;; countdown += 1 + countdown / 24) {
        mary_model *copy;
        assert_ok(mary_model_copy(model, &copy));
        mary_memory_fail_after(countdown);
        mary_status status = mary_convert(copy, &options, NULL);
        mary_memory_fail_after(-1);
        mary_model_free(&copy);
        if (status == MARY_OK)
            break;
        ck_assert_msg(status == MARY_ERROR_INTERNAL || status == MARY_ERROR_INVALID, "%d: %s", status,
                      mary_error_message());
    }
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("convert/integer", everything_between_input_and_output_is_integer,
               every_reader_of_a_u8_tensor_has_a_dequantize_of_its_own, results_are_close_to_float_at_any_batch,
               bodies_and_dequantised_models_compute_the_same, tensors_that_only_move_share_their_scale,
               float_operators_stay_float_and_are_listed, a_value_that_is_read_outside_keeps_its_name,
               a_weight_that_two_layers_use_is_stored_once, factors_of_gemm_and_matmul_are_folded,
               an_old_model_is_raised_to_the_opset_that_bodies_need, what_a_conversion_makes_is_declared,
               nodes_without_outputs_stay_as_they_are, wrong_options_are_refused,
               samples_that_are_not_finite_are_refused_by_place, samples_of_zeros_warn_and_convert,
               activations_that_are_not_finite_stay_float, running_out_of_memory_anywhere_is_a_status)
