/* A whole network with integer activations: every u8 value is the same on every CPU tier, fusion changes nothing but
 * what it may round once less, and the function bodies, run by the float executor, agree to within a step. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/cpu.h"

enum { SAMPLES = 4, IMAGE = 3 * 19 * 17, MOST_VALUES = 64, CLASSES = 7 };

static float next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1.0f;
}

static void weights(Onnx__GraphProto *graph, const char *name, mary_shape shape, uint32_t seed)
{
    const int64_t count = mary_shape_count(&shape), length = mary_shape_count_range(&shape, 1, shape.rank);
    float *values = malloc(sizeof *values * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        values[i] = next_random(&seed) / sqrtf((float)length);
    build_floats(graph, name, shape, values);
    free(values);
}

static void convolve(Onnx__GraphProto *graph, const char *from, const char *to, mary_shape w, int64_t group,
                     int64_t stride, uint32_t seed)
{
    char weight[32], bias[32], inputs[128];
    const int64_t pad = w.dims[2] / 2;
    snprintf(weight, sizeof weight, "%s_w", to);
    snprintf(bias, sizeof bias, "%s_b", to);
    snprintf(inputs, sizeof inputs, "%s,%s,%s", from, weight, bias);
    weights(graph, weight, w, seed);
    weights(graph, bias, SHAPE(w.dims[0]), seed + 1);
    Onnx__NodeProto *node = build_node(graph, "Conv", inputs, to);
    assert_ok(mary_node_set_ints(node, "pads", (const int64_t[]){pad, pad, pad, pad}, 4));
    assert_ok(mary_node_set_ints(node, "strides", (const int64_t[]){stride, stride}, 2));
    assert_ok(mary_node_set_int(node, "group", group));
}

/* What the networks of this kind are made of: a first layer of three channels, depthwise and grouped convolutions, a
 * residual, squeeze and excitation, Concat, pools, and activations that are tables. */
static mary_model *network(void)
{
    mary_model *model = build_model(14);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3, 19, 17));
    convolve(graph, "x", "c1", SHAPE(18, 3, 5, 5), 1, 2, 1);
    build_node(graph, "HardSwish", "c1", "h1");
    convolve(graph, "h1", "c2", SHAPE(18, 1, 3, 3), 18, 1, 2);
    build_node(graph, "Relu", "c2", "r2");
    convolve(graph, "r2", "c3", SHAPE(18, 18, 1, 1), 1, 1, 3);
    build_node(graph, "Add", "c3,h1", "a3");
    build_node(graph, "Relu", "a3", "r3");
    build_node(graph, "GlobalAveragePool", "r3", "g");
    convolve(graph, "g", "c4", SHAPE(18, 18, 1, 1), 1, 1, 4);
    build_node(graph, "Sigmoid", "c4", "s4");
    build_node(graph, "Mul", "r3,s4", "m4");
    convolve(graph, "m4", "c5", SHAPE(12, 9, 3, 3), 2, 1, 5);
    build_node(graph, "Relu", "c5", "r5");
    assert_ok(mary_node_set_int(build_node(graph, "Concat", "m4,r5", "k5"), "axis", 1));
    Onnx__NodeProto *pool = build_node(graph, "MaxPool", "k5", "p5");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (const int64_t[]){3, 2}, 2));
    assert_ok(mary_node_set_ints(pool, "strides", (const int64_t[]){2, 2}, 2));
    pool = build_node(graph, "AveragePool", "p5", "p6");
    assert_ok(mary_node_set_ints(pool, "kernel_shape", (const int64_t[]){2, 2}, 2));
    build_node(graph, "Flatten", "p6", "f6");
    weights(graph, "w7", SHAPE(CLASSES, 30 * 3 * 3), 7);
    assert_ok(mary_node_set_int(build_node(graph, "Gemm", "f6,w7", "y"), "transB", 1));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    return model;
}

typedef struct samples {
    float data[IMAGE];
    mary_array input;
    const mary_array *inputs;
} samples;

static mary_status sample(void *context, int64_t index, const mary_array **inputs, int *count)
{
    samples *s = context;
    uint32_t seed = (uint32_t)index * 77 + 5;
    for (int i = 0; i < IMAGE; i++)
        s->data[i] = 2 * next_random(&seed);
    s->input = (mary_array){
        .name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {1, 3, 19, 17}, .data = s->data, .bytes = sizeof s->data};
    *inputs = &s->input;
    *count = 1;
    return MARY_OK;
}

static mary_model *converted(int levels)
{
    samples s;
    const mary_calibration calibration = {.context = &s, .count = SAMPLES, .sample = sample};
    mary_model *model = network();
    mary_convert_report *report = NULL;
    const mary_convert_options options = {.levels = levels,
                                          .first_last_levels = MARY_SAME_LEVELS,
                                          .activations = 8,
                                          .calibration = &calibration,
                                          .calibration_method = "min-max",
                                          .threads = 1};
    assert_ok(mary_convert(model, &options, &report));
    const mary_float_node_report *left = mary_convert_float_node(report, 0);
    ck_assert_msg(left == NULL, "node '%s' stays float", left == NULL ? "" : left->name);
    mary_convert_report_free(&report);
    return model;
}

/* ---- every value, for comparing ---- */

typedef struct recording {
    int count;
    struct {
        char name[64];
        uint8_t *data;
        size_t bytes;
        mary_type type;
    } values[MOST_VALUES];
} recording;

