/* Gradients of Gemm and MatMul: every transposition, every form of C, stacks of matrices. */
#include "tests/support/gradient_check.h"

static void check_gemm(int64_t rows, int64_t columns, int64_t depth, int trans, const int64_t *c_dims, int c_rank,
                       bool constant)
{
    op_case *c = op_case_new("Gemm", 13);
    op_attribute_int(c, "transA", trans & 1);
    op_attribute_int(c, "transB", trans >> 1 & 1);
    op_attribute_float(c, "alpha", 0.75f);
    op_attribute_float(c, "beta", -1.5f);
    op_input(c, MARY_FLOAT, DIMS(trans & 1 ? depth : rows, trans & 1 ? rows : depth), NULL);
    (constant ? op_constant : op_input)(c, MARY_FLOAT, DIMS(trans & 2 ? columns : depth, trans & 2 ? depth : columns),
                                        NULL);
    if (c_rank >= 0)
        op_constant(c, MARY_FLOAT, c_rank, c_dims, NULL);
    gradient_check(c);
    op_case_free(c);
}

START_TEST(gradients_of_gemm_agree_with_differences)
{
    uint32_t seed = 3;
    for (int trans = 0; trans < 4; trans++) {
        for (int form = 0; form < 6; form++) {
            const int64_t rows = gradient_random(&seed, 1, 14), columns = gradient_random(&seed, 1, 40),
                          depth = gradient_random(&seed, 1, 9);
            const int64_t forms[5][2] = {{rows, columns}, {1, columns}, {rows, 1}, {1, 1}, {columns, 0}};
            check_gemm(rows, columns, depth, trans, form < 5 ? forms[form] : NULL,
                       form < 4    ? 2
                       : form == 4 ? 1
                                   : -1,
                       form % 2 == 0);
        }
    }
}
END_TEST

static void check_matmul(int a_rank, const int64_t *a, int b_rank, const int64_t *b, bool constant)
{
    op_case *c = op_case_new("MatMul", 13);
    op_input(c, MARY_FLOAT, a_rank, a, NULL);
    (constant ? op_constant : op_input)(c, MARY_FLOAT, b_rank, b, NULL);
    gradient_check(c);
    op_case_free(c);
}

START_TEST(gradients_of_matmul_agree_with_differences)
{
    for (int constant = 0; constant < 2; constant++) {
        check_matmul(DIMS(5, 7), DIMS(7, 34), constant);
        check_matmul(DIMS(2, 3, 5), DIMS(5, 4), constant);
        check_matmul(DIMS(5), DIMS(5, 4), constant);
        check_matmul(DIMS(3, 5), DIMS(5), constant);
        check_matmul(DIMS(5), DIMS(5), constant);
        check_matmul(DIMS(2, 3, 5), DIMS(2, 5, 4), constant);
        check_matmul(DIMS(2, 1, 3, 5), DIMS(3, 5, 2), constant);
    }
    check_matmul(DIMS(3, 5), DIMS(2, 5, 2), false);
}
END_TEST

MARY_TEST_MAIN("ops/gemm_backward", gradients_of_gemm_agree_with_differences,
               gradients_of_matmul_agree_with_differences)
