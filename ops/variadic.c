/* Min, Max, Sum, Mean of any number of inputs with broadcasting. */
#include <string.h>

#include "ops/binary.h"

#define EXTREME(T, suffix)                                                                                             \
    MARY_BINARY_LOOP(min_##suffix, T, T, a < b || a != a ? a : b)                                                      \
    MARY_BINARY_LOOP(max_##suffix, T, T, a > b || a != a ? a : b)
EXTREME(double, f64)
EXTREME(int8_t, i8)
EXTREME(int16_t, i16)
EXTREME(int32_t, i32)
EXTREME(int64_t, i64)
EXTREME(uint8_t, u8)
EXTREME(uint16_t, u16)
EXTREME(uint32_t, u32)
EXTREME(uint64_t, u64)
MARY_BINARY_LOOP(sum_f64, double, double, a + b)
MARY_UNARY_LOOP(scale_f32, float, v *alpha)
MARY_UNARY_LOOP(scale_f64, double, v * p->low_double)

static const mary_binary list[] = {
    {.type = "Min",
     .kernel = MARY_BINARY_min,
     .loops = {[MARY_DOUBLE] = min_f64, MARY_SIGNED_LOOPS(min), MARY_UNSIGNED_LOOPS(min)}},
    {.type = "Max",
     .kernel = MARY_BINARY_max,
     .loops = {[MARY_DOUBLE] = max_f64, MARY_SIGNED_LOOPS(max), MARY_UNSIGNED_LOOPS(max)}},
    {.type = "Sum", .kernel = MARY_BINARY_add, .loops[MARY_DOUBLE] = sum_f64},
    {.type = "Mean", .kernel = MARY_BINARY_add, .loops[MARY_DOUBLE] = sum_f64},
    {0},
};

static mary_status prepare(mary_op_node *node)
{
    return mary_binary_prepare(node, list);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape shape;
    if (call->input_count < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has no inputs");
    MARY_TRY(mary_op_expect_inputs(node, call, call->input_count, call->input_count));
    mary_type type = call->inputs[0]->type;
    for (int i = 1; i < call->input_count; i++) {
        if (call->inputs[i]->type != type)
            return mary_op_fail(node, MARY_ERROR_INVALID, "inputs of different types: %s and %s", mary_type_name(type),
                                mary_type_name(call->inputs[i]->type));
    }
    if (mary_binary_loop_for(node->state, type) == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    MARY_TRY(mary_broadcast_shape(node, call, call->input_count, &shape));
    return mary_op_set_output(node, call, 0, type, &shape);
}

static void copy_bytes(const void *context, const void *const *x, const int64_t *step, void *y, int64_t count)
{
    size_t size = *(const size_t *)context;
    (void)step; /* one input of the output's shape: nothing broadcasts */
    memcpy(y, x[0], (size_t)count * size);
}

/* out = in0 . in1, then out = out . in2, ...; never in place, because an input may be given twice. */
static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_binary_state *state = node->state;
    mary_tensor *y = call->outputs[0];
    mary_broadcast_loop *loop = mary_binary_loop_for(state, y->type);
    size_t size = mary_type_size(y->type);
    if (call->input_count == 1)
        mary_broadcast_run(call->parallel, copy_bytes, &size, call->inputs, 1, y);
    for (int i = 1; i < call->input_count; i++) {
        const mary_tensor *pair[2] = {i == 1 ? call->inputs[0] : y, call->inputs[i]};
        mary_broadcast_run(call->parallel, loop, NULL, pair, 2, y);
    }
    if (strcmp(node->op->type, "Mean") == 0 && call->input_count > 1) {
        mary_unary_parameters p = {.low_double = 1.0 / call->input_count, .alpha = 1.0f / (float)call->input_count};
        const mary_tensor *self[1] = {y};
        mary_op_call scale = *call;
        scale.inputs = self;
        scale.input_count = 1;
        mary_unary_apply(&scale, y->type == MARY_FLOAT ? scale_f32 : scale_f64, &p);
    }
    return MARY_OK;
}

#define OPERATOR(name)                                                                                                 \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 6, .prepare = prepare, .infer = infer, .run = run,                        \
        .channels_last = mary_broadcast_channels_last                                                                  \
    }

const mary_op mary_ops_variadic[] = {
    OPERATOR("Min"), OPERATOR("Max"), OPERATOR("Sum"), OPERATOR("Mean"), MARY_OP_END,
};
