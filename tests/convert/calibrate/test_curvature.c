/* Conversions in which weights count by the curvature of the loss. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/calibrate/curvature.h"
#include "tests/support/model_builder.h"

enum { RUNS = 8, BATCH = 16, FEATURES = 12, HIDDEN = 24, CLASSES = 5 };

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Normal in effect, so that levels have something to choose. */
static void random_floats(Onnx__GraphProto *graph, const char *name, mary_shape shape)
{
    static float values[1 << 12];
    for (int64_t i = 0; i < mary_shape_count(&shape); i++)
        values[i] = draw() + draw() + draw();
    build_floats(graph, name, shape, values);
}

/* x [N,12] -> scores [N,5], with Softmax or another operator at the end, or without. */
static mary_model *network(const char *middle, const char *last)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    state = 7;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, FEATURES));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    random_floats(graph, "a.w", SHAPE(FEATURES, HIDDEN));
    random_floats(graph, "b.w", SHAPE(HIDDEN, HIDDEN));
    random_floats(graph, "c.w", SHAPE(HIDDEN, CLASSES));
    build_node(graph, "MatMul", "x,a.w", "a");
    build_node(graph, middle, "a", "a.out");
    Onnx__NodeProto *gemm = build_node(graph, "Gemm", "a.out,b.w", "b");
    assert_ok(mary_node_set_int(gemm, "transB", 1));
    assert_ok(mary_node_set_float(gemm, "alpha", 0.2f));
    build_node(graph, "Relu", "b", "b.relu");
    build_node(graph, "MatMul", "b.relu,c.w", last == NULL ? "y" : "c");
    if (last != NULL)
        build_node(graph, last, "c", "y");
    return model;
}

typedef struct samples {
    float values[RUNS * BATCH * FEATURES];
    mary_array array;
} samples;

static mary_status give(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    samples *s = context;
    s->array = (mary_array){.name = "x",
                            .type = MARY_FLOAT,
                            .rank = 2,
                            .dims = {BATCH, FEATURES},
                            .data = s->values + index * BATCH * FEATURES,
                            .bytes = BATCH * FEATURES * sizeof(float)};
    *inputs = &s->array;
    *input_count = 1;
    return MARY_OK;
}

/* Features of very different size, so that weights matter by what they meet. */
static mary_calibration fill(samples *s)
{
    state = 99;
    for (int i = 0; i < RUNS * BATCH * FEATURES; i++)
        s->values[i] = draw() * expf(-0.5f * (float)(i % FEATURES));
    return (mary_calibration){s, RUNS, give};
}

static void outputs_of(const mary_model *model, samples *s, float *y)
{
    mary_model *copy;
    mary_session *session;
    mary_array result;
    assert_ok(mary_model_copy(model, &copy));
    assert_ok(mary_session_create(&copy, &(mary_session_options){.threads = 1}, &session));
    mary_array x = {.name = "x",
                    .type = MARY_FLOAT,
                    .rank = 2,
                    .dims = {RUNS * BATCH, FEATURES},
                    .data = s->values,
                    .bytes = sizeof s->values};
    assert_ok(mary_session_run(session, &x, 1, &result, 1));
    memcpy(y, result.data, RUNS * BATCH * CLASSES * sizeof *y);
    mary_array_free(&result);
    mary_session_free(&session);
}

/* Mean divergence of the probabilities from the float model's. */
static double loss(mary_convert_options options, samples *s)
{
    static float wanted[RUNS * BATCH * CLASSES], got[RUNS * BATCH * CLASSES];
    mary_model *model = network("Relu", NULL);
    double total = 0;
    outputs_of(model, s, wanted);
    assert_ok(mary_convert(model, &options, NULL));
    outputs_of(model, s, got);
    mary_model_free(&model);
    for (int r = 0; r < RUNS * BATCH; r++) {
        double p = 0, q = 0;
        const float *a = wanted + r * CLASSES, *b = got + r * CLASSES;
        for (int c = 0; c < CLASSES; c++) {
            p += exp((double)a[c]);
            q += exp((double)b[c]);
        }
        for (int c = 0; c < CLASSES; c++)
            total += exp((double)a[c]) / p * ((double)a[c] - log(p) - (double)b[c] + log(q));
    }
    return total / (RUNS * BATCH);
}

START_TEST(weights_that_matter_keep_the_loss_lower)
{
    samples s;
    mary_calibration calibration = fill(&s);
    mary_convert_options options = {.levels = 3,
                                    .first_last_levels = MARY_SAME_LEVELS,
                                    .granularity = MARY_GRANULARITY_CHANNEL,
                                    .calibration = &calibration,
                                    .method = "kmeans"};
    double plain = loss(options, &s);
    options.method = "hessian";
    double hessian = loss(options, &s);
    options.importance = "fisher";
    double fisher = loss(options, &s);
    options.importance = "adam";
    double adam = loss(options, &s);
    options.importance = "none";
    ck_assert_double_eq(loss(options, &s), plain);
    ck_assert_msg(hessian < 0.9 * plain, "hessian %g, kmeans %g", hessian, plain);
    ck_assert_msg(fisher < 0.9 * plain, "fisher %g, kmeans %g", fisher, plain);
    ck_assert_msg(adam < 0.95 * plain && adam != fisher, "adam %g, fisher %g, kmeans %g", adam, fisher, plain);
}
END_TEST

