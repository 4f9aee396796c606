/* Conversion end to end: what runs afterwards is what the levels say, and every promise about odd models. */
#include "tests/support/suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "convert/layer.h"
#include "tests/support/graph_match.h"
#include "tests/support/model_builder.h"

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void random_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape)
{
    float values[4096];
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = draw();
    build_floats(graph, name, shape, values);
}

/* Every kind of layer, with groups, transposition and factors. x [N, 4, 6, 6] -> y [N, 5], z [N, 3, 7] */
static mary_model *zoo(int64_t opset)
{
    mary_model *model = build_model(opset);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 7;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 4, 6, 6));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 5));
    build_output(graph, "z", MARY_FLOAT, SHAPE(-1, 3, 7));
    random_floats(graph, "conv.w", SHAPE(8, 2, 3, 3));
    random_floats(graph, "conv.b", SHAPE(8));
    random_floats(graph, "up.w", SHAPE(8, 5, 3, 3));
    random_floats(graph, "gemm.w", SHAPE(6, 40));
    random_floats(graph, "gemm.b", SHAPE(6));
    random_floats(graph, "gemm2.w", SHAPE(6, 5));
    random_floats(graph, "matmul.w", SHAPE(360, 7));
    Onnx__NodeProto *conv = build_node(graph, "Conv", "x,conv.w,conv.b", "conv");
    assert_ok(mary_node_set_int(conv, "group", 2));
    build_node(graph, "Relu", "conv", "relu");
    Onnx__NodeProto *up = build_node(graph, "ConvTranspose", "relu,up.w", "up"); /* [N, 10, 6, 6] */
    assert_ok(mary_node_set_int(up, "group", 2));
    build_ints(graph, "rows", SHAPE(2), (int64_t[]){-1, 40});
    build_ints(graph, "threes", SHAPE(3), (int64_t[]){-1, 3, 360});
    build_ints(graph, "pooled", SHAPE(2), (int64_t[]){-1, 6});
    build_node(graph, "Reshape", "up,rows", "flat"); /* [9 N, 40] */
    Onnx__NodeProto *gemm = build_node(graph, "Gemm", "flat,gemm.w,gemm.b", "gemm");
    assert_ok(mary_node_set_int(gemm, "transB", 1));
    assert_ok(mary_node_set_float(gemm, "alpha", 0.5f));
    assert_ok(mary_node_set_float(gemm, "beta", 2.0f));
    build_node(graph, "Gemm", "gemm,gemm2.w", "y");
    build_node(graph, "Concat", "up,up,up", "three"); /* [N, 30, 6, 6] */
    assert_ok(mary_node_set_int(graph->node[graph->n_node - 1], "axis", 1));
    build_node(graph, "Reshape", "three,threes", "wide"); /* [N, 3, 360] */
    build_node(graph, "MatMul", "wide,matmul.w", "z");
    return model;
}

static mary_convert_options all_at(int levels)
{
    return (mary_convert_options){.levels = levels, .first_last_levels = MARY_SAME_LEVELS, .threads = 2};
}

static void run(mary_model *model, mary_array *outputs, int count)
{
    mary_model *copy;
    mary_session *session;
    float x[2 * 4 * 6 * 6];
    state = 99;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = draw();
    mary_array input = {.name = "x", .type = MARY_FLOAT, .rank = 4, .dims = {2, 4, 6, 6}, .data = x, .bytes = sizeof x};
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    assert_ok(mary_session_run(session, &input, 1, outputs, count));
    mary_session_free(&session);
}

static void expect_same_outputs(mary_model *got, mary_model *expected, double tolerance)
{
    mary_array a[2], b[2];
    run(got, a, 2);
    run(expected, b, 2);
    for (int o = 0; o < 2; o++) {
        double largest = 0, worst = 0;
        ck_assert_uint_eq(a[o].bytes, b[o].bytes);
        for (size_t i = 0; i < a[o].bytes / sizeof(float); i++) {
            double x = ((float *)a[o].data)[i], y = ((float *)b[o].data)[i];
            largest = fmax(largest, fabs(y));
            worst = isfinite(x) ? fmax(worst, fabs(x - y)) : INFINITY;
        }
        ck_assert_msg(worst <= tolerance * largest, "output %d differs by %g of %g", o, worst, largest);
        mary_array_free(&a[o]);
        mary_array_free(&b[o]);
    }
}

