/* Constant, ConstantOfShape, Range, EyeLike. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(constants_come_from_any_attribute)
{
    op_case *c = op_case_new("Constant", 13);
    op_attribute_float(c, "value_float", 1.5f);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, SCALAR, FLOATS(1.5f));
    op_case_free(c);
    c = op_case_new("Constant", 13);
    op_attribute_ints(c, "value_ints", DIMS(3, -4));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2), INTS(3, -4));
    op_case_free(c);
    c = op_case_new("Constant", 12);
    op_attribute_floats(c, "value_floats", 0, NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(0), NULL);
    op_case_free(c);
    Onnx__TensorProto value;
    onnx__tensor_proto__init(&value);
    value.has_data_type = 1;
    value.data_type = MARY_INT32;
    value.dims = (int64_t[]){2, 1};
    value.n_dims = 2;
    value.int32_data = (int32_t[]){7, 8};
    value.n_int32_data = 2;
    c = op_case_new("Constant", 1);
    op_attribute_tensor(c, "value", &value);
    op_run(c);
    op_expect(c, 0, MARY_INT32, DIMS(2, 1), (const int32_t[]){7, 8});
    op_case_free(c);
}
END_TEST

START_TEST(constants_of_strings_or_none_are_refused)
{
    op_case *c = op_case_new("Constant", 13);
    op_attribute_string(c, "value_string", "text");
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "value_string");
    op_case_free(c);
    c = op_case_new("Constant", 13);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "0 values");
    op_case_free(c);
    c = op_case_new("Constant", 13);
    op_attribute_int(c, "value_int", 1);
    op_attribute_float(c, "value_float", 1);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "2 values");
    op_case_free(c);
}
END_TEST

START_TEST(constant_of_shape_fills)
{
    op_case *c = op_case_new("ConstantOfShape", 9);
    op_input(c, MARY_INT64, DIMS(2), INTS(2, 2));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 2), FLOATS(0, 0, 0, 0));
    op_case_free(c);
    Onnx__TensorProto value;
    onnx__tensor_proto__init(&value);
    value.has_data_type = 1;
    value.data_type = MARY_INT64;
    value.dims = (int64_t[]){1};
    value.n_dims = 1;
    value.int64_data = (int64_t[]){-5};
    value.n_int64_data = 1;
    c = op_case_new("ConstantOfShape", 9);
    op_attribute_tensor(c, "value", &value);
    op_input(c, MARY_INT64, DIMS(1), INTS(3));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(3), INTS(-5, -5, -5));
    ck_assert(op_infer_unknown(c, 0) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("ConstantOfShape", 9);
    op_attribute_tensor(c, "value", &value);
    op_input(c, MARY_INT64, DIMS(0), NULL);
    op_run(c);
    op_expect(c, 0, MARY_INT64, SCALAR, INTS(-5));
    op_case_free(c);
}
END_TEST

START_TEST(constant_of_an_absurd_shape_is_refused)
{
    op_case *c = op_case_new("ConstantOfShape", 9);
    op_input(c, MARY_INT64, DIMS(2), INTS(1LL << 40, 1LL << 40));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "too large");
    op_case_free(c);
    c = op_case_new("ConstantOfShape", 9);
    op_input(c, MARY_INT64, DIMS(2), INTS(1LL << 20, 1LL << 20));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "16 GiB");
    op_case_free(c);
    c = op_case_new("ConstantOfShape", 9);
    op_input(c, MARY_INT64, DIMS(1), INTS(-1));
    assert_fails(op_try(c), MARY_ERROR_INVALID, "negative");
    op_case_free(c);
}
END_TEST

START_TEST(range_stops_before_its_limit)
{
    op_case *c = op_case_new("Range", 11);
    op_input(c, MARY_INT64, SCALAR, INTS(10));
    op_input(c, MARY_INT64, SCALAR, INTS(4));
    op_input(c, MARY_INT64, SCALAR, INTS(-2));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(3), INTS(10, 8, 6));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
    c = op_case_new("Range", 11);
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(1));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.4f));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3), FLOATS(0, 0.4f, 0.8f));
    op_case_free(c);
}
END_TEST

START_TEST(ranges_without_end_are_refused)
{
    static const float wrong[][3] = {{0, 1, 0}, {0, INFINITY, 1}, {NAN, 1, 1}, {0, 1e30f, 1e-30f}};
    static const int64_t whole[][3] = {{0, 1, 0}, {INT64_MIN, INT64_MAX, 1}, {INT64_MAX, INT64_MIN, -3}};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new("Range", 11);
        for (int k = 0; k < 3; k++)
            op_input(c, MARY_FLOAT, SCALAR, &wrong[i][k]);
        ck_assert(op_try(c) != MARY_OK);
        op_case_free(c);
    }
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new("Range", 11);
        for (int k = 0; k < 3; k++)
            op_input(c, MARY_INT64, SCALAR, &whole[i][k]);
        ck_assert(op_try(c) != MARY_OK);
        op_case_free(c);
    }
}
END_TEST

START_TEST(eye_like_sets_one_diagonal)
{
    op_case *c = op_case_new("EyeLike", 9);
    op_attribute_int(c, "k", 1);
    op_attribute_int(c, "dtype", MARY_FLOAT);
    op_input(c, MARY_INT32, DIMS(2, 3), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), FLOATS(0, 1, 0, 0, 0, 1));
    op_case_free(c);
    c = op_case_new("EyeLike", 9);
    op_attribute_int(c, "k", INT64_MIN);
    op_input(c, MARY_BOOL, DIMS(1, 2), NULL);
    op_run(c);
    op_expect(c, 0, MARY_BOOL, DIMS(1, 2), BOOLS(0, 0));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/constant", constants_come_from_any_attribute, constants_of_strings_or_none_are_refused,
               constant_of_shape_fills, constant_of_an_absurd_shape_is_refused, range_stops_before_its_limit,
               ranges_without_end_are_refused, eye_like_sets_one_diagonal)
