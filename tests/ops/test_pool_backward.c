/* Gradients of pooling. */
#include "onnx/memory.h"
#include "tests/support/gradient_check.h"

static void check(const char *type, int rank, const int64_t *dims, const int64_t *window, int include_pad)
{
    op_case *c = op_case_new(type, 11);
    if (window != NULL) { /* kernel, strides, pads of `rank - 2` axes */
        const int axes = rank - 2;
        op_attribute_ints(c, "kernel_shape", axes, window);
        op_attribute_ints(c, "strides", axes, window + axes);
        op_attribute_ints(c, "pads", 2 * axes, window + 2 * axes);
    }
    if (include_pad)
        op_attribute_int(c, "count_include_pad", 1);
    op_input(c, MARY_FLOAT, rank, dims, NULL);
    gradient_check(c);
    ck_assert(gradient_checked_channels_last());
    op_case_free(c);
}

START_TEST(gradients_of_pools_agree_with_differences)
{
    static const int64_t windows[][8] = {
        {2, 2, 2, 2, 0, 0, 0, 0}, {3, 3, 1, 1, 1, 1, 1, 1}, {3, 2, 2, 3, 1, 0, 1, 1}, {2, 2, 3, 3, 0, 0, 0, 0}};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        check("MaxPool", DIMS(2, 3, 6, 7), windows[i], 0);
        check("MaxPool", DIMS(1, 70, 4, 5), windows[i], 0);
        check("AveragePool", DIMS(2, 3, 6, 7), windows[i], 0);
        check("AveragePool", DIMS(2, 65, 3, 4), windows[i], 1);
    }
    check("AveragePool", DIMS(2, 3, 9), (const int64_t[]){3, 2, 1, 1}, 1);
    check("MaxPool", DIMS(1, 2, 4, 4, 4), (const int64_t[]){2, 2, 2, 2, 1, 2, 0, 0, 0, 0, 0, 0}, 0);
    check("GlobalAveragePool", DIMS(3, 5, 4, 3), NULL, 0);
    check("GlobalMaxPool", DIMS(3, 5, 4, 3), NULL, 0);
}
END_TEST

/* Among equal values the first one has the gradient, all of it. */
START_TEST(equal_maxima_share_nothing)
{
    static const float x[4] = {1, 1, 1, 1}, g[1] = {3};
    float dx[4], y[1] = {1};
    const mary_op *op = mary_op_find("", "GlobalMaxPool", 11);
    Onnx__NodeProto proto = ONNX__NODE_PROTO__INIT;
    proto.op_type = (char *)(uintptr_t) "GlobalMaxPool";
    mary_op_node node = {.op = op, .proto = &proto, .name = "node", .opset = 11, .input_count = 1, .output_count = 1};
    assert_ok(op->prepare(&node));
    mary_tensor in = {.type = MARY_FLOAT, .shape = {4, {1, 1, 2, 2}}, .data = (void *)(uintptr_t)x};
    mary_tensor out = {.type = MARY_FLOAT, .shape = {4, {1, 1, 1, 1}}, .data = y};
    mary_tensor gradient = out, result = in;
    gradient.data = (void *)(uintptr_t)g;
    result.data = dx;
    const mary_tensor *ins[] = {&in}, *gradients[] = {&gradient};
    mary_tensor *outs[] = {&out}, *results[] = {&result};
    mary_op_call forward = {.inputs = ins, .input_count = 1, .outputs = outs, .output_count = 1};
    const bool add[] = {false};
    mary_gradient_call call = {
        .forward = &forward, .output_gradients = gradients, .input_gradients = results, .accumulate = add};
    assert_ok(op->gradient->backward(&node, &call));
    ck_assert(dx[0] == 3 && dx[1] == 0 && dx[2] == 0 && dx[3] == 0);
    mary_free(node.state);
}
END_TEST

MARY_TEST_MAIN("ops/pool_backward", gradients_of_pools_agree_with_differences, equal_maxima_share_nothing)
