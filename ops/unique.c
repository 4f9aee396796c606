/* Unique: distinct elements, or slices along an axis; with the first index, the inverse and the count of each.
 *
 * Slices are sorted by value, then by index, so that a group of equal ones starts with its first occurrence. */
#include "ops/copy.h"
#include "ops/order.h"

#include <stdlib.h>

typedef struct unique_state {
    int64_t axis;
    bool has_axis, sorted;
} unique_state;

/* x seen as [outer, count, inner]; slice i is x[:, i, :]. */
typedef struct unique_slices {
    const mary_tensor *x;
    int64_t outer, count, inner;
} unique_slices;

static mary_status prepare(mary_op_node *node)
{
    int64_t sorted;
    MARY_TRY(mary_op_state(node, sizeof(unique_state)));
    unique_state *state = node->state;
    state->has_axis = mary_attribute_find(node->proto, "axis") != NULL;
    MARY_TRY(mary_attribute_int(node->proto, "axis", 0, &state->axis));
    MARY_TRY(mary_attribute_int(node->proto, "sorted", 1, &sorted));
    state->sorted = sorted != 0;
    return MARY_OK;
}

static mary_status slices_of(const mary_op_node *node, const mary_tensor *x, unique_slices *slices, int *axis)
{
    const unique_state *state = node->state;
    *axis = 0;
    *slices = (unique_slices){x, 1, mary_shape_count(&x->shape), 1};
    if (!state->has_axis)
        return MARY_OK;
    MARY_TRY(mary_copy_axis(node, state->axis, x->shape.rank, axis));
    slices->outer = mary_shape_count_range(&x->shape, 0, *axis);
    slices->count = x->shape.dims[*axis];
    slices->inner = mary_shape_count_range(&x->shape, *axis + 1, x->shape.rank);
    return MARY_OK;
}

static int compare_values(const unique_slices *slices, int64_t a, int64_t b)
{
    for (int64_t o = 0; o < slices->outer; o++) {
        for (int64_t i = 0; i < slices->inner; i++) {
            uint64_t left = mary_order_key(slices->x, (o * slices->count + a) * slices->inner + i);
            uint64_t right = mary_order_key(slices->x, (o * slices->count + b) * slices->inner + i);
            if (left != right)
                return left < right ? -1 : 1;
        }
    }
    return 0;
}

static int compare_slices(const void *a, const void *b, void *context)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    int order = compare_values(context, left, right);
    return order != 0 ? order : left < right ? -1 : 1;
}

/* Fills `order`; returns the number of groups. */
static int64_t sort_slices(unique_slices *slices, int64_t *order)
{
    int64_t groups = 0;
    for (int64_t i = 0; i < slices->count; i++)
        order[i] = i;
    qsort_r(order, (size_t)slices->count, sizeof *order, compare_slices, slices);
    for (int64_t i = 0; i < slices->count; i++)
        groups += i == 0 || compare_values(slices, order[i - 1], order[i]) != 0;
    return groups;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const unique_state *state = node->state;
    unique_slices slices;
    int axis;
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 4));
    const mary_tensor *x = call->inputs[0];
    MARY_TRY(slices_of(node, x, &slices, &axis));
    if (slices.outer * slices.inner == 0 && slices.count > 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "slices without elements are not supported");
    if (x->data == NULL && slices.count > 0)
        return MARY_DEFERRED;
    int64_t *order = mary_calloc((size_t)slices.count, sizeof *order);
    if (order == NULL)
        return mary_fail_memory((size_t)slices.count * sizeof *order);
    int64_t groups = sort_slices(&slices, order);
    mary_free(order);
    mary_shape shape = state->has_axis ? x->shape : (mary_shape){.rank = 1};
    shape.dims[axis] = groups;
    MARY_TRY(mary_op_set_output(node, call, 0, x->type, &shape));
    MARY_TRY(mary_op_set_output(node, call, 1, MARY_INT64, &(mary_shape){1, {groups}}));
    MARY_TRY(mary_op_set_output(node, call, 2, MARY_INT64, &(mary_shape){1, {slices.count}}));
    return mary_op_set_output(node, call, 3, MARY_INT64, &(mary_shape){1, {groups}});
}

/* Scratch: the sorted order, the group of each slice, and where each group goes. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    unique_slices slices;
    int axis;
    MARY_TRY(slices_of(node, call->inputs[0], &slices, &axis));
    *bytes = (size_t)slices.count * 3 * sizeof(int64_t);
    return MARY_OK;
}

static int64_t *optional_output(const mary_op_call *call, int index)
{
    return index < call->output_count && call->outputs[index] != NULL ? call->outputs[index]->data : NULL;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const unique_state *state = node->state;
    unique_slices slices;
    int axis;
    MARY_TRY(slices_of(node, call->inputs[0], &slices, &axis));
    int64_t count = slices.count, *order = call->scratch, *group = order + count, *place = group + count;
    int64_t groups = sort_slices(&slices, order), wanted = call->outputs[0]->shape.dims[axis];
    if (groups != wanted)
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "%lld groups instead of %lld", (long long)groups,
                            (long long)wanted);
    int64_t *first = optional_output(call, 1), *inverse = optional_output(call, 2), *counts = optional_output(call, 3);
    for (int64_t i = 0, g = -1; i < count; i++) {
        g += i == 0 || compare_values(&slices, order[i - 1], order[i]) != 0;
        group[order[i]] = g;
        place[i] = -1;
    }
    /* Sorted: group g is output g. Else in the order in which they first appear. */
    for (int64_t i = 0, next = 0; i < count; i++) {
        int64_t g = group[i];
        bool fresh = place[g] < 0;
        if (fresh) {
            place[g] = state->sorted ? g : next++;
            for (int64_t o = 0; o < slices.outer; o++)
                memcpy(
                    mary_advance(call->outputs[0]->data, (o * groups + place[g]) * slices.inner,
                                 mary_type_size(slices.x->type)),
                    mary_advance_const(slices.x->data, (o * count + i) * slices.inner, mary_type_size(slices.x->type)),
                    (size_t)slices.inner * mary_type_size(slices.x->type));
        }
        if (first != NULL && fresh)
            first[place[g]] = i;
        if (inverse != NULL)
            inverse[i] = place[g];
        if (counts != NULL)
            counts[place[g]] = fresh ? 1 : counts[place[g]] + 1;
    }
    return MARY_OK;
}

const mary_op mary_ops_unique[] = {
    {.domain = "",
     .type = "Unique",
     .since = 11,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run},
    MARY_OP_END,
};
