#include <math.h>
#include <string.h>

#include "validate/metrics.h"
#include "tests/support/suite.h"

static mary_array vector(const float *values, int64_t count)
{
    mary_array array = {.name = "v", .type = MARY_FLOAT, .rank = 1, .dims = {count}};
    memcpy(&array.data, &values, sizeof values);
    return array;
}

static mary_similarity compare(const float *a, const float *b, int64_t count)
{
    mary_similarity similarity = {0};
    mary_array left = vector(a, count), right = vector(b, count);
    assert_ok(mary_similarity_add(&similarity, &left, &right));
    return similarity;
}

START_TEST(cosine_and_sqnr_match_numbers_worked_out_by_hand)
{
    mary_similarity s = compare((float[]){3, 4}, (float[]){4, 3}, 2);
    ck_assert_double_eq_tol(mary_similarity_cosine(&s), 24.0 / 25, 1e-12);
    ck_assert_double_eq_tol(mary_similarity_sqnr(&s), 10 * log10(25.0 / 2), 1e-12);
    ck_assert_double_eq(s.max_abs, 1);
}
END_TEST

START_TEST(accumulating_in_pieces_equals_one_piece)
{
    mary_similarity pieces = {0};
    mary_array a = vector((float[]){1}, 1), b = vector((float[]){2}, 1);
    assert_ok(mary_similarity_add(&pieces, &a, &b));
    a = vector((float[]){-3, 5}, 2), b = vector((float[]){-3, 4}, 2);
    assert_ok(mary_similarity_add(&pieces, &a, &b));
    mary_similarity whole = compare((float[]){1, -3, 5}, (float[]){2, -3, 4}, 3);
    ck_assert_double_eq(mary_similarity_cosine(&pieces), mary_similarity_cosine(&whole));
    ck_assert_double_eq(mary_similarity_sqnr(&pieces), mary_similarity_sqnr(&whole));
}
END_TEST

START_TEST(zero_vectors_do_not_divide_by_zero)
{
    mary_similarity both = compare((float[]){0, 0}, (float[]){0, 0}, 2);
    ck_assert_double_eq(mary_similarity_cosine(&both), 1);
    ck_assert(isinf(mary_similarity_sqnr(&both)));
    mary_similarity one = compare((float[]){0, 0}, (float[]){1, 0}, 2);
    ck_assert_double_eq(mary_similarity_cosine(&one), 0);
    ck_assert_double_eq(mary_similarity_sqnr(&one), -INFINITY);
    mary_similarity none = {0};
    ck_assert(isnan(mary_similarity_sqnr(&none)));
}
END_TEST

START_TEST(values_that_are_not_finite_are_counted_not_summed)
{
    mary_similarity s = compare((float[]){1, NAN, INFINITY, NAN}, (float[]){1, 2, INFINITY, NAN}, 4);
    ck_assert_uint_eq(s.not_finite, 1);
    ck_assert_double_eq(mary_similarity_cosine(&s), 1);
    ck_assert_double_eq(s.max_abs, 0);
    s = compare((float[]){INFINITY}, (float[]){-INFINITY}, 1);
    ck_assert_uint_eq(s.not_finite, 1);
    ck_assert(isnan(mary_similarity_sqnr(&s)));
}
END_TEST

START_TEST(different_shapes_or_types_are_refused)
{
    mary_similarity s = {0};
    mary_array a = vector((float[]){1, 2}, 2), b = vector((float[]){1}, 1);
    assert_fails(mary_similarity_add(&s, &a, &b), MARY_ERROR_INVALID, "[2]");
    b = a;
    b.type = MARY_INT32;
    assert_fails(mary_similarity_add(&s, &a, &b), MARY_ERROR_INVALID, "int32");
}
END_TEST

