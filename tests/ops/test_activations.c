/* Activation functions: values, edge cases, and every tier and layout against the first. */
#include "tests/support/op_run.h"

#include <math.h>

/* Reference formulas in double, as the ONNX documentation has them; a and b are the attributes. */
typedef double reference(double x, double a, double b);
static double clip01(double v)
{
    return v > 1 ? 1 : v < 0 ? 0 : v;
}
static double relu(double x, double a, double b)
{
    return (void)a, (void)b, fmax(x, 0);
}
static double leaky_relu(double x, double a, double b)
{
    return (void)b, x < 0 ? a * x : x;
}
static double thresholded_relu(double x, double a, double b)
{
    return (void)b, x > a ? x : 0;
}
static double sigmoid(double x, double a, double b)
{
    return (void)a, (void)b, 1 / (1 + exp(-x));
}
static double swish(double x, double a, double b)
{
    return (void)b, x / (1 + exp(-a * x));
}
static double hard_sigmoid(double x, double a, double b)
{
    return clip01(a * x + b);
}
static double hard_swish(double x, double a, double b)
{
    return (void)a, (void)b, x * clip01(x / 6 + 0.5);
}
static double hyperbolic_tangent(double x, double a, double b)
{
    return (void)a, (void)b, tanh(x);
}
static double elu(double x, double a, double b)
{
    return (void)b, x < 0 ? a * (exp(x) - 1) : x;
}
static double selu(double x, double a, double b)
{
    return b * (x <= 0 ? a * exp(x) - a : x);
}
static double celu(double x, double a, double b)
{
    return (void)b, fmax(0, x) + fmin(0, a * (exp(x / a) - 1));
}
static double gelu(double x, double a, double b)
{
    return (void)a, (void)b, 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double mish(double x, double a, double b)
{
    return (void)a, (void)b, x * tanh(log1p(exp(x)));
}
static double softplus(double x, double a, double b)
{
    return (void)a, (void)b, log(exp(x) + 1);
}
static double softsign(double x, double a, double b)
{
    return (void)a, (void)b, x / (1 + fabs(x));
}
static double shrink(double x, double a, double b)
{
    return x < -a ? x + b : x > a ? x - b : 0;
}

typedef struct function {
    const char *type;
    int opset;
    reference *compute;
    const char *alpha, *beta;
    float a, b;   /* defaults */
    float a2, b2; /* other values to try */
} function;

static const function functions[] = {
    {"Relu", 14, relu, NULL, NULL, 0, 0, 0, 0},
    {"LeakyRelu", 6, leaky_relu, "alpha", NULL, 0.01f, 0, 0.3f, 0},
    {"ThresholdedRelu", 10, thresholded_relu, "alpha", NULL, 1, 0, 0.5f, 0},
    {"Sigmoid", 13, sigmoid, NULL, NULL, 0, 0, 0, 0},
    {"Swish", 24, swish, "alpha", NULL, 1, 0, 1.7f, 0},
    {"HardSigmoid", 6, hard_sigmoid, "alpha", "beta", 0.2f, 0.5f, 0.6f, 0.1f},
    {"HardSwish", 14, hard_swish, NULL, NULL, 0, 0, 0, 0},
    {"Tanh", 13, hyperbolic_tangent, NULL, NULL, 0, 0, 0, 0},
    {"Elu", 6, elu, "alpha", NULL, 1, 0, 2, 0},
    {"Selu", 6, selu, "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f, 2, 3},
    {"Celu", 12, celu, "alpha", NULL, 1, 0, 2, 0},
    {"Gelu", 20, gelu, NULL, NULL, 0, 0, 0, 0},
    {"Mish", 18, mish, NULL, NULL, 0, 0, 0, 0},
    {"Softplus", 1, softplus, NULL, NULL, 0, 0, 0, 0},
    {"Softsign", 1, softsign, NULL, NULL, 0, 0, 0, 0},
    {"Shrink", 9, shrink, "lambd", "bias", 0.5f, 0, 0.25f, 0.125f},
};
enum { FUNCTION_COUNT = sizeof functions / sizeof functions[0] };

START_TEST(activations_follow_their_formula_in_float_and_double)
{
    const function *f = &functions[_i % FUNCTION_COUNT];
    bool given = _i / FUNCTION_COUNT % 2 == 1 && f->alpha != NULL;
    for (int wide = 0; wide < 2; wide++) {
        op_case *c = op_case_new(f->type, f->opset);
        if (given)
            op_attribute_float(c, f->alpha, f->a2);
        if (given && f->beta != NULL)
            op_attribute_float(c, f->beta, f->b2);
        float values[1037]; /* whole vectors of every tier, and a rest */
        double doubles[1037];
        for (int i = 0; i < 1037; i++) {
            values[i] = (float)(i - 518) / 40.0f;
            doubles[i] = (double)values[i];
        }
        op_input(c, wide ? MARY_DOUBLE : MARY_FLOAT, DIMS(17, 61), wide ? (void *)doubles : (void *)values);
        op_run(c);
        const mary_tensor *y = op_output(c, 0);
        for (int i = 0; i < 1037; i++) {
            double expected = f->compute(doubles[i], (double)(given ? f->a2 : f->a), (double)(given ? f->b2 : f->b));
            double got = mary_tensor_double(y, i), tolerance = wide ? 1e-14 : 1e-6;
            ck_assert_msg(fabs(got - expected) <= tolerance * fmax(1, fabs(expected)), "%s(%g) is %.9g, expected %.9g",
                          f->type, doubles[i], got, expected);
        }
        op_case_free(c);
    }
}
END_TEST

START_TEST(activations_are_the_same_channels_last_and_in_pieces)
{
    op_case *c = op_case_new(functions[_i].type, functions[_i].opset);
    op_input(c, MARY_FLOAT, DIMS(2, 19, 37, 41), NULL);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
}
END_TEST

START_TEST(sigmoid_like_functions_keep_relative_precision)
{
    op_case *c = op_case_new("Sigmoid", 13);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(-20, -80, 20, 1e-8f));
    op_tolerance(c, 3e-7);
    op_run(c);
    const float *y = op_output(c, 0)->data;
    ck_assert_float_le(fabsf(y[0] / 2.0611536e-9f - 1), 3e-7f);
    ck_assert_float_le(fabsf(y[1] / 1.8048514e-35f - 1), 3e-7f);
    ck_assert_float_eq(y[2], 1);
    ck_assert_float_eq(y[3], 0.5f);
    op_case_free(c);
}
END_TEST

START_TEST(infinities_and_nan_come_out_right)
{
    static const struct {
        const char *type;
        int opset;
        float values[3]; /* at inf, -inf, NaN */
    } cases[] = {
        {"Relu", 14, {INFINITY, 0, NAN}},    {"LeakyRelu", 16, {INFINITY, -INFINITY, NAN}},
        {"Sigmoid", 13, {1, 0, NAN}},        {"Tanh", 13, {1, -1, NAN}},
        {"Elu", 6, {INFINITY, -1, NAN}},     {"HardSigmoid", 6, {1, 0, NAN}},
        {"Softplus", 1, {INFINITY, 0, NAN}}, {"ThresholdedRelu", 10, {INFINITY, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        op_case *c = op_case_new(cases[i].type, cases[i].opset);
        op_input(c, MARY_FLOAT, DIMS(3), FLOATS(INFINITY, -INFINITY, NAN));
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(3), cases[i].values);
        op_case_free(c);
    }
}
END_TEST

START_TEST(relu_takes_integers)
{
    op_case *c = op_case_new("Relu", 14);
    op_input(c, MARY_INT8, DIMS(4), (int8_t[]){-128, -1, 0, 127});
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(4), (int8_t[]){0, 0, 0, 127});
    op_case_free(c);
    c = op_case_new("Relu", 14);
    op_input(c, MARY_INT64, DIMS(2), INTS(INT64_MIN, INT64_MAX));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2), INTS(0, INT64_MAX));
    op_case_free(c);
}
END_TEST

