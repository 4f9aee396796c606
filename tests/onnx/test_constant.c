/* Tensors of every encoding. */
#include "tests/support/suite.h"

#include <string.h>

#include "onnx/model.h"

static const mary_model model = {0};

START_TEST(encode_then_decode_gives_the_same_tensor)
{
    float values[6] = {1, 2, 3, -4, 5, 6};
    mary_tensor tensor = {.type = MARY_FLOAT, .shape = {2, {2, 3}}, .data = values};
    Onnx__TensorProto *message;
    assert_ok(mary_constant_encode(&tensor, "w", &message));
    ck_assert_str_eq(message->name, "w");
    mary_constant constant;
    assert_ok(mary_constant_decode(&model, message, &constant));
    ck_assert(!constant.owned);
    ck_assert_int_eq(constant.tensor.type, MARY_FLOAT);
    ck_assert(mary_shape_equal(&constant.tensor.shape, &tensor.shape));
    ck_assert_mem_eq(constant.tensor.data, values, sizeof values);
    mary_constant_free(&constant);
    onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
}
END_TEST

START_TEST(typed_fields_are_narrowed_to_the_element_type)
{
    int32_t items[3] = {0x3c00, 0xc000, 0x7c00}; /* 1, -2, inf as float16 */
    int64_t dims[1] = {3};
    Onnx__TensorProto message = ONNX__TENSOR_PROTO__INIT;
    message.dims = dims, message.n_dims = 1;
    message.has_data_type = true, message.data_type = MARY_FLOAT16;
    message.int32_data = items, message.n_int32_data = 3;
    float *values;
    mary_shape shape;
    assert_ok(mary_constant_floats(&model, &message, &values, &shape));
    ck_assert(values[0] == 1 && values[1] == -2 && values[2] > 1e30f);
    mary_free(values);
    message.n_int32_data = 2;
    assert_fails(mary_constant_floats(&model, &message, &values, &shape), MARY_ERROR_INVALID, "2 elements");
}
END_TEST

START_TEST(tensor_without_elements_has_data)
{
    int64_t dims[2] = {0, 4};
    Onnx__TensorProto message = ONNX__TENSOR_PROTO__INIT;
    message.dims = dims, message.n_dims = 2;
    message.has_data_type = true, message.data_type = MARY_INT64;
    mary_constant constant;
    assert_ok(mary_constant_decode(&model, &message, &constant));
    ck_assert_ptr_nonnull(constant.tensor.data);
    mary_constant_free(&constant);
}
END_TEST

MARY_TEST_MAIN("onnx/constant", encode_then_decode_gives_the_same_tensor, typed_fields_are_narrowed_to_the_element_type,
               tensor_without_elements_has_data)
