/* Coded weights: what the network sees of them, gradients, how many bits they take. */
#include <math.h>

#include "tests/tune/network.h"

enum { LEVELS = 5 };

/* A trainer whose weights are coded; a third of them pruned, levels by k-means. */
static void make_coded(parts *p, bool shared, double budget)
{
    const mary_tuned_choice choice = {
        .method = mary_quantize_method_find("kmeans"), .levels = LEVELS, .shared = shared};
    make_parts(p);
    assert_ok(mary_tuned_codings_create(&p->layers, p->trainer, LEVELS, shared));
    assert_ok(mary_tuned_prune(&p->layers, 0.67, false));
    assert_ok(mary_tuned_choose_coding(&p->layers, &choice));
    assert_ok(mary_tuned_code(&p->layers, budget));
}

/* To be freed. */
static float *seen(mary_tuned_layer *layer)
{
    float *effective = mary_alloc((size_t)layer->count * sizeof *effective);
    assert_ok(mary_tuned_effective(layer, layer->parameter, layer->values, effective, layer->count));
    return effective;
}

static double entropy(mary_tuned_layer *layer)
{
    double bits = 0;
    int64_t counts[256] = {0};
    mary_free(seen(layer));
    for (int64_t k = 0; k < layer->count; k++)
        counts[layer->codes[k]]++;
    for (int m = 0; m < 256; m++)
        bits += counts[m] > 0 ? (double)counts[m] * log2((double)layer->count / (double)counts[m]) : 0;
    return bits;
}

static double all_bits(parts *p)
{
    double bits = 0;
    for (int i = 0; i < p->layers.count; i++)
        bits += entropy(&p->layers.items[i]);
    return bits;
}

/* Without a budget: the nearest level, and zero where weights are pruned. */
START_TEST(kept_weights_are_seen_as_their_nearest_levels)
{
    for (int shared = 0; shared < 2; shared++) {
        parts p;
        make_coded(&p, shared, 0);
        for (int i = 0; i < p.layers.count; i++) {
            mary_tuned_layer *layer = &p.layers.items[i];
            const mary_tuned_coding *coding = layer->coding;
            float *effective = seen(layer);
            for (int64_t k = 0; k < layer->count; k++) {
                double least = INFINITY;
                if (layer->values[k] == 0) {
                    ck_assert_float_eq(effective[k], 0);
                    continue;
                }
                for (int m = 0; m < LEVELS; m++)
                    least = fmin(least, fabs((double)layer->values[k] - (double)coding->levels[m]));
                ck_assert_double_eq(fabs((double)layer->values[k] - (double)effective[k]), least);
            }
            mary_free(effective);
        }
        free_parts(&p);
    }
}
END_TEST

/* On either side of an edge, and far outside. */
START_TEST(intervals_begin_at_their_edges)
{
    for (int zeros = 0; zeros < 2; zeros++) {
        parts p;
        make_coded(&p, false, zeros ? 400 : 0);
        for (int i = 0; i < p.layers.count; i++) {
            mary_tuned_layer *layer = &p.layers.items[i];
            const mary_tuned_coding *coding = layer->coding;
            int64_t at = 0;
            while (layer->values[at] == 0)
                at++;
            ck_assert_int_ge(coding->count, 2);
            for (int m = 0; m < coding->count; m++) {
                const bool last = m == coding->count - 1;
                const float values[] = {m > 0 ? nextafterf(coding->edges[m], -INFINITY) : -1e30f,
                                        m > 0 ? coding->edges[m] : -1e30f, last ? 1e30f : coding->edges[m + 1]};
                const int expected[] = {m > 0 ? m - 1 : 0, m, last ? m : m + 1};
                for (int v = 0; v < 3; v++) {
                    const int code = coding->codes[expected[v]];
                    layer->values[at] = values[v];
                    float *effective = seen(layer);
                    ck_assert_float_eq(effective[at], code > 0 ? coding->levels[code - 1] : 0.0f);
                    ck_assert_int_eq(layer->codes[at], code);
                    mary_free(effective);
                }
            }
        }
        free_parts(&p);
    }
}
END_TEST

