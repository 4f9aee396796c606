/* Reductions over any axes, against a straightforward sum over indices. */
#include "tests/support/op_run.h"

#include <math.h>

static const char *const types[] = {"ReduceMean", "ReduceSum", "ReduceMax",    "ReduceMin",       "ReduceProd",
                                    "ReduceL1",   "ReduceL2",  "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};
enum { TYPE_COUNT = 10 };

/* What the operator gives for these values. */
static double expected_value(int type, const double *v, int count)
{
    double sum = 0, most = -INFINITY, least = INFINITY, product = 1, absolute = 0, square = 0, e = 0;
    for (int i = 0; i < count; i++) {
        sum += v[i];
        most = fmax(most, v[i]);
        least = fmin(least, v[i]);
        product *= v[i];
        absolute += fabs(v[i]);
        square += v[i] * v[i];
        e += exp(v[i]);
    }
    const double results[TYPE_COUNT] = {sum / count, sum,          most,     least,  product,
                                        absolute,    sqrt(square), log(sum), log(e), square};
    return results[type];
}

/* Runs one operator with these axes (a bit set) and compares every element. */
static void check(int type, int opset, mary_type element, int rank, const int64_t *dims, unsigned axes, bool keep)
{
    op_case *c = op_case_new(types[type], opset);
    int64_t list[8];
    int count = 0;
    for (int i = 0; i < rank; i++) {
        if (axes >> i & 1)
            list[count++] = i % 2 == 0 ? i : i - rank;
    }
    op_attribute_int(c, "keepdims", keep);
    op_input(c, element, rank, dims, NULL);
    if (opset >= 18 || (type == 1 && opset >= 13))
        op_constant(c, MARY_INT64, DIMS(count), list);
    else
        op_attribute_ints(c, "axes", count, list);
    op_run(c);
    const mary_tensor *x = op_input_tensor(c, 0), *y = op_output(c, 0);
    unsigned spatial = ((1u << rank) - 1) & ~3u;
    ck_assert_int_eq(op_ran_channels_last(c), rank >= 3 && keep && axes == spatial);
    int64_t outputs = mary_shape_count(&y->shape), inputs = mary_shape_count(&x->shape);
    ck_assert_int_eq(y->shape.rank, keep ? rank : rank - count);
    for (int64_t o = 0; o < outputs; o++) {
        double values[4096];
        int n = 0;
        for (int64_t i = 0; i < inputs; i++) {
            int64_t rest = i, at = 0, step = 1;
            for (int d = rank - 1; d >= 0; d--) {
                if (!(axes >> d & 1)) {
                    at += rest % dims[d] * step;
                    step *= dims[d];
                }
                rest /= dims[d];
            }
            if (at == o)
                values[n++] = mary_tensor_double(x, i);
        }
        double want = expected_value(type, values, n), got = mary_tensor_double(y, o);
        if (element != MARY_FLOAT && element != MARY_DOUBLE)
            want = trunc(want);
        bool same = isnan(want) ? isnan(got) : fabs(want - got) <= 1e-5 * fmax(1, fabs(want));
        ck_assert_msg(same, "%s axes %x of rank %d, element %lld: %.9g, expected %.9g", types[type], axes, rank,
                      (long long)o, got, want);
    }
    op_case_free(c);
}

START_TEST(every_set_of_axes_gives_the_fold_of_its_elements)
{
    for (unsigned axes = 1; axes < 16; axes++) {
        check(_i, 18, MARY_FLOAT, DIMS(2, 3, 4, 5), axes, axes % 2 == 0);
        check(_i, 11, MARY_DOUBLE, DIMS(2, 3, 4, 5), axes, axes % 2 == 1);
    }
    for (unsigned axes = 1; axes < 8; axes++)
        check(_i, 13, MARY_FLOAT, DIMS(1, 5, 1), axes, true);
    check(_i, 18, MARY_FLOAT, DIMS(2, 19, 5, 7), 12, true);
    check(_i, 18, MARY_FLOAT, DIMS(2, 19, 6), 4, true);
    check(_i, 18, MARY_FLOAT, DIMS(1, 1, 6, 5), 12, true);
    check(_i, 18, MARY_FLOAT, DIMS(3, 700), 2, false);
    check(_i, 18, MARY_FLOAT, DIMS(5, 700), 1, false);
    check(_i, 18, MARY_FLOAT, DIMS(2, 3, 2, 3, 2), 21, false);
}
END_TEST

START_TEST(integers_are_reduced_exactly)
{
    static const mary_type elements[] = {MARY_INT32, MARY_INT64, MARY_UINT32, MARY_UINT64};
    static const int integer_types[] = {1, 2, 3, 4, 5, 9};
    for (size_t e = 0; e < 4; e++) {
        for (size_t t = 0; t < 6; t++)
            check(integer_types[t], 18, elements[e], DIMS(2, 3, 4), 2, false);
    }
    op_case *c = op_case_new("ReduceMean", 13);
    op_input(c, MARY_INT32, DIMS(2, 2), (int32_t[]){1, 2, -1, -2});
    op_attribute_ints(c, "axes", DIMS(1));
    op_attribute_int(c, "keepdims", 0);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (int32_t[]){1, -1});
    op_case_free(c);
    c = op_case_new("ReduceMax", 20);
    op_input(c, MARY_BOOL, DIMS(2, 2), BOOLS(0, 1, 0, 0));
    op_constant(c, MARY_INT64, DIMS(1), INTS(1));
    op_attribute_int(c, "keepdims", 0);
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(2), BOOLS(1, 0));
    op_case_free(c);
}
END_TEST