static size_t count_op(const mary_model *model, const char *op)
{
    size_t count = 0;
    for (size_t i = 0; i < model->proto->graph->n_node; i++)
        count += strcmp(model->proto->graph->node[i]->op_type, op) == 0;
    return count;
}

START_TEST(what_runs_is_what_dequantize_gives)
{
    static const int levels[] = {2, 3, 4, 7, 16, 100, 256};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        for (int granularity = 1; granularity <= 2; granularity++) {
            mary_model *model = zoo(13), *plain;
            mary_convert_options options = all_at(levels[i]);
            options.granularity = (mary_granularity)granularity;
            mary_convert_report *report;
            assert_ok(mary_convert(model, &options, &report));
            size_t coded = 0;
            for (size_t l = 0; mary_convert_layer(report, l) != NULL; l++)
                coded += mary_convert_layer(report, l)->bits > 0;
            if (levels[i] <= 4) /* more does not always pay on rows this short */
                ck_assert_uint_ge(coded, 4);
            model = build_reload(model);
            assert_ok(mary_model_copy(model, &plain));
            assert_ok(mary_dequantize(plain));
            plain = build_reload(plain);
            ck_assert_uint_eq(plain->proto->n_functions, 0);
            ck_assert_int_eq(mary_model_opset(plain, MARY_DOMAIN), 0);
            for (size_t n = 0; n < plain->proto->graph->n_node; n++)
                ck_assert_ptr_null(strstr(plain->proto->graph->node[n]->op_type, "Mary"));
            expect_same_outputs(model, plain, 1e-5);
            mary_convert_report_free(&report);
            mary_model_free(&model);
            mary_model_free(&plain);
        }
    }
}
END_TEST

START_TEST(enough_levels_change_nothing)
{
    mary_model *model = zoo(13), *original = zoo(13);
    mary_convert_options options = all_at(256);
    options.granularity = MARY_GRANULARITY_TENSOR;
    assert_ok(mary_convert(model, &options, NULL));
    ck_assert_uint_gt(count_op(model, "MaryMatMul"), 0);
    expect_same_outputs(model, original, 0.02);
    mary_model_free(&model);
    mary_model_free(&original);
}
END_TEST

/* One Conv and one Gemm with few distinct weights: x [N, 4, 6, 6] -> y */
static mary_model *coarse(int64_t opset)
{
    mary_model *model = build_model(opset);
    Onnx__GraphProto *graph = model->proto->graph;
    float values[2560];
    for (int i = 0; i < 2560; i++)
        values[i] = (float)(i * 7 % 4) - 1.5f;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 4, 6, 6));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 10));
    build_floats(graph, "w", SHAPE(16, 4, 6, 6), values);
    build_floats(graph, "v", SHAPE(10, 16), values);
    build_floats(graph, "b", SHAPE(16), values);
    build_node(graph, "Conv", "x,w,b", "c");
    build_node(graph, "Flatten", "c", "f");
    Onnx__NodeProto *gemm = build_node(graph, "Gemm", "f,v", "y");
    assert_ok(mary_node_set_int(gemm, "transB", 1));
    return model;
}

START_TEST(dequantize_is_the_exact_inverse)
{
    mary_model *model = coarse(13), *original = coarse(13);
    mary_convert_options options = all_at(4);
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_uint_eq(count_op(model, "MaryConv"), 1);
    ck_assert_uint_eq(count_op(model, "MaryGemm"), 1);
    ck_assert(isinf(mary_convert_layer(report, 0)->sqnr));
    assert_ok(mary_dequantize(model));
    assert_graph(model, original);
    for (size_t i = 0; i < model->proto->graph->n_initializer; i++) { /* even the names come back */
        const char *name = model->proto->graph->initializer[i]->name;
        ck_assert(strcmp(name, "w") == 0 || strcmp(name, "v") == 0 || strcmp(name, "b") == 0);
    }
    mary_convert_report_free(&report);
    mary_model_free(&model);
    mary_model_free(&original);
}
END_TEST