/* Straight through to weights that may change; to a level, the sum over its weights. */
START_TEST(gradients_go_to_weights_and_to_levels)
{
    for (int zeros = 0; zeros < 2; zeros++) {
        parts p;
        make_coded(&p, false, zeros ? 300 : 0);
        for (int i = 0; i < p.layers.count; i++) {
            mary_tuned_layer *layer = &p.layers.items[i];
            double sums[LEVELS + 1] = {0};
            float *slope = seen(layer);
            memset(layer->coding->gradient, 0, LEVELS * sizeof(float));
            for (int64_t k = 0; k < layer->count; k++) {
                slope[k] = (float)k + 1;
                sums[layer->codes[k]] += (double)slope[k];
            }
            assert_ok(mary_tuned_gradient(layer, layer->parameter, layer->values, slope, layer->count));
            for (int64_t k = 0; k < layer->count; k++)
                ck_assert_float_eq(slope[k], layer->codes[k] != 0 || zeros ? (float)k + 1 : 0.0f);
            for (int m = 0; m < LEVELS; m++)
                ck_assert_double_eq((double)layer->coding->gradient[m], sums[m + 1]);
            mary_free(slope);
        }
        free_parts(&p);
    }
}
END_TEST

static double loss_of(parts *p)
{
    mary_loss_result result;
    assert_ok(mary_trainer_loss(p->trainer, &p->input, 1, &p->loss, &result));
    return result.loss;
}

START_TEST(the_gradient_of_a_level_is_that_of_the_loss)
{
    for (int shared = 0; shared < 2; shared++) {
        parts p;
        int checked = 0;
        make_coded(&p, shared, 400);
        for (int i = 0; i < p.layers.count; i++) {
            const mary_tuned_coding *coding = p.layers.items[i].coding;
            for (int m = 0; m < LEVELS; m++) {
                const float value = coding->levels[m], step = 1e-3f, above = value + step, below = value - step;
                assert_ok(mary_trainer_gradient(p.trainer, &p.input, 1, &p.loss, MARY_CURVATURE_NONE, NULL));
                coding->levels[m] = above;
                double slope = loss_of(&p);
                coding->levels[m] = below;
                slope = (slope - loss_of(&p)) / ((double)above - (double)below);
                coding->levels[m] = value;
                ck_assert_msg(fabs(slope - (double)coding->gradient[m]) < 2e-3 * (1 + fabs(slope)),
                              "layer %d, level %d: gradient %g, slope %g", i, m, (double)coding->gradient[m], slope);
                checked += slope != 0;
            }
        }
        ck_assert_int_ge(checked, LEVELS);
        free_parts(&p);
    }
}
END_TEST

/* What the network sees against other values of the same network, as parts of their layers' energy. */
static double error_against(parts *p, const parts *original)
{
    double error = 0;
    for (int i = 0; i < p->layers.count; i++) {
        mary_tuned_layer *layer = &p->layers.items[i];
        const float *values = original->layers.items[i].values;
        float *effective = seen(layer);
        double energy = 0, differences = 0;
        for (int64_t k = 0; k < layer->count; k++) {
            energy += (double)values[k] * (double)values[k];
            differences += pow((double)values[k] - (double)effective[k], 2);
        }
        error += differences / energy;
        mary_free(effective);
    }
    return error;
}

