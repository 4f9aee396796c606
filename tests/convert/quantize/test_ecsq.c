/* Entropy-constrained quantisation and equal thresholds: what METHODS asks of them. */
#include "tests/support/suite.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "convert/quantize/ecsq.h"
#include "convert/quantize/method.h"

enum { COUNT = 1500 };
static float values[2 * COUNT], importance[2 * COUNT];
static uint8_t codes[2 * COUNT];
static uint32_t state;

static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return ((double)(state >> 8) + 0.5) / 16777216.0;
}

/* Heavy tails; what weights count spans orders of magnitude, and some count nothing. */
static mary_quantize_input made(uint32_t seed)
{
    state = seed;
    for (int i = 0; i < COUNT; i++) {
        double normal = sqrt(-2 * log(draw())) * cos(6.283185307179586 * draw());
        values[i] = (float)(normal * (draw() < 0.1 ? 3 : 1));
        importance[i] = draw() < 0.05 ? 0.0f : (float)exp(3 * draw());
    }
    return (mary_quantize_input){.values = values, .importance = importance, .count = COUNT};
}

/* D and H by their definitions. */
static void measure(const mary_quantize_input *input, const double *levels, const uint8_t *of, double *distortion,
                    double *entropy)
{
    double total = 0, members[256] = {0};
    *distortion = *entropy = 0;
    for (int64_t i = 0; i < input->count; i++) {
        double h = input->importance != NULL ? (double)input->importance[i] : 1,
               d = (double)input->values[i] - levels[of[i]];
        total += h;
        *distortion += h * d * d;
        members[of[i]]++;
    }
    *distortion /= total;
    for (int m = 0; m < 256; m++) {
        double p = members[m] / (double)input->count;
        *entropy -= p > 0 ? p * log2(p) : 0;
    }
}

static double objective(const mary_ecsq *s, double lambda)
{
    double distortion, entropy;
    measure(s->input, s->levels, s->codes, &distortion, &entropy);
    ck_assert_double_eq_tol(s->distortion, distortion, 1e-9 * (1 + distortion));
    ck_assert_double_eq_tol(s->entropy, entropy, 1e-9);
    return distortion + lambda * entropy;
}

START_TEST(no_half_step_raises_the_objective)
{
    for (uint32_t trial = 0; trial < 12; trial++) {
        mary_quantize_input input = made(trial);
        mary_ecsq s;
        double lambda = 0.003 * pow(3, trial % 6);
        assert_ok(mary_ecsq_begin(&input, 4 + (int)trial, codes, &s));
        double before = objective(&s, lambda);
        for (int step = 0; step < 15; step++) {
            mary_ecsq_assign(&s, lambda);
            double assigned = objective(&s, lambda);
            ck_assert_msg(assigned <= before * (1 + 1e-12), "trial %u, step %d: codes raise it from %.12g to %.12g",
                          trial, step, before, assigned);
            mary_ecsq_update(&s);
            double updated = objective(&s, lambda);
            ck_assert_msg(updated <= assigned * (1 + 1e-12), "trial %u, step %d: levels raise it from %.12g to %.12g",
                          trial, step, assigned, updated);
            before = updated;
        }
        for (int m = 1; m < s.count; m++)
            ck_assert_double_gt(s.levels[m], s.levels[m - 1]);
    }
}
END_TEST

START_TEST(without_lambda_it_is_weighted_kmeans)
{
    mary_quantize_input input = made(5);
    double levels[8], expected, distortion, entropy;
    mary_ecsq s;
    assert_ok(mary_quantize_kmeans(&input, 8, levels));
    assert_ok(mary_ecsq_begin(&input, 8, codes, &s));
    mary_ecsq_converge(&s, 0);
    measure(&input, s.levels, codes, &distortion, &entropy);
    for (int i = 0; i < COUNT; i++) { /* nearest levels of k-means */
        codes[i] = 0;
        for (int m = 1; m < 8; m++) {
            if (fabs(values[i] - levels[m]) < fabs(values[i] - levels[codes[i]]))
                codes[i] = (uint8_t)m;
        }
    }
    measure(&input, levels, codes, &expected, &entropy);
    ck_assert_double_eq_tol(distortion, expected, 1e-9 * expected);
    /* a bound that k-means keeps by itself changes nothing */
    input.entropy = 3;
    double bounded[8];
    assert_ok(mary_quantize_ecsq(&input, 8, bounded, codes));
    for (int m = 0; m < 8; m++)
        ck_assert_double_eq_tol(bounded[m], levels[m], 1e-9);
}
END_TEST

