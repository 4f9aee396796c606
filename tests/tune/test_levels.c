/* Values of kept weights: what is chosen, their gradient, sharing by all layers. */
#include <math.h>

#include "tests/tune/network.h"

static mary_tuned_choice kmeans(int levels)
{
    return (mary_tuned_choice){.method = mary_quantize_method_find("kmeans"), .levels = levels};
}

/* The level's value in all its weights, of one layer or of all of them. */
static double loss_with(parts *p, int first, int last, int level, float value)
{
    mary_loss_result result;
    for (int i = first; i <= last; i++) {
        const mary_tuned_layer *layer = &p->layers.items[i];
        for (int64_t k = 0; k < layer->count; k++)
            layer->values[k] = layer->codes[k] == level ? value : layer->values[k];
    }
    assert_ok(mary_trainer_loss(p->trainer, &p->input, 1, &p->loss, &result));
    return result.loss;
}

static void check_level_gradients(bool shared)
{
    parts p;
    mary_tuned_choice choice = kmeans(5);
    make_parts(&p);
    choice.shared = shared;
    assert_ok(mary_tuned_prune(&p.layers, 0.5, false));
    assert_ok(mary_tuned_choose_levels(&p.layers, &choice));
    assert_ok(mary_tuned_read_levels(&p.layers, shared));
    for (int i = 0; i < p.layers.count; i++) {
        const mary_tuned_layer *layer = &p.layers.items[i];
        mary_parameter parameter;
        double gradients[256] = {0};
        ck_assert_int_eq(layer->levels, 5);
        assert_ok(mary_trainer_gradient(p.trainer, &p.input, 1, &p.loss, MARY_CURVATURE_NONE, NULL));
        if (shared)
            assert_ok(mary_tuned_share_gradients(&p.layers, p.trainer));
        assert_ok(mary_trainer_parameter(p.trainer, layer->parameter, &parameter));
        for (int64_t k = 0; k < layer->count; k++) {
            ck_assert(layer->codes[k] != 0 || parameter.gradient[k] == 0);
            gradients[layer->codes[k]] = parameter.gradient[k];
        }
        for (int level = 1; level <= 5; level++) {
            const float step = 1e-3f;
            const int first = shared ? 0 : i, last = shared ? p.layers.count - 1 : i;
            float value = 0;
            for (int64_t k = 0; k < layer->count; k++)
                value = layer->codes[k] == level ? layer->values[k] : value;
            float above = value + step, below = value - step;
            if (value == 0)
                continue; /* shared, and not in this layer */
            double slope = (loss_with(&p, first, last, level, above) - loss_with(&p, first, last, level, below)) /
                           ((double)above - (double)below);
            loss_with(&p, first, last, level, value);
            ck_assert_msg(fabs(slope - gradients[level]) < 2e-3 * (1 + fabs(slope)),
                          "layer %d, level %d: gradient %g, slope %g", i, level, gradients[level], slope);
        }
    }
    free_parts(&p);
}

START_TEST(the_gradient_of_a_level_is_that_of_the_loss)
{
    check_level_gradients(false);
    check_level_gradients(true);
}
END_TEST

START_TEST(levels_weigh_weights_by_their_importance)
{
    parts p;
    make_parts(&p);
    mary_tuned_layer *layer = &p.layers.items[0];
    float importance[HIDDEN * FEATURES], other[HIDDEN * CLASSES] = {0};
    float *const list[] = {importance, other};
    mary_tuned_choice choice = kmeans(2);
    for (int64_t k = 0; k < layer->count; k++)
        importance[k] = k == 17 ? 1e6f : 1.0f;
    const float wanted = layer->values[17];
    choice.importance = list;
    for (int shared = 0; shared < 2; shared++) {
        choice.shared = shared;
        assert_ok(mary_tuned_choose_levels(&p.layers, &choice));
        ck_assert_float_eq_tol(layer->values[17], wanted, 1e-3f);
    }
    free_parts(&p);
}
END_TEST

/* A second initializer of that name, for `distinct`. */
static void rename_initializer(const mary_model *model, const char *name, const char *new_name)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (strcmp(graph->initializer[i]->name, name) != 0)
            continue;
        mary_free(graph->initializer[i]->name);
        graph->initializer[i]->name = mary_strdup(new_name);
    }
}

/* ---- ways of choosing levels ---- */

START_TEST(levels_of_all_layers_are_the_same)
{
    mary_model *model = network(-1);
    mary_tune_options options = usual;
    mary_tune_result result;
    int64_t kept = 0;
    options.per_model = true;
    options.levels = 6;
    assert_ok(mary_tune(&model, &data, &options, &result));
    ck_assert_msg(result.after > 0.9, "right: %g", result.after);
    assert_ok(mary_dequantize(model));
    int first = distinct(model, "w1", &kept), second = distinct(model, "w2", &kept);
    ck_assert(first <= 6 && second <= 6 && first + second > 6);
    rename_initializer(model, "w2", "w1");
    ck_assert_int_le(distinct(model, "w1", &kept), 6);
    mary_model_free(&model);
}
END_TEST

START_TEST(every_method_leaves_a_network_that_works)
{
    static const char *const methods[] = {"hessian", "uniform", "ecsq", "magnitude", "spaced"};
    static const char *const importances[] = {NULL, "fisher", "adam", "none", "hessian"};
    mary_tune_options options = usual;
    mary_tune_result result;
    size_t size, other_size;
    options.level_epochs = MARY_NO_EPOCHS;
    options.precision = 24; /* nothing changes after the choice */
    options.levels = 8;
    uint8_t *plain = tuned(&options, NULL, &size);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        options.method = methods[i];
        options.importance = importances[i];
        uint8_t *other = tuned(&options, &result, &other_size);
        ck_assert_msg(other_size != size || memcmp(other, plain, size) != 0, "%s is kmeans", methods[i]);
        ck_assert_msg(result.after > 0.8, "%s: %g", methods[i], result.after);
        ck_assert(result.chosen == result.after); /* nothing was trained in between */
        mary_free(other);
    }
    mary_free(plain);
}
END_TEST

START_TEST(pruning_and_levels_may_come_one_after_the_other)
{
    mary_model *model = network(-1);
    mary_tune_options options = usual;
    mary_tune_result result;
    int64_t kept = 0, kept_after = 0;
    options.no_levels = true;
    assert_ok(mary_tune(&model, &data, &options, &result));
    ck_assert_str_eq(model->proto->graph->node[0]->op_type, "Gemm");
    ck_assert_int_gt(distinct(model, "w1", &kept), 4);
    ck_assert(result.chosen < 0 && result.after > 0.9);
    options = usual;
    options.keep = 1;
    options.epochs = MARY_NO_EPOCHS;
    options.method = "hessian";
    assert_ok(mary_tune(&model, &data, &options, &result));
    ck_assert_str_eq(model->proto->graph->node[0]->op_type, "MaryGemm");
    assert_ok(mary_dequantize(model));
    ck_assert_int_le(distinct(model, "w1", &kept_after), 4);
    ck_assert_int_eq(kept_after, kept);
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("tune/levels", the_gradient_of_a_level_is_that_of_the_loss, levels_weigh_weights_by_their_importance,
               levels_of_all_layers_are_the_same, every_method_leaves_a_network_that_works,
               pruning_and_levels_may_come_one_after_the_other)