START_TEST(weights_come_back_to_their_places_in_every_layout)
{
    float values[1536];
    for (int i = 0; i < 1536; i++) /* four values in an order that no other order repeats */
        values[i] = (float)(i * i % 13 % 4) - 1.5f;
    mary_model *models[2];
    for (int k = 0; k < 2; k++) {
        models[k] = build_model(13);
        Onnx__GraphProto *graph = models[k]->proto->graph;
        build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 8, 5, 16));
        build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 12, 7, 30));
        build_floats(graph, "up", SHAPE(8, 6, 3, 3), values);
        build_floats(graph, "matrix", SHAPE(18, 30), values);
        Onnx__NodeProto *node = build_node(graph, "ConvTranspose", "x,up", "u");
        assert_ok(mary_node_set_int(node, "group", 2));
        build_node(graph, "MatMul", "u,matrix", "y");
    }
    mary_convert_options options = all_at(4);
    assert_ok(mary_convert(models[0], &options, NULL));
    ck_assert_uint_eq(count_op(models[0], "MaryConvTranspose"), 1);
    ck_assert_uint_eq(count_op(models[0], "MaryMatMul"), 1);
    assert_ok(mary_dequantize(models[0]));
    assert_graph(models[0], models[1]);
    mary_model_free(&models[0]);
    mary_model_free(&models[1]);
}
END_TEST

START_TEST(bytes_do_not_depend_on_threads_and_report_adds_up)
{
    uint8_t *bytes[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        mary_model *model = zoo(13);
        size_t before;
        uint8_t *original = build_bytes(model, &before);
        mary_free(original);
        mary_convert_options options = all_at(4);
        options.threads = i == 0 ? 1 : 5;
        mary_convert_report *report;
        assert_ok(mary_convert(model, &options, &report));
        bytes[i] = build_bytes(model, &sizes[i]);
        const mary_convert_totals *totals = mary_convert_totals_of(report);
        ck_assert_uint_eq(totals->file_before, before);
        ck_assert_uint_eq(totals->file_after, sizes[i]);
        uint64_t sum = 0;
        for (size_t l = 0; mary_convert_layer(report, l) != NULL; l++) {
            const mary_layer_report *layer = mary_convert_layer(report, l);
            sum += (uint64_t)layer->bytes_after;
            ck_assert_int_eq(layer->weights, layer->rows * layer->row_length);
            ck_assert(layer->bits > 0 || layer->note[0] != '\0');
        }
        ck_assert_uint_eq(sum, totals->bytes_after);
        mary_convert_report_free(&report);
        mary_model_free(&model);
    }
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], sizes[0]);
    mary_free(bytes[0]);
    mary_free(bytes[1]);
}
END_TEST

static const mary_layer_report *find(const mary_convert_report *report, const char *name)
{
    for (size_t i = 0; mary_convert_layer(report, i) != NULL; i++) {
        if (strcmp(mary_convert_layer(report, i)->name, name) == 0)
            return mary_convert_layer(report, i);
    }
    ck_abort_msg("no layer '%s' in the report", name);
    return NULL;
}

START_TEST(nodes_are_chosen_by_their_original_names_and_unmatched_globs_are_errors)
{
    mary_model *model = zoo(13);
    mary_convert_options options = all_at(2);
    mary_convert_report *report = NULL;
    const char *exclude[] = {"up", "nothing*"}, *include[] = {"conv", "u*", "z"}, *types[] = {"Conv", "ConvTranspose"};
    options.exclude = exclude;
    options.exclude_count = 2;
    assert_fails(mary_convert(model, &options, &report), MARY_ERROR_USAGE, "'nothing*'");
    ck_assert_ptr_null(report);
    options.exclude_count = 1;
    options.include = include;
    options.include_count = 3;
    options.op_types = types;
    options.op_type_count = 2;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_int_eq(find(report, "conv")->bits, 1);
    ck_assert_str_eq(find(report, "up")->note, "excluded by name");
    ck_assert_str_eq(find(report, "y")->note, "not one of the operator types asked for");
    ck_assert_str_eq(find(report, "z")->note, "not one of the operator types asked for");
    mary_convert_report_free(&report);
    mary_model_free(&model);
    types[0] = "Relu";
    model = zoo(13);
    assert_fails(mary_convert(model, &options, &report), MARY_ERROR_USAGE, "'Relu'");
    options = (mary_convert_options){.levels = 257};
    assert_fails(mary_convert(model, &options, &report), MARY_ERROR_USAGE, "257");
    options = (mary_convert_options){.method = "magic"};
    assert_fails(mary_convert(model, &options, &report), MARY_ERROR_USAGE, "'magic'");
    mary_model_free(&model);
}
END_TEST

