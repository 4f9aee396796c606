/* MaryGemm and MaryMatMul against the definition: levels[r, code[r,k]] multiplied in double. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/tensor.h"

typedef struct layer {
    int64_t columns, depth;
    int bits;
    bool shared;
    uint8_t *codes;
    float *levels, *weights; /* weights: [columns][depth] */
} layer;

static uint32_t random_state = 99;
static uint32_t random_bits(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 9;
}

static layer make_layer(int64_t columns, int64_t depth, int bits, bool shared)
{
    layer l = {.columns = columns, .depth = depth, .bits = bits, .shared = shared};
    int64_t bytes = (depth * bits + 7) / 8, level_rows = shared ? 1 : columns;
    l.codes = calloc((size_t)(columns * bytes) + 1, 1);
    l.levels = calloc((size_t)(level_rows << bits) + 1, sizeof(float));
    l.weights = calloc((size_t)(columns * depth) + 1, sizeof(float));
    for (int64_t i = 0; i < level_rows << bits; i++)
        l.levels[i] = (float)random_bits() / (float)(1 << 22) - 1.0f;
    for (int64_t r = 0; r < columns; r++) {
        for (int64_t k = 0; k < depth; k++) {
            unsigned code = random_bits() % (1u << bits);
            uint8_t *byte = &l.codes[r * bytes + k * bits / 8];
            *byte = (uint8_t)(*byte | code << (k * bits % 8));
            l.weights[r * depth + k] = l.levels[((shared ? 0 : r) << bits) + code];
        }
    }
    return l;
}

static void free_layer(layer *l)
{
    free(l->codes);
    free(l->levels);
    free(l->weights);
}

static op_case *start(const char *type, const layer *l, int a_rank, const int64_t *a)
{
    op_case *c = op_case_new_in("ai.mary", type, 1);
    op_input(c, MARY_FLOAT, a_rank, a, NULL);
    op_constant(c, MARY_UINT8, DIMS(l->columns, (l->depth * l->bits + 7) / 8), l->codes);
    op_constant(c, MARY_FLOAT, DIMS(l->shared ? 1 : l->columns, 1 << l->bits), l->levels);
    op_attribute_ints(c, "weight_shape", DIMS(l->columns, l->depth));
    op_attribute_int(c, "row_length", l->depth);
    op_attribute_int(c, "bits", l->bits);
    return c;
}

/* C, when there is one, is input 3 and [1 or rows][columns]; a residual is input `residual`, followed by Relu. */
static void check(op_case *c, const layer *l, int64_t rows, bool turned, double alpha, double beta, bool has_c,
                  int residual)
{
    op_tolerance(c, 1e-4);
    op_run(c);
    const mary_tensor *a = op_input_tensor(c, 0), *y = op_output(c, 0);
    ck_assert_int_eq(mary_shape_count(&y->shape), rows * l->columns);
    ck_assert_int_eq(y->shape.dims[y->shape.rank - 1], l->columns);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < l->columns; j++) {
            double sum = 0, size = 1;
            for (int64_t k = 0; k < l->depth; k++) {
                double product = mary_tensor_double(a, turned ? k * rows + i : i * l->depth + k) *
                                 (double)l->weights[j * l->depth + k];
                sum += product;
                size += fabs(product);
            }
            sum *= alpha;
            if (has_c) {
                const mary_tensor *added = op_input_tensor(c, 3);
                sum += beta * mary_tensor_double(added, (added->shape.dims[0] > 1 ? i : 0) * l->columns + j);
            }
            if (residual >= 0)
                sum = fmax(0, sum + mary_tensor_double(op_input_tensor(c, residual), i * l->columns + j));
            double got = mary_tensor_double(y, i * l->columns + j);
            if (!(fabs(got - sum) <= 2e-6 * size))
                ck_abort_msg("%d bits, %d rows, element %d,%d: %g, not %g", l->bits, (int)rows, (int)i, (int)j, got,
                             sum);
        }
    }
}

START_TEST(any_number_of_rows_at_any_width_of_code)
{
    static const int64_t rows[] = {1, 2, 5, 8, 9, 12, 25, 200};
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int shared = 0; shared < 2; shared++) {
            layer l = make_layer(67, 523, bits, shared);
            for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
                op_case *c = start("MaryGemm", &l, DIMS(rows[n], l.depth));
                check(c, &l, rows[n], false, 1, 1, false, -1);
                op_case_free(c);
            }
            free_layer(&l);
        }
    }
}
END_TEST

START_TEST(alpha_beta_c_and_a_transposed_operand)
{
    layer l = make_layer(130, 300, 2, false);
    for (int64_t rows = 1; rows < 30; rows += 7) {
        for (int full = 0; full < 2; full++) {
            op_case *c = start("MaryGemm", &l, DIMS(l.depth, rows));
            op_input(c, MARY_FLOAT, DIMS(full ? rows : 1, l.columns), NULL);
            op_attribute_float(c, "alpha", -0.5f);
            op_attribute_float(c, "beta", 2.0f);
            op_attribute_int(c, "transA", 1);
            check(c, &l, rows, true, -0.5, 2, true, -1);
            op_case_free(c);
        }
    }
    free_layer(&l);
}
END_TEST

