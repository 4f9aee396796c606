/* Add, Sub, Mul, Div, Mod, PRelu: broadcasting in every layout, integers at their limits. */
#include "tests/support/op_run.h"

#include <math.h>

/* Random operands of two shapes; the result is compared with plain nested indexing. */
static void check_broadcast(const char *type, int rank, const int64_t *dims, int a_rank, const int64_t *a_dims,
                            int b_rank, const int64_t *b_dims, bool b_constant)
{
    op_case *c = op_case_new(type, 14);
    op_input(c, MARY_FLOAT, a_rank, a_dims, NULL);
    (b_constant ? op_constant : op_input)(c, MARY_FLOAT, b_rank, b_dims, NULL);
    op_run(c);
    ck_assert_int_eq(op_ran_channels_last(c), rank >= 3);
    const mary_tensor *y = op_output(c, 0);
    ck_assert_int_eq(y->shape.rank, rank);
    const float *a = op_input_tensor(c, 0)->data, *b = op_input_tensor(c, 1)->data;
    for (int64_t i = 0; i < mary_shape_count(&y->shape); i++) {
        int64_t rest = i, at_a = 0, at_b = 0, step_a = 1, step_b = 1;
        for (int d = rank - 1; d >= 0; d--) {
            ck_assert_int_eq(y->shape.dims[d], dims[d]);
            int64_t index = rest % dims[d];
            rest /= dims[d];
            int da = d - (rank - a_rank), db = d - (rank - b_rank);
            if (da >= 0) {
                at_a += a_dims[da] == 1 ? 0 : index * step_a;
                step_a *= a_dims[da];
            }
            if (db >= 0) {
                at_b += b_dims[db] == 1 ? 0 : index * step_b;
                step_b *= b_dims[db];
            }
        }
        float expected = strcmp(type, "Sub") == 0 ? a[at_a] - b[at_b] : a[at_a] * b[at_b];
        ck_assert_msg(((const float *)y->data)[i] == expected, "%s: element %lld is %g, expected %g", type,
                      (long long)i, (double)((const float *)y->data)[i], (double)expected);
    }
    op_case_free(c);
}

START_TEST(broadcasting_follows_numpy_in_every_layout)
{
    for (int constant = 0; constant < 2; constant++) {
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), constant);
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(1), constant);
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), SCALAR, constant);
        check_broadcast("Mul", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(19, 1, 1), constant);
        check_broadcast("Mul", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(2, 19, 1, 1), constant);
        check_broadcast("Mul", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(2, 1, 5, 7), constant);
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(2, 19, 5, 7), DIMS(7), constant);
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(19, 1, 7), DIMS(2, 1, 5, 1), constant);
        check_broadcast("Sub", DIMS(2, 19, 5, 7), DIMS(5, 7), DIMS(2, 19, 1, 1), constant);
        check_broadcast("Mul", DIMS(2, 1, 5, 7), DIMS(2, 1, 5, 7), DIMS(2, 1, 5, 7), constant);
        check_broadcast("Mul", DIMS(2, 1, 5, 7), DIMS(2, 1, 5, 7), DIMS(5, 1), constant);
        check_broadcast("Sub", DIMS(3, 4), DIMS(3, 1), DIMS(1, 4), constant);
        check_broadcast("Sub", DIMS(3, 4), DIMS(4), DIMS(3, 4), constant);
        check_broadcast("Sub", DIMS(2, 3, 4, 5, 6), DIMS(2, 1, 4, 1, 6), DIMS(3, 1, 5, 1), constant);
        check_broadcast("Sub", DIMS(4, 33), DIMS(4, 33), DIMS(33), constant);
        check_broadcast("Sub", DIMS(1, 1, 1), DIMS(1, 1, 1), DIMS(1, 1, 1), constant);
        check_broadcast("Sub", DIMS(2, 2, 2, 2, 2, 2, 2, 2), DIMS(2, 1, 2, 1, 2, 1, 2, 1), DIMS(1, 2, 1, 2, 1, 2, 1, 2),
                        constant);
    }
    check_broadcast("Sub", SCALAR, SCALAR, SCALAR, false);
}
END_TEST

START_TEST(large_tensors_are_the_same_in_pieces)
{
    check_broadcast("Sub", DIMS(100003), DIMS(100003), DIMS(100003), false);
    check_broadcast("Mul", DIMS(1, 40, 61, 59), DIMS(1, 40, 61, 59), DIMS(1, 40, 1, 1), false);
    check_broadcast("Mul", DIMS(3, 50001), DIMS(3, 50001), DIMS(3, 1), false);
}
END_TEST