START_TEST(first_and_last_layers_get_256_levels_unless_told_otherwise)
{
    mary_model *model = zoo(13);
    mary_convert_options options = {.levels = 2};
    mary_convert_report *report;
    options.granularity = MARY_GRANULARITY_TENSOR;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_int_eq(find(report, "up")->levels, 2);
    ck_assert_int_eq(find(report, "gemm")->levels, 2);
    ck_assert_int_eq(find(report, "z")->levels, 256); /* last on its branch; "conv" and "y" are too small to pay */
    ck_assert_ptr_nonnull(strstr(find(report, "conv")->note, "does not pay"));
    ck_assert_ptr_nonnull(strstr(find(report, "y")->note, "does not pay"));
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

static mary_status convert_with_config(const char *text, mary_convert_report **report)
{
    char path[] = "/tmp/mary_config_XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    mary_model *model = zoo(13);
    mary_status status = mary_convert(model, &(mary_convert_options){.config = path}, report);
    mary_model_free(&model);
    unlink(path);
    return status;
}

START_TEST(settings_per_layer_come_from_json)
{
    mary_convert_report *report;
    assert_ok(convert_with_config("{\"levels\": 4, \"first_last\": \"same\", \"layers\": {\"*\": {\"levels\": 3},"
                                  "\"conv\": {\"levels\": 2}, \"up\": {\"exclude\": true},"
                                  "\"z\": {\"method\": \"uniform\", \"granularity\": \"tensor\"}}}",
                                  &report));
    ck_assert_int_eq(find(report, "conv")->levels, 2);
    ck_assert_int_eq(find(report, "gemm")->levels, 3);
    ck_assert_str_eq(find(report, "up")->note, "excluded by the configuration file");
    ck_assert_str_eq(find(report, "z")->method, "uniform");
    ck_assert(find(report, "z")->shared);
    mary_convert_report_free(&report);
    assert_fails(convert_with_config("{\"layers\": {\"nowhere\": {}}}", &report), MARY_ERROR_USAGE, "'nowhere'");
    assert_fails(convert_with_config("{\"layers\": {\"conv\": {\"level\": 3}}}", &report), MARY_ERROR_USAGE,
                 "'level' of layer 'conv'");
    assert_fails(convert_with_config("{\"levels\": 1}", &report), MARY_ERROR_USAGE, "'levels'");
    assert_fails(convert_with_config("{\"levels\": }", &report), MARY_ERROR_USAGE, ":1:");
    mary_model *model = zoo(13);
    assert_fails(mary_convert(model, &(mary_convert_options){.config = "/nowhere.json"}, &report), MARY_ERROR_INVALID,
                 "/nowhere.json");
    mary_model_free(&model);
}
END_TEST

START_TEST(weights_that_are_not_finite_or_empty_are_refused_by_name)
{
    float values[64] = {0};
    for (int kind = 0; kind < 3; kind++) {
        mary_model *model = build_model(13);
        Onnx__GraphProto *graph = model->proto->graph;
        values[17] = kind == 0 ? NAN : INFINITY;
        build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 8));
        build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 8));
        build_floats(graph, "bad.weight", kind == 2 ? SHAPE(8, 0) : SHAPE(8, 8), values);
        build_node(graph, "MatMul", "x,bad.weight", "y");
        mary_convert_options options = all_at(4);
        assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_INVALID, "bad.weight");
        mary_model_free(&model);
    }
}
END_TEST

START_TEST(shared_weights_have_one_payload_and_a_float_copy_only_where_needed)
{
    for (int other = 0; other < 2; other++) {
        mary_model *model = build_model(13);
        Onnx__GraphProto *graph = model->proto->graph;
        build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 20));
        build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 20));
        random_floats(graph, "w", SHAPE(20, 20));
        random_floats(graph, "copy", SHAPE(1, 1));
        build_node(graph, "MatMul", "x,w", "a");
        build_node(graph, "MatMul", "a,w", "b");
        build_node(graph, "Add", other == 1 ? "b,w" : "b,x", "y");
        mary_convert_options options = all_at(4);
        mary_convert_report *report;
        assert_ok(mary_convert(model, &options, &report));
        ck_assert_str_eq(graph->node[0]->input[1], graph->node[1]->input[1]);
        ck_assert_uint_eq(graph->n_initializer, other == 1 ? 3 : 2);
        ck_assert(mary_convert_layer(report, 1)->repeated && !mary_convert_layer(report, 0)->repeated);
        ck_assert((strstr(mary_convert_layer(report, other)->note, "float weight stays") != NULL) == (other == 1));
        assert_ok(mary_dequantize(model));
        ck_assert_str_eq(graph->node[0]->input[1], graph->node[1]->input[1]);
        mary_convert_report_free(&report);
        mary_model_free(&model);
    }
}
END_TEST

