/* ChannelShuffle: channel c of group g goes to place c * groups + g, in both layouts and for any type. */
#include "onnx/memory.h"
#include "ops/channel_shuffle.h"
#include "ops/cpu.h"
#include "tests/support/suite.h"

enum { MOST = 2 * 64 * 12 };

static void check(int64_t batch, int64_t channels, int64_t groups, bool last, int64_t gap, mary_cpu cpu)
{
    enum { PIXELS = 6 };
    static uint8_t x[2 * MOST], y[2 * MOST];
    const mary_op *op = mary_op_find(MARY_INTERNAL_DOMAIN, "ChannelShuffle", 1);
    mary_tensor from = {.type = MARY_UINT8,
                        .layout = last ? MARY_LAYOUT_CHANNELS_LAST : MARY_LAYOUT_PLAIN,
                        .shape = {4, {batch, channels, 2, 3}},
                        .pixel_stride = last ? channels + gap : 0,
                        .data = x};
    mary_tensor to = from;
    to.data = y;
    mary_op_node node = {.op = op, .name = "shuffle", .opset = 1, .channels_last = last};
    const mary_tensor *inputs[] = {&from};
    mary_tensor *outputs[] = {&to};
    mary_op_call call = {.inputs = inputs, .input_count = 1, .outputs = outputs, .output_count = 1};
    for (int i = 0; i < 2 * MOST; i++) {
        x[i] = (uint8_t)(i * 31 + i / 256);
        y[i] = 99;
    }
    mary_cpu_set(cpu);
    assert_ok(mary_channel_shuffle_set(&node, groups));
    assert_ok(op->infer(&node, &call));
    assert_ok(op->run(&node, &call));
    int64_t stride = channels + gap, each = channels / groups;
    for (int64_t i = 0; i < batch * channels * PIXELS; i++) {
        int64_t n = i / PIXELS / channels, c = i / PIXELS % channels, p = i % PIXELS,
                source = c % groups * each + c / groups;
        int64_t at = last ? (n * PIXELS + p) * stride + c : i;
        int64_t origin = last ? (n * PIXELS + p) * stride + source : (n * channels + source) * PIXELS + p;
        ck_assert_int_eq(y[at], x[origin]);
    }
    for (int64_t i = 0; last && i < batch * PIXELS * stride; i++)
        ck_assert(i % stride < channels || y[i] == 99);
    mary_free(node.state);
}

START_TEST(channels_of_the_groups_alternate)
{
    mary_cpu before = mary_cpu_current();
    for (int cpu = 0; cpu < MARY_CPU_COUNT; cpu++) {
        for (int64_t half = 1; mary_cpu_supported((mary_cpu)cpu) && half <= 40; half += 3) {
            check(1, 2 * half, 2, true, half % 3, (mary_cpu)cpu);
            check(2, 2 * half, 2, false, 0, (mary_cpu)cpu);
            check(1, 3 * half, 3, true, half % 2, (mary_cpu)cpu);
        }
    }
    mary_cpu_set(before);
}
END_TEST

MARY_TEST_MAIN("ops/channel_shuffle", channels_of_the_groups_alternate)
