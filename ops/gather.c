/* Gather, GatherElements, GatherND: elements picked by index. */
#include "ops/copy.h"
#include "ops/indices.h"

#include <string.h>

typedef struct gather_state {
    int64_t axis;       /* Gather, GatherElements */
    int64_t batch_dims; /* GatherND */
} gather_state;

static mary_status axis_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(gather_state)));
    gather_state *state = node->state;
    return mary_attribute_int(node->proto, "axis", 0, &state->axis);
}

/* One thread's share is at least this many bytes of output. */
enum { PIECE_BYTES = 32 * 1024 };

static int64_t grain_for(int64_t bytes_per_item)
{
    return bytes_per_item >= PIECE_BYTES ? 1 : PIECE_BYTES / (bytes_per_item > 0 ? bytes_per_item : 1);
}

/* memcpy with the small sizes spelled out: a call for each would cost more than the move. */
static inline void move(void *target, const void *source, size_t bytes)
{
    switch (bytes) {
    case 1:
        memcpy(target, source, 1);
        break;
    case 2:
        memcpy(target, source, 2);
        break;
    case 4:
        memcpy(target, source, 4);
        break;
    case 8:
        memcpy(target, source, 8);
        break;
    default:
        memcpy(target, source, bytes);
        break;
    }
}

/* ---- Gather: data [outer, dim, inner], indices [count] -> [outer, count, inner] ---- */

static mary_status gather_infer(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    int axis;
    MARY_TRY(mary_indices_type(node, call->inputs[1]));
    MARY_TRY(mary_copy_axis(node, state->axis, data->rank, &axis));
    if (data->rank - 1 + indices->rank > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the output has rank %d, the most is %d",
                            data->rank - 1 + indices->rank, MARY_MAX_RANK);
    mary_shape shape = {0};
    for (int i = 0; i < axis; i++)
        shape.dims[shape.rank++] = data->dims[i];
    for (int i = 0; i < indices->rank; i++)
        shape.dims[shape.rank++] = indices->dims[i];
    for (int i = axis + 1; i < data->rank; i++)
        shape.dims[shape.rank++] = data->dims[i];
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

typedef struct gather_job {
    const mary_tensor *data, *indices;
    char *output;
    int64_t dim, count;
    size_t run; /* bytes of one [inner] */
} gather_job;

static void gather_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const gather_job *job = context;
    int64_t run = (int64_t)job->run;
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / job->count, which = mary_index(job->indices, item % job->count, job->dim);
        move(job->output + item * run, (const char *)job->data->data + (outer * job->dim + which) * run, job->run);
    }
}

static mary_status gather_run(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    const mary_tensor *data = call->inputs[0];
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, data->shape.rank, &axis));
    gather_job job = {.data = data,
                      .indices = call->inputs[1],
                      .output = call->outputs[0]->data,
                      .dim = data->shape.dims[axis],
                      .count = mary_shape_count(&call->inputs[1]->shape)};
    MARY_TRY(mary_indices_check(node, job.indices, 0, 1, job.dim));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    int64_t inner = mary_shape_count_range(&data->shape, axis + 1, data->shape.rank);
    job.run = (size_t)inner * mary_type_size(data->type);
    mary_parallel_for(call->parallel, mary_shape_count_range(&data->shape, 0, axis) * job.count,
                      grain_for((int64_t)job.run), gather_task, &job);
    return MARY_OK;
}

/* ---- GatherElements: output[i, j, k] = data[i, indices[i,j,k], k] for axis 1 ---- */

static mary_status elements_infer(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    int axis;
    MARY_TRY(mary_indices_type(node, call->inputs[1]));
    MARY_TRY(mary_copy_axis(node, state->axis, data->rank, &axis));
    if (indices->rank != data->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "indices have rank %d, data has rank %d", indices->rank,
                            data->rank);
    for (int i = 0; i < data->rank; i++) {
        if (i != axis && indices->dims[i] > data->dims[i])
            return mary_op_fail(node, MARY_ERROR_INVALID, "indices have length %lld along axis %d, data has %lld",
                                (long long)indices->dims[i], i, (long long)data->dims[i]);
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, indices);
}

typedef struct elements_job {
    const mary_tensor *data, *indices;
    char *output;
    int axis;
    size_t element;
    int64_t stride[MARY_MAX_RANK]; /* of data */
} elements_job;

/* Rows are the innermost runs of `indices`. */
static void elements_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const elements_job *job = context;
    const mary_shape *shape = &job->indices->shape;
    int last = shape->rank - 1;
    int64_t dim = job->data->shape.dims[job->axis], element = (int64_t)job->element;
    for (int64_t row = begin; row < end; row++) {
        int64_t base = 0, rest = row;
        for (int i = last - 1; i >= 0; i--) {
            if (i != job->axis)
                base += rest % shape->dims[i] * job->stride[i];
            rest /= shape->dims[i];
        }
        for (int64_t j = 0; j < shape->dims[last]; j++) {
            int64_t at = row * shape->dims[last] + j, which = mary_index(job->indices, at, dim);
            int64_t from = base + which * job->stride[job->axis] + (job->axis == last ? 0 : j);
            move(job->output + at * element, (const char *)job->data->data + from * element, job->element);
        }
    }
}

