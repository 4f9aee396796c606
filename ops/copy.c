/* The strided copy behind Concat, Split, Slice, Transpose, Expand, Tile, Pad, DepthToSpace and their like. */
#include "ops/copy.h"

#include <string.h>

enum {
    PIECE_BYTES = 64 * 1024, /* the least that a thread is woken for */
    BLOCK = 32               /* side of the square that a transposition moves at a time */
};

void mary_copy_add(mary_copy *copy, int64_t dim, int64_t from, int64_t to)
{
    int i = copy->rank++;
    copy->dims[i] = dim;
    copy->from[i] = from;
    copy->to[i] = to;
}

void mary_tensor_strides(const mary_tensor *tensor, int64_t *strides)
{
    int rank = tensor->shape.rank;
    const int64_t *dims = tensor->shape.dims;
    if (tensor->layout == MARY_LAYOUT_PLAIN) {
        int64_t stride = 1;
        for (int i = rank - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= dims[i];
        }
        return;
    }
    int64_t stride = tensor->pixel_stride;
    for (int i = rank - 1; i >= 2; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
    strides[0] = stride;
    strides[1] = 1;
}

/* ---- the plan of a copy: dimensions without ones, by descending target stride, merged ---- */

typedef struct copy_job {
    mary_copy copy;
    size_t element;
    const char *source;
    char *target;
    int outer;      /* dims[0..outer) are walked by index; the rest is the kernel's */
    int across;     /* the dimension that is contiguous in the source when the kernel transposes; else -1 */
    int64_t pieces; /* pieces that the kernel's first dimension is cut in */
    int64_t piece;  /* its items per piece */
} copy_job;

static bool is_empty(const mary_copy *copy)
{
    for (int i = 0; i < copy->rank; i++) {
        if (copy->dims[i] == 0)
            return true;
    }
    return false;
}

static void normalise(const mary_copy *copy, mary_copy *result)
{
    mary_copy sorted = {0};
    for (int i = 0; i < copy->rank; i++) {
        if (copy->dims[i] == 1)
            continue;
        int at = sorted.rank++;
        while (at > 0 && sorted.to[at - 1] < copy->to[i]) {
            sorted.dims[at] = sorted.dims[at - 1];
            sorted.from[at] = sorted.from[at - 1];
            sorted.to[at] = sorted.to[at - 1];
            at--;
        }
        sorted.dims[at] = copy->dims[i];
        sorted.from[at] = copy->from[i];
        sorted.to[at] = copy->to[i];
    }
    result->rank = 0;
    for (int i = 0; i < sorted.rank; i++) {
        int last = result->rank - 1;
        if (last >= 0 && result->from[last] == sorted.from[i] * sorted.dims[i] &&
            result->to[last] == sorted.to[i] * sorted.dims[i]) {
            result->dims[last] *= sorted.dims[i];
            result->from[last] = sorted.from[i];
            result->to[last] = sorted.to[i];
        } else {
            mary_copy_add(result, sorted.dims[i], sorted.from[i], sorted.to[i]);
        }
    }
    if (result->rank == 0)
        mary_copy_add(result, 1, 1, 1);
}

/* ---- kernels: one run, and one transposed block ---- */

#define WALK(type)                                                                                                     \
    do {                                                                                                               \
        const type *in = source;                                                                                       \
        type *out = target;                                                                                            \
        if (to == 1 && from == 0) {                                                                                    \
            type value = *in;                                                                                          \
            for (int64_t i = 0; i < count; i++)                                                                        \
                out[i] = value;                                                                                        \
        } else if (to == 1) {                                                                                          \
            for (int64_t i = 0; i < count; i++)                                                                        \
                out[i] = in[i * from];                                                                                 \
        } else {                                                                                                       \
            for (int64_t i = 0; i < count; i++)                                                                        \
                out[i * to] = in[i * from];                                                                            \
        }                                                                                                              \
    } while (0)

static void copy_run(size_t element, int64_t count, const void *source, int64_t from, void *target, int64_t to)
{
    if (from == 1 && to == 1) {
        memcpy(target, source, (size_t)count * element);
        return;
    }
    switch (element) {
    case 1:
        WALK(uint8_t);
        break;
    case 2:
        WALK(uint16_t);
        break;
    case 4:
        WALK(uint32_t);
        break;
    default:
        WALK(uint64_t);
        break;
    }
}

typedef uint32_t quad __attribute__((vector_size(16), aligned(4)));

/* target[i*to + j] = source[j*from + i] for i < rows, j < columns; 4x4 squares in registers. */
static void transpose_words(int64_t rows, int64_t columns, const uint32_t *source, int64_t from, uint32_t *target,
                            int64_t to)
{
    int64_t full_rows = rows & ~INT64_C(3), full_columns = columns & ~INT64_C(3);
    if (columns == 2 && to == 2) { /* two lines interleaved, as DepthToSpace does */
        for (int64_t i = 0; i < full_rows; i += 4) {
            quad a = *(const quad *)(source + i), b = *(const quad *)(source + from + i);
            *(quad *)(target + 2 * i) = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            *(quad *)(target + 2 * i + 4) = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        }
        for (int64_t i = full_rows; i < rows; i++) {
            target[2 * i] = source[i];
            target[2 * i + 1] = source[from + i];
        }
        return;
    }
    for (int64_t i = 0; i < full_rows; i += 4) {
        for (int64_t j = 0; j < full_columns; j += 4) {
            const uint32_t *in = source + j * from + i;
            uint32_t *out = target + i * to + j;
            quad a = *(const quad *)in, b = *(const quad *)(in + from);
            quad c = *(const quad *)(in + 2 * from), d = *(const quad *)(in + 3 * from);
            quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            *(quad *)out = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
            *(quad *)(out + to) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
            *(quad *)(out + 2 * to) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
            *(quad *)(out + 3 * to) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
        }
        for (int64_t k = i; k < i + 4; k++) {
            for (int64_t j = full_columns; j < columns; j++)
                target[k * to + j] = source[j * from + k];
        }
    }
    for (int64_t i = full_rows; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++)
            target[i * to + j] = source[j * from + i];
    }
}

