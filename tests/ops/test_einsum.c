/* Einsum. */
#include "tests/support/op_run.h"

static op_case *einsum(const char *equation)
{
    op_case *c = op_case_new("Einsum", 12);
    op_attribute_string(c, "equation", equation);
    return c;
}

START_TEST(one_operand_is_permuted_summed_or_its_diagonal_taken)
{
    static const struct {
        const char *equation;
        int rank;
        int64_t dims[2], values[4];
    } cases[] = {{"ij->ji", 2, {2, 2}, {1, 3, 2, 4}},  {"ii->i", 1, {2}, {1, 4}}, {"ii", 0, {0}, {5}},
                 {"ij -> j", 1, {2}, {4, 6}},          {"ij->", 0, {0}, {10}},    {"ba", 2, {2, 2}, {1, 3, 2, 4}},
                 {"...->...", 2, {2, 2}, {1, 2, 3, 4}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        op_case *c = einsum(cases[i].equation);
        op_input(c, MARY_INT64, DIMS(2, 2), INTS(1, 2, 3, 4));
        op_run(c);
        op_expect(c, 0, MARY_INT64, cases[i].rank, cases[i].dims, cases[i].values);
        op_case_free(c);
    }
}
END_TEST

START_TEST(two_operands_multiply)
{
    op_case *c = einsum("...ij,...jk->...ki"); /* broadcast, transposed result */
    op_input(c, MARY_INT32, DIMS(2, 1, 3), (const int32_t[]){1, 2, 3, 4, 5, 6});
    op_input(c, MARY_INT32, DIMS(1, 3, 2), (const int32_t[]){1, 0, 0, 1, 1, 1});
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2, 2, 1), (const int32_t[]){4, 5, 10, 11});
    op_case_free(c);
    c = einsum("i,j"); /* outer product */
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(3, 4, 5));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), FLOATS(3, 4, 5, 6, 8, 10));
    op_case_free(c);
    c = einsum("ab,b->"); /* `a` is summed in one operand alone */
    op_input(c, MARY_DOUBLE, DIMS(2, 2), DOUBLES(1, 2, 3, 4));
    op_input(c, MARY_DOUBLE, DIMS(2), DOUBLES(10, 1));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, SCALAR, DOUBLES(46));
    op_case_free(c);
}
END_TEST

START_TEST(three_operands_contract_from_the_left)
{
    op_case *c = einsum("ij,jk,ki->ik");
    op_input(c, MARY_FLOAT, DIMS(3, 4), NULL);
    op_input(c, MARY_FLOAT, DIMS(4, 5), NULL);
    op_input(c, MARY_FLOAT, DIMS(5, 3), NULL);
    op_run(c);
    const float *a = op_input_tensor(c, 0)->data, *b = op_input_tensor(c, 1)->data, *d = op_input_tensor(c, 2)->data;
    float expected[15];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5; k++) {
            float sum = 0;
            for (int j = 0; j < 4; j++)
                sum += a[i * 4 + j] * b[j * 5 + k];
            expected[i * 5 + k] = sum * d[k * 3 + i];
        }
    op_expect_near(c, 0, MARY_FLOAT, DIMS(3, 5), expected, 1e-5);
    op_case_free(c);
}
END_TEST

START_TEST(sums_over_nothing_are_zero)
{
    op_case *c = einsum("ij,jk");
    op_input(c, MARY_FLOAT, DIMS(2, 0), NULL);
    op_input(c, MARY_FLOAT, DIMS(0, 1), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 1), FLOATS(0, 0));
    op_case_free(c);
}
END_TEST

START_TEST(equations_that_do_not_fit_are_refused)
{
    static const char *const wrong[] = {"ij",           "ij,jk->iz", "ij,jk->ii", "ij,jk,kl", "ij,kj",
                                        "i,jk",         "ij,jk-",    "ij,jk->i,", "ij,j.k",   "......,jk",
                                        "ij,ij->...->", "ijk,jk",    ",",         "",         "1j,jk"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        op_case *c = einsum(wrong[i]);
        op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
        op_input(c, MARY_FLOAT, DIMS(3, 4), NULL);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "Einsum");
        op_case_free(c);
    }
    op_case *c = op_case_new("Einsum", 12);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "'equation' is missing");
    op_case_free(c);
    c = einsum("ab,cd,ef,gh,ij,kl->abcdefghij");
    for (int i = 0; i < 6; i++)
        op_input(c, MARY_FLOAT, DIMS(1, 1), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "8");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/einsum", one_operand_is_permuted_summed_or_its_diagonal_taken, two_operands_multiply,
               three_operands_contract_from_the_left, sums_over_nothing_are_zero, equations_that_do_not_fit_are_refused)
