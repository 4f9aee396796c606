/* What layers are worth beside each other, against gradients of single samples and against the optimiser's moments. */
#include <math.h>

#include "tests/tune/network.h"
#include "tune/run.h"
#include "tune/settings.h"

enum { BATCH = 20 };

static void make_tuning(mary_tuning *t, double entropy)
{
    mary_model *model = network(-1);
    mary_tune_options options = usual;
    options.keep = 1;
    options.coded_epochs = 2;
    options.entropy = entropy;
    options.batch = BATCH;
    *t = (mary_tuning){0};
    assert_ok(mary_tune_settle(&options, &t->options));
    assert_ok(mary_split_create(&data, options.holdout, &t->split));
    assert_ok(mary_tuning_create(t, &model));
    ck_assert_int_eq(t->layers.count, 2);
    assert_ok(mary_optimiser_create(t->trainer, &(mary_optimiser_options){0}, &t->optimiser));
}

static void train_a_step(mary_tuning *t, int64_t number)
{
    int64_t size;
    assert_ok(mary_batches_read(t->batches, 0, number, t->values, t->labels, NULL, &size));
    assert_ok(mary_tuning_pass(t, size, MARY_CURVATURE_NONE, NULL));
    assert_ok(mary_optimiser_step(t->optimiser, 0.01));
}

static double worth(const mary_tuning *t, int layer)
{
    return t->layers.items[layer].coding->worth;
}

/* The sum of squared weights times what is in `moments`. */
static double sum_of(const mary_tuned_layer *layer, const float *moments)
{
    double sum = 0;
    for (int64_t k = 0; k < layer->count; k++)
        sum += (double)moments[k] * pow((double)layer->values[k], 2);
    return sum;
}

static void expect_worths(const mary_tuning *t, const double sums[2])
{
    const double weights[2] = {(double)t->layers.items[0].count, (double)t->layers.items[1].count};
    ck_assert_double_eq_tol(worth(t, 0) / worth(t, 1), sqrt(sums[0] / sums[1]), 1e-5 * worth(t, 0) / worth(t, 1));
    ck_assert_double_eq_tol(weights[0] * log(worth(t, 0)) + weights[1] * log(worth(t, 1)), 0, 1e-6 * weights[0]);
    ck_assert(fabs(worth(t, 0) - 1) > 0.01);
}

START_TEST(what_layers_are_worth_is_by_the_gradients_of_samples)
{
    mary_tuning t;
    double sums[2] = {0};
    make_tuning(&t, 1.5);
    for (int64_t n = 0; n < t.split.training.samples; n++) {
        const mary_array input = {.name = "x",
                                  .type = MARY_FLOAT,
                                  .rank = 2,
                                  .dims = {1, FEATURES},
                                  .data = t.values,
                                  .bytes = FEATURES * sizeof(float)};
        const mary_loss loss = {.labels = t.labels};
        assert_ok(t.split.training.sample(t.split.training.context, n, t.values, t.labels));
        assert_ok(mary_trainer_gradient(t.trainer, &input, 1, &loss, MARY_CURVATURE_NONE, NULL));
        for (int i = 0; i < 2; i++) {
            const mary_tuned_layer *layer = &t.layers.items[i];
            mary_parameter parameter;
            assert_ok(mary_trainer_parameter(t.trainer, layer->parameter, &parameter));
            for (int64_t k = 0; k < layer->count; k++)
                sums[i] += pow((double)parameter.gradient[k] * (double)layer->values[k], 2);
        }
    }
    assert_ok(mary_tuning_measure_worth(&t, 0));
    expect_worths(&t, sums);
    mary_tuning_free(&t);
}
END_TEST

START_TEST(later_it_is_by_what_the_optimiser_has_seen)
{
    mary_tuning t;
    make_tuning(&t, 1.5);
    assert_ok(mary_tuning_update_worth(&t)); /* which is nothing yet */
    ck_assert_double_eq(worth(&t, 0), 1);
    for (int step = 0; step < 5; step++)
        train_a_step(&t, step);
    float moments[HIDDEN * FEATURES];
    double sums[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(mary_optimiser_moment(t.optimiser, t.layers.items[i].parameter, moments));
        sums[i] = sum_of(&t.layers.items[i], moments);
    }
    assert_ok(mary_tuning_update_worth(&t));
    expect_worths(&t, sums);

    mary_tuned_layer *layer = &t.layers.items[0]; /* of which nothing is known: no part of the mean */
    memset(layer->values, 0, (size_t)layer->count * sizeof(float));
    assert_ok(mary_tuning_update_worth(&t));
    ck_assert_double_eq(worth(&t, 0), 1);
    ck_assert_double_eq_tol(worth(&t, 1), 1, 1e-9);
    mary_tuning_free(&t);
}
END_TEST

START_TEST(without_a_budget_layers_are_worth_the_same)
{
    mary_tuning t;
    make_tuning(&t, 0);
    ck_assert_double_eq(t.budget, 0);
    train_a_step(&t, 0);
    assert_ok(mary_tuning_update_worth(&t));
    ck_assert_double_eq(worth(&t, 0), 1);
    ck_assert_double_eq(worth(&t, 1), 1);
    mary_tuning_free(&t);
}
END_TEST

MARY_TEST_MAIN("tune/importance", what_layers_are_worth_is_by_the_gradients_of_samples,
               later_it_is_by_what_the_optimiser_has_seen, without_a_budget_layers_are_worth_the_same)
