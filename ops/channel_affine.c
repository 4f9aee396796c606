/* ai.mary.internal.ChannelAffine: DequantizeLinear -> BatchNormalization -> (Relu) -> QuantizeLinear on u8, made by the
 * executor.
 *
 * Inputs: x u8 [N, C, ...], factor float [C], shift float [C], low float: y = round(x * factor + shift), at least low.
 */
#include "ops/channel_affine.h"

#include "ops/cpu.h"

typedef struct affine_job {
    const mary_op_call *call;
    mary_channel_affine *kernel;
    int64_t channels, pixels, stride;
} affine_job;

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 4, 4));
    const mary_tensor *x = call->inputs[0];
    if (x->type != MARY_UINT8 || x->shape.rank < 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "x is %s of rank %d", mary_type_name(x->type), x->shape.rank);
    for (int i = 1; i < 3; i++) {
        if (call->inputs[i]->type != MARY_FLOAT || mary_shape_count(&call->inputs[i]->shape) != x->shape.dims[1])
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d has %lld values for %lld channels", i,
                                (long long)mary_shape_count(&call->inputs[i]->shape), (long long)x->shape.dims[1]);
    }
    return mary_op_infer_same(node, call);
}

static mary_channel_affine *kernel_of_tier(void)
{
#if defined(__x86_64__)
    if (mary_cpu_current() >= MARY_CPU_AVX512)
        return mary_channel_affine_avx512;
    if (mary_cpu_current() >= MARY_CPU_AVX2)
        return mary_channel_affine_avx2;
#endif
    return mary_channel_affine_scalar;
}

static mary_status prepare(mary_op_node *node)
{
    mary_channel_affine **state = mary_alloc(sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    *state = kernel_of_tier();
    node->state = state;
    return MARY_OK;
}

static void pixels_task(void *context, int64_t begin, int64_t end, int thread)
{
    const affine_job *job = context;
    const mary_tensor *const *in = job->call->inputs;
    const uint8_t *x = in[0]->data;
    uint8_t *y = job->call->outputs[0]->data;
    const int64_t from = in[0]->pixel_stride, to = job->call->outputs[0]->pixel_stride;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        job->kernel(x + i * from, y + i * to, job->channels, in[1]->data, in[2]->data, *(const float *)in[3]->data);
}

/* Plain: one channel of one image at a time, its factor and shift repeated. */
static void planes_task(void *context, int64_t begin, int64_t end, int thread)
{
    enum { CHUNK = 256 };
    const affine_job *job = context;
    const mary_tensor *const *in = job->call->inputs;
    float factor[CHUNK], shift[CHUNK];
    (void)thread;
    for (int64_t plane = begin; plane < end; plane++) {
        const int64_t channel = plane % job->channels;
        for (int i = 0; i < CHUNK; i++) {
            factor[i] = ((const float *)in[1]->data)[channel];
            shift[i] = ((const float *)in[2]->data)[channel];
        }
        for (int64_t i = 0; i < job->pixels; i += CHUNK) {
            int64_t count = job->pixels - i < CHUNK ? job->pixels - i : CHUNK, place = plane * job->pixels + i;
            job->kernel((const uint8_t *)in[0]->data + place, (uint8_t *)job->call->outputs[0]->data + place, count,
                        factor, shift, *(const float *)in[3]->data);
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_shape *x = &call->inputs[0]->shape;
    affine_job job = {.call = call,
                      .kernel = *(mary_channel_affine **)node->state,
                      .channels = x->dims[1],
                      .pixels = mary_shape_count_range(x, 2, x->rank)};
    const int64_t grain = 1 + 16384 / (job.channels + 1);
    if (call->inputs[0]->layout == MARY_LAYOUT_CHANNELS_LAST)
        mary_parallel_for(call->parallel, x->dims[0] * job.pixels, grain, pixels_task, &job);
    else if (job.pixels > 0)
        mary_parallel_for(call->parallel, x->dims[0] * job.channels, 1 + 16384 / job.pixels, planes_task, &job);
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    *wants = false;
    return call->inputs[0]->shape.rank >= 3;
}

const mary_op mary_ops_channel_affine[] = {
    {.domain = "ai.mary.internal",
     .type = "ChannelAffine",
     .since = 1,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = channels_last},
    MARY_OP_END,
};