START_TEST(empty_and_scalar_inputs_are_fine)
{
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        op_case *c = op_case_new(functions[i].type, functions[i].opset);
        op_input(c, MARY_FLOAT, DIMS(2, 0, 3), NULL);
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(2, 0, 3), NULL);
        op_case_free(c);
        c = op_case_new(functions[i].type, functions[i].opset);
        op_input(c, MARY_FLOAT, SCALAR, NULL);
        op_run(c);
        ck_assert_int_eq(op_output(c, 0)->shape.rank, 0);
        op_case_free(c);
    }
}
END_TEST

START_TEST(gelu_has_two_approximations_and_refuses_others)
{
    op_case *c = op_case_new("Gelu", 20);
    op_attribute_string(c, "approximate", "tanh");
    op_input(c, MARY_FLOAT, DIMS(3), FLOATS(-1, 0, 1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(-0.15880801f, 0, 0.84119199f));
    op_case_free(c);
    c = op_case_new("Gelu", 20);
    op_attribute_string(c, "approximate", "sigmoid");
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(0));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "sigmoid");
    op_case_free(c);
}
END_TEST

START_TEST(types_without_a_loop_are_refused)
{
    op_case *c = op_case_new("Sigmoid", 13);
    op_input(c, MARY_INT32, DIMS(1), (int32_t[]){1});
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "int32");
    op_case_free(c);
    c = op_case_new("Relu", 14);
    op_input(c, MARY_BOOL, DIMS(1), BOOLS(1));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "bool");
    op_case_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops/activations");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 600);
    tcase_add_loop_test(all, activations_follow_their_formula_in_float_and_double, 0, 2 * FUNCTION_COUNT);
    tcase_add_loop_test(all, activations_are_the_same_channels_last_and_in_pieces, 0, FUNCTION_COUNT);
    tcase_add_test(all, sigmoid_like_functions_keep_relative_precision);
    tcase_add_test(all, infinities_and_nan_come_out_right);
    tcase_add_test(all, relu_takes_integers);
    tcase_add_test(all, empty_and_scalar_inputs_are_fine);
    tcase_add_test(all, gelu_has_two_approximations_and_refuses_others);
    tcase_add_test(all, types_without_a_loop_are_refused);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
