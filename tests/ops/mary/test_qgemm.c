/* MaryQLinearGemm and MaryQLinearMatMul against their definition, byte for byte, on every tier. */
#include <stdlib.h>

#include "tests/support/qlinear_reference.h"

/* rank 2: [rows, depth]; rank 3: [2, rows/2, depth]; rank 1: [depth] */
static void check(const char *type, int rank, int64_t rows, int64_t depth, int64_t columns, qlinear_options options)
{
    static uint32_t seed;
    /* a row is an image of one pixel */
    conv_shape s = {1, rows, 1, depth, columns, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}};
    int64_t x[3] = {2, rows / 2, depth}, y[3] = {2, rows / 2, columns}, w[2] = {columns, depth};
    if (rank == 2)
        x[1] = y[1] = rows;
    qlinear q;
    options.seed = ++seed;
    qlinear_make(&q, &options, columns, depth, rows * depth, rows * columns);
    op_case *c = op_case_new_in("ai.mary", type, 1);
    op_attribute_ints(c, "weight_shape", 2, w);
    op_attribute_int(c, "row_length", depth);
    op_attribute_int(c, "bits", options.bits);
    qlinear_inputs(&q, c, rank, x + 3 - rank, y + 3 - rank);
    op_run(c);
    uint8_t *expected = malloc((size_t)(rows * columns) + 1);
    qlinear_conv(&q, &s, expected);
    op_expect(c, 0, MARY_UINT8, rank, y + 3 - rank, expected);
    free(expected);
    op_case_free(c);
    qlinear_free(&q);
}

START_TEST(every_number_of_rows_is_right)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int64_t rows = 1; rows <= 14; rows++) {
            qlinear_options o = {.bits = bits,
                                 .bias = rows % 2,
                                 .shared_levels = rows % 3 == 0,
                                 .x_zero = 128,
                                 .y_zero = (int)(rows * 17)};
            check("MaryQLinearGemm", 2, rows, 61, 10 + rows * 11, o);
        }
    }
}
END_TEST

START_TEST(long_and_wide_products_are_right)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        qlinear_options o = {.bits = bits, .bias = true, .x_zero = 3, .y_zero = 128};
        check("MaryQLinearGemm", 2, 1, 4096, 130, o);
        check("MaryQLinearGemm", 2, 2, 1023, 1000, o);
        check("MaryQLinearGemm", 2, 9, 9001, 65, o);
        check("MaryQLinearGemm", 2, 3, 1, 1, o);
    }
}
END_TEST

START_TEST(residuals_and_tables_follow_in_the_same_step)
{
    for (int fused = 1; fused < 4; fused++) {
        qlinear_options o = {.bits = 2, .bias = true, .residual = fused & 1, .table = fused & 2, .x_zero = 0};
        for (int64_t rows = 1; rows < 8; rows += 2)
            check("MaryQLinearGemm", 2, rows, 77, 83, o);
    }
}
END_TEST

START_TEST(matmul_multiplies_the_last_axis)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        qlinear_options o = {.bits = bits, .x_zero = 77, .y_zero = 100, .one_scale = true};
        check("MaryQLinearMatMul", 1, 1, 33, 50, o);
        check("MaryQLinearMatMul", 2, 5, 33, 50, o);
        check("MaryQLinearMatMul", 3, 6, 100, 17, o);
    }
}
END_TEST

static mary_status try(int64_t depth, int64_t row_length, int64_t bits, float alpha)
{
    int64_t w[2] = {4, 8};
    float scale = 1;
    op_case *c = op_case_new_in("ai.mary", "MaryQLinearGemm", 1);
    op_attribute_ints(c, "weight_shape", 2, w);
    op_attribute_int(c, "row_length", row_length);
    op_attribute_int(c, "bits", bits);
    op_attribute_float(c, "alpha", alpha);
    op_input(c, MARY_UINT8, DIMS(2, depth), NULL);
    op_constant(c, MARY_FLOAT, SCALAR, &scale);
    op_constant(c, MARY_UINT8, SCALAR, "\0");
    op_constant(c, MARY_UINT8, DIMS(4, 2), NULL);
    op_constant(c, MARY_INT8, DIMS(1, 4), NULL);
    op_constant(c, MARY_FLOAT, SCALAR, &scale);
    op_constant(c, MARY_INT8, SCALAR, "\0");
    op_constant(c, MARY_FLOAT, SCALAR, &scale);
    op_constant(c, MARY_UINT8, SCALAR, "\0");
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(what_cannot_be_multiplied_is_refused)
{
    assert_ok(try(8, 8, 2, 1));
    assert_fails(try(7, 8, 2, 1), MARY_ERROR_INVALID, "does not multiply");
    assert_fails(try(8, 7, 2, 1), MARY_ERROR_INVALID, "row_length is 7");
    assert_fails(try(8, 8, 5, 1), MARY_ERROR_INVALID, "bits is 5");
    assert_fails(try(8, 8, 4, 1), MARY_ERROR_INVALID, "codes are");
    assert_fails(try(8, 8, 2, 2), MARY_ERROR_UNSUPPORTED, "alpha 2");
}
END_TEST

MARY_TEST_MAIN("ops/mary/qgemm", every_number_of_rows_is_right, long_and_wide_products_are_right,
               residuals_and_tables_follow_in_the_same_step, matmul_multiplies_the_last_axis,
               what_cannot_be_multiplied_is_refused)
