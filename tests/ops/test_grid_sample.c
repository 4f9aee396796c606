/* GridSample. */
#include "tests/support/op_run.h"

#include <math.h>

static void expect_sample(const char *mode, const char *padding, int align, float position, float value)
{
    op_case *c = op_case_new("GridSample", 20);
    op_attribute_string(c, "mode", mode);
    op_attribute_string(c, "padding_mode", padding);
    op_attribute_int(c, "align_corners", align);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 4), FLOATS(1, 2, 3, 4));
    op_input(c, MARY_FLOAT, DIMS(1, 1, 1), &position);
    op_run(c);
    op_expect_near(c, 0, MARY_FLOAT, DIMS(1, 1, 1), &value, 1e-6);
    op_case_free(c);
}

START_TEST(positions_are_read_as_told)
{
    expect_sample("linear", "zeros", 1, 0, 2.5f);
    expect_sample("linear", "zeros", 0, -1, 0.5f); /* half a pixel outside */
    expect_sample("linear", "border", 0, -1, 1);
    expect_sample("linear", "reflection", 1, 1 + 2 / 3.0f, 3); /* one pixel beyond the last */
    expect_sample("nearest", "zeros", 0, 0, 3);                /* 1.5 rounds to even */
    expect_sample("nearest", "zeros", 0, 3, 0);
    expect_sample("cubic", "zeros", 1, -1 / 3.0f, 2);
    expect_sample("cubic", "border", 1, 0, 2.5f);
}
END_TEST

START_TEST(positions_that_are_no_numbers_are_outside)
{
    expect_sample("linear", "zeros", 0, NAN, 0);
    expect_sample("linear", "border", 0, INFINITY, 4);
    expect_sample("nearest", "border", 0, NAN, 1);
    expect_sample("cubic", "zeros", 0, -INFINITY, 0);
}
END_TEST

START_TEST(the_grid_names_the_innermost_axis_first)
{
    op_case *c = op_case_new("GridSample", 16);
    op_attribute_string(c, "mode", "bilinear");
    op_attribute_int(c, "align_corners", 1);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 2, 2), FLOATS(1, 2, 3, 4, 5, 6, 7, 8));
    op_input(c, MARY_FLOAT, DIMS(1, 1, 2, 2), FLOATS(1, -1, 0, 1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 2, 1, 2), FLOATS(2, 3.5f, 6, 7.5f));
    op_case_free(c);
}
END_TEST

START_TEST(grids_that_do_not_fit_are_refused)
{
    op_case *c = op_case_new("GridSample", 16);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 2, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 2, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[1,1,2,3]");
    op_case_free(c);
    c = op_case_new("GridSample", 16);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 0, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(1, 1, 2, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "empty");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/grid_sample", positions_are_read_as_told, positions_that_are_no_numbers_are_outside,
               the_grid_names_the_innermost_axis_first, grids_that_do_not_fit_are_refused)