#define TRANSPOSE(type)                                                                                                \
    do {                                                                                                               \
        const type *in = (const type *)source;                                                                         \
        type *out = (type *)target;                                                                                    \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            for (int64_t j = 0; j < columns; j++)                                                                      \
                out[i * to + j] = in[j * from + i];                                                                    \
        }                                                                                                              \
    } while (0)

static void transpose_block(size_t element, int64_t rows, int64_t columns, const char *source, int64_t from,
                            char *target, int64_t to)
{
    switch (element) {
    case 1:
        TRANSPOSE(uint8_t);
        break;
    case 2:
        TRANSPOSE(uint16_t);
        break;
    case 4:
        transpose_words(rows, columns, (const uint32_t *)source, from, (uint32_t *)target, to);
        break;
    default:
        TRANSPOSE(uint64_t);
        break;
    }
}

/* ---- walking ---- */

static void copy_piece(const copy_job *job, const char *source, char *target, int64_t piece)
{
    const mary_copy *copy = &job->copy;
    int64_t element = (int64_t)job->element;
    int last = copy->rank - 1, first = job->across >= 0 ? job->across : last;
    int64_t begin = piece * job->piece, end = begin + job->piece;
    if (end > copy->dims[first])
        end = copy->dims[first];
    source += begin * copy->from[first] * element;
    target += begin * copy->to[first] * element;
    if (job->across < 0) {
        copy_run(job->element, end - begin, source, copy->from[last], target, copy->to[last]);
        return;
    }
    int64_t columns = copy->dims[last], rows = end - begin, from = copy->from[last], to = copy->to[first];
    for (int64_t i = 0; i < rows; i += BLOCK) {
        int64_t some_rows = rows - i < BLOCK ? rows - i : BLOCK;
        for (int64_t j = 0; j < columns; j += BLOCK) {
            int64_t some = columns - j < BLOCK ? columns - j : BLOCK;
            transpose_block(job->element, some_rows, some, source + (j * from + i) * element, from,
                            target + (i * to + j) * element, to);
        }
    }
}

static void copy_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const copy_job *job = context;
    const mary_copy *copy = &job->copy;
    int64_t index[MARY_COPY_RANK] = {0}, from = 0, to = 0;
    int64_t piece = begin % job->pieces, rest = begin / job->pieces;
    for (int i = job->outer - 1; i >= 0; i--) {
        index[i] = rest % copy->dims[i];
        rest /= copy->dims[i];
        from += index[i] * copy->from[i];
        to += index[i] * copy->to[i];
    }
    for (int64_t item = begin; item < end; item++) {
        copy_piece(job, job->source + from * (int64_t)job->element, job->target + to * (int64_t)job->element, piece);
        if (++piece < job->pieces)
            continue;
        piece = 0;
        for (int i = job->outer - 1; i >= 0; i--) {
            from += copy->from[i];
            to += copy->to[i];
            if (++index[i] < copy->dims[i])
                break;
            from -= index[i] * copy->from[i];
            to -= index[i] * copy->to[i];
            index[i] = 0;
        }
    }
}

