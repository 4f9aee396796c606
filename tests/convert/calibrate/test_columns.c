/* Columns are what rows are multiplied with: weights times columns are the layer's output, for every kind of layer. */
#include "convert/calibrate/columns.h"

#include <math.h>
#include <string.h>

#include "convert/calibrate/second_moment.h"
#include "tests/support/model_builder.h"

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Runs the one node of `model` on random x and compares its output, element by element, with rows times columns. */
static void check(mary_model *model, const char *op, mary_shape w, mary_shape x)
{
    Onnx__NodeProto *node = model->proto->graph->node[0];
    static float weights[1 << 14], matrix[1 << 14], input[1 << 14], column[1 << 12], output[1 << 10];
    int64_t count = mary_shape_count(&w), inputs = mary_shape_count(&x);
    for (int64_t i = 0; i < count; i++)
        weights[i] = draw();
    for (int64_t i = 0; i < inputs; i++)
        input[i] = draw();
    build_input(model->proto->graph, "x", MARY_FLOAT, x);
    build_output(model->proto->graph, "y", MARY_FLOAT, (mary_shape){.rank = -1});
    build_floats(model->proto->graph, "w", w, weights);
    mary_layer layer = {.node = node, .kind = mary_layer_kind_of(node), .name = (char *)(uintptr_t)op};
    assert_ok(mary_layout_rows_of(node, layer.kind, &w, &layer.layout));
    mary_layout_to_rows(&layer.layout, weights, matrix);
    mary_columns columns;
    assert_ok(mary_columns_describe(&layer, &x, &columns));
    ck_assert_int_eq(columns.groups * columns.rows, layer.layout.rows);
    ck_assert_int_eq(columns.length, layer.layout.row_length);

    mary_model *copy;
    mary_session *session;
    mary_array array = {.name = "x", .type = MARY_FLOAT, .rank = x.rank, .data = input}, y;
    memcpy(array.dims, x.dims, sizeof x.dims);
    array.bytes = (size_t)inputs * sizeof(float);
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    assert_ok(mary_session_run(session, &array, 1, &y, 1));
    mary_shape shape = {.rank = y.rank};
    memcpy(shape.dims, y.dims, sizeof shape.dims);
    ck_assert(mary_columns_fit_output(&columns, &shape));
    ck_assert_int_eq(mary_shape_count(&shape), columns.groups * columns.rows * columns.positions);
    for (int64_t g = 0; g < columns.groups; g++) {
        for (int64_t p = 0; p < columns.positions; p++) {
            mary_columns_take(&columns, input, g, p, column);
            mary_columns_output(&columns, y.data, g, p, output);
            for (int64_t r = 0; r < columns.rows; r++) {
                double sum = 0;
                for (int64_t k = 0; k < columns.length; k++)
                    sum += (double)matrix[(g * columns.rows + r) * columns.length + k] * (double)column[k];
                if (!(fabs(sum - output[r]) < 1e-4))
                    ck_abort_msg("%s: group %d, position %d, row %d: %g, expected %g", op, (int)g, (int)p, (int)r, sum,
                                 (double)output[r]);
            }
        }
    }
    mary_array_free(&y);
    mary_session_free(&session);
    mary_model_free(&model);
}

static mary_model *model_of(const char *op, Onnx__NodeProto **node)
{
    mary_model *model = build_model(13);
    *node = build_node(model->proto->graph, op, "x,w", "y");
    return model;
}

START_TEST(convolutions_with_every_attribute)
{
    Onnx__NodeProto *node;
    mary_model *model = model_of("Conv", &node);
    check(model, "plain", SHAPE(4, 3, 3, 3), SHAPE(2, 3, 7, 6));
    model = model_of("Conv", &node);
    assert_ok(mary_node_set_int(node, "group", 3));
    assert_ok(mary_node_set_ints(node, "strides", (int64_t[]){2, 3}, 2));
    assert_ok(mary_node_set_ints(node, "dilations", (int64_t[]){1, 2}, 2));
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){1, 0, 2, 3}, 4));
    check(model, "grouped", SHAPE(6, 2, 3, 2), SHAPE(2, 6, 8, 9));
    model = model_of("Conv", &node);
    assert_ok(mary_node_set_int(node, "group", 5));
    assert_ok(mary_node_set_string(node, "auto_pad", "SAME_UPPER"));
    assert_ok(mary_node_set_ints(node, "strides", (int64_t[]){2, 2}, 2));
    check(model, "depthwise", SHAPE(5, 1, 3, 3), SHAPE(1, 5, 7, 8));
    model = model_of("Conv", &node);
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){2, 1}, 2));
    check(model, "one axis", SHAPE(3, 2, 4), SHAPE(3, 2, 9));
    model = model_of("Conv", &node);
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){1, 1, 1, 1, 1, 1}, 6));
    check(model, "three axes", SHAPE(2, 2, 3, 2, 3), SHAPE(1, 2, 4, 5, 3));
}
END_TEST

START_TEST(transposed_convolutions)
{
    Onnx__NodeProto *node;
    mary_model *model = model_of("ConvTranspose", &node);
    check(model, "plain", SHAPE(4, 3, 3, 3), SHAPE(2, 4, 5, 4));
    model = model_of("ConvTranspose", &node);
    assert_ok(mary_node_set_int(node, "group", 2));
    assert_ok(mary_node_set_ints(node, "strides", (int64_t[]){2, 3}, 2));
    assert_ok(mary_node_set_ints(node, "dilations", (int64_t[]){2, 1}, 2));
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){1, 0, 2, 1}, 4));
    assert_ok(mary_node_set_ints(node, "output_padding", (int64_t[]){1, 0}, 2));
    check(model, "grouped", SHAPE(4, 3, 3, 2), SHAPE(2, 4, 4, 5));
}
END_TEST

