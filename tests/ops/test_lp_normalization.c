/* LpNormalization and MeanVarianceNormalization. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(lines_are_divided_by_their_norm)
{
    op_case *c = op_case_new("LpNormalization", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(3, -4, 0, 0));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2), FLOATS(0.6f, -0.8f, 0, 0));
    op_case_free(c);
    c = op_case_new("LpNormalization", 22);
    op_attribute_int(c, "p", 1);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_DOUBLE, DIMS(2, 2), DOUBLES(3, -4, 1, 1));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(2, 2), DOUBLES(0.75, -0.8, 0.25, 0.2));
    op_case_free(c);
    c = op_case_new("LpNormalization", 1);
    op_input(c, MARY_FLOAT, DIMS(300, 70), NULL);
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(only_the_first_two_norms_exist)
{
    op_case *c = op_case_new("LpNormalization", 1);
    op_attribute_int(c, "p", 3);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "p is 3");
    op_case_free(c);
    c = op_case_new("LpNormalization", 1);
    op_input(c, MARY_FLOAT, SCALAR, NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis -1");
    op_case_free(c);
    c = op_case_new("LpNormalization", 1);
    op_input(c, MARY_FLOAT, DIMS(3, 0), NULL);
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(mean_and_variance_are_taken_over_the_given_axes)
{
    op_case *c = op_case_new("MeanVarianceNormalization", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 2, 1, 2), FLOATS(1, 3, 0, 0, 5, 7, 0, 4));
    op_run(c);
    const float s = 2.2360680f, t = 1.7320508f;
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2, 1, 2), FLOATS(-3 / s, -1 / s, -1 / t, -1 / t, 1 / s, 3 / s, -1 / t, 3 / t));
    op_case_free(c);
    c = op_case_new("MeanVarianceNormalization", 13);
    op_attribute_ints(c, "axes", DIMS(-1));
    op_input(c, MARY_DOUBLE, DIMS(2, 2), DOUBLES(1, 3, 5, 9));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(2, 2), DOUBLES(-1, 1, -1, 1));
    op_case_free(c);
    c = op_case_new("MeanVarianceNormalization", 9);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 2");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/lp_normalization", lines_are_divided_by_their_norm, only_the_first_two_norms_exist,
               mean_and_variance_are_taken_over_the_given_axes)