START_TEST(zero_size_broadcasts_to_zero_size)
{
    op_case *c = op_case_new("Add", 14);
    op_input(c, MARY_FLOAT, DIMS(3, 0, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(1, 2), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 0, 2), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(shapes_and_types_that_do_not_match_are_refused)
{
    op_case *c = op_case_new("Add", 14);
    op_input(c, MARY_FLOAT, DIMS(3, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "[3,2] and [3] do not broadcast");
    op_case_free(c);
    c = op_case_new("Add", 14);
    op_input(c, MARY_FLOAT, DIMS(3), NULL);
    op_input(c, MARY_INT32, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "different types: float and int32");
    op_case_free(c);
    c = op_case_new("Mul", 14);
    op_input(c, MARY_BOOL, DIMS(3), NULL);
    op_input(c, MARY_BOOL, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "bool");
    op_case_free(c);
    c = op_case_new("PRelu", 16);
    op_input(c, MARY_FLOAT, DIMS(3), NULL);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "slope");
    op_case_free(c);
}
END_TEST

START_TEST(before_opset_7_the_second_input_lies_along_an_axis)
{
    static const float expected[3][4] = {{9, 8, 17, 16}, {9, 18, 7, 16}, {-10, -20, -60, -80}};
    for (int variant = 0; variant < 3; variant++) { /* along axis 1; along the last dims; PRelu's channels */
        op_case *c = op_case_new(variant == 2 ? "PRelu" : "Add", 6);
        if (variant != 2)
            op_attribute_int(c, "broadcast", 1);
        if (variant == 0)
            op_attribute_int(c, "axis", 1);
        op_input(c, MARY_FLOAT, DIMS(1, 2, 2), FLOATS(-1, -2, -3, -4));
        op_input(c, MARY_FLOAT, DIMS(2), FLOATS(10, 20));
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(1, 2, 2), expected[variant]);
        op_case_free(c);
    }
    op_case *c = op_case_new("Mul", 6);
    op_attribute_int(c, "broadcast", 1);
    op_attribute_int(c, "axis", 2);
    op_input(c, MARY_FLOAT, DIMS(2, 2), NULL);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "at axis 2");
    op_case_free(c);
}
END_TEST

/* One operator on two vectors. */
static op_case *vectors(const char *op, mary_type type, int64_t count, const void *a, const void *b)
{
    op_case *c = op_case_new(op, 14);
    op_input(c, type, DIMS(count), a);
    op_input(c, type, DIMS(count), b);
    return c;
}

START_TEST(integers_wrap_and_division_never_traps)
{
    op_case *c =
        vectors("Div", MARY_INT32, 6, (int32_t[]){INT32_MIN, 7, -7, 7, -7, 5}, (int32_t[]){-1, 2, 2, -2, -2, 0});
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(6), (int32_t[]){INT32_MIN, 3, -3, -3, 3, 0});
    op_case_free(c);
    c = vectors("Div", MARY_INT64, 2, INTS(INT64_MIN, 1), INTS(-1, 0));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2), INTS(INT64_MIN, 0));
    op_case_free(c);
    c = vectors("Div", MARY_UINT8, 3, (uint8_t[]){255, 7, 1}, (uint8_t[]){2, 0, 255});
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(3), (uint8_t[]){127, 0, 0});
    op_case_free(c);
    c = vectors("Add", MARY_INT32, 2, (int32_t[]){INT32_MAX, 1}, (int32_t[]){1, 2});
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2), (int32_t[]){INT32_MIN, 3});
    op_case_free(c);
    c = vectors("Mul", MARY_UINT16, 2, (uint16_t[]){65535, 300}, (uint16_t[]){65535, 300});
    op_run(c);
    op_expect(c, 0, MARY_UINT16, DIMS(2), (uint16_t[]){1, 24464});
    op_case_free(c);
    c = vectors("Sub", MARY_INT8, 2, (int8_t[]){-128, 0}, (int8_t[]){1, -128});
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(2), (int8_t[]){127, -128});
    op_case_free(c);
}
END_TEST