START_TEST(bounds_are_kept_and_cost_error)
{
    const double bounds[] = {3.5, 2.5, 1.5, 0.5};
    double before = 0;
    for (int i = 0; i < 4; i++) {
        mary_quantize_input input = made(9);
        double levels[16], distortion, entropy;
        input.entropy = bounds[i];
        assert_ok(mary_quantize_ecsq(&input, 16, levels, codes));
        measure(&input, levels, codes, &distortion, &entropy);
        ck_assert_double_le(entropy, bounds[i]);
        ck_assert_double_gt(entropy, bounds[i] - 0.5); /* no more is given away than a step of the sweep takes */
        ck_assert_double_gt(distortion, before);
        before = distortion;
    }
    mary_quantize_input input = made(9); /* M alone: at most M levels, with less entropy than k-means at M has */
    double plain[6], distortion, entropy, most;
    mary_ecsq s;
    assert_ok(mary_ecsq_begin(&input, 6, codes, &s));
    measure(&input, s.levels, codes, &distortion, &most);
    assert_ok(mary_quantize_ecsq(&input, 6, plain, codes));
    measure(&input, plain, codes, &distortion, &entropy);
    ck_assert_double_lt(entropy, most);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_lt(codes[i], 6);
}
END_TEST

/* Most weights of a large layer are as they were drawn, evenly between two bounds; some have grown. From many levels
 * lambda goes straight from more than a bit to a tenth of one; the answer is nevertheless near what was allowed. */
START_TEST(a_bound_below_even_weights_is_used)
{
    mary_quantize_input input = {.values = values, .count = 2 * COUNT, .entropy = 0.9};
    double levels[31], few[7], distortion, entropy, other, other_entropy;
    state = 11;
    for (int i = 0; i < 2 * COUNT; i++)
        values[i] = (float)((draw() - 0.5) * (draw() < 0.03 ? 0.4 : 0.07));
    assert_ok(mary_quantize_ecsq(&input, 31, levels, codes));
    measure(&input, levels, codes, &distortion, &entropy);
    assert_ok(mary_quantize_ecsq(&input, 7, few, codes));
    measure(&input, few, codes, &other, &other_entropy);
    ck_assert_msg(entropy <= 0.9 && entropy > 0.6, "%g bits of 0.9 are used", entropy);
    ck_assert_msg(distortion <= other, "31 levels: error %g, 7 levels: %g", distortion, other);
}
END_TEST

typedef mary_status partition(const mary_quantize_input *input, int count, double *levels, uint8_t *codes);
static partition *const methods[] = {mary_quantize_ecsq, mary_quantize_uniform};

START_TEST(scaled_importance_changes_nothing)
{
    mary_quantize_input input = made(3);
    double levels[8], again[8];
    uint8_t kept[COUNT];
    assert_ok(methods[_i](&input, 8, levels, kept));
    for (int i = 0; i < COUNT; i++)
        importance[i] *= 0x1p-60f;
    assert_ok(methods[_i](&input, 8, again, codes));
    for (int m = 0; m < 8; m++)
        ck_assert_double_eq_tol(again[m], levels[m], 1e-9);
    ck_assert_mem_eq(codes, kept, COUNT);
}
END_TEST

