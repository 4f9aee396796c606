/* Optimisers against their formulas in double; schedules; the second moment. */
#include "mary_train.h"
#include "tests/support/model_builder.h"

#include <math.h>
#include <string.h>

enum { COUNT = 6, STEPS = 7 };

/* y = x w: with a squared error and one sample, gradients are easy to have, but the optimiser only sees that there are
 * some. */
static mary_trainer *open_trainer(void)
{
    static const float w[COUNT] = {0.5f, -0.25f, 1, 2, -1, 0.125f};
    mary_model *model = build_model(13);
    mary_trainer *trainer = NULL;
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_floats(model->proto->graph, "w", SHAPE(3, 2), w);
    build_node(model->proto->graph, "MatMul", "x,w", "y");
    build_output(model->proto->graph, "y", MARY_FLOAT, SHAPE(-1, 2));
    assert_ok(mary_trainer_create(&model, NULL, &trainer));
    return trainer;
}

static void gradient(mary_trainer *trainer)
{
    float x[6] = {1, -2, 0.5f, 0.25f, 1, -1};
    const float targets[4] = {1, 0, -1, 2};
    const mary_array input = {.name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {2, 3}, .data = x, .bytes = sizeof x};
    const mary_loss loss = {.kind = MARY_LOSS_SQUARED_ERROR, .targets = targets};
    assert_ok(mary_trainer_gradient(trainer, &input, 1, &loss, MARY_CURVATURE_NONE, NULL));
}

/* The formulas of the papers, one element at a time. */
static void reference(const mary_optimiser_options *o, double *w, const float *g, double state[3][COUNT], int step,
                      double rate)
{
    const bool adam = strcmp(o->method, "sgd") != 0, largest = strcmp(o->method, "amsgrad") == 0;
    double squares = 0, kept = 0;
    for (int i = 0; i < COUNT; i++) {
        squares += w[i] * w[i];
        kept += w[i] != 0;
    }
    rate *= o->relative ? sqrt(squares / kept) : 1;
    for (int i = 0; i < COUNT; i++) {
        const double slope = (double)g[i] + o->weight_decay * w[i];
        if (!adam) {
            state[0][i] = o->momentum * state[0][i] + slope;
            w[i] -= rate * state[0][i];
            continue;
        }
        const double beta1 = o->beta1 > 0 ? o->beta1 : 0.9, beta2 = o->beta2 > 0 ? o->beta2 : 0.999;
        state[0][i] = beta1 * state[0][i] + (1 - beta1) * slope;
        state[1][i] = beta2 * state[1][i] + (1 - beta2) * slope * slope;
        state[2][i] = largest ? fmax(state[2][i], state[1][i]) : state[1][i];
        const double first = state[0][i] / (1 - pow(beta1, step)), second = state[2][i] / (1 - pow(beta2, step));
        w[i] -= rate * first / (sqrt(second) + 1e-8);
    }
}

START_TEST(steps_follow_the_formulas)
{
    static const mary_optimiser_options all[] = {{.method = "sgd"},
                                                 {.method = "sgd", .momentum = 0.9, .weight_decay = 0.01},
                                                 {.method = "adam"},
                                                 {.method = "adam", .beta1 = 0.5, .beta2 = 0.75, .weight_decay = 0.1},
                                                 {.method = "amsgrad", .beta1 = 0.5, .beta2 = 0.25},
                                                 {.method = "adam", .relative = true},
                                                 {.method = "sgd", .momentum = 0.9, .relative = true}};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        mary_trainer *trainer = open_trainer();
        mary_optimiser *optimiser = NULL;
        mary_parameter p;
        double w[COUNT], state[3][COUNT] = {{0}};
        assert_ok(mary_optimiser_create(trainer, &all[k], &optimiser));
        assert_ok(mary_trainer_parameter(trainer, 0, &p));
        for (int i = 0; i < COUNT; i++)
            w[i] = (double)p.values[i];
        for (int step = 1; step <= STEPS; step++) {
            gradient(trainer);
            reference(&all[k], w, p.gradient, state, step, 0.05 / step);
            assert_ok(mary_optimiser_step(optimiser, 0.05 / step));
            for (int i = 0; i < COUNT; i++)
                ck_assert_msg(fabs((double)p.values[i] - w[i]) < 2e-6, "%s %zu, step %d: %g, expected %g",
                              all[k].method, k, step, (double)p.values[i], w[i]);
        }
        if (strcmp(all[k].method, "sgd") != 0) {
            float moment[COUNT];
            const double beta2 = all[k].beta2 > 0 ? all[k].beta2 : 0.999;
            assert_ok(mary_optimiser_moment(optimiser, 0, moment));
            for (int i = 0; i < COUNT; i++)
                ck_assert(fabs((double)moment[i] - state[2][i] / (1 - pow(beta2, STEPS))) < 1e-4 * state[2][i] + 1e-7);
        }
        mary_optimiser_free(&optimiser);
        mary_trainer_free(&trainer);
    }
}
END_TEST

/* Two layers whose sizes differ by a factor of 1024: steps differ by it, too. Zeros do not count in the size, and move
 * like the others; what is all zero has the least size. */
