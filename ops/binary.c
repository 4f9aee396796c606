/* The driver of operators of two inputs. */
#include "ops/binary.h"

#include <string.h>

#include "ops/cpu.h"

static mary_broadcast_loop *kernel_loop(mary_binary_kernel kernel)
{
#if defined(__x86_64__)
    switch (mary_cpu_base(mary_cpu_current())) {
    case MARY_CPU_AVX512:
        return mary_binary_avx512[kernel];
    case MARY_CPU_AVX2:
        return mary_binary_avx2[kernel];
    default:
        break;
    }
#endif
    return mary_binary_scalar[kernel];
}

mary_status mary_binary_prepare_as(mary_op_node *node, const mary_binary *binary)
{
    mary_binary_state *state = mary_alloc(sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    *state = (mary_binary_state){.binary = binary};
    state->float_loop = binary->kernel == MARY_BINARY_none ? binary->loops[MARY_FLOAT] : kernel_loop(binary->kernel);
    node->state = state;
    return MARY_OK;
}

mary_status mary_binary_prepare(mary_op_node *node, const mary_binary *list)
{
    while (list->type != NULL && strcmp(list->type, node->op->type) != 0)
        list++;
    if (list->type == NULL)
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "has no description");
    return mary_binary_prepare_as(node, list);
}

mary_broadcast_loop *mary_binary_loop_for(const mary_binary_state *state, mary_type type)
{
    if (type == MARY_FLOAT)
        return state->float_loop;
    return (unsigned)type <= MARY_BFLOAT16 ? state->binary->loops[type] : NULL;
}

mary_status mary_binary_infer(const mary_op_node *node, mary_op_call *call)
{
    const mary_binary_state *state = node->state;
    mary_shape shape;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 2));
    mary_type type = call->inputs[0]->type;
    if (call->inputs[1]->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "inputs of different types: %s and %s", mary_type_name(type),
                            mary_type_name(call->inputs[1]->type));
    if (mary_binary_loop_for(state, type) == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    mary_tensor view;
    MARY_TRY(mary_broadcast_align(node, call, &view));
    const mary_tensor *pair[2] = {call->inputs[0], &view};
    const mary_op_call aligned = {.inputs = pair, .input_count = 2};
    MARY_TRY(mary_broadcast_shape(node, &aligned, 2, &shape));
    return mary_op_set_output(node, call, 0, state->binary->result == MARY_UNDEFINED ? type : state->binary->result,
                              &shape);
}

mary_status mary_binary_run(const mary_op_node *node, mary_op_call *call)
{
    mary_broadcast_loop *loop = mary_binary_loop_for(node->state, call->inputs[0]->type);
    mary_tensor view;
    MARY_TRY(mary_broadcast_align(node, call, &view));
    const mary_tensor *pair[2] = {call->inputs[0], &view};
    mary_broadcast_run(call->parallel, loop, NULL, pair, 2, call->outputs[0]);
    return MARY_OK;
}
