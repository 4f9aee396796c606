/* DepthToSpace and SpaceToDepth: one strided copy over [N, block y, block x, C, H, W]. */
#include "ops/copy.h"

#include <string.h>

typedef struct blocks_state {
    int64_t size;
    bool columns_first; /* CRD: channels are [C, block y, block x] instead of [block y, block x, C] */
} blocks_state;

static mary_status prepare(mary_op_node *node)
{
    const char *mode = "DCR";
    MARY_TRY(mary_op_state(node, sizeof(blocks_state)));
    blocks_state *state = node->state;
    if (mary_attribute_find(node->proto, "blocksize") == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'blocksize' is missing");
    MARY_TRY(mary_attribute_int(node->proto, "blocksize", 0, &state->size));
    if (state->size < 1 || state->size > 1 << 20)
        return mary_op_fail(node, MARY_ERROR_INVALID, "blocksize is %lld", (long long)state->size);
    if (node->opset >= (strcmp(node->op->type, "DepthToSpace") == 0 ? 11 : 28))
        MARY_TRY(mary_attribute_string(node->proto, "mode", "DCR", &mode));
    state->columns_first = strcmp(mode, "CRD") == 0;
    if (!state->columns_first && strcmp(mode, "DCR") != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "mode '%s' is not known", mode);
    return MARY_OK;
}

static mary_status check(const mary_op_node *node, const mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    if (call->inputs[0]->shape.rank != 4)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input has rank %d, 4 is needed", call->inputs[0]->shape.rank);
    return MARY_OK;
}

static mary_status depth_infer(const mary_op_node *node, mary_op_call *call)
{
    int64_t size = ((const blocks_state *)node->state)->size;
    MARY_TRY(check(node, call));
    mary_shape shape = call->inputs[0]->shape;
    if (shape.dims[1] % (size * size) != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld channels are no multiple of blocksize %lld squared",
                            (long long)shape.dims[1], (long long)size);
    shape.dims[1] /= size * size;
    if (__builtin_mul_overflow(shape.dims[2], size, &shape.dims[2]) ||
        __builtin_mul_overflow(shape.dims[3], size, &shape.dims[3]))
        return mary_op_fail(node, MARY_ERROR_INVALID, "output is too large");
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

static mary_status space_infer(const mary_op_node *node, mary_op_call *call)
{
    int64_t size = ((const blocks_state *)node->state)->size;
    MARY_TRY(check(node, call));
    mary_shape shape = call->inputs[0]->shape;
    if (shape.dims[2] % size != 0 || shape.dims[3] % size != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld x %lld pixels are no multiple of blocksize %lld",
                            (long long)shape.dims[2], (long long)shape.dims[3], (long long)size);
    if (__builtin_mul_overflow(shape.dims[1], size * size, &shape.dims[1]))
        return mary_op_fail(node, MARY_ERROR_INVALID, "output is too large");
    shape.dims[2] /= size;
    shape.dims[3] /= size;
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

/* deep [N, C*size*size, H, W] and wide [N, C, H*size, W*size]; one of them is the input. */
static void move_blocks(const mary_op_node *node, mary_op_call *call, bool to_space)
{
    const blocks_state *state = node->state;
    const mary_tensor *deep = to_space ? call->inputs[0] : call->outputs[0];
    const mary_tensor *wide = to_space ? call->outputs[0] : call->inputs[0];
    int64_t deep_stride[MARY_MAX_RANK], wide_stride[MARY_MAX_RANK], size = state->size;
    int64_t channels = wide->shape.dims[1], x_step = state->columns_first ? 1 : channels;
    mary_tensor_strides(deep, deep_stride);
    mary_tensor_strides(wide, wide_stride);
    int64_t dims[6] = {deep->shape.dims[0], size, size, channels, deep->shape.dims[2], deep->shape.dims[3]};
    int64_t in_deep[6] = {deep_stride[0],          deep_stride[1] * x_step * size,
                          deep_stride[1] * x_step, deep_stride[1] * (state->columns_first ? size * size : 1),
                          deep_stride[2],          deep_stride[3]};
    int64_t in_wide[6] = {wide_stride[0], wide_stride[2],        wide_stride[3],
                          wide_stride[1], wide_stride[2] * size, wide_stride[3] * size};
    mary_copy copy = {0};
    for (int i = 0; i < 6; i++)
        mary_copy_add(&copy, dims[i], to_space ? in_deep[i] : in_wide[i], to_space ? in_wide[i] : in_deep[i]);
    mary_copy_run(&copy, mary_type_size(deep->type), call->inputs[0]->data, call->outputs[0]->data, call->parallel);
}

static mary_status depth_run(const mary_op_node *node, mary_op_call *call)
{
    move_blocks(node, call, true);
    return MARY_OK;
}

static mary_status space_run(const mary_op_node *node, mary_op_call *call)
{
    move_blocks(node, call, false);
    return MARY_OK;
}

const mary_op mary_ops_depth_to_space[] = {
    {.domain = "",
     .type = "DepthToSpace",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = depth_infer,
     .run = depth_run,
     .channels_last = mary_copy_channels_last},
    {.domain = "",
     .type = "SpaceToDepth",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = space_infer,
     .run = space_run,
     .channels_last = mary_copy_channels_last},
    MARY_OP_END,
};
