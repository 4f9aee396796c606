/* A double model stays exact when it is converted: its layers run through their function bodies, not through float
 * kernels. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <string.h>

enum { DEPTH = 64, COLUMNS = 40, ROWS = 3 };

static double next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) * 0x1p-52 - 1.0;
}

static mary_model *double_gemm(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    double weights[COLUMNS * DEPTH];
    uint64_t seed = 1;
    for (int i = 0; i < COLUMNS * DEPTH; i++)
        weights[i] = next_random(&seed);
    build_input(graph, "x", MARY_DOUBLE, SHAPE(-1, DEPTH));
    build_constant(graph, "w", MARY_DOUBLE, SHAPE(COLUMNS, DEPTH), weights);
    assert_ok(mary_node_set_int(build_node(graph, "Gemm", "x,w", "y"), "transB", 1));
    build_output(graph, "y", MARY_DOUBLE, SHAPE(-1, COLUMNS));
    return model;
}

static void run_model(mary_model *model, double *result)
{
    mary_session *session = NULL;
    double x[ROWS * DEPTH];
    uint64_t seed = 2;
    for (int i = 0; i < ROWS * DEPTH; i++)
        x[i] = next_random(&seed);
    mary_array output,
        input = {.name = "x", .type = MARY_DOUBLE, .rank = 2, .dims = {ROWS, DEPTH}, .data = x, .bytes = sizeof x};
    assert_ok(mary_session_create(&model, NULL, &session));
    assert_ok(mary_session_run(session, &input, 1, &output, 1));
    ck_assert_int_eq(output.type, MARY_DOUBLE);
    ck_assert_uint_eq(output.bytes, sizeof(double) * ROWS * COLUMNS);
    memcpy(result, output.data, output.bytes);
    mary_array_free(&output);
    mary_session_free(&session);
}

START_TEST(converted_double_model_is_as_exact_as_its_dequantised_form)
{
    mary_model *model = double_gemm(), *plain = NULL;
    mary_convert_options options = {.levels = 4, .first_last_levels = 4};
    double coded[ROWS * COLUMNS], expected[ROWS * COLUMNS];
    assert_ok(mary_convert(model, &options, NULL));
    ck_assert_str_eq(model->proto->graph->node[0]->domain, "ai.mary");
    assert_ok(mary_model_copy(model, &plain));
    assert_ok(mary_dequantize(plain));
    run_model(model, coded);
    run_model(plain, expected);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        ck_assert_double_eq_tol(coded[i], expected[i], 1e-12);
}
END_TEST

MARY_TEST_MAIN("convert/double", converted_double_model_is_as_exact_as_its_dequantised_form)
