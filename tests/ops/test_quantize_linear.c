/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(quantising_rounds_to_even_and_saturates)
{
    op_case *c = op_case_new("QuantizeLinear", 10);
    op_input(c, MARY_FLOAT, DIMS(9), FLOATS(1, 3, 5, -1, 1000, -1000, NAN, INFINITY, -INFINITY));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(2));
    op_input(c, MARY_UINT8, SCALAR, BOOLS(128));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(9), BOOLS(128, 130, 130, 128, 255, 0, 128, 255, 0));
    op_case_free(c);
    c = op_case_new("QuantizeLinear", 13);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, -3, 300, -300));
    op_input(c, MARY_FLOAT, DIMS(1), FLOATS(2));
    op_input(c, MARY_INT8, DIMS(1), (const int8_t[]){1});
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(4), (const int8_t[]){1, -1, 127, -128});
    op_case_free(c);
    c = op_case_new("QuantizeLinear", 21);
    op_attribute_int(c, "output_dtype", MARY_INT16);
    op_input(c, MARY_INT32, DIMS(3), (const int32_t[]){7, -70000, 1 << 30});
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(2));
    op_run(c);
    op_expect(c, 0, MARY_INT16, DIMS(3), (const int16_t[]){4, INT16_MIN, INT16_MAX});
    op_case_free(c);
}
END_TEST

START_TEST(a_scale_per_channel_or_block)
{
    op_case *c = op_case_new("QuantizeLinear", 13);
    op_attribute_int(c, "axis", -2);
    op_input(c, MARY_FLOAT, DIMS(2, 2, 2), FLOATS(1, 2, 10, 20, 3, 4, 30, 40));
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 10));
    op_input(c, MARY_UINT8, DIMS(2), BOOLS(0, 5));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2, 2, 2), BOOLS(1, 2, 6, 7, 3, 4, 8, 9));
    op_case_free(c);
    c = op_case_new("DequantizeLinear", 21);
    op_attribute_int(c, "axis", 1);
    op_attribute_int(c, "block_size", 2);
    op_input(c, MARY_UINT8, DIMS(1, 3, 2), BOOLS(1, 2, 3, 4, 5, 6));
    op_input(c, MARY_FLOAT, DIMS(1, 2, 2), FLOATS(1, 10, 100, 1000));
    op_input(c, MARY_UINT8, DIMS(1, 2, 2), BOOLS(1, 0, 0, 5));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 3, 2), FLOATS(0, 20, 2, 40, 500, 1000));
    op_case_free(c);
}
END_TEST

START_TEST(dequantising_takes_int32_and_halves)
{
    op_case *c = op_case_new("DequantizeLinear", 10);
    op_input(c, MARY_INT32, DIMS(2), (const int32_t[]){-30, 1 << 20});
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.5f));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(-15, 524288));
    op_case_free(c);
    c = op_case_new("DequantizeLinear", 19);
    op_input(c, MARY_INT8, DIMS(2), (const int8_t[]){-128, 3});
    op_input(c, MARY_FLOAT16, SCALAR, (const uint16_t[]){0x3800}); /* 0.5 */
    op_run(c);
    op_expect(c, 0, MARY_FLOAT16, DIMS(2), (const uint16_t[]){0xd400, 0x3e00});
    op_case_free(c);
}
END_TEST

START_TEST(dynamic_quantisation_includes_zero_in_the_range)
{
    op_case *c = op_case_new("DynamicQuantizeLinear", 11);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(6), FLOATS(0, 2, -3, -2.5f, 1.34f, 0.5f));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(6), BOOLS(153, 255, 0, 26, 221, 179));
    op_expect(c, 1, MARY_FLOAT, SCALAR, FLOATS(0.0196078438f));
    op_expect(c, 2, MARY_UINT8, SCALAR, BOOLS(153));
    op_case_free(c);
    c = op_case_new("DynamicQuantizeLinear", 11);
    op_outputs(c, 3);
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(0, 0));
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(2), BOOLS(0, 0));
    op_case_free(c);
}
END_TEST

START_TEST(scales_that_do_not_fit_are_refused)
{
    op_case *c = op_case_new("QuantizeLinear", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "2 scales for axis 1 of length 3");
    op_case_free(c);
    c = op_case_new("QuantizeLinear", 10);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    op_input(c, MARY_FLOAT, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "opset 10");
    op_case_free(c);
    c = op_case_new("DequantizeLinear", 21);
    op_attribute_int(c, "block_size", 2);
    op_input(c, MARY_UINT8, DIMS(2, 3), NULL);
    op_input(c, MARY_FLOAT, DIMS(2, 1), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "blocks of 2");
    op_case_free(c);
    c = op_case_new("DequantizeLinear", 13);
    op_input(c, MARY_UINT8, DIMS(2, 3), NULL);
    op_input(c, MARY_FLOAT, SCALAR, NULL);
    op_input(c, MARY_UINT8, DIMS(3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "differ in shape");
    op_case_free(c);
    c = op_case_new("QuantizeLinear", 21);
    op_attribute_int(c, "output_dtype", 21);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    op_input(c, MARY_FLOAT, SCALAR, NULL);
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "output type 21");
    op_case_free(c);
}
END_TEST

START_TEST(one_scale_works_in_both_layouts)
{
    static const char *const types[] = {"QuantizeLinear", "DequantizeLinear"};
    static const int64_t shapes[][4] = {{2, 19, 3, 5}, {1, 64, 7, 7}, {1, 3, 40, 40}, {1, 0, 2, 2}};
    for (int i = 0; i < 8; i++) {
        op_case *c = op_case_new(types[i % 2], 13);
        op_input(c, i % 2 ? MARY_UINT8 : MARY_FLOAT, 4, shapes[i / 2], NULL);
        op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.013f));
        op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){99});
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
        c = op_case_new(types[i % 2], 13); /* scales along the channels: plain only */
        op_input(c, i % 2 ? MARY_UINT8 : MARY_FLOAT, DIMS(2, 3, 4), NULL);
        op_constant(c, MARY_FLOAT, DIMS(3), FLOATS(0.1f, 0.2f, 0.3f));
        op_run(c);
        ck_assert_int_eq(op_ran_channels_last(c), false);
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/quantize_linear", quantising_rounds_to_even_and_saturates, a_scale_per_channel_or_block,
               dequantising_takes_int32_and_halves, dynamic_quantisation_includes_zero_in_the_range,
               scales_that_do_not_fit_are_refused, one_scale_works_in_both_layouts)