START_TEST(equal_importance_is_none)
{
    mary_quantize_input input = made(4);
    double levels[8], again[8];
    for (int i = 0; i < COUNT; i++)
        importance[i] = _i < 2 ? 3.0f : 0.0f; /* nothing counts: everything counts the same */
    assert_ok(methods[_i % 2](&input, 8, levels, codes));
    input.importance = NULL;
    assert_ok(methods[_i % 2](&input, 8, again, codes));
    for (int m = 0; m < 8; m++)
        ck_assert_double_eq_tol(again[m], levels[m], 1e-9);
}
END_TEST

/* Of uniform alone: in ecsq every weight is a code to be stored, so p counts both. */
START_TEST(uniform_takes_twice_the_importance_for_two_weights)
{
    mary_quantize_input input = made(6);
    double levels[8], again[8];
    memcpy(values + COUNT, values, COUNT * sizeof *values);
    memcpy(importance + COUNT, importance, COUNT * sizeof *importance);
    input.count = 2 * COUNT;
    assert_ok(mary_quantize_uniform(&input, 8, levels, codes));
    input.count = COUNT;
    for (int i = 0; i < COUNT; i++)
        importance[i] *= 2;
    assert_ok(mary_quantize_uniform(&input, 8, again, codes));
    for (int m = 0; m < 8; m++)
        ck_assert_double_eq_tol(again[m], levels[m], 1e-9);
}
END_TEST

START_TEST(uniform_has_means_between_equal_thresholds)
{
    const float v[] = {0.0f, 0.5f, 1.0f, 9.0f, 10.0f}, h[] = {1, 3, 0, 0, 0};
    mary_quantize_input input = {.values = v, .importance = h, .count = 5};
    double levels[4];
    assert_ok(mary_quantize_uniform(&input, 4, levels, codes));
    ck_assert_double_eq_tol(levels[0], 0.375, 1e-12); /* (0 + 3 * 0.5) / 4 */
    for (int m = 1; m < 4; m++) /* the two empty intervals are gone; no member counts: plain mean */
        ck_assert_double_eq_tol(levels[m], 9.5, 1e-12);
    const uint8_t expected[] = {0, 0, 0, 1, 1};
    ck_assert_mem_eq(codes, expected, 5);
    const float same[] = {2, 2, 2};
    assert_ok(mary_quantize_uniform(&(mary_quantize_input){.values = same, .count = 3}, 4, levels, codes));
    ck_assert_double_eq(levels[0], 2);
    ck_assert_double_eq(levels[3], 2);
}
END_TEST

START_TEST(ecsq_of_odd_weights)
{
    const float same[] = {2, 2, 2}, two[] = {-1, 1};
    double levels[16];
    assert_ok(mary_quantize_ecsq(&(mary_quantize_input){.values = same, .count = 3}, 16, levels, codes));
    ck_assert_double_eq(levels[0], 2);
    ck_assert_double_eq(levels[15], 2);
    assert_ok(mary_quantize_ecsq(&(mary_quantize_input){.values = two, .count = 2}, 2, levels, codes));
    ck_assert_double_eq(levels[codes[0]], -1);
    ck_assert_double_eq(levels[codes[1]], 1);
    /* no entropy at all is one level */
    mary_quantize_input input = made(8);
    input.entropy = 1e-3;
    assert_ok(mary_quantize_ecsq(&input, 16, levels, codes));
    ck_assert_double_eq(levels[0], levels[15]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convert/quantize/ecsq");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, no_half_step_raises_the_objective);
    tcase_add_test(tests, without_lambda_it_is_weighted_kmeans);
    tcase_add_test(tests, bounds_are_kept_and_cost_error);
    tcase_add_test(tests, a_bound_below_even_weights_is_used);
    tcase_add_loop_test(tests, scaled_importance_changes_nothing, 0, 2);
    tcase_add_loop_test(tests, equal_importance_is_none, 0, 4);
    tcase_add_test(tests, uniform_takes_twice_the_importance_for_two_weights);
    tcase_add_test(tests, uniform_has_means_between_equal_thresholds);
    tcase_add_test(tests, ecsq_of_odd_weights);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
