/* TopK: the k largest or smallest values along an axis, in order; of equal ones the lower index first.
 *
 * The k best indices so far form a heap in the Indices output itself, the worst at its root; sorting the heap leaves
 * them in order. */
#include "ops/copy.h"
#include "ops/order.h"

typedef struct top_k_state {
    int64_t axis, k; /* k: the attribute, until opset 9 */
    bool largest;
} top_k_state;

static mary_status prepare(mary_op_node *node)
{
    int64_t largest = 1;
    MARY_TRY(mary_op_state(node, sizeof(top_k_state)));
    top_k_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "axis", -1, &state->axis));
    MARY_TRY(mary_attribute_int(node->proto, "k", -1, &state->k));
    if (node->opset >= 11)
        MARY_TRY(mary_attribute_int(node->proto, "largest", 1, &largest));
    state->largest = largest != 0;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const top_k_state *state = node->state;
    int64_t k = state->k;
    int axis, count = 1, inputs = node->opset < 10 ? 1 : 2;
    MARY_TRY(mary_copy_expect(node, call, inputs, inputs, 2));
    mary_shape shape = call->inputs[0]->shape;
    MARY_TRY(mary_copy_axis(node, state->axis, shape.rank, &axis));
    if (node->opset >= 10) {
        if (mary_shape_count(&call->inputs[1]->shape) != 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "K must have one element");
        MARY_TRY(mary_op_ints(node, call->inputs[1], "K", &k, 1, &count));
    }
    if (k < 0 || k > shape.dims[axis])
        return mary_op_fail(node, MARY_ERROR_INVALID, "K is %lld, axis %d has length %lld", (long long)k, axis,
                            (long long)shape.dims[axis]);
    shape.dims[axis] = k;
    MARY_TRY(mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape));
    return mary_op_set_output(node, call, 1, MARY_INT64, &shape);
}

/* A place for the indices when nobody wants them. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    (void)node;
    bool wanted = call->output_count > 1 && call->outputs[1] != NULL;
    *bytes = wanted ? 0 : (size_t)mary_shape_count(&call->outputs[0]->shape) * sizeof(int64_t);
    return MARY_OK;
}

typedef struct top_k_job {
    const mary_tensor *x;
    char *values;
    int64_t *indices;
    int64_t length, k, inner;
    size_t element;
    uint64_t flip; /* all ones: the smallest are wanted */
} top_k_job;

/* One line: x[base + i*inner], indices[slot*inner]. */
typedef struct top_k_line {
    const top_k_job *job;
    int64_t base;
    int64_t *heap;
} top_k_line;

static bool is_worse(const top_k_line *line, int64_t a, int64_t b)
{
    const top_k_job *job = line->job;
    uint64_t key_a = mary_order_key(job->x, line->base + a * job->inner) ^ job->flip;
    uint64_t key_b = mary_order_key(job->x, line->base + b * job->inner) ^ job->flip;
    return key_a != key_b ? key_a < key_b : a > b;
}

/* `value` goes to `slot` or below, in a heap of `count`. */
static void sink(const top_k_line *line, int64_t slot, int64_t count, int64_t value)
{
    int64_t *heap = line->heap, inner = line->job->inner;
    for (;;) {
        int64_t child = 2 * slot + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_worse(line, heap[(child + 1) * inner], heap[child * inner]))
            child++;
        if (!is_worse(line, heap[child * inner], value))
            break;
        heap[slot * inner] = heap[child * inner];
        slot = child;
    }
    heap[slot * inner] = value;
}

static void top_k_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const top_k_job *job = context;
    int64_t inner = job->inner, k = job->k;
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / inner, column = item % inner, first = outer * k * inner + column;
        top_k_line line = {job, outer * job->length * inner + column, job->indices + first};
        for (int64_t i = 0; i < k; i++)
            line.heap[i * inner] = i;
        for (int64_t i = k / 2 - 1; i >= 0; i--)
            sink(&line, i, k, line.heap[i * inner]);
        for (int64_t i = k; i < job->length; i++) {
            if (is_worse(&line, line.heap[0], i))
                sink(&line, 0, k, i);
        }
        for (int64_t left = k - 1; left > 0; left--) { /* the worst goes last */
            int64_t worst = line.heap[0], moved = line.heap[left * inner];
            sink(&line, 0, left, moved);
            line.heap[left * inner] = worst;
        }
        for (int64_t i = 0; i < k; i++)
            memcpy(job->values + (first + i * inner) * (int64_t)job->element,
                   mary_advance_const(job->x->data, line.base + line.heap[i * inner] * inner, job->element),
                   job->element);
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const top_k_state *state = node->state;
    const mary_tensor *x = call->inputs[0];
    mary_tensor *values = call->outputs[0];
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, x->shape.rank, &axis));
    if (mary_shape_count(&values->shape) == 0)
        return MARY_OK;
    bool wanted = call->output_count > 1 && call->outputs[1] != NULL;
    top_k_job job = {.x = x,
                     .values = values->data,
                     .indices = wanted ? call->outputs[1]->data : call->scratch,
                     .length = x->shape.dims[axis],
                     .k = values->shape.dims[axis],
                     .inner = mary_shape_count_range(&x->shape, axis + 1, x->shape.rank),
                     .element = mary_type_size(x->type),
                     .flip = state->largest ? 0 : UINT64_MAX};
    mary_parallel_for(call->parallel, mary_shape_count_range(&x->shape, 0, axis) * job.inner, 4096 / job.length + 1,
                      top_k_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_top_k[] = {
    {.domain = "",
     .type = "TopK",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run},
    MARY_OP_END,
};
