/* Broadcasting: every tensor becomes strides over the output's dimensions, neighbouring dimensions that all tensors
 * walk evenly are merged, and what is innermost then goes to the operator's loop. */
#include "ops/broadcast.h"

#include <string.h>

enum { PIECE = 16384, TENSORS = MARY_BROADCAST_MOST + 1, BUFFER = 256 };

typedef struct walk {
    mary_broadcast_loop *loop;
    const void *context;
    int inputs; /* tensors 0..inputs-1; the output is tensor `inputs` */
    int rank;   /* merged dimensions, the innermost last; at least 1 */
    int64_t dims[MARY_MAX_RANK];
    int64_t strides[TENSORS][MARY_MAX_RANK]; /* in elements; 0: broadcast */
    char *data[TENSORS];
    size_t size[TENSORS];  /* bytes of an element */
    int64_t chunk, chunks; /* the innermost dimension is cut into `chunks` of `chunk` */
    bool even;             /* innermost steps are 0 or 1, the output's is 1 */
} walk;

mary_status mary_broadcast_shape(const mary_op_node *node, const mary_op_call *call, int count, mary_shape *shape)
{
    *shape = call->inputs[0]->shape;
    for (int i = 1; i < count; i++) {
        mary_status status = mary_shape_broadcast(shape, &call->inputs[i]->shape, shape);
        if (status != MARY_OK)
            return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    }
    return MARY_OK;
}

mary_status mary_broadcast_align(const mary_op_node *node, const mary_op_call *call, mary_tensor *view)
{
    const mary_shape *a = &call->inputs[0]->shape;
    int64_t broadcast, axis;
    *view = *call->inputs[1];
    if (node->opset >= 7 || view->shape.rank == 0)
        return MARY_OK;
    bool slope = strcmp(node->op->type, "PRelu") == 0;
    MARY_TRY(mary_attribute_int(node->proto, "broadcast", slope, &broadcast));
    MARY_TRY(mary_attribute_int(node->proto, "axis", slope ? 1 : a->rank - view->shape.rank, &axis));
    if (broadcast == 0 || mary_shape_count(&view->shape) == 1)
        return MARY_OK;
    axis += axis < 0 ? a->rank : 0;
    if (axis < 0 || axis + view->shape.rank > a->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input 1 of rank %d does not fit input 0 of rank %d at axis %lld",
                            view->shape.rank, a->rank, (long long)axis);
    while (axis + view->shape.rank < a->rank)
        view->shape.dims[view->shape.rank++] = 1;
    return MARY_OK;
}

/* Strides of a tensor's own axes, in elements. */
static void own_strides(const mary_tensor *tensor, int64_t *strides)
{
    const mary_shape *shape = &tensor->shape;
    bool last = tensor->layout == MARY_LAYOUT_CHANNELS_LAST;
    int64_t stride = last ? tensor->pixel_stride : 1;
    for (int i = shape->rank - 1; i >= (last ? 2 : 0); i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
    if (last) {
        strides[1] = 1;
        strides[0] = stride;
    }
}

static void add_tensor(walk *w, int index, const mary_tensor *tensor, const mary_shape *shape, const int *order)
{
    int64_t strides[MARY_MAX_RANK] = {0};
    own_strides(tensor, strides);
    int shift = shape->rank - tensor->shape.rank;
    for (int i = 0; i < shape->rank; i++) {
        int axis = order[i] - shift;
        w->strides[index][i] = axis >= 0 && tensor->shape.dims[axis] != 1 ? strides[axis] : 0;
    }
    w->data[index] = tensor->data;
    w->size[index] = mary_type_size(tensor->type);
}

/* Drops dimensions of 1 and merges neighbours. */
static void simplify(walk *w)
{
    int rank = 0;
    for (int i = 0; i < w->rank; i++) {
        if (w->dims[i] == 1)
            continue;
        bool merge = rank > 0;
        for (int t = 0; merge && t <= w->inputs; t++)
            merge = w->strides[t][rank - 1] == w->strides[t][i] * w->dims[i];
        int to = merge ? rank - 1 : rank++;
        w->dims[to] = merge ? w->dims[to] * w->dims[i] : w->dims[i];
        for (int t = 0; t <= w->inputs; t++)
            w->strides[t][to] = w->strides[t][i];
    }
    if (rank == 0) {
        w->dims[0] = 1;
        for (int t = 0; t <= w->inputs; t++)
            w->strides[t][0] = t == w->inputs;
        rank = 1;
    }
    w->rank = rank;
}

/* True when all tensors are of one shape and stride, channels last with gaps, or single values: gaps are then computed
 * on, too. */
static bool whole_pixels(const mary_tensor *const *x, int count, const mary_tensor *y)
{
    if (y->layout != MARY_LAYOUT_CHANNELS_LAST)
        return false;
    for (int i = 0; i < count; i++) {
        bool same = x[i]->layout == y->layout && x[i]->pixel_stride == y->pixel_stride &&
                    mary_shape_equal(&x[i]->shape, &y->shape);
        if (!same && mary_shape_count(&x[i]->shape) != 1)
            return false;
    }
    return true;
}

static void copy_strided(char *to, size_t to_step, const char *from, size_t from_step, size_t size, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step, size);
}

