/* ArgMax and ArgMin. */
#include "tests/support/op_run.h"

#include <math.h>

static void check(const char *type, int64_t last, int64_t axis, int64_t keep, int rank, const int64_t *dims,
                  const int64_t *expected)
{
    op_case *c = op_case_new(type, 13);
    op_attribute_int(c, "select_last_index", last);
    op_attribute_int(c, "axis", axis);
    op_attribute_int(c, "keepdims", keep);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(5, 1, 5, -2, -2, NAN));
    op_run(c);
    op_expect(c, 0, MARY_INT64, rank, dims, expected);
    op_case_free(c);
}

START_TEST(the_first_or_last_extreme_is_found_and_nan_is_one)
{
    check("ArgMax", 0, 1, 1, DIMS(2, 1), INTS(0, 2));
    check("ArgMax", 1, -1, 0, DIMS(2), INTS(2, 2));
    check("ArgMin", 0, 1, 1, DIMS(2, 1), INTS(1, 2));
    check("ArgMin", 1, 0, 0, DIMS(3), INTS(1, 1, 1));
    check("ArgMax", 0, 0, 0, DIMS(3), INTS(0, 0, 1));
}
END_TEST

START_TEST(every_numeric_type_and_large_tensors_work)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_DOUBLE, MARY_INT8,   MARY_INT16,  MARY_INT32,
                                      MARY_INT64, MARY_UINT8,  MARY_UINT16, MARY_UINT32, MARY_UINT64};
    for (int t = 0; t < 10; t++) {
        op_case *c = op_case_new("ArgMax", 11);
        op_attribute_int(c, "axis", 1);
        op_input(c, types[t], DIMS(3, 50, 500), NULL);
        op_run(c);
        const mary_tensor *x = op_input_tensor(c, 0);
        const int64_t *y = op_output(c, 0)->data;
        for (int64_t o = 0; o < 3; o++) {
            for (int64_t i = 0; i < 500; i++) {
                int64_t best = 0;
                for (int64_t k = 1; k < 50; k++) {
                    if (mary_tensor_double(x, (o * 50 + k) * 500 + i) >
                        mary_tensor_double(x, (o * 50 + best) * 500 + i))
                        best = k;
                }
                ck_assert_int_eq(y[o * 500 + i], best);
            }
        }
        op_case_free(c);
    }
}
END_TEST

START_TEST(an_empty_axis_is_refused_unless_nothing_is_asked)
{
    op_case *c = op_case_new("ArgMax", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 0), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 1 is empty");
    op_case_free(c);
    c = op_case_new("ArgMax", 13);
    op_attribute_int(c, "axis", 1);
    op_input(c, MARY_FLOAT, DIMS(0, 3), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(0, 1), NULL);
    op_case_free(c);
    c = op_case_new("ArgMin", 13);
    op_attribute_int(c, "axis", -3);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis -3");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/arg_reduce", the_first_or_last_extreme_is_found_and_nan_is_one,
               every_numeric_type_and_large_tensors_work, an_empty_axis_is_refused_unless_nothing_is_asked)
