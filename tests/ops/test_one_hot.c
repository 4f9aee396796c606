/* OneHot. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(one_hot_adds_an_axis)
{
    op_case *c = op_case_new("OneHot", 11);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_INT64, DIMS(4), INTS(0, -1, 3, -4));
    op_input(c, MARY_INT64, SCALAR, INTS(3));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(-1, 5));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 4), FLOATS(5, -1, -1, -1, -1, -1, -1, -1, -1, 5, -1, -1));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("OneHot", 9);
    op_input(c, MARY_FLOAT, DIMS(5), FLOATS(1, NAN, -0.5f, INFINITY, 1e30f));
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(2));
    op_input(c, MARY_UINT8, DIMS(2), BOOLS(0, 1));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(5, 2), BOOLS(0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    op_case_free(c);
}
END_TEST

START_TEST(one_hot_refuses_absurd_depths)
{
    static const double wrong[] = {0, -3, NAN, 1e30};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new("OneHot", 11);
        op_input(c, MARY_INT64, DIMS(2), NULL);
        op_input(c, MARY_DOUBLE, SCALAR, &wrong[i]);
        op_input(c, MARY_FLOAT, DIMS(2), NULL);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "depth");
        op_case_free(c);
    }
    op_case *c = op_case_new("OneHot", 11);
    op_input(c, MARY_INT64, DIMS(1 << 10), NULL);
    op_input(c, MARY_INT64, SCALAR, INTS(1LL << 32));
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "16 GiB");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/one_hot", one_hot_adds_an_axis, one_hot_refuses_absurd_depths)
