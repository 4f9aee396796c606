/* Sessions: what a caller may do, and what is refused. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

static mary_session *open_session(mary_model *model, const mary_session_options *options)
{
    mary_session *session = NULL;
    assert_ok(mary_session_create(&model, options, &session));
    ck_assert_ptr_null(model);
    return session;
}

static mary_array float_array(const char *name, float *data, int rank, const int64_t *dims)
{
    mary_array array = {.name = name, .type = MARY_FLOAT, .rank = rank, .data = data, .bytes = sizeof *data};
    for (int i = 0; i < rank; i++) {
        array.dims[i] = dims[i];
        array.bytes *= (size_t)dims[i];
    }
    return array;
}

/* y = Relu(Neg(x)), x [N, 3] with N symbolic. */
static mary_model *negative_relu(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_node(graph, "Neg", "x", "n");
    build_node(graph, "Relu", "n", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 3));
    return model;
}

static void run_negative_relu(mary_session *session, int64_t batch)
{
    float x[64 * 3];
    for (int i = 0; i < batch * 3; i++)
        x[i] = (float)((i % 5) - 2);
    mary_array input = float_array("x", x, 2, (int64_t[]){batch, 3}), output;
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    ck_assert_int_eq(output.dims[0], batch);
    for (int i = 0; i < batch * 3; i++)
        ck_assert(((float *)output.data)[i] == (x[i] < 0 ? -x[i] : 0.0f));
    mary_array_free(&output);
}

START_TEST(batch_size_may_change_between_runs)
{
    mary_session *session = open_session(negative_relu(), NULL);
    for (int64_t batch = 0; batch < 24; batch++) /* more shapes than plans are kept */
        run_negative_relu(session, batch);
    run_negative_relu(session, 3);
    mary_session_free(&session);
    ck_assert_ptr_null(session);
}
END_TEST

static void *run_many(void *session)
{
    for (int64_t i = 0; i < 200; i++)
        run_negative_relu(session, 1 + i % 12);
    return NULL;
}

START_TEST(threads_share_a_session)
{
    mary_session *session = open_session(negative_relu(), &(mary_session_options){.threads = 1});
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_many, session), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mary_session_free(&session);
}
END_TEST

START_TEST(wrong_inputs_are_named)
{
    mary_session *session = open_session(negative_relu(), NULL);
    float x[12] = {0};
    mary_array output, good = float_array("x", x, 2, (int64_t[]){2, 3});
    mary_array bad = good;
    bad.dims[1] = 4;
    assert_fails(mary_session_run(session, &bad, 1, &output, 1), MARY_ERROR_USAGE, "input 'x' has shape [2,4]");
    bad = good;
    bad.name = "z";
    assert_fails(mary_session_run(session, &bad, 1, &output, 1), MARY_ERROR_USAGE, "no input 'z'");
    bad = good;
    bad.type = MARY_INT32;
    assert_fails(mary_session_run(session, &bad, 1, &output, 1), MARY_ERROR_USAGE, "int32");
    bad = good;
    bad.bytes = 8;
    assert_fails(mary_session_run(session, &bad, 1, &output, 1), MARY_ERROR_USAGE, "8 bytes");
    assert_fails(mary_session_run(session, &good, 0, &output, 1), MARY_ERROR_USAGE, "not given");
    assert_fails(mary_session_run(session, &good, 1, &output, 0), MARY_ERROR_USAGE, "1 outputs");
    mary_session_free(&session);
}
END_TEST

START_TEST(all_unsupported_nodes_are_listed_at_load)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(1));
    build_node(graph, "NoSuchOperator", "x", "a");
    build_node(graph, "my.domain:Other", "a", "b");
    build_node(graph, "Relu", "b", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(1));
    assert_ok(mary_model_set_opset(model, "my.domain", 1));
    mary_session *session = NULL;
    assert_fails(mary_session_create(&model, NULL, &session), MARY_ERROR_UNSUPPORTED, "NoSuchOperator");
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "my.domain.Other"));
    ck_assert_ptr_null(model);
    ck_assert_ptr_null(session);
}
END_TEST