START_TEST(matrix_products)
{
    Onnx__NodeProto *node;
    mary_model *model = model_of("Gemm", &node);
    check(model, "plain", SHAPE(6, 5), SHAPE(4, 6));
    model = model_of("Gemm", &node);
    assert_ok(mary_node_set_int(node, "transA", 1));
    assert_ok(mary_node_set_int(node, "transB", 1));
    check(model, "transposed", SHAPE(5, 6), SHAPE(6, 4));
    model = model_of("MatMul", &node);
    check(model, "batched", SHAPE(6, 5), SHAPE(2, 3, 6));
    model = model_of("MatMul", &node);
    check(model, "single", SHAPE(6, 5), SHAPE(3, 6));
}
END_TEST

START_TEST(an_input_that_does_not_fit_is_refused)
{
    Onnx__NodeProto *node;
    mary_model *model = model_of("MatMul", &node);
    mary_layer layer = {.node = node, .kind = MARY_LAYER_MATMUL, .name = (char[]){"m"}};
    mary_columns columns;
    assert_ok(mary_layout_rows_of(node, layer.kind, &SHAPE(6, 5), &layer.layout));
    assert_fails(mary_columns_describe(&layer, &SHAPE(3, 7), &columns), MARY_ERROR_INVALID, "[3,7]");
    mary_model_free(&model);
}
END_TEST

/* Sums of several runs, of all groups, and what centring and the shift of a bias make of them. */
START_TEST(moments_are_sums_over_runs)
{
    enum { C = 4, P = 11, RUNS = 3 };
    Onnx__NodeProto *node;
    mary_model *model = model_of("Conv", &node);
    assert_ok(mary_node_set_int(node, "group", 2));
    mary_shape w = SHAPE(6, 2, 1), x = SHAPE(1, C, P);
    mary_layer layer = {.node = node, .kind = MARY_LAYER_CONV, .name = (char[]){"c"}};
    assert_ok(mary_layout_rows_of(node, layer.kind, &w, &layer.layout));
    mary_columns columns;
    assert_ok(mary_columns_describe(&layer, &x, &columns));
    mary_second_moment plain, centred;
    assert_ok(mary_second_moment_create(&columns, &plain));
    assert_ok(mary_second_moment_create(&columns, &centred));
    double square[2][2][2] = {{{0}}}, sum[C] = {0}, residual_sum[6] = {0}, cross[6][2] = {{0}};
    for (int run = 0; run < RUNS; run++) {
        float input[C * P], residual[6 * P];
        for (int i = 0; i < C * P; i++)
            input[i] = draw() + 1;
        for (int i = 0; i < 6 * P; i++)
            residual[i] = draw();
        for (int p = 0; p < P; p++) {
            for (int c = 0; c < C; c++)
                sum[c] += input[c * P + p];
            for (int g = 0; g < 2; g++) {
                for (int i = 0; i < 2; i++) {
                    for (int k = 0; k < 2; k++)
                        square[g][i][k] += input[(2 * g + i) * P + p] * input[(2 * g + k) * P + p];
                }
            }
            for (int r = 0; r < 6; r++) {
                residual_sum[r] += residual[r * P + p];
                for (int k = 0; k < 2; k++)
                    cross[r][k] += residual[r * P + p] * input[(r / 3 * 2 + k) * P + p];
            }
        }
        assert_ok(mary_second_moment_add(&plain, &columns, input, residual, 1, 1));
        assert_ok(mary_second_moment_add(&centred, &columns, input, residual, 1, 3));
    }
    mary_second_moment_finish(&plain, false, 1);
    mary_second_moment_finish(&centred, true, 1);
    double count = RUNS * P;
    ck_assert(plain.count == count);
    for (int g = 0; g < 2; g++) {
        for (int i = 0; i < 2; i++) {
            for (int k = 0; k < 2; k++) {
                double own = square[g][i][k];
                ck_assert_float_eq_tol(plain.moment[(g * 2 + i) * 2 + k], (float)own, 1e-3f);
                own -= sum[2 * g + i] * sum[2 * g + k] / count;
                ck_assert_float_eq_tol(centred.moment[(g * 2 + i) * 2 + k], (float)own, 1e-3f);
            }
        }
    }
    float weights[12], coded[12], shift[6];
    for (int i = 0; i < 12; i++) {
        weights[i] = draw();
        coded[i] = draw();
    }
    mary_second_moment_shift(&plain, weights, coded, shift);
    for (int r = 0; r < 6; r++) {
        double expected = residual_sum[r];
        for (int k = 0; k < 2; k++) {
            int c = r / 3 * 2 + k;
            ck_assert_float_eq_tol(plain.cross[r * 2 + k], (float)cross[r][k], 1e-3f);
            ck_assert_float_eq_tol(centred.cross[r * 2 + k], (float)(cross[r][k] - residual_sum[r] * sum[c] / count),
                                   1e-3f);
            expected += ((double)weights[r * 2 + k] - (double)coded[r * 2 + k]) * sum[c];
        }
        ck_assert_float_eq_tol(shift[r], (float)(expected / count), 1e-4f);
    }
    mary_second_moment_free(&plain);
    mary_second_moment_free(&centred);
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/columns", convolutions_with_every_attribute, transposed_convolutions, matrix_products,
               an_input_that_does_not_fit_is_refused, moments_are_sums_over_runs)
