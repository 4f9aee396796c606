/* Ranges: zero is exact, methods do what they are named after, degenerate distributions give something sound. */
#include "convert/calibrate/range.h"

#include <float.h>
#include <math.h>

#include "tests/support/suite.h"

static uint32_t state = 1;

static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return ((state >> 8) + 0.5) / 16777216.0;
}

/* Laplace: a peak with long tails, as activations have. */
static void fill(mary_histogram *histogram, int count, bool positive)
{
    *histogram = (mary_histogram){0};
    state = 5;
    for (int i = 0; i < count; i++) {
        float value = (float)-log(draw());
        if (!positive && draw() < 0.5)
            value = -value;
        assert_ok(mary_histogram_add(histogram, &value, 1));
    }
}

static const mary_range_method *find(const char *name)
{
    const mary_range_method *method = mary_range_method_find(name);
    ck_assert_ptr_nonnull(method);
    return method;
}

START_TEST(every_method_holds_zero_and_stays_inside_the_extremes)
{
    for (size_t m = 0; mary_range_method_at(m) != NULL; m++) {
        for (int positive = 0; positive < 2; positive++) {
            mary_histogram histogram;
            fill(&histogram, 20000, positive);
            mary_range range = mary_range_choose(mary_range_method_at(m), &histogram);
            ck_assert_double_le(range.low, 0);
            ck_assert_double_ge(range.high, 0);
            ck_assert_double_le(range.high, (double)histogram.most);
            ck_assert_double_ge(range.low, fmin(histogram.least, 0));
            ck_assert_double_gt(range.high - range.low, 1);
            if (positive)
                ck_assert_uint_eq(mary_range_step(range).zero_point, 0);
            mary_histogram_free(&histogram);
        }
    }
    ck_assert_ptr_null(mary_range_method_find("auto"));
    ck_assert_ptr_null(mary_range_method_find(""));
}
END_TEST

START_TEST(min_max_is_exactly_that)
{
    mary_histogram histogram = {0};
    const float values[] = {-1.5f, 0.25f, 3.75f};
    assert_ok(mary_histogram_add(&histogram, values, 3));
    mary_range range = mary_range_choose(find("min-max"), &histogram);
    ck_assert_double_eq(range.low, -1.5);
    ck_assert_double_eq(range.high, 3.75);
    mary_histogram_free(&histogram);
}
END_TEST

START_TEST(an_outlier_stretches_min_max_only)
{
    mary_histogram histogram;
    fill(&histogram, 100000, true);
    assert_ok(mary_histogram_add(&histogram, &(float){1e4f}, 1));
    ck_assert_double_eq(mary_range_choose(find("min-max"), &histogram).high, 1e4);
    ck_assert_double_lt(mary_range_choose(find("percentile"), &histogram).high, 20);
    /* clipping the one value costs 1e8 / 1e5 a value, steps of 1e4/255 cost 128 */
    ck_assert_double_le(mary_range_choose(find("mse"), &histogram).high, 1e4);
    mary_histogram_free(&histogram);
}
END_TEST

START_TEST(mse_is_never_worse_than_the_others)
{
    for (int positive = 0; positive < 2; positive++) {
        mary_histogram histogram;
        fill(&histogram, 30000, positive);
        double best = mary_range_error(&histogram, mary_range_choose(find("mse"), &histogram));
        for (size_t m = 0; mary_range_method_at(m) != NULL; m++) {
            double error = mary_range_error(&histogram, mary_range_choose(mary_range_method_at(m), &histogram));
            ck_assert_double_le(best, error * 1.01); /* it tries steps, not every range */
        }
        ck_assert_double_lt(best, mary_range_error(&histogram, mary_range_choose(find("min-max"), &histogram)));
        mary_histogram_free(&histogram);
    }
}
END_TEST

START_TEST(zero_is_exact_in_every_range)
{
    state = 3;
    for (int i = 0; i < 1000; i++) {
        mary_range range = {-draw() * pow(10, 6 * draw() - 3), draw() * pow(10, 6 * draw() - 3)};
        mary_u8_step step = mary_range_step(range);
        ck_assert(step.scale > 0 && isfinite(step.scale));
        double low = -(double)step.zero_point * step.scale, high = (255.0 - step.zero_point) * step.scale;
        ck_assert_double_le(fabs(low - range.low), 0.51 * step.scale);
        ck_assert_double_le(fabs(high - range.high), 0.51 * step.scale);
    }
}
END_TEST

START_TEST(degenerate_distributions_give_a_sound_step)
{
    mary_histogram nothing = {0}, zeros = {0}, one = {0}, negative = {0}, huge = {0};
    assert_ok(mary_histogram_add(&zeros, (float[]){0, 0, -0.0f}, 3));
    assert_ok(mary_histogram_add(&one, (float[]){5, 5, 5}, 3));
    assert_ok(mary_histogram_add(&negative, (float[]){-2, -2}, 2));
    assert_ok(mary_histogram_add(&huge, (float[]){FLT_MAX, -FLT_MAX}, 2));
    for (size_t m = 0; mary_range_method_at(m) != NULL; m++) {
        const mary_range_method *method = mary_range_method_at(m);
        mary_u8_step step = mary_range_step(mary_range_choose(method, &nothing));
        ck_assert(step.scale == 1 && step.zero_point == 0);
        step = mary_range_step(mary_range_choose(method, &zeros));
        ck_assert(step.scale == 1 && step.zero_point == 0);
        step = mary_range_step(mary_range_choose(method, &one));
        ck_assert_uint_eq(step.zero_point, 0);
        ck_assert_double_lt(fabs(255 * (double)step.scale - 5), 0.01);
        step = mary_range_step(mary_range_choose(method, &negative));
        ck_assert_uint_eq(step.zero_point, 255);
        step = mary_range_step(mary_range_choose(method, &huge));
        ck_assert(isfinite(step.scale));
    }
    mary_histogram_free(&zeros);
    mary_histogram_free(&one);
    mary_histogram_free(&negative);
    mary_histogram_free(&huge);
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/range", every_method_holds_zero_and_stays_inside_the_extremes,
               min_max_is_exactly_that, an_outlier_stretches_min_max_only, mse_is_never_worse_than_the_others,
               zero_is_exact_in_every_range, degenerate_distributions_give_a_sound_step)
