/* com.microsoft QLinearAdd and QLinearMul: A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point,
 * with numpy's broadcasting. */
#include <string.h>

#include "ops/copy.h"
#include "ops/qlinear_kernels.h"

enum { A = 0, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, C_SCALE, C_ZERO, INPUTS };

typedef struct binary_state {
    bool product;
    mary_broadcast_loop *loop;
    const mary_qlinear_kernels *kernels;
} binary_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(binary_state)));
    binary_state *state = node->state;
    const mary_qlinear_kernels *kernels = mary_qlinear_kernels_for(mary_cpu_current());
    state->kernels = kernels;
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

/* a [N, C, ...] times b [N, C, 1, ...], channels last: what squeeze-and-excitation does. */
static bool is_per_channel(const mary_tensor *a, const mary_tensor *b, const mary_tensor *y)
{
    const mary_shape *small = &b->shape;
    return a->layout == MARY_LAYOUT_CHANNELS_LAST && y->layout == MARY_LAYOUT_CHANNELS_LAST &&
           mary_shape_equal(&a->shape, &y->shape) && small->rank == a->shape.rank && small->rank >= 3 &&
           small->dims[0] == a->shape.dims[0] && small->dims[1] == a->shape.dims[1] &&
           mary_shape_count_range(small, 2, small->rank) == 1;
}

typedef struct channels_job {
    const binary_state *state;
    const mary_qlinear_pair *pair;
    const mary_tensor *a, *b, *y;
    int64_t pixels; /* of an image */
} channels_job;

static void channels_task(void *context, int64_t begin, int64_t end, int thread)
{
    const channels_job *job = context;
    const int64_t channels = job->a->shape.dims[1];
    const int64_t b_stride = job->b->layout == MARY_LAYOUT_CHANNELS_LAST ? job->b->pixel_stride : channels;
    (void)thread;
    while (begin < end) {
        int64_t image = begin / job->pixels, last = (image + 1) * job->pixels < end ? (image + 1) * job->pixels : end;
        job->state->kernels->multiply_channels(job->pair, (const uint8_t *)job->a->data + begin * job->a->pixel_stride,
                                               job->a->pixel_stride, (const uint8_t *)job->b->data + image * b_stride,
                                               (uint8_t *)job->y->data + begin * job->y->pixel_stride,
                                               job->y->pixel_stride, channels, last - begin);
        begin = last;
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const binary_state *state = node->state;
    mary_quantisation a, b, c;
    MARY_TRY(mary_quantisation_read(node, call, A_SCALE, "A", &a));
    MARY_TRY(mary_quantisation_read(node, call, B_SCALE, "B", &b));
    MARY_TRY(mary_quantisation_read(node, call, C_SCALE, "C", &c));
    mary_qlinear_pair pair = {.a_zero = a.zero,
                              .b_zero = b.zero,
                              .a_ratio = state->product ? a.scale * b.scale / c.scale : a.scale / c.scale,
                              .b_ratio = b.scale / c.scale,
                              .to = mary_requantisation_to(c.zero)};
    const mary_tensor *x[2] = {call->inputs[A], call->inputs[B]};
    if (state->product && is_per_channel(x[1], x[0], call->outputs[0])) { /* factors change places */
        const mary_tensor *small = x[0];
        x[0] = x[1];
        x[1] = small;
        pair.a_zero = b.zero;
        pair.b_zero = a.zero;
    }
    if (state->product && is_per_channel(x[0], x[1], call->outputs[0])) {
        channels_job job = {.state = state, .pair = &pair, .a = x[0], .b = x[1], .y = call->outputs[0]};
        job.pixels = mary_shape_count_range(&x[0]->shape, 2, x[0]->shape.rank);
        mary_parallel_for(call->parallel, x[0]->shape.dims[0] * job.pixels, 1 + 65536 / (x[0]->shape.dims[1] + 1),
                          channels_task, &job);
        return MARY_OK;
    }
    mary_broadcast_run(call->parallel, state->loop, &pair, x, 2, call->outputs[0]);
    return MARY_OK;
}

#define OPERATOR(name)                                                                                                 \
    {                                                                                                                  \
        .domain = "com.microsoft", .type = name, .since = 1, .flags = MARY_OP_IN_PLACE, .prepare = prepare,            \
        .infer = infer, .run = run, .channels_last = mary_broadcast_channels_last                                      \
    }

const mary_op mary_ops_qlinear_binary[] = {OPERATOR("QLinearAdd"), OPERATOR("QLinearMul"), MARY_OP_END};
