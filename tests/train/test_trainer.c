/* Gradients of whole graphs: what a tape shares, fuses and takes over must not change them. */
#include "mary_train.h"
#include "tests/support/model_builder.h"

#include <math.h>
#include <string.h>

#include "onnx/memory.h"

static uint32_t seed = 1;

static float next_float(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

static void add_weights(Onnx__GraphProto *graph, const char *name, mary_shape shape, float scale)
{
    const int64_t count = mary_shape_count(&shape);
    float *values = mary_alloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = scale * next_float();
    build_floats(graph, name, shape, values);
    mary_free(values);
}

/* Two blocks with residuals, one with a projection of stride 2; a view, a value with three readers, pooling, a product.
 */
static mary_model *residual_network(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    seed = 1;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3, 8, 8));
    add_weights(graph, "w1", SHAPE(6, 3, 3, 3), 0.4f);
    add_weights(graph, "b1", SHAPE(6), 0.2f);
    add_weights(graph, "w2", SHAPE(6, 6, 3, 3), 0.3f);
    add_weights(graph, "w3", SHAPE(9, 6, 3, 3), 0.3f);
    add_weights(graph, "w4", SHAPE(9, 6, 1, 1), 0.5f);
    add_weights(graph, "scale", SHAPE(9, 1, 1), 1.0f);
    add_weights(graph, "w5", SHAPE(5, 9), 0.5f);
    add_weights(graph, "b5", SHAPE(5), 0.2f);
    mary_node_set_ints(build_node(graph, "Conv", "x,w1,b1", "c1"), "pads", (int64_t[]){1, 1, 1, 1}, 4);
    build_node(graph, "Relu", "c1", "r1");
    mary_node_set_ints(build_node(graph, "Conv", "r1,w2", "c2"), "pads", (int64_t[]){1, 1, 1, 1}, 4);
    build_node(graph, "Add", "c2,r1", "a2");
    build_node(graph, "Relu", "a2", "r2");
    Onnx__NodeProto *c3 = build_node(graph, "Conv", "r2,w3", "c3");
    mary_node_set_ints(c3, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    mary_node_set_ints(c3, "strides", (int64_t[]){2, 2}, 2);
    mary_node_set_ints(build_node(graph, "Conv", "r2,w4", "c4"), "strides", (int64_t[]){2, 2}, 2);
    build_node(graph, "Add", "c3,c4", "a4");
    build_node(graph, "Sigmoid", "a4", "s4");
    build_node(graph, "Mul", "s4,a4", "m4");
    build_node(graph, "Mul", "m4,scale", "m5");
    build_node(graph, "Add", "m5,a4", "a5");
    build_node(graph, "GlobalAveragePool", "a5", "g");
    build_node(graph, "Flatten", "g", "f");
    mary_node_set_int(build_node(graph, "Gemm", "f,w5,b5", "y"), "transB", 1);
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 5));
    return model;
}

static mary_model *linear_network(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    seed = 2;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 7));
    add_weights(graph, "w", SHAPE(4, 7), 0.5f);
    add_weights(graph, "b", SHAPE(4), 0.5f);
    mary_node_set_int(build_node(graph, "Gemm", "x,w,b", "y"), "transB", 1);
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4));
    return model;
}

/* The ReLU's result is looked at by its own gradient only: nothing else keeps it. */
static mary_model *shifted_network(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    seed = 3;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 3, 8, 8));
    add_weights(graph, "w1", SHAPE(40, 192), 0.1f);
    add_weights(graph, "b1", SHAPE(40), 0.2f);
    add_weights(graph, "shift", SHAPE(40), 0.5f);
    add_weights(graph, "w2", SHAPE(40, 40), 0.3f);
    add_weights(graph, "b2", SHAPE(40), 0.3f);
    add_weights(graph, "shift2", SHAPE(40), 0.5f);
    add_weights(graph, "w3", SHAPE(5, 40), 0.3f);
    add_weights(graph, "b3", SHAPE(5), 0.2f);
    build_node(graph, "Flatten", "x", "f");
    mary_node_set_int(build_node(graph, "Gemm", "f,w1,b1", "g1"), "transB", 1);
    build_node(graph, "Relu", "g1", "r1");
    build_node(graph, "Add", "r1,shift", "a1");
    mary_node_set_int(build_node(graph, "Gemm", "a1,w2,b2", "g2"), "transB", 1);
    build_node(graph, "Relu", "g2", "r2");
    build_node(graph, "Add", "r2,shift2", "a2");
    mary_node_set_int(build_node(graph, "Gemm", "a2,w3,b3", "y"), "transB", 1);
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 5));
    return model;
}