START_TEST(no_axes_means_all_or_none)
{
    for (int variant = 0; variant < 3; variant++) { /* attribute absent, input absent, empty input */
        op_case *c = op_case_new("ReduceSum", variant == 0 ? 11 : 13);
        op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 3, 4));
        if (variant == 2)
            op_input(c, MARY_INT64, DIMS(0), NULL);
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(1, 1), FLOATS(10));
        op_case_free(c);
    }
    op_case *c = op_case_new("ReduceSumSquare", 18);
    op_attribute_int(c, "noop_with_empty_axes", 1);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(3, -4));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(9, 16));
    op_case_free(c);
    c = op_case_new("ReduceSum", 13);
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, SCALAR, FLOATS(3));
    op_case_free(c);
}
END_TEST

START_TEST(empty_sets_give_the_neutral_element)
{
    static const float expected[TYPE_COUNT] = {NAN, 0, -INFINITY, INFINITY, 1, 0, 0, -INFINITY, -INFINITY, 0};
    for (int t = 0; t < TYPE_COUNT; t++) {
        for (int axis = 0; axis < 2; axis++) {
            op_case *c = op_case_new(types[t], 18);
            op_input(c, MARY_FLOAT, 2, axis == 1 ? (const int64_t[]){3, 0} : (const int64_t[]){0, 3}, NULL);
            op_constant(c, MARY_INT64, DIMS(1), INTS(axis));
            op_attribute_int(c, "keepdims", 0);
            op_run(c);
            op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(expected[t], expected[t], expected[t]));
            op_case_free(c);
        }
    }
    op_case *c = op_case_new("ReduceMax", 18);
    op_input(c, MARY_INT32, DIMS(0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(1), (int32_t[]){INT32_MIN});
    op_case_free(c);
}
END_TEST

START_TEST(nan_wins_and_infinities_do_not_make_nan)
{
    op_case *c = op_case_new("ReduceMax", 18);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(1, NAN, 3, -INFINITY, -INFINITY, -INFINITY));
    op_constant(c, MARY_INT64, DIMS(1), INTS(1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 1), FLOATS(NAN, -INFINITY));
    op_case_free(c);
    c = op_case_new("ReduceLogSumExp", 18);
    op_input(c, MARY_FLOAT, DIMS(3, 2), FLOATS(1000, 1000, -INFINITY, -INFINITY, INFINITY, 0));
    op_constant(c, MARY_INT64, DIMS(1), INTS(1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 1), FLOATS(1000.6931f, -INFINITY, INFINITY));
    op_case_free(c);
}
END_TEST

START_TEST(long_sums_keep_their_precision)
{
    enum { COUNT = 1000000 };
    float *values = malloc(COUNT * sizeof *values);
    for (int i = 0; i < COUNT; i++)
        values[i] = 0.1f;
    for (int columns = 1; columns <= 2; columns++) {
        op_case *c = op_case_new("ReduceSum", 13);
        op_input(c, MARY_FLOAT, DIMS(COUNT / columns, columns), values);
        op_constant(c, MARY_INT64, DIMS(1), INTS(0));
        op_attribute_int(c, "keepdims", 0);
        op_run(c);
        ck_assert_float_eq_tol(((const float *)op_output(c, 0)->data)[0], 100000.0f / (float)columns,
                               0.5f); /* one float sum: 958 off */
        op_case_free(c);
    }
    free(values);
}
END_TEST

START_TEST(large_reductions_are_the_same_in_pieces)
{
    for (int t = 0; t < TYPE_COUNT; t++) {
        op_case *c = op_case_new(types[t], 18);
        op_tolerance(c, t == 7 ? 1e-3 : 1e-5); /* sums around zero, and then the logarithm */
        op_input(c, MARY_FLOAT, DIMS(2, 300, 33, 17), NULL);
        op_constant(c, MARY_INT64, DIMS(2), INTS(2, 3));
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

START_TEST(bad_axes_are_refused_and_unknown_ones_deferred)
{
    op_case *c = op_case_new("ReduceSum", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 2 is outside [-2, 2)");
    ck_assert_int_eq(op_infer_unknown(c, -1), MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("ReduceSum", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_INT64, DIMS(2), INTS(1, -1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "given twice");
    op_case_free(c);
    c = op_case_new("ReduceSum", 13);
    op_input(c, MARY_BOOL, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "bool");
    op_case_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops/reduce");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 600);
    tcase_add_loop_test(all, every_set_of_axes_gives_the_fold_of_its_elements, 0, TYPE_COUNT);
    tcase_add_test(all, integers_are_reduced_exactly);
    tcase_add_test(all, no_axes_means_all_or_none);
    tcase_add_test(all, empty_sets_give_the_neutral_element);
    tcase_add_test(all, nan_wins_and_infinities_do_not_make_nan);
    tcase_add_test(all, long_sums_keep_their_precision);
    tcase_add_test(all, large_reductions_are_the_same_in_pieces);
    tcase_add_test(all, bad_axes_are_refused_and_unknown_ones_deferred);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
