/* MaryConv: Conv whose weights are packed codes. The drivers are Conv's; panels are decoded a cache-sized part at a
 * time and used for all pixels of a thread's share. */
#include "ops/conv.h"

#include "onnx/memory.h"
#include "ops/mary/weight_attributes.h"

typedef struct mary_conv {
    mary_conv_attributes attributes;
    mary_weight_attributes weights;
    mary_cpu cpu;
    mary_weights *codes; /* one of these two after pack */
    float *panels;       /* rows of a few weights */
} mary_conv;

static mary_status prepare(mary_op_node *node)
{
    mary_conv *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    MARY_TRY(mary_conv_parse(node, &state->attributes));
    MARY_TRY(mary_weight_attributes_parse(node, &state->weights));
    const mary_shape *w = &state->weights.shape;
    if (state->weights.row_length != mary_shape_count_range(w, 1, w->rank))
        return mary_op_fail(node, MARY_ERROR_INVALID, "row_length is %lld, weight_shape says %lld",
                            (long long)state->weights.row_length, (long long)mary_shape_count_range(w, 1, w->rank));
    for (int axis = 2; axis < w->rank; axis++) {
        if (w->dims[axis] == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel has size 0");
    }
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    mary_conv *state = node->state;
    if (state != NULL) {
        mary_weights_free(&state->codes);
        mary_free(state->panels);
    }
    mary_free(state);
}

/* Replaces codes by float panels where that costs next to no memory: a depthwise row of a few weights occupies a cache
 * line of codes anyway. */
static mary_status expand_short_rows(mary_conv *state)
{
    const mary_shape *w = &state->weights.shape;
    int64_t rows = w->dims[0], group = state->attributes.group, length = state->weights.row_length;
    int nr = mary_tile_kernel_for(state->cpu)->nr;
    if (rows % group != 0 || !mary_conv_is_depthwise(group, w->dims[1], rows / group))
        return MARY_OK;
    size_t floats;
    if (!mary_conv_panels_size(1, rows, 1, length, nr, &floats) ||
        floats * sizeof(float) > 2 * mary_weights_bytes(state->codes))
        return MARY_OK;
    state->panels = mary_alloc_aligned(floats * sizeof(float));
    if (state->panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    for (int64_t row = 0; row < rows; row += nr)
        mary_weights_decode_panel(state->codes, row, rows - row < nr ? (int)(rows - row) : nr, 0, length, nr,
                                  state->panels + row * length);
    mary_weights_free(&state->codes);
    return MARY_OK;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    mary_conv *state = node->state;
    if (node->input_count < 3 || constants[1] == NULL || constants[2] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    const mary_shape *w = &state->weights.shape;
    mary_status status =
        mary_weights_create(constants[1], constants[2], w->dims[0], state->weights.row_length, state->weights.bits,
                            mary_shape_count_range(w, 2, w->rank), 1.0f, &state->codes);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    MARY_TRY(expand_short_rows(state));
    *consumed |= 1u << 1 | 1u << 2;
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_conv_problem *problem)
{
    const mary_conv *state = node->state;
    MARY_TRY(mary_conv_describe(node, &state->attributes, call, &state->weights.shape, 3, problem));
    problem->cpu = state->cpu;
    problem->codes = state->codes;
    problem->panels = state->panels;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const mary_conv *state = node->state;
    int most = node->epilogue.residual >= 4 ? node->epilogue.residual + 1 : 4;
    MARY_TRY(mary_op_expect_inputs(node, call, 3, most));
    if (call->inputs[0]->type != MARY_FLOAT)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input is %s", mary_type_name(call->inputs[0]->type));
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    mary_shape y = mary_window_output_shape(&problem.window, problem.batch, state->weights.shape.dims[0]);
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
    const mary_conv *state = node->state;
    const mary_shape *w = &state->weights.shape;
    return mary_conv_kernel_name(state->cpu, state->attributes.group, w->dims[1], w->dims[0] / state->attributes.group);
}

const mary_op mary_ops_mary_conv[] = {
    {.domain = "ai.mary",
     .type = "MaryConv",
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