/* The last layer's: mean over samples of p (1 - p) x^2, which is exact; and the floor, which is higher from M = 8 on.
 */
START_TEST(the_last_layer_has_its_own_hessian)
{
    samples s;
    mary_calibration calibration = fill(&s);
    const char *const lasts[] = {NULL, "Softmax", "LogSoftmax"};
    for (int l = 0; l < 3; l++) {
        static float y[RUNS * BATCH * CLASSES], x[RUNS * BATCH * HIDDEN];
        mary_model *model = network("Relu", lasts[l]);
        mary_settings settings;
        mary_original_names names;
        mary_layers layers;
        const mary_convert_options options = {
            .calibration = &calibration, .levels = l == 0 ? 8 : 7, .first_last_levels = MARY_SAME_LEVELS, .threads = 2};
        const double floor = l == 0 ? 3 : 0.3;
        assert_ok(mary_settings_create(&options, &settings));
        assert_ok(mary_original_names_take(model, &settings, &names));
        assert_ok(mary_layers_choose(model, &settings, &names, &layers));
        const bool wanted[3] = {false, true, true};
        assert_ok(mary_curvature_measure(model, &settings, wanted, &layers));
        ck_assert_ptr_null(layers.items[0].importance);
        ck_assert_ptr_nonnull(layers.items[1].importance);
        const float *got = layers.items[2].importance; /* rows are classes */

        outputs_of(model, &s, y);
        mary_model *inner = network("Relu", NULL); /* its Relu's output instead */
        assert_ok(mary_edit_string(&inner->proto->graph->output[0]->name, "b.relu"));
        mary_session *session;
        mary_array result, input = {.name = "x",
                                    .type = MARY_FLOAT,
                                    .rank = 2,
                                    .dims = {RUNS * BATCH, FEATURES},
                                    .data = s.values,
                                    .bytes = sizeof s.values};
        inner->proto->graph->output[0]->type->tensor_type->shape->dim[1]->dim_value = HIDDEN;
        assert_ok(mary_session_create(&inner, NULL, &session));
        assert_ok(mary_session_run(session, &input, 1, &result, 1));
        memcpy(x, result.data, sizeof x);
        mary_array_free(&result);
        mary_session_free(&session);
        for (int c = 0; c < CLASSES; c++) {
            double h[HIDDEN] = {0}, mean = 0;
            for (int r = 0; r < RUNS * BATCH; r++) {
                const float *z = y + r * CLASSES;
                double sum = 0, p = exp((double)z[c]);
                for (int k = 0; k < CLASSES; k++)
                    sum += l == 1 ? (double)z[k] : exp((double)z[k]);
                p = l == 1 ? (double)z[c] : p / sum;
                for (int k = 0; k < HIDDEN; k++)
                    h[k] += p * (1 - p) * pow((double)x[r * HIDDEN + k], 2) / (RUNS * BATCH);
            }
            for (int k = 0; k < HIDDEN; k++)
                mean += h[k] / HIDDEN;
            for (int k = 0; k < HIDDEN; k++)
                ck_assert_msg(fabs((double)got[c * HIDDEN + k] - h[k] - floor * mean) <= 1e-4 * (h[k] + mean),
                              "last '%s', class %d, feature %d: %g, expected %g", lasts[l] == NULL ? "" : lasts[l], c,
                              k, (double)got[c * HIDDEN + k], h[k] + floor * mean);
        }
        mary_layers_free(&layers);
        mary_original_names_free(&names);
        mary_settings_free(&settings);
        mary_model_free(&model);
    }
}
END_TEST

START_TEST(what_has_no_derivative_is_named)
{
    samples s;
    mary_calibration calibration = fill(&s);
    mary_convert_options options = {.levels = 4, .method = "hessian"};
    mary_model *model = network("Relu", NULL);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "'hessian' needs calibration data");
    mary_model_free(&model);
    options.calibration = &calibration;
    model = network("Sin", NULL);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_UNSUPPORTED, "Sin");
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "a.out"));
    ck_assert_ptr_nonnull(strstr(mary_error_message(), "--importance none"));
    mary_model_free(&model);
    options.importance = "none";
    model = network("Sin", NULL);
    assert_ok(mary_convert(model, &options, NULL));
    mary_model_free(&model);
    options.importance = "some";
    model = network("Relu", NULL);
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "importance 'some'");
    mary_model_free(&model);
    /* Methods that can do without say so, and do. */
    options = (mary_convert_options){.levels = 4, .method = "uniform", .calibration = &calibration};
    mary_convert_report *report;
    model = network("Sin", NULL);
    assert_ok(mary_convert(model, &options, &report));
    ck_assert_ptr_nonnull(mary_convert_warning(report, 0));
    ck_assert_ptr_nonnull(strstr(mary_convert_warning(report, 0), "Sin"));
    mary_convert_report_free(&report);
    mary_model_free(&model);
}
END_TEST

