/* MatMulInteger and QLinearMatMul: exact sums. */
#include "tests/support/op_run.h"

START_TEST(matmul_integer_subtracts_zero_points)
{
    op_case *c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_UINT8, DIMS(4, 3), BOOLS(11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0));
    op_input(c, MARY_UINT8, DIMS(3, 2), BOOLS(1, 4, 2, 5, 3, 6));
    op_input(c, MARY_UINT8, SCALAR, BOOLS(12));
    op_input(c, MARY_UINT8, SCALAR, BOOLS(0));
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(4, 2), (const int32_t[]){-38, -83, -44, -98, -50, -113, -56, -128});
    op_case_free(c);
}
END_TEST

/* Zero points per row of A and column of B, batches that broadcast, sizes around the chunk of sums. */
START_TEST(matmul_integer_agrees_with_the_definition)
{
    static const int64_t widths[] = {1, 7, 256, 257, 600};
    for (int w = 0; w < 5; w++) {
        int64_t n = widths[w];
        for (int shared = 0; shared < 2; shared++) {
            op_case *c = op_case_new("MatMulInteger", 10);
            op_input(c, MARY_INT8, DIMS(2, 1, 3, 5), NULL);
            op_input(c, MARY_UINT8, DIMS(3, 5, n), NULL);
            op_input(c, MARY_INT8, DIMS(3), NULL);
            if (shared)
                op_input(c, MARY_UINT8, DIMS(n), NULL);
            else
                op_input(c, MARY_UINT8, DIMS(3, 1, n), NULL);
            op_run(c);
            const int8_t *a = op_input_tensor(c, 0)->data, *a_zero = op_input_tensor(c, 2)->data;
            const uint8_t *b = op_input_tensor(c, 1)->data, *b_zero = op_input_tensor(c, 3)->data;
            const int32_t *y = op_output(c, 0)->data;
            ck_assert(mary_shape_equal(&op_output(c, 0)->shape, &(mary_shape){4, {2, 3, 3, n}}));
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 3; j++)
                    for (int m = 0; m < 3; m++)
                        for (int64_t x = 0; x < n; x++) {
                            int32_t sum = 0;
                            for (int k = 0; k < 5; k++)
                                sum += (a[(i * 3 + m) * 5 + k] - a_zero[m]) *
                                       (b[(j * 5 + k) * n + x] - b_zero[(shared ? 0 : j) * n + x]);
                            ck_assert_int_eq(y[((i * 3 + j) * 3 + m) * n + x], sum);
                        }
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(vectors_multiply_as_in_numpy)
{
    op_case *c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_INT8, DIMS(3), (const int8_t[]){1, -2, 3});
    op_input(c, MARY_INT8, DIMS(3), (const int8_t[]){-128, 127, 1});
    op_run(c);
    op_expect(c, 0, MARY_INT32, SCALAR, (const int32_t[]){-379});
    op_case_free(c);
    c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_UINT8, DIMS(2, 0), NULL);
    op_input(c, MARY_UINT8, DIMS(0, 2), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2, 2), (const int32_t[]){0, 0, 0, 0});
    op_case_free(c);
}
END_TEST

START_TEST(qlinear_matmul_rounds_and_saturates)
{
    op_case *c = op_case_new("QLinearMatMul", 10);
    op_input(c, MARY_UINT8, DIMS(1, 2), BOOLS(10, 20));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
    op_input(c, MARY_UINT8, SCALAR, BOOLS(0));
    op_input(c, MARY_INT8, DIMS(2, 3), (const int8_t[]){1, 5, -1, 0, 100, 0});
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(0.5f, 1, 1));
    op_input(c, MARY_INT8, SCALAR, (const int8_t[]){0});
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_input(c, MARY_UINT8, SCALAR, BOOLS(3));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(1, 3), BOOLS(5, 255, 0)); /* 2.5 rounds to 2 */
    op_case_free(c);
}
END_TEST

START_TEST(products_that_do_not_fit_are_refused)
{
    op_case *c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_UINT8, DIMS(2, 3), NULL);
    op_input(c, MARY_UINT8, DIMS(4, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[2,3] and [4,2]");
    op_case_free(c);
    c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_UINT8, DIMS(2, 3), NULL);
    op_input(c, MARY_UINT8, DIMS(3, 2), NULL);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "each of 2");
    op_case_free(c);
    c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    op_input(c, MARY_UINT8, DIMS(3, 2), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "float");
    op_case_free(c);
    c = op_case_new("MatMulInteger", 10);
    op_input(c, MARY_UINT8, SCALAR, NULL);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "scalar");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/integer_matmul", matmul_integer_subtracts_zero_points, matmul_integer_agrees_with_the_definition,
               vectors_multiply_as_in_numpy, qlinear_matmul_rounds_and_saturates, products_that_do_not_fit_are_refused)