START_TEST(what_cannot_be_quantised_stays_and_says_why)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(3, 20, 20));
    build_output(graph, "y", MARY_FLOAT, SHAPE(3, 20, 20));
    random_floats(graph, "w", SHAPE(20, 20));
    random_floats(graph, "batched", SHAPE(3, 20, 20));
    build_constant(graph, "q", MARY_INT8, SHAPE(20), "abcdefghijklmnopqrst");
    random_floats(graph, "s", SHAPE());
    build_node(graph, "DequantizeLinear", "q,s", "dq");
    build_node(graph, "MatMul", "w,x", "left");
    build_node(graph, "MatMul", "left,batched", "each");
    build_node(graph, "MatMul", "each,x", "free");
    build_node(graph, "MatMul", "free,dq", "vector");
    build_node(graph, "Add", "free,vector", "y");
    mary_convert_options options = all_at(4);
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_ptr_nonnull(strstr(find(report, "left")->note, "left operand"));
    ck_assert_ptr_nonnull(strstr(find(report, "each")->note, "[3,20,20]"));
    ck_assert_ptr_nonnull(strstr(find(report, "free")->note, "not a constant"));
    ck_assert_ptr_nonnull(strstr(find(report, "vector")->note, "already quantised"));
    ck_assert_uint_eq(model->proto->n_functions, 0);
    ck_assert_int_eq(mary_model_opset(model, MARY_DOMAIN), 0);
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

START_TEST(converting_twice_changes_nothing_and_local_functions_survive)
{
    mary_model *model = zoo(13);
    build_function(model, "local", "Twice", "a", "b", 13);
    build_function_node(model->proto->functions[0], "Add", "a,a", "b");
    mary_convert_options options = all_at(4);
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_ptr_nonnull(mary_convert_warning(report, 0));
    ck_assert_ptr_nonnull(strstr(mary_convert_warning(report, 0), "Twice"));
    mary_convert_report_free(&report);
    size_t size, size_again;
    uint8_t *bytes = build_bytes(model, &size);
    assert_ok(mary_convert(model, &options, &report));
    uint8_t *again = build_bytes(model, &size_again);
    ck_assert_uint_eq(size, size_again);
    ck_assert_mem_eq(bytes, again, size);
    ck_assert_ptr_nonnull(strstr(mary_convert_warning(report, 0), "already"));
    mary_convert_report_free(&report);
    mary_free(bytes);
    mary_free(again);
    mary_model_free(&model);
}
END_TEST

/* What a viewer such as Netron shows of a function. */
START_TEST(functions_say_what_they_compute)
{
    mary_model *model = zoo(13);
    mary_convert_options options = all_at(4);
    assert_ok(mary_convert(model, &options, NULL));
    ck_assert_uint_ge(model->proto->n_functions, 3);
    for (size_t i = 0; i < model->proto->n_functions; i++) {
        const Onnx__FunctionProto *function = model->proto->functions[i];
        const char *standard = function->name + strlen("Mary"); /* MaryConv: Conv with ... */
        ck_assert_int_eq(strncmp(function->doc_string, standard, strlen(standard)), 0);
        ck_assert_ptr_nonnull(strstr(function->doc_string, "W[r, k] = levels[r, code[r, k]]"));
        ck_assert_int_eq(function->doc_string[strlen(function->doc_string) - 1], '.'); /* nothing is cut off */
    }
    mary_model_free(&model);
}
END_TEST

START_TEST(foreign_function_of_our_name_is_not_overwritten)
{
    mary_model *model = coarse(13);
    build_function(model, MARY_DOMAIN, "MaryConv", "a", "b", 13);
    build_function_node(model->proto->functions[0], "Neg", "a", "b");
    mary_convert_options options = all_at(4);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_UNSUPPORTED, "MaryConv");
    mary_model_free(&model);
}
END_TEST

