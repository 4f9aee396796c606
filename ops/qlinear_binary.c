/* com.microsoft QLinearAdd and QLinearMul: A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point,
 * with numpy's broadcasting. */
#include <string.h>

#include "ops/copy.h"
#include "ops/qlinear_kernels.h"

enum { A = 0, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, C_SCALE, C_ZERO, INPUTS };

typedef struct binary_state {
    bool product;
    mary_broadcast_loop *loop;
} binary_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(binary_state)));
    binary_state *state = node->state;
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(mary_cpu_current());
    state->product = strcmp(node->op->type, "QLinearMul") == 0;
    state->loop = state->product ? kernels->multiply : kernels->add;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape shape;
    MARY_TRY(mary_op_expect_inputs(node, call, A_SCALE + 1, INPUTS));
    MARY_TRY(mary_qlinear_expect_u8(node, call, A, "A"));
    MARY_TRY(mary_qlinear_expect_u8(node, call, B, "B"));
    MARY_TRY(mary_quantisation_check(node, call, A_SCALE, "A"));
    MARY_TRY(mary_quantisation_check(node, call, B_SCALE, "B"));
    MARY_TRY(mary_quantisation_check(node, call, C_SCALE, "C"));
    const mary_tensor *pair[2] = {call->inputs[A], call->inputs[B]};
    const mary_op_call both = {.inputs = pair, .input_count = 2};
    MARY_TRY(mary_broadcast_shape(node, &both, 2, &shape));
    return mary_copy_set_output(node, call, MARY_UINT8, &shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const binary_state *state = node->state;
    mary_quantisation a, b, c;
    MARY_TRY(mary_quantisation_read(node, call, A_SCALE, "A", &a));
    MARY_TRY(mary_quantisation_read(node, call, B_SCALE, "B", &b));
    MARY_TRY(mary_quantisation_read(node, call, C_SCALE, "C", &c));
    const mary_qlinear_pair pair = {.a_zero = a.zero,
                                    .b_zero = b.zero,
                                    .a_ratio = state->product ? a.scale * b.scale / c.scale : a.scale / c.scale,
                                    .b_ratio = b.scale / c.scale,
                                    .to = mary_requantisation_to(c.zero)};
    const mary_tensor *x[2] = {call->inputs[A], call->inputs[B]};
    mary_broadcast_run(call->parallel, state->loop, &pair, x, 2, call->outputs[0]);
    return MARY_OK;
}

#define OPERATOR(name)                                                                                                 \
    {                                                                                                                  \
        .domain = "com.microsoft", .type = name, .since = 1, .flags = MARY_OP_IN_PLACE, .prepare = prepare,            \
        .infer = infer, .run = run, .channels_last = mary_broadcast_channels_last                                      \
    }

const mary_op mary_ops_qlinear_binary[] = {OPERATOR("QLinearAdd"), OPERATOR("QLinearMul"), MARY_OP_END};
