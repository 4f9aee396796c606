/* QLinearSoftmax: both definitions of the rows. */
#include <math.h>

#include "ops/qlinear.h"
#include "tests/support/op_run.h"

static op_case *softmax_case(int axis, int opset, int rank, const int64_t *dims)
{
    op_case *c = op_case_new_in("com.microsoft", "QLinearSoftmax", 1);
    op_attribute_int(c, "axis", axis);
    op_attribute_int(c, "opset", opset);
    op_input(c, MARY_UINT8, rank, dims, NULL);
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.3f));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){4});
    op_constant(c, MARY_FLOAT, SCALAR, FLOATS(1.0f / 256));
    op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){0});
    return c;
}

static void check(const op_case *c, int outer, int count, int inner)
{
    const uint8_t *x = op_input_tensor(c, 0)->data, *y = op_output(c, 0)->data;
    for (int row = 0; row < outer * inner; row++) {
        int at = row / inner * count * inner + row % inner;
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += exp(0.3 * x[at + i * inner]);
        for (int i = 0; i < count; i++) {
            double expected = exp(0.3 * x[at + i * inner]) / sum * 256;
            ck_assert_double_le(fabs(y[at + i * inner] - (expected > 255 ? 255 : expected)), 0.5 + 1e-4);
        }
    }
}

START_TEST(qlinear_softmax_normalises_one_axis)
{
    op_case *c = softmax_case(1, 13, DIMS(2, 5, 3));
    op_run(c);
    check(c, 2, 5, 3);
    op_case_free(c);
    c = softmax_case(-1, 13, DIMS(2, 5, 3));
    op_run(c);
    check(c, 10, 3, 1);
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_softmax_normalises_the_rest_before_13)
{
    op_case *c = softmax_case(1, 12, DIMS(2, 5, 3));
    op_run(c);
    check(c, 2, 15, 1);
    op_case_free(c);
    c = softmax_case(3, 12, DIMS(2, 5, 3));
    op_run(c);
    check(c, 30, 1, 1);
    op_case_free(c);
    c = softmax_case(0, 12, DIMS(0, 5));
    op_run(c);
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_softmax_refuses_other_axes)
{
    op_case *c = softmax_case(3, 13, DIMS(2, 5, 3));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis 3");
    op_case_free(c);
    c = softmax_case(-4, 12, DIMS(2, 5, 3));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "axis -4");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/qlinear_softmax", qlinear_softmax_normalises_one_axis,
               qlinear_softmax_normalises_the_rest_before_13, qlinear_softmax_refuses_other_axes)