START_TEST(relative_steps_are_parts_of_each_parameter)
{
    static const float large[4] = {1024, -2048, 512, 0}, small[4] = {1, -2, 0.5f, 0}, none[2] = {0, 0};
    const mary_loss loss = {.kind = MARY_LOSS_SQUARED_ERROR, .targets = (const float[]){3, -1}};
    float x[2] = {1, 0.5f};
    const mary_array input = {.name = "x", .type = MARY_FLOAT, .rank = 2, .dims = {1, 2}, .data = x, .bytes = sizeof x};
    mary_model *model = build_model(13);
    mary_trainer *trainer = NULL;
    mary_optimiser *optimiser = NULL;
    mary_parameter p[3];
    float before[3][4];
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, 2));
    build_floats(model->proto->graph, "w", SHAPE(2, 2), large);
    build_floats(model->proto->graph, "v", SHAPE(2, 2), small);
    build_floats(model->proto->graph, "b", SHAPE(2), none);
    build_node(model->proto->graph, "MatMul", "x,w", "h");
    build_node(model->proto->graph, "Gemm", "h,v,b", "y");
    build_output(model->proto->graph, "y", MARY_FLOAT, SHAPE(-1, 2));
    assert_ok(mary_trainer_create(&model, NULL, &trainer));
    assert_ok(mary_optimiser_create(trainer, &(mary_optimiser_options){.relative = true}, &optimiser));
    for (int i = 0; i < 3; i++) {
        assert_ok(mary_trainer_parameter(trainer, i, &p[i]));
        memcpy(before[i], p[i].values, (size_t)p[i].count * sizeof(float));
    }
    assert_ok(mary_trainer_gradient(trainer, &input, 1, &loss, MARY_CURVATURE_NONE, NULL));
    assert_ok(mary_optimiser_step(optimiser, 0.01));
    for (int i = 0; i < 3; i++) { /* Adam's first step is the rate, whatever the gradient */
        const double size = strcmp(p[i].name, "b") == 0 ? 1e-3 : sqrt(1.75) * (strcmp(p[i].name, "w") == 0 ? 1024 : 1);
        for (int k = 0; k < p[i].count; k++) {
            const double step = fabs((double)p[i].values[k] - (double)before[i][k]);
            if (p[i].gradient[k] != 0)
                ck_assert_msg(fabs(step - 0.01 * size) < 1e-4 * 0.01 * size, "%s %d: %g, expected %g", p[i].name, k,
                              step, 0.01 * size);
        }
    }
    mary_optimiser_free(&optimiser);
    mary_trainer_free(&trainer);
}
END_TEST

START_TEST(senseless_options_are_refused)
{
    mary_trainer *trainer = open_trainer();
    mary_optimiser *optimiser = NULL;
    float moment[COUNT];
    assert_fails(mary_optimiser_create(trainer, &(mary_optimiser_options){.method = "lion"}, &optimiser),
                 MARY_ERROR_USAGE, "no optimiser 'lion'");
    assert_fails(mary_optimiser_create(trainer, &(mary_optimiser_options){.beta2 = 1}, &optimiser), MARY_ERROR_USAGE,
                 "beta1 and beta2");
    assert_fails(mary_optimiser_create(trainer, &(mary_optimiser_options){.momentum = NAN}, &optimiser),
                 MARY_ERROR_USAGE, "momentum");
    assert_ok(mary_optimiser_create(trainer, &(mary_optimiser_options){.method = "sgd"}, &optimiser));
    assert_fails(mary_optimiser_moment(optimiser, 0, moment), MARY_ERROR_USAGE, "keeps no second moment");
    assert_fails(mary_optimiser_step(optimiser, NAN), MARY_ERROR_USAGE, "learning rate");
    mary_optimiser_free(&optimiser);
    mary_trainer_free(&trainer);
}
END_TEST

static double rate_of(mary_schedule schedule, int64_t step)
{
    double rate;
    assert_ok(mary_schedule_rate(&schedule, step, &rate));
    return rate;
}

START_TEST(schedules_follow_their_curves)
{
    const mary_schedule steps = {MARY_SCHEDULE_STEPS, 0.5, 0.1, 10, 0};
    ck_assert(rate_of(steps, 9) == 0.5 && fabs(rate_of(steps, 10) - 0.05) < 1e-15 &&
              fabs(rate_of(steps, 29) - 0.005) < 1e-15);
    const mary_schedule smooth = {MARY_SCHEDULE_EXPONENTIAL, 1, 0.25, 4, 0};
    ck_assert(fabs(rate_of(smooth, 2) - 0.5) < 1e-12 && fabs(rate_of(smooth, 8) - 0.0625) < 1e-12);
    const mary_schedule cosine = {MARY_SCHEDULE_COSINE, 2, 0.5, 8, 0};
    ck_assert(rate_of(cosine, 0) == 2 && fabs(rate_of(cosine, 4) - 1.5) < 1e-12 &&
              fabs(rate_of(cosine, 8) - 1) < 1e-12 && fabs(rate_of(cosine, 100) - 1) < 1e-12);
    const mary_schedule warm = {.rate = 1, .warmup = 4};
    ck_assert(rate_of(warm, 0) == 0.25 && rate_of(warm, 3) == 1 && rate_of(warm, 4) == 1);
    double rate;
    assert_fails(mary_schedule_rate(&(mary_schedule){MARY_SCHEDULE_STEPS, 1, 0.1, 0, 0}, 0, &rate), MARY_ERROR_USAGE,
                 "period of 0");
    assert_fails(mary_schedule_rate(&(mary_schedule){.rate = NAN}, 0, &rate), MARY_ERROR_USAGE, "rate");
}
END_TEST

MARY_TEST_MAIN("train/optimise", steps_follow_the_formulas, relative_steps_are_parts_of_each_parameter,
               senseless_options_are_refused, schedules_follow_their_curves)