typedef struct fixture {
    mary_trainer *trainer;
    float *x;
    int64_t labels[64];
    mary_array input;
    mary_loss loss;
} fixture;

static fixture open_trainer(mary_model *model, const mary_trainer_options *options, int64_t batch, int64_t classes,
                            int rank, const int64_t *sample)
{
    fixture f = {0};
    assert_ok(mary_trainer_create(&model, options, &f.trainer));
    ck_assert_ptr_null(model);
    f.input = (mary_array){.name = "x", .type = MARY_FLOAT, .rank = rank + 1, .dims = {batch}};
    int64_t count = batch;
    for (int i = 0; i < rank; i++) {
        f.input.dims[1 + i] = sample[i];
        count *= sample[i];
    }
    f.x = malloc((size_t)count * sizeof *f.x);
    seed = 77;
    for (int64_t i = 0; i < count; i++)
        f.x[i] = next_float();
    for (int64_t i = 0; i < batch; i++)
        f.labels[i] = (i * 7 + 3) % classes;
    f.input.data = f.x;
    f.input.bytes = (size_t)count * sizeof *f.x;
    return f;
}

static fixture open_residual(const mary_trainer_options *options, int64_t batch)
{
    return open_trainer(residual_network(), options, batch, 5, 3, (const int64_t[]){3, 8, 8});
}

static void close_trainer(fixture *f)
{
    mary_trainer_free(&f->trainer);
    ck_assert_ptr_null(f->trainer);
    free(f->x);
}

static mary_loss_result gradient(fixture *f, mary_curvature curvature)
{
    mary_loss_result result;
    f->loss.labels = f->labels;
    assert_ok(mary_trainer_gradient(f->trainer, &f->input, 1, &f->loss, curvature, &result));
    return result;
}

static double loss(fixture *f)
{
    mary_loss_result result;
    f->loss.labels = f->labels;
    assert_ok(mary_trainer_loss(f->trainer, &f->input, 1, &f->loss, &result));
    return result.loss;
}

static mary_parameter parameter(const fixture *f, int index)
{
    mary_parameter p;
    assert_ok(mary_trainer_parameter(f->trainer, index, &p));
    return p;
}

/* For each parameter: the loss along its gradient. */
static void check_along_gradients(fixture *f)
{
    gradient(f, MARY_CURVATURE_NONE);
    ck_assert_int_eq(mary_trainer_parameter_count(f->trainer), 8);
    for (int i = 0; i < 8; i++) {
        mary_parameter p = parameter(f, i);
        double square = 0;
        float *before = malloc((size_t)p.count * sizeof *before), *slope = malloc((size_t)p.count * sizeof *slope);
        memcpy(before, p.values, (size_t)p.count * sizeof *before);
        memcpy(slope, p.gradient, (size_t)p.count * sizeof *slope);
        for (int64_t k = 0; k < p.count; k++)
            square += (double)slope[k] * (double)slope[k];
        ck_assert_msg(square > 1e-8, "the gradient of %s is zero", p.name);
        double losses[2];
        const double step = 5e-4 / sqrt(square); /* far less than where many ReLUs turn */
        for (int side = 0; side < 2; side++) {
            for (int64_t k = 0; k < p.count; k++)
                p.values[k] = before[k] + (float)((2 * side - 1) * step) * slope[k];
            losses[side] = loss(f);
        }
        memcpy(p.values, before, (size_t)p.count * sizeof *before);
        const double numeric = (losses[1] - losses[0]) / (2 * step);
        ck_assert_msg(fabs(numeric - square) < 5e-3 * square, "%s: %g, expected %g", p.name, square, numeric);
        free(before);
        free(slope);
    }
}

