/* Gemm against its definition in double: transposes, alpha, beta, every form of C, sizes around tiles, types, fusion.
 */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/tensor.h"

typedef struct gemm_shape {
    int64_t rows, columns, depth;
    bool trans_a, trans_b;
    float alpha, beta;
    int c_rank; /* -1: none */
    int64_t c_dims[2];
} gemm_shape;

static double element(const mary_tensor *t, bool turned, int64_t i, int64_t j)
{
    return mary_tensor_double(t, turned ? j * t->shape.dims[1] + i : i * t->shape.dims[1] + j);
}

static double c_element(const mary_tensor *c, int64_t i, int64_t j)
{
    int64_t width = c->shape.rank > 0 ? c->shape.dims[c->shape.rank - 1] : 1;
    int64_t row = c->shape.rank == 2 && c->shape.dims[0] > 1 ? i : 0;
    return mary_tensor_double(c, row * width + (width > 1 ? j : 0));
}

/* Runs and compares; `activation` is what was fused. */
static void check(op_case *c, const gemm_shape *s, int residual)
{
    op_tolerance(c, 1e-4);
    op_run(c);
    const mary_tensor *a = op_input_tensor(c, 0), *b = op_input_tensor(c, 1), *y = op_output(c, 0);
    ck_assert_int_eq(y->shape.rank, 2);
    ck_assert_int_eq(y->shape.dims[0], s->rows);
    ck_assert_int_eq(y->shape.dims[1], s->columns);
    for (int64_t i = 0; i < s->rows; i++) {
        for (int64_t j = 0; j < s->columns; j++) {
            double sum = 0, size = 1;
            for (int64_t k = 0; k < s->depth; k++) {
                double product = element(a, s->trans_a, i, k) * element(b, s->trans_b, k, j);
                sum += product;
                size += fabs(product);
            }
            sum *= (double)s->alpha;
            if (s->c_rank >= 0)
                sum += (double)s->beta * c_element(op_input_tensor(c, 2), i, j);
            if (residual >= 0)
                sum = fmax(0, sum + element(op_input_tensor(c, residual), false, i, j));
            double got = mary_tensor_double(y, i * s->columns + j);
            if (!(fabs(got - sum) <= 2e-6 * size))
                ck_abort_msg("[%d,%d,%d] element %d,%d: %g, not %g", (int)s->rows, (int)s->columns, (int)s->depth,
                             (int)i, (int)j, got, sum);
        }
    }
}

static op_case *make(const gemm_shape *s, mary_type type, bool constant)
{
    op_case *c = op_case_new("Gemm", 13);
    int64_t a[2] = {s->rows, s->depth}, at[2] = {s->depth, s->rows};
    int64_t b[2] = {s->depth, s->columns}, bt[2] = {s->columns, s->depth};
    op_input(c, type, 2, s->trans_a ? at : a, NULL);
    (constant ? op_constant : op_input)(c, type, 2, s->trans_b ? bt : b, NULL);
    if (s->c_rank >= 0)
        op_input(c, type, s->c_rank, s->c_dims, NULL);
    op_attribute_int(c, "transA", s->trans_a);
    op_attribute_int(c, "transB", s->trans_b);
    op_attribute_float(c, "alpha", s->alpha);
    op_attribute_float(c, "beta", s->beta);
    return c;
}

