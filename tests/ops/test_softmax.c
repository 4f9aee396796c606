/* Softmax, LogSoftmax, Hardmax: along one axis, or over rows of a matrix before opset 13. */
#include "tests/support/op_run.h"

#include <math.h>

/* Compares with the definition over x seen as [outer, count, inner]. */
static void check(const char *type, int opset, mary_type element, int rank, const int64_t *dims, int axis,
                  int64_t outer, int64_t count, int64_t inner)
{
    op_case *c = op_case_new(type, opset);
    op_attribute_int(c, "axis", axis);
    op_input(c, element, rank, dims, NULL);
    op_run(c);
    const mary_tensor *x = op_input_tensor(c, 0), *y = op_output(c, 0);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            double sum = 0;
            for (int64_t k = 0; k < count; k++)
                sum += exp(mary_tensor_double(x, (o * count + k) * inner + i));
            for (int64_t k = 0; k < count; k++) {
                int64_t at = (o * count + k) * inner + i;
                double want = exp(mary_tensor_double(x, at)) / sum, got = mary_tensor_double(y, at);
                if (strcmp(type, "LogSoftmax") == 0)
                    want = log(want);
                ck_assert_msg(fabs(got - want) <= 2e-6 * fmax(1, fabs(want)), "%s axis %d element %lld: %.9g, not %.9g",
                              type, axis, (long long)at, got, want);
            }
        }
    }
    op_case_free(c);
}

START_TEST(softmax_normalises_along_its_axis)
{
    static const char *const types[] = {"Softmax", "LogSoftmax"};
    for (int t = 0; t < 2; t++) {
        for (int e = 0; e < 2; e++) {
            mary_type element = e ? MARY_DOUBLE : MARY_FLOAT;
            check(types[t], 13, element, DIMS(3, 37), -1, 3, 37, 1);
            check(types[t], 13, element, DIMS(3, 5, 41), 1, 3, 5, 41);
            check(types[t], 13, element, DIMS(2, 19, 3, 5), 1, 2, 19, 15);
            check(types[t], 13, element, DIMS(2, 19, 3, 5), -4, 1, 2, 285);
            check(types[t], 13, element, DIMS(2, 3, 700), 0, 1, 2, 2100);
            check(types[t], 13, element, DIMS(5), 0, 1, 5, 1);
            check(types[t], 13, element, DIMS(2, 2500), 1, 2, 2500, 1);
            check(types[t], 11, element, DIMS(2, 3, 4), 1, 2, 12, 1);
            check(types[t], 11, element, DIMS(2, 3, 4), -1, 6, 4, 1);
            check(types[t], 1, element, DIMS(2, 3, 4), 0, 1, 24, 1);
            check(types[t], 11, element, DIMS(2, 35, 1, 1), 1, 2, 35, 1);
        }
    }
}
END_TEST

START_TEST(softmax_over_channels_runs_channels_last)
{
    for (int variant = 0; variant < 4; variant++) {
        op_case *c = op_case_new(variant % 2 ? "LogSoftmax" : "Softmax", variant < 2 ? 13 : 11);
        op_attribute_int(c, "axis", 1);
        if (variant < 2)
            op_input(c, MARY_FLOAT, DIMS(2, 21, 33, 9), NULL);
        else
            op_input(c, MARY_FLOAT, DIMS(2, 1000, 1, 1), NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
    op_case *c = op_case_new("Softmax", 13);
    op_attribute_int(c, "axis", 2);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4, 5), NULL);
    op_run(c);
    ck_assert(!op_ran_channels_last(c));
    op_case_free(c);
}
END_TEST

START_TEST(softmax_survives_large_and_infinite_values)
{
    op_case *c = op_case_new("Softmax", 13);
    op_input(c, MARY_FLOAT, DIMS(3, 3), FLOATS(1000, 1000, -INFINITY, -1e30f, 0, 1e30f, 1, NAN, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 3), FLOATS(0.5f, 0.5f, 0, 0, 0, 1, NAN, NAN, NAN));
    op_case_free(c);
    c = op_case_new("LogSoftmax", 13);
    op_input(c, MARY_FLOAT, DIMS(1, 2), FLOATS(1000, 0));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 2), FLOATS(0, -1000));
    op_case_free(c);
}
END_TEST

START_TEST(hardmax_marks_the_first_of_the_largest)
{
    op_case *c = op_case_new("Hardmax", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 2), FLOATS(3, 0, 3, 5, 1, 5));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 3, 2), FLOATS(1, 0, 0, 1, 0, 0));
    op_case_free(c);
    c = op_case_new("Hardmax", 11);
    op_input(c, MARY_DOUBLE, DIMS(2, 2, 2), DOUBLES(3, 0, 3, 5, 1, 1, 1, 1));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(2, 2, 2), DOUBLES(0, 0, 0, 1, 1, 0, 0, 0));
    op_case_free(c);
}
END_TEST

START_TEST(bad_axes_types_and_empty_tensors_are_handled)
{
    op_case *c = op_case_new("Softmax", 13);
    op_attribute_int(c, "axis", 2);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 2 is outside");
    op_case_free(c);
    c = op_case_new("Softmax", 13);
    op_input(c, MARY_INT32, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "int32");
    op_case_free(c);
    c = op_case_new("Softmax", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 0), NULL);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/softmax", softmax_normalises_along_its_axis, softmax_over_channels_runs_channels_last,
               softmax_survives_large_and_infinite_values, hardmax_marks_the_first_of_the_largest,
               bad_axes_types_and_empty_tensors_are_handled)