static mary_status elements_run(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    const mary_tensor *data = call->inputs[0];
    elements_job job = {.data = data,
                        .indices = call->inputs[1],
                        .output = call->outputs[0]->data,
                        .element = mary_type_size(data->type)};
    MARY_TRY(mary_copy_axis(node, state->axis, data->shape.rank, &job.axis));
    MARY_TRY(mary_indices_check(node, job.indices, 0, 1, data->shape.dims[job.axis]));
    const mary_shape *shape = &job.indices->shape;
    if (mary_shape_count(shape) == 0)
        return MARY_OK;
    mary_tensor_strides(data, job.stride);
    int64_t width = shape->dims[shape->rank - 1];
    mary_parallel_for(call->parallel, mary_shape_count(shape) / width, grain_for(width * (int64_t)job.element),
                      elements_task, &job);
    return MARY_OK;
}

/* ---- GatherND: indices [batch..., ..., k] pick data[batch..., k indices, inner...] ---- */

static mary_status nd_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(gather_state)));
    gather_state *state = node->state;
    if (node->opset >= 12)
        MARY_TRY(mary_attribute_int(node->proto, "batch_dims", 0, &state->batch_dims));
    return MARY_OK;
}

static mary_status nd_infer(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    MARY_TRY(mary_indices_type(node, call->inputs[1]));
    if (data->rank < 1 || indices->rank < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "data and indices must have rank 1 at least");
    int64_t batch = state->batch_dims;
    if (batch < 0 || batch >= data->rank || batch >= indices->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "batch_dims %lld does not fit ranks %d and %d", (long long)batch,
                            data->rank, indices->rank);
    for (int i = 0; i < batch; i++) {
        if (data->dims[i] != indices->dims[i])
            return mary_op_fail(node, MARY_ERROR_INVALID, "batch dimension %d is %lld in data, %lld in indices", i,
                                (long long)data->dims[i], (long long)indices->dims[i]);
    }
    int64_t depth = indices->dims[indices->rank - 1];
    if (depth < 1 || depth > data->rank - batch)
        return mary_op_fail(node, MARY_ERROR_INVALID, "indices address %lld axes, data has %lld", (long long)depth,
                            (long long)(data->rank - batch));
    int rank = indices->rank - 1 + data->rank - (int)batch - (int)depth;
    if (rank > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the output has rank %d, the most is %d", rank,
                            MARY_MAX_RANK);
    mary_shape shape = {0};
    for (int i = 0; i + 1 < indices->rank; i++)
        shape.dims[shape.rank++] = indices->dims[i];
    for (int i = (int)(batch + depth); i < data->rank; i++)
        shape.dims[shape.rank++] = data->dims[i];
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

typedef struct nd_job {
    const mary_tensor *data, *indices;
    char *output;
    int batch, depth;
    int64_t tuples; /* index tuples per batch */
    int64_t stride[MARY_MAX_RANK];
    int64_t batch_stride;
    size_t run;
    size_t element;
} nd_job;

static void nd_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const nd_job *job = context;
    for (int64_t item = begin; item < end; item++) {
        int64_t from = item / job->tuples * job->batch_stride;
        for (int k = 0; k < job->depth; k++)
            from += mary_index(job->indices, item * job->depth + k, job->data->shape.dims[job->batch + k]) *
                    job->stride[job->batch + k];
        move(job->output + item * (int64_t)job->run, (const char *)job->data->data + from * (int64_t)job->element,
             job->run);
    }
}

static mary_status nd_run(const mary_op_node *node, mary_op_call *call)
{
    const gather_state *state = node->state;
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    nd_job job = {.data = call->inputs[0],
                  .indices = call->inputs[1],
                  .output = call->outputs[0]->data,
                  .batch = (int)state->batch_dims,
                  .depth = (int)indices->dims[indices->rank - 1],
                  .element = mary_type_size(call->inputs[0]->type)};
    for (int k = 0; k < job.depth; k++)
        MARY_TRY(mary_indices_check(node, job.indices, k, job.depth, data->dims[job.batch + k]));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    mary_tensor_strides(job.data, job.stride);
    job.tuples = mary_shape_count_range(indices, job.batch, indices->rank - 1);
    job.batch_stride = mary_shape_count_range(data, job.batch, data->rank);
    job.run = (size_t)mary_shape_count_range(data, job.batch + job.depth, data->rank) * job.element;
    mary_parallel_for(call->parallel, mary_shape_count_range(indices, 0, indices->rank - 1),
                      grain_for((int64_t)job.run), nd_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_gather[] = {
    {.domain = "",
     .type = "Gather",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = axis_prepare,
     .infer = gather_infer,
     .run = gather_run},
    {.domain = "",
     .type = "GatherElements",
     .since = 11,
     .flags = MARY_OP_HALF,
     .prepare = axis_prepare,
     .infer = elements_infer,
     .run = elements_run},
    {.domain = "",
     .type = "GatherND",
     .since = 11,
     .flags = MARY_OP_HALF,
     .prepare = nd_prepare,
     .infer = nd_infer,
     .run = nd_run},
    MARY_OP_END,
};