static mary_status record(void *context, const char *node, const mary_array *value)
{
    recording *r = context;
    (void)node;
    ck_assert_int_lt(r->count, MOST_VALUES);
    snprintf(r->values[r->count].name, sizeof r->values[0].name, "%s", value->name);
    r->values[r->count].data = malloc(value->bytes);
    memcpy(r->values[r->count].data, value->data, value->bytes);
    r->values[r->count].bytes = value->bytes;
    r->values[r->count++].type = value->type;
    return MARY_OK;
}

static void release(recording *r)
{
    for (int i = 0; i < r->count; i++)
        free(r->values[i].data);
}

static void observe(const mary_model *model, const char *cpu, recording *r)
{
    samples s;
    const mary_array *inputs;
    int count;
    mary_model *copy;
    mary_session *session = NULL;
    *r = (recording){0};
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(
        mary_session_create(&copy, &(mary_session_options){.no_fusion = true, .threads = 1, .cpu = cpu}, &session));
    assert_ok(sample(&s, 100, &inputs, &count));
    assert_ok(mary_session_observe(session, inputs, count, NULL, 0, record, r));
    mary_session_free(&session);
}

static void run(const mary_model *model, const char *cpu, bool fuse, float y[CLASSES])
{
    samples s;
    const mary_array *inputs;
    int count;
    mary_model *copy;
    mary_session *session = NULL;
    mary_array output;
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(
        mary_session_create(&copy, &(mary_session_options){.threads = 2, .cpu = cpu, .no_fusion = !fuse}, &session));
    assert_ok(sample(&s, 100, &inputs, &count));
    assert_ok(mary_session_run(session, inputs, count, &output, 1));
    ck_assert_uint_eq(output.bytes, CLASSES * sizeof(float));
    memcpy(y, output.data, output.bytes);
    mary_array_free(&output);
    mary_session_free(&session);
}

/* The smallest distance between two different outputs: no less than one step of the output's scale. */
static float step_of(const mary_model *model)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    const Onnx__NodeProto *last = graph->node[graph->n_node - 1];
    ck_assert_str_eq(last->op_type, "DequantizeLinear");
    for (size_t i = 0; i < graph->n_initializer; i++) {
        float *values;
        mary_shape shape;
        if (strcmp(graph->initializer[i]->name, last->input[1]) != 0)
            continue;
        assert_ok(mary_constant_floats(model, graph->initializer[i], &values, &shape));
        float step = values[0];
        mary_free(values);
        return step;
    }
    ck_abort_msg("the output has no scale");
}

static const int all_levels[] = {2, 4, 16, 256};

START_TEST(every_tier_computes_the_same_bytes)
{
    mary_model *model = converted(all_levels[_i]);
    recording reference, other;
    observe(model, "scalar", &reference);
    for (int tier = 1; tier < MARY_CPU_COUNT; tier++) {
        mary_cpu cpu;
        const char *name = mary_cpu_name((mary_cpu)tier);
        if (mary_cpu_parse(name, &cpu) != MARY_OK)
            continue; /* not on this machine */
        observe(model, name, &other);
        ck_assert_int_eq(other.count, reference.count);
        int integers = 0;
        for (int i = 0; i < reference.count; i++) {
            ck_assert_str_eq(other.values[i].name, reference.values[i].name);
            if (reference.values[i].type != MARY_UINT8)
                continue;
            ck_assert_uint_eq(other.values[i].bytes, reference.values[i].bytes);
            ck_assert_msg(memcmp(other.values[i].data, reference.values[i].data, other.values[i].bytes) == 0,
                          "'%s' differs on %s", reference.values[i].name, name);
            integers++;
        }
        ck_assert_int_ge(integers, 12);
        release(&other);
    }
    release(&reference);
    mary_model_free(&model);
}
END_TEST

START_TEST(fused_networks_compute_the_same_bytes_on_every_tier)
{
    mary_model *model = converted(all_levels[_i]);
    float reference[CLASSES], other[CLASSES];
    run(model, "scalar", true, reference);
    for (int tier = 1; tier < MARY_CPU_COUNT; tier++) {
        mary_cpu cpu;
        if (mary_cpu_parse(mary_cpu_name((mary_cpu)tier), &cpu) != MARY_OK)
            continue;
        run(model, mary_cpu_name((mary_cpu)tier), true, other);
        ck_assert_mem_eq(reference, other, sizeof other);
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(function_bodies_agree_to_within_a_step)
{
    mary_model *model = converted(all_levels[_i]);
    const float step = step_of(model);
    float fused[CLASSES], bodies[CLASSES];
    run(model, NULL, true, fused);
    assert_ok(mary_model_inline_functions(model, NULL));
    run(model, NULL, false, bodies);
    for (int i = 0; i < CLASSES; i++)
        ck_assert_float_le(fabsf(fused[i] - bodies[i]), 1.01f * step);
    mary_model_free(&model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime/u8_network");
    TCase *test_case = tcase_create("all");
    const int count = sizeof all_levels / sizeof all_levels[0];
    tcase_set_timeout(test_case, 120);
    tcase_add_loop_test(test_case, every_tier_computes_the_same_bytes, 0, count);
    tcase_add_loop_test(test_case, fused_networks_compute_the_same_bytes_on_every_tier, 0, count);
    tcase_add_loop_test(test_case, function_bodies_agree_to_within_a_step, 0, count);
    suite_add_tcase(suite, test_case);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
