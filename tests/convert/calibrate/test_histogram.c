/* Streaming histograms: what they hold depends on the values, not on order or batches. */
#include "convert/calibrate/histogram.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/support/suite.h"

enum { BINS = 2 * MARY_HISTOGRAM_SIDE };

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static void expect_equal(const mary_histogram *a, const mary_histogram *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->zeros, b->zeros);
    ck_assert_uint_eq(a->skipped, b->skipped);
    ck_assert_float_eq(a->least, b->least);
    ck_assert_float_eq(a->most, b->most);
    ck_assert_int_eq(a->exponent, b->exponent);
    ck_assert_int_eq(memcmp(a->bins, b->bins, BINS * sizeof *a->bins), 0);
}

START_TEST(bins_do_not_depend_on_order_or_batches)
{
    enum { COUNT = 3000 };
    static float values[COUNT];
    mary_histogram whole = {0}, pieces = {0}, backwards = {0};
    for (int i = 0; i < COUNT; i++)
        values[i] = i % 7 == 0 ? 0 : draw() * powf(10, (float)(i % 9) - 4);
    assert_ok(mary_histogram_add(&whole, values, COUNT));
    for (int i = 0; i < COUNT; i += 100)
        assert_ok(mary_histogram_add(&pieces, values + i, 100));
    for (int i = COUNT; i-- > 0;)
        assert_ok(mary_histogram_add(&backwards, values + i, 1));
    expect_equal(&whole, &pieces);
    expect_equal(&whole, &backwards);
    mary_histogram_free(&whole);
    mary_histogram_free(&pieces);
    mary_histogram_free(&backwards);
}
END_TEST

START_TEST(every_value_is_in_the_bin_around_it)
{
    mary_histogram histogram = {0};
    const float values[] = {-3, -0.001f, 0.001f, 0.5f, 1, 4095.9f};
    assert_ok(mary_histogram_add(&histogram, values, 6));
    double width = ldexp(1, histogram.exponent);
    for (int i = 0; i < 6; i++) {
        int bin = MARY_HISTOGRAM_SIDE + (int)floor(values[i] / width);
        ck_assert_uint_ge(histogram.bins[bin], 1);
        ck_assert_double_le(fabs(mary_histogram_centre(&histogram, bin) - values[i]), width / 2);
    }
    mary_histogram_free(&histogram);
}
END_TEST

START_TEST(merging_is_the_same_as_adding)
{
    enum { COUNT = 500 };
    static float small[COUNT], large[COUNT];
    for (int i = 0; i < COUNT; i++) {
        small[i] = draw();
        large[i] = 1000 * draw();
    }
    mary_histogram both = {0}, a = {0}, b = {0};
    assert_ok(mary_histogram_add(&both, small, COUNT));
    assert_ok(mary_histogram_add(&both, large, COUNT));
    assert_ok(mary_histogram_add(&a, small, COUNT));
    assert_ok(mary_histogram_add(&b, large, COUNT));
    assert_ok(mary_histogram_merge(&a, &b));
    expect_equal(&both, &a);
    mary_histogram other = {0}; /* the coarser one first */
    assert_ok(mary_histogram_merge(&other, &b));
    assert_ok(mary_histogram_add(&other, small, COUNT));
    expect_equal(&both, &other);
    mary_histogram_free(&both);
    mary_histogram_free(&a);
    mary_histogram_free(&b);
    mary_histogram_free(&other);
}
END_TEST

START_TEST(values_that_are_not_finite_are_counted_and_left_out)
{
    mary_histogram histogram = {0};
    const float values[] = {NAN, INFINITY, -INFINITY, 2, 0, NAN};
    assert_ok(mary_histogram_add(&histogram, values, 6));
    ck_assert_uint_eq(histogram.skipped, 4);
    ck_assert_uint_eq(histogram.count, 2);
    ck_assert_float_eq(histogram.most, 2);
    ck_assert_float_eq(histogram.least, 0);
    mary_histogram nothing = {0};
    assert_ok(mary_histogram_add(&nothing, values, 3));
    ck_assert_uint_eq(nothing.skipped, 3);
    ck_assert_uint_eq(nothing.count, 0);
    ck_assert_ptr_null(nothing.bins);
    mary_histogram_free(&histogram);
    mary_histogram_free(&nothing);
}
END_TEST

START_TEST(the_whole_range_of_float_fits)
{
    mary_histogram histogram = {0};
    const float values[] = {FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MIN, FLT_MAX, -FLT_MAX, 1};
    for (int i = 0; i < 6; i++)
        assert_ok(mary_histogram_add(&histogram, values + i, 1));
    uint64_t sum = 0;
    for (int b = 0; b < BINS; b++)
        sum += histogram.bins[b];
    ck_assert_uint_eq(sum, 6);
    ck_assert_uint_eq(histogram.bins[MARY_HISTOGRAM_SIDE], 3); /* towards zero from above */
    ck_assert_uint_eq(histogram.bins[MARY_HISTOGRAM_SIDE - 1], 1);
    mary_histogram_free(&histogram);
}
END_TEST

MARY_TEST_MAIN("convert/calibrate/histogram", bins_do_not_depend_on_order_or_batches,
               every_value_is_in_the_bin_around_it, merging_is_the_same_as_adding,
               values_that_are_not_finite_are_counted_and_left_out, the_whole_range_of_float_fits)