static uint8_t *converted(mary_convert_options options, size_t *size)
{
    mary_model *model = network("Relu", "Softmax");
    assert_ok(mary_convert(model, &options, NULL));
    uint8_t *bytes = build_bytes(model, size);
    mary_model_free(&model);
    return bytes;
}

START_TEST(threads_change_nothing)
{
    samples s;
    mary_calibration calibration = fill(&s);
    const char *const methods[] = {"hessian", "uniform", "ecsq"};
    for (int i = 0; i < 18; i++) {
        mary_convert_options options = {.levels = 4,
                                        .first_last_levels = MARY_SAME_LEVELS,
                                        .method = methods[i % 3],
                                        .granularity = (mary_granularity)(1 + i / 3 % 3),
                                        .importance = i >= 9 ? "fisher" : NULL,
                                        .activations = i % 2 == 0 ? 0 : 8,
                                        .calibration = &calibration,
                                        .threads = 1};
        size_t one, three;
        uint8_t *a = converted(options, &one);
        options.threads = 3;
        uint8_t *b = converted(options, &three);
        ck_assert_uint_eq(one, three);
        ck_assert_msg(memcmp(a, b, one) == 0, "%s differs", options.method);
        mary_free(a);
        mary_free(b);
    }
}
END_TEST

START_TEST(all_layers_share_one_set_of_levels)
{
    samples s;
    mary_calibration calibration = fill(&s);
    const char *const methods[] = {"kmeans", "hessian", "uniform", "ecsq"};
    for (int i = 0; i < 4; i++) {
        static float wanted[RUNS * BATCH * CLASSES], got[RUNS * BATCH * CLASSES];
        mary_convert_options options = {.levels = 5,
                                        .first_last_levels = MARY_SAME_LEVELS,
                                        .method = methods[i],
                                        .granularity = MARY_GRANULARITY_MODEL,
                                        .calibration = &calibration};
        mary_model *model = network("Relu", NULL);
        mary_convert_report *report;
        size_t levels = 0, readers = 0;
        const char *name = NULL;
        assert_ok(mary_convert(model, &options, &report));
        const Onnx__GraphProto *graph = model->proto->graph;
        for (size_t n = 0; n < graph->n_node; n++) {
            if (graph->node[n]->domain == NULL || strcmp(graph->node[n]->domain, "ai.mary") != 0)
                continue;
            ck_assert_msg(name == NULL || strcmp(name, graph->node[n]->input[2]) == 0, "two sets of levels");
            name = graph->node[n]->input[2];
            readers++;
        }
        for (size_t n = 0; n < graph->n_initializer; n++)
            levels += strcmp(graph->initializer[n]->name, name) == 0;
        ck_assert_uint_eq(readers, 3);
        ck_assert_uint_eq(levels, 1);
        for (size_t n = 0; n < 3; n++) {
            ck_assert(mary_convert_layer(report, n)->model_levels);
            ck_assert_double_gt(mary_convert_layer(report, n)->sqnr, -1); /* codes of another layer give -2.7 */
        }
        ck_assert_int_eq(mary_convert_layer(report, 0)->bytes_after, FEATURES * HIDDEN / 2 + 16 * 4);
        ck_assert_int_eq(mary_convert_layer(report, 1)->bytes_after, HIDDEN * HIDDEN / 2);
        mary_convert_report_free(&report);
        outputs_of(model, &s, wanted);
        assert_ok(mary_dequantize(model)); /* codes and levels belong together: the same outputs */
        outputs_of(model, &s, got);
        for (int k = 0; k < RUNS * BATCH * CLASSES; k++)
            ck_assert_float_eq_tol(got[k], wanted[k], 1e-3f);
        mary_model_free(&model);
    }
    mary_model *model = network("Relu", NULL);
    const mary_convert_options options = {
        .method = "feedback", .granularity = MARY_GRANULARITY_MODEL, .calibration = &calibration};
    assert_fails(mary_convert(model, &options, NULL), MARY_ERROR_USAGE, "shared by all layers");
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/curvature", weights_that_matter_keep_the_loss_lower,
               the_last_layer_has_its_own_hessian, what_has_no_derivative_is_named, threads_change_nothing,
               all_layers_share_one_set_of_levels)