START_TEST(internal_operators_are_refused_in_files)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    static const uint8_t table[256];
    build_input(graph, "x", MARY_UINT8, SHAPE(1));
    build_constant(graph, "table", MARY_UINT8, SHAPE(256), table);
    build_node(graph, "ai.mary.internal:Table", "x,table", "y");
    build_output(graph, "y", MARY_UINT8, SHAPE(1));
    assert_ok(mary_model_set_opset(model, "ai.mary.internal", 1));
    mary_session *session = NULL;
    assert_fails(mary_session_create(&model, NULL, &session), MARY_ERROR_UNSUPPORTED, "ai.mary.internal.Table");
}
END_TEST

/* Models of ONNX Runtime's tools may use its domain without importing it. */
START_TEST(the_domain_of_onnxruntime_needs_no_import)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    static const float scale = 1;
    build_input(graph, "x", MARY_UINT8, SHAPE(2));
    build_constant(graph, "s", MARY_FLOAT, SHAPE(1), &scale);
    build_node(graph, "com.microsoft:QLinearAdd", "x,s,,x,s,,s,", "y");
    build_output(graph, "y", MARY_UINT8, SHAPE(2));
    model = build_reload(model);
    mary_session *session = NULL;
    assert_ok(mary_session_create(&model, NULL, &session));
    uint8_t x[2] = {3, 200};
    const mary_array input = {.name = "x", .type = MARY_UINT8, .rank = 1, .dims = {2}, .data = x, .bytes = 2};
    mary_array output = {0};
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    ck_assert_int_eq(((uint8_t *)output.data)[0], 6);
    ck_assert_int_eq(((uint8_t *)output.data)[1], 255);
    mary_array_free(&output);
    mary_session_free(&session);
}
END_TEST

START_TEST(an_input_may_be_an_output_and_values_may_be_used_twice)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(2));
    build_node(graph, "Identity", "x", "same");
    build_node(graph, "Neg", "same", "n");
    build_node(graph, "Abs", "n", "y");
    build_output(graph, "x", MARY_FLOAT, SHAPE(2));
    build_output(graph, "same", MARY_FLOAT, SHAPE(2));
    build_output(graph, "n", MARY_FLOAT, SHAPE(2));
    build_output(graph, "y", MARY_FLOAT, SHAPE(2));
    mary_session *session = open_session(model, NULL);
    float x[2] = {1, -2};
    mary_array input = float_array("x", x, 1, (int64_t[]){2}), out[4];
    assert_ok(mary_session_run(session, &input, 1, out, 4));
    const float expected[4][2] = {{1, -2}, {1, -2}, {-1, 2}, {1, 2}};
    for (int i = 0; i < 4; i++) {
        ck_assert_mem_eq(out[i].data, expected[i], sizeof expected[i]);
        mary_array_free(&out[i]);
    }
    mary_session_free(&session);
}
END_TEST

START_TEST(half_models_compute_in_float_and_keep_their_type)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT16, SHAPE(2));
    build_node(graph, "Exp", "x", "e");
    build_node(graph, "Log", "e", "y");
    build_output(graph, "y", MARY_FLOAT16, SHAPE(2));
    mary_session *session = open_session(model, NULL);
    uint16_t x[2] = {0x3c00, 0xc000}; /* 1, -2 */
    mary_array input = {.name = "x", .type = MARY_FLOAT16, .rank = 1, .dims = {2}, .data = x, .bytes = sizeof x},
               output;
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    ck_assert_int_eq(output.type, MARY_FLOAT16);
    ck_assert_float_eq_tol(mary_half_to_float(((uint16_t *)output.data)[0]), 1.0f, 2e-3f);
    ck_assert_float_eq_tol(mary_half_to_float(((uint16_t *)output.data)[1]), -2.0f, 4e-3f);
    mary_array_free(&output);
    mary_session_free(&session);
}
END_TEST

typedef struct seen {
    char names[200];
    int count;
} seen;

static mary_status remember(void *context, const char *node, const mary_array *value)
{
    seen *s = context;
    ck_assert_str_eq(node, value->name); /* the builder names nodes after their outputs */
    strcat(s->names, value->name);
    strcat(s->names, " ");
    s->count++;
    return MARY_OK;
}