START_TEST(equal_scores_rank_by_class_number)
{
    mary_scores scores = {(float[]){1, 3, 3, 2}, 1, 4};
    ck_assert_int_eq(mary_scores_best(&scores, 0), 1);
    ck_assert_int_eq(mary_scores_rank(&scores, 0, 1), 0);
    ck_assert_int_eq(mary_scores_rank(&scores, 0, 2), 1);
    ck_assert_int_eq(mary_scores_rank(&scores, 0, 3), 2);
    ck_assert_int_eq(mary_scores_rank(&scores, 0, 0), 3);
    /* all equal: only class 0 is a top-1 hit, and a constant network is not 100 % right */
    mary_scores flat = {(float[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2, 6};
    mary_accuracy accuracy = {0};
    assert_ok(mary_accuracy_add(&accuracy, &flat, 2, (int64_t[]){0, 5}));
    ck_assert_uint_eq(accuracy.top1, 1);
    ck_assert_uint_eq(accuracy.top5, 1);
}
END_TEST

START_TEST(a_nan_among_the_scores_is_wrong_and_reported)
{
    mary_scores scores = {(float[]){9, NAN, 1, 5, 1, 0}, 2, 3};
    mary_accuracy accuracy = {0};
    assert_ok(mary_accuracy_add(&accuracy, &scores, 2, (int64_t[]){0, 0}));
    ck_assert_uint_eq(accuracy.samples, 2);
    ck_assert_uint_eq(accuracy.top1, 1);
    ck_assert_uint_eq(accuracy.top5, 1);
    ck_assert_uint_eq(accuracy.not_a_number, 1);
    ck_assert_uint_eq(mary_scores_agreement(&scores, &scores, 2), 1);
}
END_TEST

START_TEST(rows_beyond_the_samples_do_not_count)
{
    mary_scores scores = {(float[]){1, 0, 0, 1}, 2, 2};
    mary_accuracy accuracy = {0};
    assert_ok(mary_accuracy_add(&accuracy, &scores, 1, (int64_t[]){0}));
    ck_assert_uint_eq(accuracy.samples, 1);
    ck_assert_uint_eq(mary_scores_agreement(&scores, &scores, 1), 1);
}
END_TEST

START_TEST(labels_outside_the_classes_are_refused)
{
    mary_scores scores = {(float[]){1, 0}, 1, 2};
    mary_accuracy accuracy = {0};
    assert_fails(mary_accuracy_add(&accuracy, &scores, 1, (int64_t[]){2}), MARY_ERROR_INVALID, "label 2");
    assert_fails(mary_accuracy_add(&accuracy, &scores, 1, (int64_t[]){-1}), MARY_ERROR_INVALID, "label -1");
}
END_TEST

START_TEST(only_score_like_outputs_are_taken_for_scores)
{
    mary_array output = {.name = "o", .type = MARY_FLOAT, .rank = 4, .dims = {2, 10, 1, 1}};
    mary_scores scores;
    ck_assert(mary_scores_view(&output, 2, &scores));
    ck_assert_int_eq(scores.classes, 10);
    ck_assert(!mary_scores_view(&output, 3, &scores));
    output.dims[3] = 7;
    ck_assert(!mary_scores_view(&output, 2, &scores));
    output.rank = 2;
    output.type = MARY_INT64;
    ck_assert(!mary_scores_view(&output, 2, &scores));
    output.type = MARY_FLOAT;
    output.dims[1] = 1;
    ck_assert(!mary_scores_view(&output, 2, &scores));
}
END_TEST

MARY_TEST_MAIN("validate/metrics", cosine_and_sqnr_match_numbers_worked_out_by_hand,
               accumulating_in_pieces_equals_one_piece, zero_vectors_do_not_divide_by_zero,
               values_that_are_not_finite_are_counted_not_summed, different_shapes_or_types_are_refused,
               equal_scores_rank_by_class_number, a_nan_among_the_scores_is_wrong_and_reported,
               rows_beyond_the_samples_do_not_count, labels_outside_the_classes_are_refused,
               only_score_like_outputs_are_taken_for_scores)
