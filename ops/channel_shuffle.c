/* ai.mary.internal.ChannelShuffle: Reshape [N, groups, C/groups, ...] -> Transpose of the two -> Reshape [N, C, ...],
 * which only permutes channels; made by the executor. Input: x of any type. */
#include "ops/channel_shuffle.h"

#include "ops/copy.h"
#include "ops/qlinear_kernels.h"

typedef struct shuffle_state {
    int64_t groups;
    const mary_qlinear_kernels *kernels;
} shuffle_state;

mary_status mary_channel_shuffle_set(mary_op_node *node, int64_t groups)
{
    MARY_TRY(mary_op_state(node, sizeof(shuffle_state)));
    *(shuffle_state *)node->state = (shuffle_state){groups, mary_qlinear_kernels_for(mary_cpu_current())};
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const shuffle_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    const mary_shape *x = &call->inputs[0]->shape;
    if (state == NULL || x->rank < 3 || x->dims[1] % state->groups != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "channels do not divide into groups");
    return mary_op_infer_same(node, call);
}

/* Two groups channels last, the shuffle of ShuffleNet: the halves of each pixel are interleaved. */
typedef struct pair_job {
    const mary_qlinear_kernels *kernels;
    const mary_tensor *x, *y;
    int64_t each;
} pair_job;

static void interleave_bytes(void *context, int64_t begin, int64_t end, int thread)
{
    const pair_job *job = context;
    (void)thread;
    for (int64_t p = begin; p < end; p++) {
        const uint8_t *x = (const uint8_t *)job->x->data + p * job->x->pixel_stride;
        job->kernels->interleave_two(x, x + job->each, (uint8_t *)job->y->data + p * job->y->pixel_stride, job->each);
    }
}

static void interleave_words(void *context, int64_t begin, int64_t end, int thread)
{
    const pair_job *job = context;
    (void)thread;
    for (int64_t p = begin; p < end; p++) {
        const uint32_t *restrict x = (const uint32_t *)job->x->data + p * job->x->pixel_stride;
        uint32_t *restrict y = (uint32_t *)job->y->data + p * job->y->pixel_stride;
        for (int64_t c = 0; c < job->each; c++) {
            y[2 * c] = x[c];
            y[2 * c + 1] = x[job->each + c];
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const shuffle_state *state = node->state;
    const mary_tensor *x = call->inputs[0], *y = call->outputs[0];
    const mary_shape *shape = &x->shape;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK], each = shape->dims[1] / state->groups;
    const size_t element = mary_type_size(x->type);
    if (x->layout == MARY_LAYOUT_CHANNELS_LAST && state->groups == 2 && (element == 1 || element == 4)) {
        pair_job job = {state->kernels, x, y, each};
        const int64_t pixels = shape->dims[0] * mary_shape_count_range(shape, 2, shape->rank);
        mary_parallel_for(call->parallel, pixels, 1 + 65536 / (shape->dims[1] + 1),
                          element == 1 ? interleave_bytes : interleave_words, &job);
        return MARY_OK;
    }
    mary_tensor_strides(x, from);
    mary_tensor_strides(y, to);
    mary_copy copy = {0};
    for (int i = 0; i < shape->rank; i++) {
        if (i != 1)
            mary_copy_add(&copy, shape->dims[i], from[i], to[i]);
    }
    mary_copy_add(&copy, each, from[1], to[1] * state->groups);
    mary_copy_add(&copy, state->groups, from[1] * each, to[1]);
    mary_copy_run(&copy, element, x->data, y->data, call->parallel);
    return MARY_OK;
}

const mary_op mary_ops_channel_shuffle[] = {
    {.domain = "ai.mary.internal",
     .type = "ChannelShuffle",
     .since = 1,
     .flags = MARY_OP_HALF,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last},
    MARY_OP_END,
};
