/* Exact k-means against brute force, and the properties that METHODS asks of any quantiser. */
#include "tests/support/suite.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "convert/quantize/kmeans.h"

#define SEED 0x9e3779b97f4a7c15u
static uint64_t state = SEED; /* set again by every test that draws, so that none depends on the others */

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double uniform(void)
{
    return (double)(draw() >> 11) * 0x1p-53;
}
static float normal(void)
{
    return (float)(sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform()));
}

/* Weighted squared error of the nearest level. */
static double cost(const float *values, const float *importance, int64_t count, const double *levels, int m)
{
    double total = 0;
    for (int64_t i = 0; i < count; i++) {
        double best = INFINITY;
        for (int k = 0; k < m; k++)
            best = fmin(best, (values[i] - levels[k]) * (values[i] - levels[k]));
        total += best * (importance == NULL ? 1 : importance[i]);
    }
    return total;
}

static double segment(const float *v, const float *h, int begin, int end)
{
    double weight = 0, sum = 0, total = 0;
    for (int i = begin; i < end; i++) {
        weight += h[i];
        sum += (double)h[i] * v[i];
    }
    for (int i = begin; i < end && weight > 0; i++)
        total += h[i] * (v[i] - sum / weight) * (v[i] - sum / weight);
    return total;
}

