/* Functions of one u8, which are tables of 256 bytes: ai.mary.internal Table (x, table u8 [256]), which the executor
 * makes out of chains of unary operators, and com.microsoft QLinearSigmoid and QLinearLeakyRelu (X, X_scale,
 * X_zero_point, Y_scale, Y_zero_point). */
#include <math.h>
#include <string.h>

#include "ops/copy.h"
#include "ops/qlinear.h"

enum { X = 0, TABLE = 1, X_SCALE = 1, Y_SCALE = 3, LEVELS = 256 };

typedef struct table_state {
    mary_table_function *function;
    bool sigmoid;
    float alpha; /* QLinearLeakyRelu */
} table_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(table_state)));
    table_state *state = node->state;
    state->function = mary_table_function_for(mary_cpu_current());
    state->sigmoid = strcmp(node->op->type, "QLinearSigmoid") == 0;
    return mary_attribute_float(node->proto, "alpha", 0.01f, &state->alpha);
}

static mary_status infer_table(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 2));
    MARY_TRY(mary_qlinear_expect_u8(node, call, X, "x"));
    const mary_tensor *table = call->inputs[TABLE];
    if (table->type != MARY_UINT8 || table->shape.rank != 1 || table->shape.dims[0] != LEVELS)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the table must be uint8 [256]");
    return mary_op_set_output(node, call, 0, MARY_UINT8, &call->inputs[X]->shape);
}

static mary_status run_table(const mary_op_node *node, mary_op_call *call)
{
    const table_state *state = node->state;
    mary_table_apply(state->function, call->inputs[TABLE]->data, call->inputs[X], call->outputs[0], call->parallel);
    return MARY_OK;
}

static mary_status infer_function(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 2, 5));
    MARY_TRY(mary_qlinear_expect_u8(node, call, X, "X"));
    MARY_TRY(mary_quantisation_check(node, call, X_SCALE, "X"));
    MARY_TRY(mary_quantisation_check(node, call, Y_SCALE, "Y"));
    return mary_op_set_output(node, call, 0, MARY_UINT8, &call->inputs[X]->shape);
}

static mary_status run_function(const mary_op_node *node, mary_op_call *call)
{
    const table_state *state = node->state;
    mary_quantisation x, y;
    uint8_t table[LEVELS];
    MARY_TRY(mary_quantisation_read(node, call, X_SCALE, "X", &x));
    MARY_TRY(mary_quantisation_read(node, call, Y_SCALE, "Y", &y));
    const mary_requantisation to = mary_requantisation_to(y.zero);
    for (int i = 0; i < LEVELS; i++) {
        float real = (float)(i - x.zero) * x.scale;
        real = state->sigmoid ? 1 / (1 + expf(-real)) : real >= 0 ? real : real * state->alpha;
        table[i] = mary_requantise(real / y.scale, &to);
    }
    mary_table_apply(state->function, table, call->inputs[X], call->outputs[0], call->parallel);
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    (void)call;
    *wants = false;
    return true;
}

#define OPERATOR(domain_name, name, inference, how)                                                                    \
    {                                                                                                                  \
        .domain = domain_name, .type = name, .since = 1, .flags = MARY_OP_IN_PLACE, .prepare = prepare,                \
        .infer = inference, .run = how, .channels_last = channels_last                                                 \
    }

const mary_op mary_ops_qlinear_table[] = {
    OPERATOR(MARY_INTERNAL_DOMAIN, "Table", infer_table, run_table),
    OPERATOR("com.microsoft", "QLinearSigmoid", infer_function, run_function),
    OPERATOR("com.microsoft", "QLinearLeakyRelu", infer_function, run_function),
    MARY_OP_END,
};
