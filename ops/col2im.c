/* Col2Im: columns of blocks summed back into the image that they were cut from. */
#include "ops/copy.h"

#include <string.h>

enum { MOST_AXES = MARY_MAX_RANK - 2 };

typedef struct col2im_state {
    int64_t strides[MOST_AXES], dilations[MOST_AXES], pads[2 * MOST_AXES];
    int stride_count, dilation_count, pad_count; /* -1: absent */
} col2im_state;

typedef struct col2im_shape {
    int axes;
    int64_t image[MOST_AXES], block[MOST_AXES], steps[MOST_AXES]; /* steps: positions of the block */
    int64_t stride[MOST_AXES], dilation[MOST_AXES], pad[MOST_AXES];
    int64_t channels, block_size, columns;
} col2im_shape;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(col2im_state)));
    col2im_state *state = node->state;
    MARY_TRY(mary_copy_attribute(node, "strides", state->strides, MOST_AXES, &state->stride_count));
    MARY_TRY(mary_copy_attribute(node, "dilations", state->dilations, MOST_AXES, &state->dilation_count));
    MARY_TRY(mary_copy_attribute(node, "pads", state->pads, 2 * MOST_AXES, &state->pad_count));
    for (int i = 0; i < state->stride_count; i++) {
        if (state->strides[i] < 1 || state->strides[i] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "stride %lld", (long long)state->strides[i]);
    }
    for (int i = 0; i < state->dilation_count; i++) {
        if (state->dilations[i] < 1 || state->dilations[i] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "dilation %lld", (long long)state->dilations[i]);
    }
    for (int i = 0; i < state->pad_count; i++) {
        if (state->pads[i] < 0 || state->pads[i] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "pad %lld", (long long)state->pads[i]);
    }
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, col2im_shape *p)
{
    const col2im_state *state = node->state;
    const mary_shape *x = &call->inputs[0]->shape;
    int blocks;
    memset(p, 0, sizeof *p);
    if (x->rank != 3)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input has rank %d, 3 is needed", x->rank);
    MARY_TRY(mary_op_ints(node, call->inputs[1], "image_shape", p->image, MOST_AXES, &p->axes));
    MARY_TRY(mary_op_ints(node, call->inputs[2], "block_shape", p->block, MOST_AXES, &blocks));
    if (p->axes < 1 || blocks != p->axes || (state->stride_count >= 0 && state->stride_count != p->axes) ||
        (state->dilation_count >= 0 && state->dilation_count != p->axes) ||
        (state->pad_count >= 0 && state->pad_count != 2 * p->axes))
        return mary_op_fail(node, MARY_ERROR_INVALID, "image_shape, block_shape and attributes differ in length");
    p->block_size = p->columns = 1;
    for (int i = 0; i < p->axes; i++) {
        p->stride[i] = state->stride_count >= 0 ? state->strides[i] : 1;
        p->dilation[i] = state->dilation_count >= 0 ? state->dilations[i] : 1;
        p->pad[i] = state->pad_count >= 0 ? state->pads[i] : 0;
        int64_t pad_end = state->pad_count >= 0 ? state->pads[p->axes + i] : 0;
        if (p->image[i] < 1 || p->image[i] > INT32_MAX || p->block[i] < 1 || p->block[i] > INT32_MAX)
            return mary_op_fail(node, MARY_ERROR_INVALID, "an image of %lld with blocks of %lld",
                                (long long)p->image[i], (long long)p->block[i]);
        int64_t slack = p->image[i] + p->pad[i] + pad_end - (p->dilation[i] * (p->block[i] - 1) + 1);
        p->steps[i] = slack < 0 ? 0 : slack / p->stride[i] + 1;
        if (__builtin_mul_overflow(p->block_size, p->block[i], &p->block_size) ||
            __builtin_mul_overflow(p->columns, p->steps[i], &p->columns))
            return mary_op_fail(node, MARY_ERROR_INVALID, "blocks are too large");
    }
    if (x->dims[1] % p->block_size != 0 || x->dims[2] != p->columns)
        return mary_op_fail(node, MARY_ERROR_INVALID, "[%lld, %lld] does not hold blocks of %lld at %lld places",
                            (long long)x->dims[1], (long long)x->dims[2], (long long)p->block_size,
                            (long long)p->columns);
    p->channels = x->dims[1] / p->block_size;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    col2im_shape p;
    MARY_TRY(mary_copy_expect(node, call, 3, 3, 1));
    mary_type type = call->inputs[0]->type;
    if (type != MARY_FLOAT && type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "type %s is not supported", mary_type_name(type));
    MARY_TRY(describe(node, call, &p));
    mary_shape shape = {2 + p.axes, {call->inputs[0]->shape.dims[0], p.channels}};
    for (int i = 0; i < p.axes; i++)
        shape.dims[2 + i] = p.image[i];
    return mary_copy_set_output(node, call, type, &shape);
}

typedef struct col2im_job {
    const col2im_shape *shape;
    const mary_tensor *x;
    mary_tensor *y;
    int64_t pixels;
} col2im_job;

/* Items are [N, channels]; each sums its blocks into its own image. */
static void col2im_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const col2im_job *job = context;
    const col2im_shape *p = job->shape;
    size_t element = mary_type_size(job->y->type);
    for (int64_t item = begin; item < end; item++) {
        void *image = mary_advance(job->y->data, item * job->pixels, element);
        memset(image, 0, (size_t)job->pixels * element);
        for (int64_t tap = 0; tap < p->block_size; tap++) {
            for (int64_t column = 0; column < p->columns; column++) {
                int64_t at = 0, scale = 1, tap_rest = tap, column_rest = column;
                bool inside = true;
                for (int d = p->axes - 1; d >= 0; d--) {
                    int64_t i =
                        column_rest % p->steps[d] * p->stride[d] + tap_rest % p->block[d] * p->dilation[d] - p->pad[d];
                    inside = inside && i >= 0 && i < p->image[d];
                    at += i * scale;
                    scale *= p->image[d];
                    tap_rest /= p->block[d];
                    column_rest /= p->steps[d];
                }
                int64_t from = (item * p->block_size + tap) * p->columns + column;
                if (inside && job->y->type == MARY_FLOAT)
                    ((float *)image)[at] += ((const float *)job->x->data)[from];
                else if (inside)
                    ((double *)image)[at] += ((const double *)job->x->data)[from];
            }
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    col2im_shape p;
    MARY_TRY(describe(node, call, &p));
    mary_tensor *y = call->outputs[0];
    col2im_job job = {&p, call->inputs[0], y, mary_shape_count_range(&y->shape, 2, y->shape.rank)};
    mary_parallel_for(call->parallel, y->shape.dims[0] * p.channels, 1, col2im_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_col2im[] = {
    {.domain = "", .type = "Col2Im", .since = 18, .prepare = prepare, .infer = infer, .run = run},
    MARY_OP_END,
};