START_TEST(observers_see_every_value_in_order)
{
    mary_session *session = open_session(negative_relu(), &(mary_session_options){.no_fusion = true});
    float x[3] = {1, 2, 3};
    mary_array input = float_array("x", x, 2, (int64_t[]){1, 3});
    seen all = {0}, one = {0};
    assert_ok(mary_session_observe(session, &input, 1, NULL, 0, remember, &all));
    ck_assert_str_eq(all.names, "n y ");
    const char *names[] = {"y"};
    assert_ok(mary_session_observe(session, &input, 1, names, 1, remember, &one));
    ck_assert_str_eq(one.names, "y ");
    mary_session_free(&session);
    session = open_session(negative_relu(), NULL);
    assert_fails(mary_session_observe(session, &input, 1, NULL, 0, remember, &all), MARY_ERROR_USAGE, "without fusion");
    mary_session_free(&session);
}
END_TEST

START_TEST(profile_counts_every_node)
{
    mary_session *session = open_session(negative_relu(), &(mary_session_options){.profile = true});
    run_negative_relu(session, 2);
    run_negative_relu(session, 3);
    const mary_profile_row *rows;
    int count;
    assert_ok(mary_session_profile(session, &rows, &count));
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(rows[0].op_type, "Neg");
    ck_assert_str_eq(rows[1].op_type, "Relu");
    ck_assert_uint_eq(rows[1].calls, 2);
    mary_session_free(&session);
}
END_TEST

START_TEST(unknown_cpu_is_refused)
{
    mary_model *model = negative_relu();
    mary_session *session = NULL;
    assert_fails(mary_session_create(&model, &(mary_session_options){.cpu = "z80"}, &session), MARY_ERROR_USAGE, "z80");
    ck_assert_ptr_null(model);
}
END_TEST

static void name_first_dimension(Onnx__ValueInfoProto *info, const char *symbol)
{
    Onnx__TensorShapeProto__Dimension *dim = info->type->tensor_type->shape->dim[0];
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    dim->dim_param = mary_strdup(symbol);
}

START_TEST(shape_inference_keeps_symbols)
{
    mary_model *model = negative_relu();
    Onnx__GraphProto *graph = model->proto->graph;
    name_first_dimension(graph->input[0], "batch");
    assert_ok(mary_model_infer_shapes(model));
    ck_assert_uint_eq(graph->n_value_info, 1);
    ck_assert_str_eq(graph->value_info[0]->name, "n");
    const Onnx__TensorShapeProto *shape = graph->value_info[0]->type->tensor_type->shape;
    ck_assert_uint_eq(shape->n_dim, 2);
    ck_assert_str_eq(shape->dim[0]->dim_param, "batch");
    ck_assert_int_eq(shape->dim[1]->dim_value, 3);
    mary_model_free(&model);
}
END_TEST

START_TEST(shape_inference_uses_symbols_of_values_inside)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    mary_node_set_int(build_node(graph, "Concat", "x,x", "pair"), "axis", 0);
    build_node(graph, "Neg", "pair", "n");
    build_node(graph, "Relu", "n", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 3));
    name_first_dimension(graph->input[0], "batch");
    assert_ok(mary_graph_set_value_info(graph, "n", MARY_FLOAT, &SHAPE(-1, 3)));
    name_first_dimension(graph->value_info[0], "twice");
    assert_ok(mary_model_infer_shapes(model));
    ck_assert_uint_eq(graph->n_value_info, 2);
    ck_assert_str_eq(graph->value_info[1]->name, "pair");
    ck_assert_str_eq(graph->value_info[1]->type->tensor_type->shape->dim[0]->dim_param, "twice");
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("runtime/session", batch_size_may_change_between_runs, threads_share_a_session, wrong_inputs_are_named,
               all_unsupported_nodes_are_listed_at_load, an_input_may_be_an_output_and_values_may_be_used_twice,
               half_models_compute_in_float_and_keep_their_type, observers_see_every_value_in_order,
               profile_counts_every_node, unknown_cpu_is_refused, shape_inference_keeps_symbols,
               shape_inference_uses_symbols_of_values_inside, internal_operators_are_refused_in_files,
               the_domain_of_onnxruntime_needs_no_import)