START_TEST(half_precision_weights_keep_their_type)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    uint16_t values[32 * 32];
    for (int i = 0; i < 32 * 32; i++)
        values[i] = mary_float_to_half(draw());
    build_input(graph, "x", MARY_FLOAT16, SHAPE(-1, 32));
    build_output(graph, "y", MARY_FLOAT16, SHAPE(-1, 32));
    build_constant(graph, "w", MARY_FLOAT16, SHAPE(32, 32), values);
    build_node(graph, "MatMul", "x,w", "y");
    mary_convert_options options = all_at(4);
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_int_eq(mary_convert_layer(report, 0)->bits, 2);
    ck_assert_int_eq(graph->initializer[1]->data_type, MARY_FLOAT16);
    ck_assert_int_eq(mary_convert_layer(report, 0)->bytes_before, 2048);
    ck_assert_int_eq(mary_convert_layer(report, 0)->bytes_after, 32 * 8 + 32 * 4 * 2);
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

START_TEST(functions_can_be_left_out)
{
    mary_model *model = zoo(13);
    mary_convert_options options = all_at(4);
    options.no_functions = true;
    assert_ok(mary_convert(model, &options, NULL));
    ck_assert_uint_eq(model->proto->n_functions, 0);
    ck_assert_int_eq(mary_model_opset(model, MARY_DOMAIN), 1);
    mary_model_free(&model);
}
END_TEST

START_TEST(short_rows_share_levels_or_stay_float)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 256, 8, 8));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4, 8, 8));
    random_floats(graph, "depthwise", SHAPE(256, 1, 3, 3)); /* 16 levels would be more than the 9 weights of a row */
    random_floats(graph, "tiny", SHAPE(4, 2, 1, 1));
    Onnx__NodeProto *first = build_node(graph, "Conv", "x,depthwise", "a");
    assert_ok(mary_node_set_int(first, "group", 256));
    build_node(graph, "ReduceMean", "a", "b");
    Onnx__NodeProto *second = build_node(graph, "Conv", "b,tiny", "y");
    (void)second;
    mary_convert_options options = all_at(16);
    mary_convert_report *report;
    assert_ok(mary_convert(model, &options, &report));
    const mary_layer_report *layer = find(report, "a");
    ck_assert(layer->shared && layer->levels == 256 && layer->bytes_after == 256 * 9 + 1024);
    ck_assert(layer->sqnr > 30 && strstr(layer->note, "instead of 16") != NULL);
    ck_assert_ptr_nonnull(strstr(find(report, "y")->note, "does not pay"));
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

START_TEST(memory_that_runs_out_anywhere_is_a_status)
{
    mary_convert_options options = all_at(3);
    options.threads = 1;
    for (int64_t n = 0;; n += n < 400 ? 1 : 37) {
        mary_model *model = zoo(13);
        mary_convert_report *report;
        mary_memory_fail_after(n);
        mary_status status = mary_convert(model, &options, &report);
        if (status == MARY_OK)
            status = mary_dequantize(model);
        mary_memory_fail_after(-1);
        mary_convert_report_free(&report);
        mary_model_free(&model);
        if (status == MARY_OK)
            break;
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
    }
}
END_TEST

MARY_TEST_MAIN("convert/convert", what_runs_is_what_dequantize_gives, enough_levels_change_nothing,
               dequantize_is_the_exact_inverse, weights_come_back_to_their_places_in_every_layout,
               bytes_do_not_depend_on_threads_and_report_adds_up,
               nodes_are_chosen_by_their_original_names_and_unmatched_globs_are_errors,
               first_and_last_layers_get_256_levels_unless_told_otherwise, settings_per_layer_come_from_json,
               weights_that_are_not_finite_or_empty_are_refused_by_name,
               shared_weights_have_one_payload_and_a_float_copy_only_where_needed,
               what_cannot_be_quantised_stays_and_says_why,
               converting_twice_changes_nothing_and_local_functions_survive, functions_say_what_they_compute,
               foreign_function_of_our_name_is_not_overwritten, half_precision_weights_keep_their_type,
               functions_can_be_left_out, short_rows_share_levels_or_stay_float,
               memory_that_runs_out_anywhere_is_a_status)