START_TEST(gradients_of_a_network_agree_with_differences)
{
    float targets[5 * 5];
    for (int i = 0; i < 25; i++)
        targets[i] = 2 * next_float();
    for (int kind = 0; kind < 3; kind++) {
        for (int shifted = 0; shifted < 2; shifted++) {
            fixture f = open_trainer(shifted ? shifted_network() : residual_network(), NULL, 5, 5, 3,
                                     (const int64_t[]){3, 8, 8});
            f.loss = (mary_loss){.kind = (mary_loss_kind)kind, .targets = targets, .temperature = 2};
            check_along_gradients(&f);
            close_trainer(&f);
        }
    }
}
END_TEST

/* Bit for bit: threads are not part of the result. */
START_TEST(threads_do_not_change_a_bit)
{
    for (int curvature = 0; curvature < 3; curvature++) {
        fixture one = open_residual(&(mary_trainer_options){.threads = 1, .micro_batch = 2}, 37);
        mary_loss_result first = gradient(&one, (mary_curvature)curvature);
        for (int threads = 2; threads <= 3; threads++) {
            fixture more = open_residual(&(mary_trainer_options){.threads = threads, .micro_batch = 2}, 37);
            mary_loss_result second = gradient(&more, (mary_curvature)curvature);
            ck_assert(first.loss == second.loss && first.correct == second.correct);
            for (int i = 0; i < 8; i++) {
                mary_parameter a = parameter(&one, i), b = parameter(&more, i);
                ck_assert_msg(memcmp(a.gradient, b.gradient, (size_t)a.count * sizeof(float)) == 0, "%s", a.name);
                ck_assert_msg(memcmp(a.curvature, b.curvature, (size_t)a.count * sizeof(float)) == 0, "%s", a.name);
            }
            close_trainer(&more);
        }
        close_trainer(&one);
    }
}
END_TEST

/* However a batch is cut: the same sums, up to rounding. A call leaves nothing behind for the next. */
START_TEST(parts_of_a_batch_do_not_change_gradients)
{
    fixture whole = open_residual(&(mary_trainer_options){.micro_batch = 13}, 13);
    gradient(&whole, MARY_CURVATURE_HESSIAN);
    for (int64_t part = 1; part < 6; part++) {
        fixture cut = open_residual(&(mary_trainer_options){.micro_batch = part}, 13);
        gradient(&cut, MARY_CURVATURE_HESSIAN);
        gradient(&cut, MARY_CURVATURE_HESSIAN);
        for (int i = 0; i < 8; i++) {
            mary_parameter a = parameter(&whole, i), b = parameter(&cut, i);
            for (int64_t k = 0; k < a.count; k++) {
                ck_assert(fabsf(a.gradient[k] - b.gradient[k]) < 2e-6f);
                ck_assert(fabsf(a.curvature[k] - b.curvature[k]) < 2e-6f + 1e-4f * fabsf(a.curvature[k]));
            }
        }
        close_trainer(&cut);
    }
    close_trainer(&whole);
}
END_TEST

/* More sizes than are kept, each of them twice. */
START_TEST(batch_sizes_may_change)
{
    fixture f = open_residual(&(mary_trainer_options){.micro_batch = 64}, 40);
    double losses[41];
    for (int round = 0; round < 2; round++) {
        for (int64_t batch = 1; batch <= 40; batch += 3) {
            f.input.dims[0] = batch;
            const double value = gradient(&f, MARY_CURVATURE_NONE).loss;
            ck_assert(round == 0 || value == losses[batch]);
            losses[batch] = value;
        }
    }
    close_trainer(&f);
}
END_TEST

