/* Gradients of element-wise operators of one input, and of views. */
#include "tests/support/gradient_check.h"

START_TEST(gradients_of_functions_agree_with_differences)
{
    static const struct {
        const char *type;
        int opset;
        bool positive;
    } functions[] = {{"Relu", 14, false},      {"LeakyRelu", 16, false}, {"ThresholdedRelu", 10, false},
                     {"Sigmoid", 13, false},   {"Swish", 24, false},     {"HardSigmoid", 6, false},
                     {"HardSwish", 14, false}, {"Tanh", 13, false},      {"Elu", 6, false},
                     {"Selu", 6, false},       {"Celu", 12, false},      {"Gelu", 20, false},
                     {"Mish", 18, false},      {"Softplus", 1, false},   {"Softsign", 1, false},
                     {"Shrink", 9, false},     {"Exp", 13, false},       {"Log", 13, true},
                     {"Erf", 13, false},       {"Sqrt", 13, true},       {"Abs", 13, false},
                     {"Neg", 13, false},       {"Reciprocal", 13, true}};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        float values[2 * 3 * 4 * 2];
        uint32_t seed = 5 + (uint32_t)i;
        for (int k = 0; k < 48; k++) /* no corner of any of them is within the step of a difference */
            values[k] = (float)gradient_random(&seed, 1, 400) / 100.0f + 0.0031f - (functions[i].positive ? 0 : 2.0f);
        op_case *c = op_case_new(functions[i].type, functions[i].opset);
        op_input(c, MARY_FLOAT, DIMS(2, 3, 4, 2), values);
        gradient_check(c);
        ck_assert(gradient_checked_channels_last());
        op_case_free(c);
    }
    op_case *c = op_case_new("Gelu", 20);
    op_attribute_string(c, "approximate", "tanh");
    op_input(c, MARY_FLOAT, DIMS(3, 7), NULL);
    gradient_check(c);
    op_case_free(c);
}
END_TEST

START_TEST(functions_without_a_derivative_are_refused)
{
    op_case *c = op_case_new("Floor", 13);
    int opset;
    const Onnx__NodeProto *proto = op_node(c, &opset);
    mary_op_node node = {.op = mary_op_find("", "Floor", 13), .proto = proto, .name = "node", .opset = 13};
    assert_ok(node.op->prepare(&node));
    assert_fails(node.op->gradient->check(&node), MARY_ERROR_UNSUPPORTED, "no derivative");
    free(node.state);
    op_case_free(c);
}
END_TEST

START_TEST(views_hand_gradients_through)
{
    op_case *c = op_case_new("Reshape", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
    op_constant(c, MARY_INT64, DIMS(2), INTS(6, 4));
    gradient_check(c);
    op_case_free(c);
    c = op_case_new("Flatten", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3, 4), NULL);
    gradient_check(c);
    op_case_free(c);
    c = op_case_new("Identity", 13);
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    gradient_check(c);
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/unary_backward", gradients_of_functions_agree_with_differences,
               functions_without_a_derivative_are_refused, views_hand_gradients_through)