/* Every way of cutting sorted values into at most m segments. */
static double brute(const float *v, const float *h, int begin, int count, int m)
{
    double best = segment(v, h, begin, count);
    if (m > 1) {
        for (int cut = begin + 1; cut < count; cut++)
            best = fmin(best, segment(v, h, begin, cut) + brute(v, h, cut, count, m - 1));
    }
    return best;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

START_TEST(cost_equals_brute_force)
{
    state = SEED;
    for (int trial = 0; trial < 600; trial++) {
        float v[12], h[12];
        int count = 1 + (int)(draw() % 12), m = 2 + (int)(draw() % 4), kind = trial % 4;
        for (int i = 0; i < count; i++) {
            v[i] = kind == 1 ? (float)((int)(draw() % 5) - 2) : normal(); /* many duplicates */
            h[i] = kind >= 2 ? (float)uniform() * (kind == 3 && draw() % 3 == 0 ? 0.0f : 2.0f) : 1.0f;
        }
        double levels[8];
        mary_quantize_input input = {.values = v, .importance = kind == 0 ? NULL : h, .count = count};
        float sorted_v[12], sorted_h[12]; /* for the brute force */
        memcpy(sorted_v, v, sizeof v);
        memcpy(sorted_h, h, sizeof h);
        for (int i = 1; i < count; i++) {
            for (int j = i; j > 0 && sorted_v[j] < sorted_v[j - 1]; j--) {
                float a = sorted_v[j], b = sorted_h[j];
                sorted_v[j] = sorted_v[j - 1];
                sorted_h[j] = sorted_h[j - 1];
                sorted_v[j - 1] = a;
                sorted_h[j - 1] = b;
            }
        }
        double expected = brute(sorted_v, sorted_h, 0, count, m);
        assert_ok(mary_quantize_kmeans(&input, m, levels));
        for (int k = 1; k < m; k++)
            ck_assert_msg(levels[k] >= levels[k - 1], "not ascending");
        double got = cost(v, h, count, levels, m);
        ck_assert_msg(fabs(got - expected) <= 1e-9 * (1 + expected), "trial %d count %d m %d: %.12g, brute force %.12g",
                      trial, count, m, got, expected);
    }
}
END_TEST

START_TEST(rows_longer_than_vectors_match_a_plain_dynamic_program)
{
    state = SEED;
    enum { N = 300, M = 7 };
    static float v[N], h[N];
    static double d[M + 1][N + 1];
    for (int trial = 0; trial < 6; trial++) {
        for (int i = 0; i < N; i++) {
            v[i] = normal();
            h[i] = trial % 2 == 0 ? 1.0f : (float)uniform();
        }
        qsort(v, N, sizeof *v, ascending);
        double w[N + 1] = {0}, s[N + 1] = {0}, q[N + 1] = {0};
        for (int i = 0; i < N; i++) {
            w[i + 1] = w[i] + h[i];
            s[i + 1] = s[i] + (double)h[i] * v[i];
            q[i + 1] = q[i] + (double)h[i] * v[i] * v[i];
        }
        for (int j = 1; j <= N; j++)
            d[0][j] = INFINITY;
        for (int k = 1; k <= M; k++) {
            d[k][0] = 0;
            for (int j = 1; j <= N; j++) {
                d[k][j] = INFINITY;
                for (int i = 0; i < j; i++) {
                    double c = q[j] - q[i] - (s[j] - s[i]) * (s[j] - s[i]) / (w[j] - w[i]);
                    d[k][j] = fmin(d[k][j], d[k - 1][i] + c);
                }
            }
        }
        double levels[M];
        mary_quantize_input input = {.values = v, .importance = trial % 2 == 0 ? NULL : h, .count = N};
        assert_ok(mary_quantize_kmeans(&input, M, levels));
        double got = cost(v, h, N, levels, M);
        ck_assert_msg(fabs(got - d[M][N]) <= 1e-9 * d[M][N], "%.12g, expected %.12g", got, d[M][N]);
    }
}
END_TEST

START_TEST(the_search_for_large_tensors_ends_next_to_the_optimum)
{
    state = SEED;
    enum { N = 20000 };
    static float v[N], h[N];
    for (int trial = 0; trial < 6; trial++) {
        for (int i = 0; i < N; i++) {
            v[i] = trial % 3 == 0 ? normal() : trial % 3 == 1 ? normal() * normal() * normal() : (float)uniform();
            h[i] = (float)uniform();
        }
        v[0] = trial == 1 ? 40.0f : v[0]; /* an outlier makes the equal widths useless */
        for (int m = 2; m <= 256; m = m == 2 ? 16 : m * 4) {
            double whole[256], searched[256];
            mary_quantize_input input = {.values = v, .importance = trial < 3 ? NULL : h, .count = N};
            assert_ok(mary_quantize_kmeans_limited(&input, m, N + 1, whole));
            assert_ok(mary_quantize_kmeans_limited(&input, m, 4000, searched));
            double best = cost(v, input.importance, N, whole, m), got = cost(v, input.importance, N, searched, m);
            ck_assert_msg(got <= best * (m < 256 ? 1 + 1e-4 : 1 + 1e-3), "trial %d m %d: %.12g, optimum %.12g", trial,
                          m, got, best);
        }
    }
}
END_TEST

START_TEST(few_distinct_values_are_kept_exactly)
{
    state = SEED;
    float v[6] = {3, -1, 3, 0.25f, -1, -0.0f};
    double levels[8];
    mary_quantize_input input = {.values = v, .count = 6};
    assert_ok(mary_quantize_kmeans(&input, 8, levels));
    double expected[8] = {-1, 0, 0.25, 3, 3, 3, 3, 3};
    for (int m = 0; m < 8; m++)
        ck_assert_double_eq(levels[m], expected[m]);
    float zeros[5] = {0};
    input = (mary_quantize_input){.values = zeros, .count = 5};
    assert_ok(mary_quantize_kmeans(&input, 4, levels));
    for (int m = 0; m < 4; m++)
        ck_assert_double_eq(levels[m], 0);
}
END_TEST

START_TEST(zero_total_importance_is_the_plain_problem)
{
    state = SEED;
    float v[5] = {0, 1, 10, 11, 12}, h[5] = {0};
    double plain[2], weighted[2];
    mary_quantize_input input = {.values = v, .count = 5};
    assert_ok(mary_quantize_kmeans(&input, 2, plain));
    input.importance = h;
    assert_ok(mary_quantize_kmeans(&input, 2, weighted));
    ck_assert_double_eq(plain[0], 0.5);
    ck_assert_double_eq(plain[1], 11);
    ck_assert_mem_eq(plain, weighted, sizeof plain);
}
END_TEST

START_TEST(scaling_the_importance_changes_nothing_and_doubling_it_is_duplicating)
{
    state = SEED;
    enum { N = 200 };
    float v[2 * N], h[N], scaled[N];
    for (int i = 0; i < N; i++) {
        v[i] = normal();
        h[i] = (float)(1 + draw() % 2);
        scaled[i] = h[i] * 1024;
    }
    int64_t count = N;
    for (int i = 0; i < N; i++) {
        if (h[i] == 2)
            v[count++] = v[i];
    }
    double a[5], b[5], c[5];
    assert_ok(mary_quantize_kmeans(&(mary_quantize_input){.values = v, .importance = h, .count = N}, 5, a));
    assert_ok(mary_quantize_kmeans(&(mary_quantize_input){.values = v, .importance = scaled, .count = N}, 5, b));
    assert_ok(mary_quantize_kmeans(&(mary_quantize_input){.values = v, .count = count}, 5, c));
    for (int m = 0; m < 5; m++) {
        ck_assert_double_eq_tol(a[m], b[m], 1e-12);
        ck_assert_double_eq_tol(a[m], c[m], 1e-12);
    }
}
END_TEST

START_TEST(outliers_do_not_disturb_the_other_levels)
{
    state = SEED;
    enum { N = 400 };
    float v[N];
    for (int i = 0; i < N - 2; i++)
        v[i] = normal() * 1e-3f;
    double inner[4], levels[6];
    assert_ok(mary_quantize_kmeans(&(mary_quantize_input){.values = v, .count = N - 2}, 4, inner));
    v[N - 2] = 1e7f;
    v[N - 1] = -3e7f;
    assert_ok(mary_quantize_kmeans(&(mary_quantize_input){.values = v, .count = N}, 6, levels));
    ck_assert_double_eq(levels[0], -3e7f);
    ck_assert_double_eq(levels[5], 1e7f);
    for (int m = 0; m < 4; m++)
        ck_assert_double_eq_tol(levels[m + 1], inner[m], 1e-9);
}
END_TEST

START_TEST(more_levels_never_cost_more)
{
    state = SEED;
    enum { N = 500 };
    float v[N];
    for (int i = 0; i < N; i++)
        v[i] = normal();
    double previous = INFINITY, levels[256];
    for (int m = 2; m <= 256; m++) {
        mary_quantize_input input = {.values = v, .count = N};
        assert_ok(mary_quantize_kmeans(&input, m, levels));
        double now = cost(v, NULL, N, levels, m);
        ck_assert(now <= previous * (1 + 1e-12));
        previous = now;
    }
}
END_TEST

MARY_TEST_MAIN("convert/quantize/kmeans", cost_equals_brute_force,
               rows_longer_than_vectors_match_a_plain_dynamic_program,
               the_search_for_large_tensors_ends_next_to_the_optimum, few_distinct_values_are_kept_exactly,
               zero_total_importance_is_the_plain_problem,
               scaling_the_importance_changes_nothing_and_doubling_it_is_duplicating,
               outliers_do_not_disturb_the_other_levels, more_levels_never_cost_more)