START_TEST(codes_fit_the_budget_at_a_small_error)
{
    parts p, pruned;
    double error = -1;
    make_coded(&p, false, 1e9);
    make_coded(&pruned, false, 0);
    const double most = all_bits(&p);
    ck_assert_double_gt(most, 300);
    for (double budget = most * 0.9; budget > most * 0.15; budget *= 0.8) {
        assert_ok(mary_tuned_code(&p.layers, budget));
        const double bits = all_bits(&p), now = error_against(&p, &p);
        ck_assert_msg(bits <= budget && bits > budget - 30, "%g bits of %g", bits, budget);
        ck_assert_msg(now > error, "fewer bits, and the error falls from %g to %g", error, now);
        for (double keep = 0.67; all_bits(&pruned) > budget; keep *= 0.98) { /* the other way to fewer bits */
            assert_ok(mary_tuned_prune(&pruned.layers, keep, false));
            assert_ok(mary_tuned_code(&pruned.layers, 0));
        }
        ck_assert_msg(now < error_against(&pruned, &p), "at %g bits an error of %g, pruned %g", bits, now,
                      error_against(&pruned, &p));
        error = now;
    }
    free_parts(&p);
    free_parts(&pruned);
}
END_TEST

/* Of one layer, as a part of its energy. */
static double error_of(mary_tuned_layer *layer)
{
    double energy = 0, error = 0;
    float *effective = seen(layer);
    for (int64_t k = 0; k < layer->count; k++) {
        energy += (double)layer->values[k] * (double)layer->values[k];
        error += pow((double)layer->values[k] - (double)effective[k], 2);
    }
    mary_free(effective);
    return error / energy;
}

START_TEST(fitted_levels_have_less_error_in_as_many_bits)
{
    for (int shared = 0; shared < 2; shared++) {
        for (double budget = 200; budget < 450; budget += 60) {
            parts p;
            make_coded(&p, shared, budget);
            const double before = error_against(&p, &p);
            assert_ok(mary_tuned_fit_levels(&p.layers, budget));
            assert_ok(mary_tuned_code(&p.layers, budget));
            const double after = error_against(&p, &p);
            ck_assert_msg(after < before, "%g bits: the error was %g and is %g", budget, before, after);
            ck_assert_double_le(all_bits(&p), budget);
            for (int i = 0; i < p.layers.count; i++)
                ck_assert_ptr_eq(p.layers.items[i].coding->levels, p.layers.items[shared ? 0 : i].coding->levels);
            free_parts(&p);
        }
    }
}
END_TEST

/* A level that is the mean of its weights stays; without weights, too. */
START_TEST(fitted_levels_are_the_means_of_their_weights)
{
    parts p;
    make_coded(&p, false, 1e9);
    p.layers.items[0].coding->levels[2] = 77;
    assert_ok(mary_tuned_fit_levels(&p.layers, 1e9));
    ck_assert_float_eq(p.layers.items[0].coding->levels[2], 77);
    for (int i = 0; i < p.layers.count; i++) {
        mary_tuned_layer *layer = &p.layers.items[i];
        double sums[LEVELS + 1] = {0};
        int64_t counts[LEVELS + 1] = {0};
        assert_ok(mary_tuned_code(&p.layers, 1e9));
        mary_free(seen(layer));
        for (int64_t k = 0; k < layer->count; k++) {
            sums[layer->codes[k]] += (double)layer->values[k];
            counts[layer->codes[k]]++;
        }
        for (int m = 1; m <= LEVELS; m++) {
            if (counts[m] > 0)
                ck_assert_double_eq_tol(sums[m] / (double)counts[m], (double)layer->coding->levels[m - 1], 5e-3);
        }
    }
    free_parts(&p);
}
END_TEST

START_TEST(a_layer_that_is_worth_more_gets_more_of_the_bits)
{
    double bits = 0, least = INFINITY, error = INFINITY;
    for (double worth = 0.1; worth < 20; worth *= 4) {
        parts p;
        make_coded(&p, false, 300);
        p.layers.items[0].coding->worth = worth;
        assert_ok(mary_tuned_code(&p.layers, 300));
        const double now = entropy(&p.layers.items[0]), error_now = error_of(&p.layers.items[0]);
        ck_assert_msg(now >= bits && error_now <= error, "worth %g: %g bits, error %g", worth, now, error_now);
        ck_assert_double_le(all_bits(&p), 300);
        bits = now;
        least = fmin(least, bits);
        error = error_now;
        free_parts(&p);
    }
    ck_assert_double_gt(bits, 1.1 * least);
}
END_TEST

