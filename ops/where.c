/* Where: picks bytes by a condition, so it needs to know element sizes only. */
#include "ops/binary.h"

#define PICK(name, T)                                                                                                  \
    static void name(const void *context, const void *const *x, const int64_t *step, void *to, int64_t count)          \
    {                                                                                                                  \
        const uint8_t *condition = x[0];                                                                               \
        const T *yes = x[1], *no = x[2];                                                                               \
        T *y = to;                                                                                                     \
        const int64_t c = step[0], s = step[1], t = step[2];                                                           \
        (void)context;                                                                                                 \
        if (c == 1 && s == 1 && t == 1) {                                                                              \
            MARY_INDEPENDENT                                                                                           \
            for (int64_t i = 0; i < count; i++)                                                                        \
                y[i] = condition[i] != 0 ? yes[i] : no[i];                                                             \
        } else {                                                                                                       \
            for (int64_t i = 0; i < count; i++)                                                                        \
                y[i] = condition[i * c] != 0 ? yes[i * s] : no[i * t];                                                 \
        }                                                                                                              \
    }
PICK(pick_1, uint8_t)
PICK(pick_2, uint16_t)
PICK(pick_4, uint32_t)
PICK(pick_8, uint64_t)

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape shape;
    MARY_TRY(mary_op_expect_inputs(node, call, 3, 3));
    mary_type type = call->inputs[1]->type;
    if (call->inputs[0]->type != MARY_BOOL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the condition is %s, it must be bool",
                            mary_type_name(call->inputs[0]->type));
    if (call->inputs[2]->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "inputs of different types: %s and %s", mary_type_name(type),
                            mary_type_name(call->inputs[2]->type));
    if (mary_type_size(type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    MARY_TRY(mary_broadcast_shape(node, call, 3, &shape));
    return mary_op_set_output(node, call, 0, type, &shape);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    size_t size = mary_type_size(call->outputs[0]->type);
    (void)node;
    mary_broadcast_run(call->parallel,
                       size == 1   ? pick_1
                       : size == 2 ? pick_2
                       : size == 4 ? pick_4
                                   : pick_8,
                       NULL, call->inputs, 3, call->outputs[0]);
    return MARY_OK;
}

const mary_op mary_ops_where[] = {
    {.domain = "",
     .type = "Where",
     .since = 9,
     .flags = MARY_OP_HALF,
     .infer = infer,
     .run = run,
     .channels_last = mary_broadcast_channels_last},
    MARY_OP_END,
};
