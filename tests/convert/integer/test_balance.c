/* Balancing channels changes weights and nothing that the float model computes. */
#include "convert/integer/integer.h"

#include <math.h>
#include <string.h>

#include "convert/integer/balance.h"
#include "tests/support/model_builder.h"

enum { BATCH = 2, SAMPLE = 3 * 8 * 8 };

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Rows of very different sizes. */
static void build_weights(Onnx__GraphProto *graph, const char *name, mary_shape shape)
{
    static float values[4096];
    int64_t row = mary_shape_count(&shape) / shape.dims[0];
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = draw() * powf(4, (float)(i / row % 5) - 2);
    build_floats(graph, name, shape, values);
}

/* conv -> Relu -> MaxPool -> depthwise conv -> conv, and a sum at the end whose operands cannot be balanced */
static mary_model *network(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 5;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3, 8, 8));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4, 4, 4));
    build_weights(graph, "w1", SHAPE(10, 3, 3, 3));
    build_weights(graph, "b1", SHAPE(10));
    build_weights(graph, "w2", SHAPE(10, 1, 3, 3));
    build_weights(graph, "w3", SHAPE(4, 10, 1, 1));
    build_weights(graph, "b3", SHAPE(4));
    build_weights(graph, "w4", SHAPE(4, 4, 1, 1));
    Onnx__NodeProto *first = build_node(graph, "Conv", "x,w1,b1", "c1");
    assert_ok(mary_node_set_ints(first, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    build_node(graph, "Relu", "c1", "r1");
    Onnx__NodeProto *pool = build_node(graph, "MaxPool", "r1", "p1");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (int64_t[]){2, 2}, 2));
    assert_ok(mary_node_set_ints(pool, "strides", (int64_t[]){2, 2}, 2));
    Onnx__NodeProto *depthwise = build_node(graph, "Conv", "p1,w2", "c2");
    assert_ok(mary_node_set_ints(depthwise, "pads", (int64_t[]){1, 1, 1, 1}, 4));
    assert_ok(mary_node_set_int(depthwise, "group", 10));
    build_node(graph, "Conv", "c2,w3,b3", "c3");
    build_node(graph, "Conv", "c3,w4", "c4");
    build_node(graph, "Add", "c3,c4", "y");
    return model;
}

static float input[BATCH * SAMPLE];
static mary_array input_array = {
    .name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {BATCH, 3, 8, 8}, .data = input, .bytes = sizeof input};

static mary_status give(void *context, int64_t index, const mary_array **inputs, int *count)
{
    (void)context;
    state = (uint32_t)(index + 50);
    for (int i = 0; i < BATCH * SAMPLE; i++)
        input[i] = draw();
    *inputs = &input_array;
    *count = 1;
    return MARY_OK;
}

static mary_array run(const mary_model *model)
{
    mary_model *copy;
    mary_session *session;
    mary_array output;
    const mary_array *inputs;
    int count;
    assert_ok(give(NULL, 7, &inputs, &count));
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    assert_ok(mary_session_run(session, inputs, 1, &output, 1));
    mary_session_free(&session);
    return output;
}

static void expect_same_bits(const mary_model *a, const mary_model *b)
{
    mary_array x = run(a), y = run(b);
    ck_assert_uint_eq(x.bytes, y.bytes);
    ck_assert_int_eq(memcmp(x.data, y.data, x.bytes), 0);
    mary_array_free(&x);
    mary_array_free(&y);
}

START_TEST(balanced_models_compute_the_same_bits)
{
    mary_model *model = network(), *before;
    const mary_calibration calibration = {NULL, 2, give};
    const mary_convert_options options = {.activations = 8, .calibration = &calibration, .threads = 1};
    mary_settings settings;
    mary_original_names names;
    mary_layers layers;
    mary_integers integer = {0};
    mary_balances balances;
    assert_ok(mary_settings_create(&options, &settings));
    assert_ok(mary_original_names_take(model, &settings, &names));
    assert_ok(mary_layers_choose(model, &settings, &names, &layers));
    assert_ok(mary_integers_measure(&integer, model, &settings, &layers));
    assert_ok(mary_balances_find(model, &integer.plan, &layers, &balances));
    ck_assert_uint_eq(balances.count, 2); /* 1 to 2 through ReLU and pool, 2 to 3; c3 has two readers */
    ck_assert_int_eq(balances.items[0].channels, 10);
    assert_ok(mary_model_copy(model, &before));
    assert_ok(mary_balances_apply(model, &layers, &balances, false));
    mary_constant changed, old;
    assert_ok(mary_constant_decode(model, model->proto->graph->initializer[0], &changed));
    assert_ok(mary_constant_decode(before, before->proto->graph->initializer[0], &old));
    ck_assert_int_ne(memcmp(changed.tensor.data, old.tensor.data, 10 * 27 * sizeof(float)), 0);
    mary_constant_free(&changed);
    mary_constant_free(&old);
    expect_same_bits(model, before);
    assert_ok(mary_balances_apply(model, &layers, &balances, true));
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) {
        assert_ok(mary_constant_decode(model, model->proto->graph->initializer[i], &changed));
        assert_ok(mary_constant_decode(before, before->proto->graph->initializer[i], &old));
        ck_assert_int_eq(memcmp(changed.tensor.data, old.tensor.data, mary_tensor_bytes(&old.tensor)), 0);
        mary_constant_free(&changed);
        mary_constant_free(&old);
    }
    mary_balances_free(&balances);
    mary_integers_free(&integer);
    mary_layers_free(&layers);
    mary_original_names_free(&names);
    mary_settings_free(&settings);
    mary_model_free(&before);
    mary_model_free(&model);
}
END_TEST

static double error_with(bool equalization)
{
    mary_model *model = network();
    const mary_calibration calibration = {NULL, 4, give};
    const mary_convert_options options = {.levels = 256,
                                          .first_last_levels = MARY_SAME_LEVELS,
                                          .activations = 8,
                                          .calibration = &calibration,
                                          .no_equalization = !equalization,
                                          .threads = 2};
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    if (!equalization)
        ck_assert(!mary_convert_calibration(report)->equalization);
    double error = mary_convert_calibration(report)->error;
    mary_convert_report_free(&report);
    mary_model_free(&model);
    return error;
}

START_TEST(it_is_only_done_when_the_outputs_gain)
{
    double with = error_with(true), without = error_with(false);
    ck_assert_msg(with <= 1.02 * without, "%g, without %g", with, without);
}
END_TEST

MARY_TEST_MAIN("convert/integer/balance", balanced_models_compute_the_same_bits, it_is_only_done_when_the_outputs_gain)