START_TEST(residual_and_activation_are_fused_once)
{
    layer l = make_layer(70, 700, 4, false);
    for (int64_t rows = 3; rows < 30; rows += 20) {
        op_case *c = start("MaryGemm", &l, DIMS(rows, l.depth));
        op_input(c, MARY_FLOAT, DIMS(1, l.columns), NULL);
        op_input(c, MARY_FLOAT, DIMS(rows, l.columns), NULL);
        op_epilogue(c, (mary_epilogue){MARY_ACTIVATION_CLIP, 0, INFINITY, 4});
        check(c, &l, rows, false, 1, 1, true, 4);
        op_case_free(c);
    }
    free_layer(&l);
}
END_TEST

START_TEST(leading_dimensions_are_rows_of_a_matmul)
{
    layer l = make_layer(40, 37, 2, true);
    op_case *c = start("MaryMatMul", &l, DIMS(37));
    check(c, &l, 1, false, 1, 0, false, -1);
    op_case_free(c);
    c = start("MaryMatMul", &l, DIMS(2, 3, 4, 37));
    check(c, &l, 24, false, 1, 0, false, -1);
    ck_assert_int_eq(op_output(c, 0)->shape.rank, 4);
    op_case_free(c);
    c = start("MaryMatMul", &l, DIMS(2, 0, 37));
    check(c, &l, 0, false, 1, 0, false, -1);
    op_case_free(c);
    free_layer(&l);
}
END_TEST

START_TEST(empty_layers_are_legal)
{
    layer nothing = make_layer(0, 12, 2, false), no_depth = make_layer(5, 0, 2, false);
    op_case *c = start("MaryGemm", &nothing, DIMS(3, 12));
    check(c, &nothing, 3, false, 1, 1, false, -1);
    op_case_free(c);
    for (int64_t rows = 3; rows < 20; rows += 10) {
        c = start("MaryGemm", &no_depth, DIMS(rows, 0));
        check(c, &no_depth, rows, false, 1, 1, false, -1);
        op_case_free(c);
    }
    free_layer(&nothing);
    free_layer(&no_depth);
}
END_TEST

static void refuse_attributes(const layer *l, int shape_rank, const int64_t *shape, int64_t row_length, int bits,
                              const char *text)
{
    op_case *c = op_case_new_in("ai.mary", "MaryMatMul", 1);
    op_input(c, MARY_FLOAT, DIMS(3, l->depth), NULL);
    op_constant(c, MARY_UINT8, DIMS(l->columns, (l->depth * l->bits + 7) / 8), l->codes);
    op_constant(c, MARY_FLOAT, DIMS(l->columns, 1 << l->bits), l->levels);
    op_attribute_ints(c, "weight_shape", shape_rank, shape);
    op_attribute_int(c, "row_length", row_length);
    op_attribute_int(c, "bits", bits);
    assert_fails(op_try(c), MARY_ERROR_INVALID, text);
    op_case_free(c);
}

START_TEST(what_does_not_fit_together_is_refused)
{
    layer l = make_layer(5, 16, 2, false);
    op_case *c = start("MaryGemm", &l, DIMS(3, 17));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not multiply");
    op_case_free(c);
    c = start("MaryGemm", &l, DIMS(2, 3, 16));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not multiply");
    op_case_free(c);
    c = start("MaryGemm", &l, DIMS(3, 16));
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not broadcast");
    op_case_free(c);
    c = start("MaryMatMul", &l, SCALAR);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "does not multiply");
    op_case_free(c);
    refuse_attributes(&l, DIMS(5, 16), 15, 2, "row_length");
    refuse_attributes(&l, DIMS(5, 4, 4), 16, 2, "weight_shape");
    refuse_attributes(&l, DIMS(5, -16), -16, 2, "weight_shape");
    refuse_attributes(&l, DIMS(5, 16), 16, 3, "bits is 3");
    refuse_attributes(&l, DIMS(5, 16), 16, 4, "codes are");
    refuse_attributes(&l, DIMS(6, 16), 16, 2, "codes are");

    c = op_case_new_in("ai.mary", "MaryMatMul", 1);
    op_input(c, MARY_FLOAT, DIMS(3, 16), NULL);
    op_input(c, MARY_UINT8, DIMS(5, 4), l.codes);
    op_input(c, MARY_FLOAT, DIMS(5, 4), l.levels);
    op_attribute_ints(c, "weight_shape", DIMS(5, 16));
    op_attribute_int(c, "row_length", 16);
    op_attribute_int(c, "bits", 2);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "constants");
    op_case_free(c);
    free_layer(&l);
}
END_TEST

MARY_TEST_MAIN("ops/mary/gemm", any_number_of_rows_at_any_width_of_code, alpha_beta_c_and_a_transposed_operand,
               residual_and_activation_are_fused_once, leading_dimensions_are_rows_of_a_matmul, empty_layers_are_legal,
               what_does_not_fit_together_is_refused)