/* Errors are parts of their layer: how large its weights are does not matter. */
START_TEST(codes_do_not_depend_on_the_size_of_a_layer)
{
    parts p, scaled;
    make_coded(&p, false, 350);
    make_coded(&scaled, false, 350);
    mary_tuned_layer *layer = &scaled.layers.items[0];
    for (int64_t k = 0; k < layer->count; k++)
        layer->values[k] *= 64;
    for (int m = 0; m < LEVELS; m++)
        layer->coding->levels[m] *= 64;
    assert_ok(mary_tuned_code(&scaled.layers, 350));
    for (int i = 0; i < p.layers.count; i++) {
        mary_free(seen(&p.layers.items[i]));
        mary_free(seen(&scaled.layers.items[i]));
        ck_assert_mem_eq(p.layers.items[i].codes, scaled.layers.items[i].codes, (size_t)p.layers.items[i].count);
    }
    free_parts(&p);
    free_parts(&scaled);
}
END_TEST

START_TEST(pruned_weights_come_back_where_there_is_a_budget)
{
    for (int budget = 0; budget < 2; budget++) {
        parts p;
        make_coded(&p, false, budget * 1e9);
        mary_tuned_layer *layer = &p.layers.items[0];
        int64_t at = 0;
        while (layer->values[at] != 0)
            at++;
        layer->values[at] = layer->coding->levels[LEVELS - 1];
        float *effective = seen(layer);
        ck_assert_float_eq(effective[at], budget > 0 ? layer->coding->levels[LEVELS - 1] : 0);
        mary_free(effective);
        free_parts(&p);
    }
}
END_TEST

START_TEST(weights_settle_on_what_is_seen)
{
    parts p;
    make_coded(&p, false, 350);
    for (int i = 0; i < p.layers.count; i++) {
        mary_tuned_layer *layer = &p.layers.items[i];
        for (int64_t k = 0; k < layer->count; k++)
            layer->values[k] *= 1 + 0.1f * (float)(k % 5);
    }
    assert_ok(mary_tuned_code(&p.layers, 300));
    float *effective[2] = {seen(&p.layers.items[0]), seen(&p.layers.items[1])};
    const double loss = loss_of(&p);
    assert_ok(mary_tuned_settle(&p.layers, 300));
    for (int i = 0; i < 2; i++) {
        const mary_tuned_layer *layer = &p.layers.items[i];
        ck_assert_int_eq(memcmp(layer->values, effective[i], (size_t)layer->count * sizeof(float)), 0);
        mary_free(effective[i]);
    }
    mary_tuned_read_mask(&p.layers);
    ck_assert_double_eq(loss_of(&p), loss);
    mary_tuned_layer *first = &p.layers.items[0]; /* from now on weights are seen as they are */
    const float before = first->values[0];
    first->values[0] = 0.123f;
    first->codes[0] = 1;
    float *plain = seen(first);
    ck_assert_float_eq(plain[0], 0.123f);
    mary_free(plain);
    first->values[0] = before;
    assert_ok(mary_tuned_read_levels(&p.layers, false));
    ck_assert(p.layers.items[0].levels >= 2 && p.layers.items[0].levels <= LEVELS);
    free_parts(&p);
}
END_TEST

MARY_TEST_MAIN("tune/coding", kept_weights_are_seen_as_their_nearest_levels, intervals_begin_at_their_edges,
               gradients_go_to_weights_and_to_levels, the_gradient_of_a_level_is_that_of_the_loss,
               codes_fit_the_budget_at_a_small_error, fitted_levels_have_less_error_in_as_many_bits,
               fitted_levels_are_the_means_of_their_weights, a_layer_that_is_worth_more_gets_more_of_the_bits,
               codes_do_not_depend_on_the_size_of_a_layer, pruned_weights_come_back_where_there_is_a_budget,
               weights_settle_on_what_is_seen)