/* The loop wants steps of 0 or 1: other inputs are gathered, the output is scattered. */
static void run_uneven(const walk *w, char *const *at, int64_t count)
{
    _Alignas(MARY_ALIGNMENT) char buffers[TENSORS][BUFFER * 8];
    const void *x[MARY_BROADCAST_MOST];
    int64_t step[MARY_BROADCAST_MOST];
    int inner = w->rank - 1, y = w->inputs;
    size_t y_stride = (size_t)w->strides[y][inner] * w->size[y];
    for (int64_t begin = 0; begin < count; begin += BUFFER) {
        int64_t n = count - begin < BUFFER ? count - begin : BUFFER;
        for (int t = 0; t < y; t++) {
            size_t stride = (size_t)w->strides[t][inner] * w->size[t];
            step[t] = stride != 0;
            x[t] = buffers[t];
            copy_strided(buffers[t], w->size[t], at[t] + (size_t)begin * stride, stride, w->size[t],
                         stride == 0 ? 1 : n);
        }
        w->loop(w->context, x, step, buffers[y], n);
        copy_strided(at[y] + (size_t)begin * y_stride, y_stride, buffers[y], w->size[y], w->size[y], n);
    }
}

/* Items [begin, end): item i is chunk i % chunks of row i / chunks. */
static void run_items(void *context, int64_t begin, int64_t end, int thread)
{
    const walk *w = context;
    int inner = w->rank - 1;
    int64_t index[MARY_MAX_RANK], row = begin / w->chunks, chunk = begin % w->chunks;
    char *base[TENSORS], *at[TENSORS];
    const void *x[MARY_BROADCAST_MOST];
    int64_t step[TENSORS];
    (void)thread;
    memcpy(base, w->data, sizeof base);
    for (int d = inner - 1; d >= 0; d--) {
        index[d] = row % w->dims[d];
        row /= w->dims[d];
        for (int t = 0; t <= w->inputs; t++)
            base[t] += (size_t)(index[d] * w->strides[t][d]) * w->size[t];
    }
    for (int t = 0; t <= w->inputs; t++)
        step[t] = w->strides[t][inner];
    for (int64_t item = begin; item < end; item++) {
        int64_t first = chunk * w->chunk;
        int64_t count = w->dims[inner] - first < w->chunk ? w->dims[inner] - first : w->chunk;
        for (int t = 0; t <= w->inputs; t++)
            at[t] = base[t] + (size_t)(first * step[t]) * w->size[t];
        for (int t = 0; t < w->inputs; t++)
            x[t] = at[t];
        if (w->even)
            w->loop(w->context, x, step, at[w->inputs], count);
        else
            run_uneven(w, at, count);
        if (++chunk < w->chunks)
            continue;
        chunk = 0;
        for (int d = inner - 1; d >= 0; d--) { /* the next row */
            for (int t = 0; t <= w->inputs; t++)
                base[t] += (size_t)w->strides[t][d] * w->size[t];
            if (++index[d] < w->dims[d])
                break;
            for (int t = 0; t <= w->inputs; t++)
                base[t] -= (size_t)(w->strides[t][d] * w->dims[d]) * w->size[t];
            index[d] = 0;
        }
    }
}

void mary_broadcast_run(const mary_parallel *parallel, mary_broadcast_loop *loop, const void *context,
                        const mary_tensor *const *x, int count, const mary_tensor *y)
{
    walk w = {.loop = loop, .context = context, .inputs = count, .rank = y->shape.rank};
    if (mary_shape_count(&y->shape) == 0)
        return;
    int order[MARY_MAX_RANK];
    bool last = y->layout == MARY_LAYOUT_CHANNELS_LAST;
    for (int i = 0; i < w.rank; i++) {
        order[i] = !last || i == 0 ? i : i + 1 < w.rank ? i + 1 : 1;
        w.dims[i] = y->shape.dims[order[i]];
    }
    for (int t = 0; t <= count; t++)
        add_tensor(&w, t, t < count ? x[t] : y, &y->shape, order);
    if (whole_pixels(x, count, y)) {
        w.rank = 1;
        w.dims[0] = (int64_t)(mary_tensor_bytes(y) / w.size[count]);
        for (int t = 0; t <= count; t++)
            w.strides[t][0] = t == count || mary_shape_count(&x[t]->shape) != 1;
    }
    simplify(&w);
    int inner = w.rank - 1;
    w.even = w.strides[count][inner] == 1;
    for (int t = 0; t < count; t++)
        w.even &= w.strides[t][inner] == 0 || w.strides[t][inner] == 1;
    w.chunk = w.dims[inner] < PIECE ? w.dims[inner] : PIECE;
    w.chunks = (w.dims[inner] + w.chunk - 1) / w.chunk;
    int64_t items = w.chunks;
    for (int d = 0; d < inner; d++)
        items *= w.dims[d];
    mary_parallel_for(parallel, items, (PIECE + w.chunk - 1) / w.chunk, run_items, &w);
}

bool mary_broadcast_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    *wants = false;
    return call->outputs[0]->shape.rank >= 3;
}