START_TEST(mod_takes_the_sign_of_the_divisor_or_of_the_dividend)
{
    const int32_t a[] = {-4, 7, 5, 4, -7, 8, INT32_MIN, 3}, b[] = {2, -3, 8, -2, 3, 5, -1, 0};
    op_case *c = vectors("Mod", MARY_INT32, 8, a, b);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(8), (int32_t[]){0, -2, 5, 0, 2, 3, 0, 0});
    op_case_free(c);
    c = vectors("Mod", MARY_INT32, 8, a, b);
    op_attribute_int(c, "fmod", 1);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(8), (int32_t[]){0, 1, 5, 0, -1, 3, 0, 0});
    op_case_free(c);
    c = vectors("Mod", MARY_FLOAT, 5, FLOATS(-4.3f, 7.2f, 5, 1, INFINITY), FLOATS(2.1f, -3.4f, 8, 0, 1));
    op_attribute_int(c, "fmod", 1);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(5), FLOATS(-0.1f, 0.4f, 5, NAN, NAN));
    op_case_free(c);
    c = vectors("Mod", MARY_FLOAT, 5, FLOATS(-4.5f, 4.5f, -1, 0, -1), FLOATS(2, -2, INFINITY, -3, -INFINITY));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(5), FLOATS(1.5f, -1.5f, INFINITY, -0.0f, -1));
    op_case_free(c);
    c = vectors("Mod", MARY_FLOAT, 1, FLOATS(1), FLOATS(1));
    op_attribute_int(c, "fmod", 2);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "fmod");
    op_case_free(c);
}
END_TEST

START_TEST(prelu_scales_negative_values_by_channel)
{
    op_case *c = op_case_new("PRelu", 16);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 1, 2), FLOATS(-1, 2, -3, 4, -5, NAN));
    op_constant(c, MARY_FLOAT, DIMS(3, 1, 1), FLOATS(0.5f, 2, -1));
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 3, 1, 2), FLOATS(-0.5f, 2, -6, 4, 5, NAN));
    op_case_free(c);
    c = vectors("PRelu", MARY_INT64, 2, INTS(-3, 3), INTS(2, 2));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2), INTS(-6, 3));
    op_case_free(c);
}
END_TEST

START_TEST(every_type_has_its_arithmetic)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_DOUBLE, MARY_INT8,   MARY_INT16,  MARY_INT32,
                                      MARY_INT64, MARY_UINT8,  MARY_UINT16, MARY_UINT32, MARY_UINT64};
    static const char *const operators[] = {"Add", "Sub", "Mul", "Div", "Mod"};
    for (size_t o = 0; o < 5; o++) {
        for (size_t t = 0; t < 10; t++) {
            op_case *c = op_case_new(operators[o], 14);
            op_input(c, types[t], DIMS(2, 3, 4), NULL);
            op_input(c, types[t], DIMS(3, 1), NULL);
            op_run(c);
            const mary_tensor *a = op_input_tensor(c, 0), *b = op_input_tensor(c, 1), *y = op_output(c, 0);
            for (int64_t i = 0; i < 24; i++) {
                double p = mary_tensor_double(a, i), q = mary_tensor_double(b, i / 4 % 3), r = mary_tensor_double(y, i);
                double expected = o == 0   ? p + q
                                  : o == 1 ? p - q
                                  : o == 2 ? p * q
                                  : o == 3 ? p / q
                                           : p - floor(p / q) * q;
                if (types[t] != MARY_FLOAT && types[t] != MARY_DOUBLE)
                    expected = o >= 3 && q == 0 ? 0 : trunc(expected);
                bool wraps =
                    expected < 0 && (types[t] == MARY_UINT8 || types[t] >= MARY_UINT32 || types[t] == MARY_UINT16);
                if (!wraps)
                    ck_assert_msg(fabs(r - expected) <= 1e-6 * fmax(1, fabs(expected)), "%s %s: %g and %g give %g",
                                  operators[o], mary_type_name(types[t]), p, q, r);
            }
            op_case_free(c);
        }
    }
}
END_TEST

MARY_TEST_MAIN("ops/arithmetic", broadcasting_follows_numpy_in_every_layout, large_tensors_are_the_same_in_pieces,
               before_opset_7_the_second_input_lies_along_an_axis, zero_size_broadcasts_to_zero_size,
               shapes_and_types_that_do_not_match_are_refused, integers_wrap_and_division_never_traps,
               mod_takes_the_sign_of_the_divisor_or_of_the_dividend, prelu_scales_negative_values_by_channel,
               every_type_has_its_arithmetic)