/* Becker and LeCun's diagonal is exact where there is one linear layer: differences of gradients. */
START_TEST(the_hessian_of_a_linear_layer_agrees_with_differences)
{
    for (int kind = 0; kind < 3; kind++) {
        float targets[6 * 4];
        fixture f = open_trainer(linear_network(), NULL, 6, 4, 1, (const int64_t[]){7});
        for (int i = 0; i < 24; i++)
            targets[i] = 2 * next_float();
        f.loss = (mary_loss){.kind = (mary_loss_kind)kind, .targets = targets, .temperature = 3};
        gradient(&f, MARY_CURVATURE_HESSIAN);
        for (int i = 0; i < 2; i++) {
            mary_parameter p = parameter(&f, i);
            float *curvature = malloc((size_t)p.count * sizeof *curvature);
            memcpy(curvature, p.curvature, (size_t)p.count * sizeof *curvature);
            for (int64_t k = 0; k < p.count; k++) {
                const float before = p.values[k], step = 0.02f;
                double slopes[2];
                for (int side = 0; side < 2; side++) {
                    p.values[k] = before + (float)(2 * side - 1) * step;
                    gradient(&f, MARY_CURVATURE_NONE);
                    slopes[side] = (double)p.gradient[k];
                }
                p.values[k] = before;
                const double numeric = (slopes[1] - slopes[0]) / (2 * (double)step);
                ck_assert_msg(fabs(numeric - (double)curvature[k]) < 1e-3 * (0.05 + fabs(numeric)),
                              "loss %d, %s[%lld]: %g, expected %g", kind, p.name, (long long)k, (double)curvature[k],
                              numeric);
            }
            free(curvature);
        }
        close_trainer(&f);
    }
}
END_TEST

START_TEST(the_empirical_fisher_is_the_mean_of_squared_gradients)
{
    enum { BATCH = 19 };
    fixture all = open_residual(NULL, BATCH), one = open_residual(NULL, 1);
    gradient(&all, MARY_CURVATURE_FISHER);
    double *sums[8];
    for (int i = 0; i < 8; i++)
        sums[i] = calloc((size_t)parameter(&one, i).count, sizeof(double));
    for (int n = 0; n < BATCH; n++) {
        memcpy(one.x, all.x + n * 192, 192 * sizeof(float));
        one.labels[0] = all.labels[n];
        gradient(&one, MARY_CURVATURE_NONE);
        for (int i = 0; i < 8; i++) {
            mary_parameter p = parameter(&one, i);
            for (int64_t k = 0; k < p.count; k++)
                sums[i][k] += (double)p.gradient[k] * (double)p.gradient[k] / BATCH;
        }
    }
    for (int i = 0; i < 8; i++) {
        mary_parameter p = parameter(&all, i);
        for (int64_t k = 0; k < p.count; k++)
            ck_assert(fabs((double)p.curvature[k] - sums[i][k]) < 1e-7 + 1e-4 * sums[i][k]);
        free(sums[i]);
    }
    close_trainer(&all);
    close_trainer(&one);
}
END_TEST

/* ---- hooks ---- */

static mary_status halve(void *context, int index, const float *values, float *effective, int64_t count)
{
    (void)index;
    ++*(int *)context;
    for (int64_t i = 0; i < count; i++)
        effective[i] = 0.5f * values[i];
    return MARY_OK;
}

static mary_status halve_gradient(void *context, int index, const float *values, float *slope, int64_t count)
{
    (void)index;
    (void)values;
    *(int *)context += 100;
    for (int64_t i = 0; i < count; i++)
        slope[i] *= 0.5f;
    return MARY_OK;
}

START_TEST(hooks_stand_between_values_and_the_network)
{
    fixture plain = open_residual(NULL, 4), hooked = open_residual(NULL, 4);
    int calls = 0, w2 = -1;
    const mary_parameter_hook hook = {&calls, halve, halve_gradient};
    for (int i = 0; i < 8; i++)
        w2 = strcmp(parameter(&plain, i).name, "w2") == 0 ? i : w2;
    ck_assert(w2 >= 0);
    mary_parameter a = parameter(&plain, w2), b = parameter(&hooked, w2);
    assert_ok(mary_trainer_hook(hooked.trainer, w2, &hook));
    for (int64_t k = 0; k < a.count; k++)
        a.values[k] *= 0.5f;
    ck_assert(gradient(&plain, MARY_CURVATURE_NONE).loss == gradient(&hooked, MARY_CURVATURE_NONE).loss);
    ck_assert_int_eq(calls, 101);
    for (int64_t k = 0; k < a.count; k++)
        ck_assert(b.gradient[k] == 0.5f * a.gradient[k]);
    mary_model *model = NULL;
    mary_session *session = NULL;
    assert_ok(mary_trainer_model(hooked.trainer, true, &model));
    assert_ok(mary_session_create(&model, NULL, &session));
    mary_array y, y_plain;
    assert_ok(mary_session_run(session, &hooked.input, 1, &y, 1));
    mary_session_free(&session);
    assert_ok(mary_trainer_model(plain.trainer, false, &model));
    assert_ok(mary_session_create(&model, NULL, &session));
    assert_ok(mary_session_run(session, &hooked.input, 1, &y_plain, 1));
    mary_session_free(&session);
    ck_assert(memcmp(y.data, y_plain.data, y.bytes) == 0);
    mary_array_free(&y);
    mary_array_free(&y_plain);
    close_trainer(&plain);
    close_trainer(&hooked);
}
END_TEST

