/* MaryConvTranspose: ConvTranspose whose weights are packed codes. weight_shape is ONNX's [C, M/group, k...]; a row of
 * codes is one output channel, rows ordered group by group, positions inside a row [C/group][taps]. */
#include "ops/conv_transpose.h"

#include "onnx/memory.h"
#include "ops/mary/weight_attributes.h"

typedef struct mary_conv_transpose {
    mary_conv_transpose_attributes attributes;
    mary_weight_attributes weights;
    mary_cpu cpu;
    mary_weights *codes;
} mary_conv_transpose;

static mary_status prepare(mary_op_node *node)
{
    mary_conv_transpose *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    MARY_TRY(mary_conv_transpose_parse(node, &state->attributes));
    MARY_TRY(mary_weight_attributes_parse(node, &state->weights));
    const mary_shape *w = &state->weights.shape;
    mary_window window;
    MARY_TRY(mary_conv_transpose_kernel(node, &state->attributes, w, &window));
    int64_t length = w->dims[0] / state->attributes.conv.group * window.taps;
    if (state->weights.row_length != length)
        return mary_op_fail(node, MARY_ERROR_INVALID, "row_length is %lld, weight_shape says %lld",
                            (long long)state->weights.row_length, (long long)length);
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    mary_conv_transpose *state = node->state;
    if (state != NULL)
        mary_weights_free(&state->codes);
    mary_free(state);
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    mary_conv_transpose *state = node->state;
    if (node->input_count < 3 || constants[1] == NULL || constants[2] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    const mary_shape *w = &state->weights.shape;
    int64_t rows;
    if (__builtin_mul_overflow(w->dims[1], state->attributes.conv.group, &rows))
        return mary_op_fail(node, MARY_ERROR_INVALID, "too many output channels");
    mary_status status =
        mary_weights_create(constants[1], constants[2], rows, state->weights.row_length, state->weights.bits,
                            mary_shape_count_range(w, 2, w->rank), 1.0f, &state->codes);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    *consumed |= 1u << 1 | 1u << 2;
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_conv_problem *problem)
{
    const mary_conv_transpose *state = node->state;
    MARY_TRY(mary_conv_transpose_describe(node, &state->attributes, call, &state->weights.shape, 3, problem));
    problem->cpu = state->cpu;
    problem->codes = state->codes;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    int most = node->epilogue.residual >= 4 ? node->epilogue.residual + 1 : 4;
    MARY_TRY(mary_op_expect_inputs(node, call, 3, most));
    if (call->inputs[0]->type != MARY_FLOAT)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input is %s", mary_type_name(call->inputs[0]->type));
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    mary_shape y = mary_window_output_shape(&problem.window, problem.batch, problem.groups * problem.filters);
    return mary_op_set_output(node, call, 0, MARY_FLOAT, &y);
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    return mary_conv_call_scratch(node, call, &problem, bytes);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    const mary_tensor *bias = call->input_count > 3 ? call->inputs[3] : NULL;
    problem.bias = bias != NULL ? bias->data : NULL;
    return mary_conv_call_run(node, call, &problem, call->scratch);
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    *wants = call->inputs[0]->type == MARY_FLOAT;
    return *wants;
}

static const char *kernel(const mary_op_node *node)
{
    const mary_conv_transpose *state = node->state;
    return mary_tile_kernel_for(state->cpu)->name;
}

const mary_op mary_ops_mary_conv_transpose[] = {
    {.domain = "ai.mary",
     .type = "MaryConvTranspose",
     .since = 1,
     .flags = MARY_OP_EPILOGUE | MARY_OP_CHANNELS_ONLY,
     .prepare = prepare,
     .pack = pack,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .channels_last = channels_last,
     .kernel = kernel},
    MARY_OP_END,
};