/* Moves dimension `at` to just before the last one, so that it can be the kernel's. */
static void move_before_last(mary_copy *copy, int at)
{
    int64_t dim = copy->dims[at], from = copy->from[at], to = copy->to[at];
    for (; at + 2 < copy->rank; at++) {
        copy->dims[at] = copy->dims[at + 1];
        copy->from[at] = copy->from[at + 1];
        copy->to[at] = copy->to[at + 1];
    }
    copy->dims[at] = dim;
    copy->from[at] = from;
    copy->to[at] = to;
}

void mary_copy_run(const mary_copy *copy, size_t element, const void *source, void *target,
                   const mary_parallel *parallel)
{
    if (is_empty(copy))
        return;
    copy_job job = {.element = element, .source = source, .target = target, .across = -1};
    normalise(copy, &job.copy);
    mary_copy *plan = &job.copy;
    int last = plan->rank - 1;
    if (plan->to[last] == 1 && plan->from[last] != 1 && plan->from[last] != 0) {
        for (int i = 0; i < last && job.across < 0; i++) {
            if (plan->from[i] == 1 && plan->dims[i] > 3) {
                move_before_last(plan, i);
                job.across = last - 1;
            }
        }
    }
    job.outer = job.across >= 0 ? last - 1 : last;
    int first = job.across >= 0 ? job.across : last;
    int64_t line = (int64_t)element * (job.across >= 0 ? plan->dims[last] : 1); /* bytes of one item of `first` */
    job.piece = PIECE_BYTES / line;
    if (job.across >= 0)
        job.piece = (job.piece + BLOCK - 1) / BLOCK * BLOCK;
    if (job.piece < 1)
        job.piece = job.across >= 0 ? BLOCK : 1;
    job.pieces = (plan->dims[first] + job.piece - 1) / job.piece;
    int64_t count = job.pieces;
    for (int i = 0; i < job.outer; i++)
        count *= plan->dims[i];
    int64_t item_bytes = line * (job.piece < plan->dims[first] ? job.piece : plan->dims[first]);
    mary_parallel_for(parallel, count, PIECE_BYTES / item_bytes + 1, copy_task, &job);
}

/* ---- checks ---- */

mary_status mary_copy_expect(const mary_op_node *node, const mary_op_call *call, int required, int most, int outputs)
{
    MARY_TRY(mary_op_expect_inputs(node, call, required, most));
    if (call->output_count < 1 || call->outputs[0] == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "output 0 is missing");
    if (call->output_count > outputs)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has %d outputs, at most %d are allowed", call->output_count,
                            outputs);
    if (required > 0 && mary_type_size(call->inputs[0]->type) == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input 0 is of type %s, which is not supported",
                            mary_type_name(call->inputs[0]->type));
    return MARY_OK;
}

mary_status mary_copy_attribute(const mary_op_node *node, const char *name, int64_t *values, int most, int *count)
{
    const int64_t *found;
    size_t length;
    *count = -1;
    if (mary_attribute_find(node->proto, name) == NULL)
        return MARY_OK;
    MARY_TRY(mary_attribute_ints(node->proto, name, &found, &length));
    if (length > (size_t)most)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute '%s' has %zu values, at most %d are allowed", name,
                            length, most);
    for (size_t i = 0; i < length; i++)
        values[i] = found[i];
    *count = (int)length;
    return MARY_OK;
}

mary_status mary_copy_axis(const mary_op_node *node, int64_t axis, int rank, int *result)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "axis %lld is outside [%d, %d)", (long long)axis, -rank, rank);
    *result = (int)(axis < 0 ? axis + rank : axis);
    return MARY_OK;
}

mary_status mary_copy_set_output(const mary_op_node *node, mary_op_call *call, mary_type type, const mary_shape *shape)
{
    const int64_t most = INT64_C(1) << 34;
    MARY_TRY(mary_op_set_output(node, call, 0, type, shape));
    if (mary_shape_count(shape) > most / (int64_t)mary_type_size(type)) {
        char text[128];
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "an output of shape %s is larger than 16 GiB",
                            mary_shape_format(shape, text, sizeof text));
    }
    return MARY_OK;
}

void mary_copy_fill(mary_tensor *tensor, const void *value, const mary_parallel *parallel)
{
    mary_copy copy = {0};
    mary_copy_add(&copy, mary_shape_count(&tensor->shape), 0, 1);
    mary_copy_run(&copy, mary_type_size(tensor->type), value, tensor->data, parallel);
}

mary_status mary_op_state(mary_op_node *node, size_t bytes)
{
    node->state = mary_calloc(1, bytes);
    return node->state == NULL ? mary_fail_memory(bytes) : MARY_OK;
}

bool mary_copy_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    (void)call;
    *wants = false;
    return true;
}