/* w2 = a third of itself + the parameter that was added. */
static mary_status add(void *context, int index, const float *values, float *effective, int64_t count)
{
    const mary_parameter *a = context;
    (void)index;
    for (int64_t i = 0; i < count; i++)
        effective[i] = values[i] / 3 + a->values[0];
    return MARY_OK;
}

static mary_status add_gradient(void *context, int index, const float *values, float *slope, int64_t count)
{
    const mary_parameter *a = context;
    (void)index, (void)values;
    for (int64_t i = 0; i < count; i++) {
        a->gradient[0] += slope[i];
        slope[i] /= 3;
    }
    return MARY_OK;
}

START_TEST(parameters_may_be_added_for_hooks)
{
    fixture f = open_residual(NULL, 4);
    mary_parameter a;
    const mary_parameter_hook hook = {&a, add, add_gradient};
    mary_optimiser *optimiser = NULL;
    mary_model *model = NULL;
    int w2 = -1, index = -1;
    const mary_loss_result before = gradient(&f, MARY_CURVATURE_NONE);
    const int count = mary_trainer_parameter_count(f.trainer);
    assert_fails(mary_trainer_add_parameter(f.trainer, "a", 0, &index), MARY_ERROR_USAGE, "0 elements");
    assert_fails(mary_trainer_add_parameter(f.trainer, "a", INT64_MAX, &index), MARY_ERROR_USAGE, "elements");
    assert_ok(mary_trainer_add_parameter(f.trainer, "a", 3, &index));
    ck_assert_int_eq(index, count);
    ck_assert_int_eq(mary_trainer_parameter_count(f.trainer), count + 1);
    ck_assert(gradient(&f, MARY_CURVATURE_NONE).loss == before.loss);
    for (int i = 0; i < count; i++)
        w2 = strcmp(parameter(&f, i).name, "w2") == 0 ? i : w2;
    a = parameter(&f, index);
    ck_assert_str_eq(a.name, "a");
    ck_assert(a.count == 3 && a.values[2] == 0);
    assert_ok(mary_trainer_hook(f.trainer, w2, &hook));
    const float step = 1e-4f;
    a.values[0] = step;
    double slope = gradient(&f, MARY_CURVATURE_NONE).loss;
    a.values[0] = -step;
    slope = (slope - gradient(&f, MARY_CURVATURE_NONE).loss) / (2 * (double)step);
    a.values[0] = 0;
    gradient(&f, MARY_CURVATURE_NONE);
    ck_assert_double_eq_tol((double)a.gradient[0], slope, 2e-3 * (1 + fabs(slope)));
    ck_assert(a.gradient[1] == 0);
    assert_ok(mary_optimiser_create(f.trainer, NULL, &optimiser));
    assert_ok(mary_optimiser_step(optimiser, 0.01));
    ck_assert_double_eq_tol((double)a.values[0], slope > 0 ? -0.01 : 0.01, 1e-6);
    ck_assert(a.values[1] == 0);
    mary_optimiser_free(&optimiser);
    assert_ok(mary_trainer_model(f.trainer, true, &model));
    mary_model_free(&model);
    close_trainer(&f);
}
END_TEST

/* ---- losses and refusals ---- */