START_TEST(sizes_around_tiles_in_every_orientation)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {1, 33, 7},    {1, 64, 300}, {5, 31, 16},    {12, 32, 256},
                                       {13, 65, 257}, {193, 17, 40}, {24, 1, 513}, {200, 70, 260}, {7, 600, 5}};
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        for (int form = 0; form < 8; form++) {
            gemm_shape s = {.rows = sizes[n][0],
                            .columns = sizes[n][1],
                            .depth = sizes[n][2],
                            .trans_a = form & 1,
                            .trans_b = form & 2,
                            .alpha = 1,
                            .beta = 1,
                            .c_rank = 1,
                            .c_dims = {sizes[n][1]}};
            op_case *c = make(&s, MARY_FLOAT, form & 4);
            check(c, &s, -1);
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(every_form_of_c_broadcasts)
{
    static const struct {
        int rank;
        int64_t dims[2];
    } forms[] = {{-1, {0}}, {0, {0}}, {1, {1}}, {1, {37}}, {2, {1, 1}}, {2, {1, 37}}, {2, {15, 1}}, {2, {15, 37}}};
    for (size_t n = 0; n < sizeof forms / sizeof forms[0]; n++) {
        for (int constant = 0; constant < 2; constant++) {
            for (int scaled = 0; scaled < 3; scaled++) {
                gemm_shape s = {.rows = 15,
                                .columns = 37,
                                .depth = 300,
                                .alpha = scaled ? 0.75f : 1.0f,
                                .beta = scaled == 2 ? 0.0f
                                        : scaled    ? -1.5f
                                                    : 1.0f,
                                .c_rank = forms[n].rank,
                                .c_dims = {forms[n].dims[0], forms[n].dims[1]}};
                op_case *c = make(&s, MARY_FLOAT, constant);
                check(c, &s, -1);
                op_case_free(c);
            }
        }
    }
}
END_TEST

START_TEST(residual_and_activation_are_fused_once)
{
    for (int constant = 0; constant < 2; constant++) {
        gemm_shape s = {
            .rows = 30, .columns = 45, .depth = 600, .alpha = 1, .beta = 1, .c_rank = 2, .c_dims = {30, 45}};
        op_case *c = make(&s, MARY_FLOAT, constant);
        op_input(c, MARY_FLOAT, DIMS(30, 45), NULL);
        op_epilogue(c, (mary_epilogue){MARY_ACTIVATION_CLIP, 0, INFINITY, 3});
        check(c, &s, 3);
        op_case_free(c);
    }
}
END_TEST

START_TEST(double_and_integers_are_products_too)
{
    static const mary_type types[] = {MARY_DOUBLE, MARY_INT32, MARY_INT64, MARY_UINT32, MARY_UINT64};
    for (size_t n = 0; n < sizeof types / sizeof types[0]; n++) {
        gemm_shape s = {.rows = 9,
                        .columns = 11,
                        .depth = 13,
                        .trans_a = true,
                        .trans_b = n % 2,
                        .alpha = 2,
                        .beta = 3,
                        .c_rank = 2,
                        .c_dims = {9, 1}};
        op_case *c = make(&s, types[n], n % 2);
        check(c, &s, -1);
        op_case_free(c);
    }
}
END_TEST

START_TEST(empty_sizes_are_legal)
{
    for (int which = 0; which < 3; which++) {
        gemm_shape s = {.rows = which == 0 ? 0 : 3,
                        .columns = which == 1 ? 0 : 4,
                        .depth = which == 2 ? 0 : 5,
                        .alpha = 1,
                        .beta = 1,
                        .c_rank = 1,
                        .c_dims = {1}};
        for (int constant = 0; constant < 2; constant++) {
            op_case *c = make(&s, MARY_FLOAT, constant);
            check(c, &s, -1);
            op_case_free(c);
        }
    }
}
END_TEST

static void refuse(int opset, int a_rank, const int64_t *a, int b_rank, const int64_t *b, int c_rank,
                   const int64_t *c_dims, const char *text)
{
    op_case *c = op_case_new("Gemm", opset);
    op_input(c, MARY_FLOAT, a_rank, a, NULL);
    op_constant(c, MARY_FLOAT, b_rank, b, NULL);
    if (c_rank >= 0)
        op_input(c, MARY_FLOAT, c_rank, c_dims, NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, text);
    op_case_free(c);
}

START_TEST(shapes_that_do_not_multiply_are_refused)
{
    refuse(13, DIMS(2, 3), DIMS(4, 5), -1, NULL, "do not multiply");
    refuse(13, DIMS(2, 3, 1), DIMS(3, 5), -1, NULL, "do not multiply");
    refuse(13, DIMS(3), DIMS(3, 5), -1, NULL, "do not multiply");
    refuse(13, DIMS(2, 3), DIMS(3, 5), DIMS(2), "does not broadcast");
    refuse(13, DIMS(2, 3), DIMS(3, 5), DIMS(3, 5), "does not broadcast");
    refuse(13, DIMS(2, 3), DIMS(3, 5), DIMS(1, 2, 5), "does not broadcast");
    refuse(9, DIMS(2, 3), DIMS(3, 5), -1, NULL, "input 2 is missing");
}
END_TEST

MARY_TEST_MAIN("ops/gemm", sizes_around_tiles_in_every_orientation, every_form_of_c_broadcasts,
               residual_and_activation_are_fused_once, double_and_integers_are_products_too, empty_sizes_are_legal,
               shapes_that_do_not_multiply_are_refused)
