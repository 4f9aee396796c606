/* MatMul: numpy's rules for ranks and broadcasting, with constant and computed operands, in every type. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/tensor.h"

/* Offset of matrix `n` of the result's batch in an operand, counted in matrices. */
static int64_t matrix_of(const mary_shape *operand, const mary_shape *batch, int64_t n)
{
    int64_t offset = 0, step = 1;
    int dims = operand->rank > 2 ? operand->rank - 2 : 0;
    for (int i = 0; i < batch->rank; i++) {
        int64_t dim = batch->dims[batch->rank - 1 - i], index = n % dim;
        n /= dim;
        if (i >= dims)
            continue;
        int64_t own = operand->dims[dims - 1 - i];
        offset += own == 1 ? 0 : index * step;
        step *= own;
    }
    return offset;
}

static void check(mary_type type, bool constant, int a_rank, const int64_t *a_dims, int b_rank, const int64_t *b_dims,
                  int y_rank, const int64_t *y_dims)
{
    op_case *c = op_case_new("MatMul", 13);
    op_input(c, type, a_rank, a_dims, NULL);
    (constant ? op_constant : op_input)(c, type, b_rank, b_dims, NULL);
    op_run(c);
    const mary_tensor *a = op_input_tensor(c, 0), *b = op_input_tensor(c, 1), *y = op_output(c, 0);
    mary_shape expected = {y_rank, {0}}, batch = {0, {0}};
    for (int i = 0; i < y_rank; i++)
        expected.dims[i] = y_dims[i];
    ck_assert(mary_shape_equal(&y->shape, &expected));
    ck_assert_int_eq(y->type, type);
    batch.rank = y_rank - (a_rank > 1) - (b_rank > 1);
    for (int i = 0; i < batch.rank; i++)
        batch.dims[i] = y_dims[i];
    int64_t rows = a_rank > 1 ? a_dims[a_rank - 2] : 1, columns = b_rank > 1 ? b_dims[b_rank - 1] : 1;
    int64_t depth = a_dims[a_rank - 1], count = mary_shape_count(&batch);
    for (int64_t n = 0; n < count; n++) {
        int64_t left = matrix_of(&a->shape, &batch, n) * rows * depth,
                right = matrix_of(&b->shape, &batch, n) * depth * columns;
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < columns; j++) {
                double sum = 0, size = 1;
                for (int64_t k = 0; k < depth; k++) {
                    double product =
                        mary_tensor_double(a, left + i * depth + k) * mary_tensor_double(b, right + k * columns + j);
                    sum += product;
                    size += fabs(product);
                }
                double got = mary_tensor_double(y, (n * rows + i) * columns + j);
                if (!(fabs(got - sum) <= 2e-6 * size))
                    ck_abort_msg("matrix %d, element %d,%d: %g, not %g", (int)n, (int)i, (int)j, got, sum);
            }
        }
    }
    op_case_free(c);
}

static void check_all(int a_rank, const int64_t *a, int b_rank, const int64_t *b, int y_rank, const int64_t *y)
{
    check(MARY_FLOAT, false, a_rank, a, b_rank, b, y_rank, y);
    check(MARY_FLOAT, true, a_rank, a, b_rank, b, y_rank, y);
    check(MARY_DOUBLE, false, a_rank, a, b_rank, b, y_rank, y);
    check(MARY_INT32, true, a_rank, a, b_rank, b, y_rank, y);
}

START_TEST(matrices_around_tiles)
{
    check_all(DIMS(1, 1), DIMS(1, 1), DIMS(1, 1));
    check_all(DIMS(13, 257), DIMS(257, 33), DIMS(13, 33));
    check_all(DIMS(1, 300), DIMS(300, 70), DIMS(1, 70));
    check_all(DIMS(205, 20), DIMS(20, 515), DIMS(205, 515));
}
END_TEST

START_TEST(vectors_gain_and_lose_a_dimension)
{
    check_all(DIMS(7), DIMS(7), SCALAR);
    check_all(DIMS(7), DIMS(7, 3), DIMS(3));
    check_all(DIMS(4, 7), DIMS(7), DIMS(4));
    check_all(DIMS(7), DIMS(2, 7, 3), DIMS(2, 3));
    check_all(DIMS(2, 5, 4, 7), DIMS(7), DIMS(2, 5, 4));
}
END_TEST

START_TEST(leading_dimensions_broadcast)
{
    check_all(DIMS(2, 3, 4, 5), DIMS(5, 6), DIMS(2, 3, 4, 6));
    check_all(DIMS(2, 3, 4, 5), DIMS(1, 1, 5, 6), DIMS(2, 3, 4, 6));
    check_all(DIMS(2, 3, 4, 5), DIMS(3, 5, 6), DIMS(2, 3, 4, 6));
    check_all(DIMS(2, 1, 4, 5), DIMS(1, 3, 5, 6), DIMS(2, 3, 4, 6));
    check_all(DIMS(4, 5), DIMS(2, 3, 5, 6), DIMS(2, 3, 4, 6));
    check_all(DIMS(3, 17, 20), DIMS(3, 20, 40), DIMS(3, 17, 40));
}
END_TEST

START_TEST(empty_sizes_are_legal)
{
    check_all(DIMS(0, 3), DIMS(3, 4), DIMS(0, 4));
    check_all(DIMS(2, 0), DIMS(0, 4), DIMS(2, 4));
    check_all(DIMS(2, 3), DIMS(3, 0), DIMS(2, 0));
    check_all(DIMS(0, 2, 3), DIMS(1, 3, 4), DIMS(0, 2, 4));
}
END_TEST

START_TEST(residual_and_activation_are_fused)
{
    op_case *c = op_case_new("MatMul", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 2, 3, 4));
    op_constant(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, 0, 0, 1));
    op_input(c, MARY_FLOAT, DIMS(2, 2), FLOATS(1, -3, 1, 9));
    op_epilogue(c, (mary_epilogue){MARY_ACTIVATION_CLIP, 0, 6, 2});
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2), FLOATS(2, 0, 4, 6));
    op_case_free(c);
}
END_TEST

static void refuse(mary_type type, int a_rank, const int64_t *a, int b_rank, const int64_t *b, const char *text)
{
    op_case *c = op_case_new("MatMul", 13);
    op_input(c, MARY_FLOAT, a_rank, a, NULL);
    op_input(c, type, b_rank, b, NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, text);
    op_case_free(c);
}

START_TEST(operands_that_do_not_multiply_are_refused)
{
    refuse(MARY_FLOAT, DIMS(2, 3), DIMS(2, 3), "do not multiply");
    refuse(MARY_FLOAT, DIMS(2, 2, 3), DIMS(3, 3, 3), "do not multiply");
    refuse(MARY_FLOAT, SCALAR, DIMS(3, 3), "scalar");
    refuse(MARY_DOUBLE, DIMS(3, 3), DIMS(3, 3), "B is double");
}
END_TEST

MARY_TEST_MAIN("ops/matmul", matrices_around_tiles, vectors_gain_and_lose_a_dimension, leading_dimensions_broadcast,
               empty_sizes_are_legal, residual_and_activation_are_fused, operands_that_do_not_multiply_are_refused)