START_TEST(a_student_that_is_its_teacher_has_no_gradient)
{
    fixture f = open_residual(NULL, 3);
    mary_model *model = NULL;
    mary_session *session = NULL;
    mary_array y;
    mary_loss_result result;
    assert_ok(mary_trainer_model(f.trainer, false, &model));
    assert_ok(mary_session_create(&model, NULL, &session));
    assert_ok(mary_session_run(session, &f.input, 1, &y, 1));
    for (int kind = MARY_LOSS_DIVERGENCE; kind <= MARY_LOSS_SQUARED_ERROR; kind++) {
        const mary_loss same = {.kind = (mary_loss_kind)kind, .targets = y.data, .temperature = 2};
        assert_ok(mary_trainer_gradient(f.trainer, &f.input, 1, &same, MARY_CURVATURE_NONE, &result));
        ck_assert(fabs(result.loss) < 1e-9 && result.correct == 3);
        for (int i = 0; i < 8; i++) {
            mary_parameter p = parameter(&f, i);
            for (int64_t k = 0; k < p.count; k++)
                ck_assert(fabsf(p.gradient[k]) < 1e-6f);
        }
    }
    mary_array_free(&y);
    mary_session_free(&session);
    close_trainer(&f);
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    fixture f = open_residual(NULL, 3);
    mary_loss none = {0};
    assert_fails(mary_trainer_gradient(f.trainer, &f.input, 1, &none, MARY_CURVATURE_NONE, NULL), MARY_ERROR_USAGE,
                 "needs labels");
    f.labels[1] = 5;
    f.loss.labels = f.labels;
    assert_fails(mary_trainer_gradient(f.trainer, &f.input, 1, &f.loss, MARY_CURVATURE_NONE, NULL), MARY_ERROR_INVALID,
                 "label 5 of sample 1 is not one of 5 classes");
    f.labels[1] = 4;
    assert_fails(mary_trainer_gradient(f.trainer, &f.input, 0, &f.loss, MARY_CURVATURE_NONE, NULL), MARY_ERROR_USAGE,
                 "input 'x' is not given");
    mary_parameter p;
    assert_fails(mary_trainer_parameter(f.trainer, 8, &p), MARY_ERROR_USAGE, "no parameter number 8");
    gradient(&f, MARY_CURVATURE_NONE);
    close_trainer(&f);

    mary_trainer *trainer = NULL;
    mary_model *model = linear_network();
    assert_fails(mary_trainer_create(&model, &(mary_trainer_options){.output = "z"}, &trainer), MARY_ERROR_USAGE,
                 "no output 'z'");
    ck_assert(model == NULL && trainer == NULL);
}
END_TEST

START_TEST(an_operator_without_a_gradient_is_named)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 7));
    add_weights(graph, "w", SHAPE(7, 4), 1.0f);
    build_node(graph, "MatMul", "x,w", "m");
    build_node(graph, "Hardmax", "m", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, 4));
    fixture f = open_trainer(model, NULL, 2, 4, 1, (const int64_t[]){7});
    f.loss.labels = f.labels;
    assert_fails(mary_trainer_gradient(f.trainer, &f.input, 1, &f.loss, MARY_CURVATURE_NONE, NULL),
                 MARY_ERROR_UNSUPPORTED, "node 'y' (Hardmax)");
    close_trainer(&f);
}
END_TEST

/* Any allocation may fail: a status comes back, nothing is lost, and the trainer works afterwards. */
START_TEST(failing_allocations_are_survived)
{
    fixture f = open_residual(&(mary_trainer_options){.threads = 1, .micro_batch = 2}, 5);
    bool failed = true;
    f.loss.labels = f.labels;
    for (int64_t countdown = 0; failed && countdown < 4000; countdown++) {
        mary_memory_fail_after(countdown);
        mary_status status = mary_trainer_gradient(f.trainer, &f.input, 1, &f.loss, MARY_CURVATURE_HESSIAN, NULL);
        mary_memory_fail_after(-1);
        failed = status != MARY_OK;
        ck_assert(!failed || status == MARY_ERROR_INTERNAL);
    }
    ck_assert(!failed);
    close_trainer(&f);
}
END_TEST

MARY_TEST_MAIN("train/trainer", gradients_of_a_network_agree_with_differences, threads_do_not_change_a_bit,
               parts_of_a_batch_do_not_change_gradients, batch_sizes_may_change,
               the_hessian_of_a_linear_layer_agrees_with_differences,
               the_empirical_fisher_is_the_mean_of_squared_gradients, hooks_stand_between_values_and_the_network,
               parameters_may_be_added_for_hooks, a_student_that_is_its_teacher_has_no_gradient,
               wrong_calls_are_refused, an_operator_without_a_gradient_is_named, failing_allocations_are_survived)
