/* Scatter, ScatterElements, ScatterND: a copy of data with elements replaced, or combined with what is there.
 *
 * Updates are applied in order, in one thread: indices may repeat, and then the order decides. */
#include "ops/copy.h"
#include "ops/indices.h"

#include <math.h>
#include <string.h>

enum reduction { REDUCE_NONE, REDUCE_ADD, REDUCE_MUL, REDUCE_MAX, REDUCE_MIN };

typedef struct scatter_state {
    int64_t axis;
    enum reduction reduction;
} scatter_state;

static mary_status prepare(mary_op_node *node)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *reduction = "none";
    int known = node->opset >= 18 ? 5 : 3, i = 0;
    MARY_TRY(mary_op_state(node, sizeof(scatter_state)));
    scatter_state *state = node->state;
    MARY_TRY(mary_attribute_int(node->proto, "axis", 0, &state->axis));
    if (node->opset >= 16)
        MARY_TRY(mary_attribute_string(node->proto, "reduction", "none", &reduction));
    while (i < known && strcmp(reduction, names[i]) != 0)
        i++;
    if (i == known)
        return mary_op_fail(node, MARY_ERROR_INVALID, "reduction '%s' is not known", reduction);
    state->reduction = (enum reduction)i;
    return MARY_OK;
}

static mary_status check_types(const mary_op_node *node, const mary_op_call *call)
{
    const scatter_state *state = node->state;
    mary_type type = call->inputs[0]->type;
    MARY_TRY(mary_indices_type(node, call->inputs[1]));
    if (call->inputs[2]->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "data is %s, updates are %s", mary_type_name(type),
                            mary_type_name(call->inputs[2]->type));
    if (type == MARY_BOOL && state->reduction != REDUCE_NONE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "reductions of bool are not supported");
    return MARY_OK;
}

/* Integers wrap; of NaN and a number max and min take NaN, as numpy does. */
#define COMBINE(type, wide)                                                                                            \
    do {                                                                                                               \
        type *a = (type *)data + at;                                                                                   \
        const type *b = (const type *)updates + from;                                                                  \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            if (reduction == REDUCE_ADD)                                                                               \
                a[i] = (type)((wide)a[i] + (wide)b[i]);                                                                \
            else if (reduction == REDUCE_MUL)                                                                          \
                a[i] = (type)((wide)a[i] * (wide)b[i]);                                                                \
            else if (reduction == REDUCE_MAX)                                                                          \
                a[i] = b[i] > a[i] || b[i] != b[i] ? b[i] : a[i];                                                      \
            else                                                                                                       \
                a[i] = b[i] < a[i] || b[i] != b[i] ? b[i] : a[i];                                                      \
        }                                                                                                              \
    } while (0)

static float combine_floats(enum reduction reduction, float a, float b)
{
    switch (reduction) {
    case REDUCE_ADD:
        return a + b;
    case REDUCE_MUL:
        return a * b;
    case REDUCE_MAX:
        return b > a || b != b ? b : a;
    default:
        return b < a || b != b ? b : a;
    }
}

static void combine_halves(mary_type type, enum reduction reduction, uint16_t *a, const uint16_t *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (type == MARY_FLOAT16)
            a[i] = mary_float_to_half(combine_floats(reduction, mary_half_to_float(a[i]), mary_half_to_float(b[i])));
        else
            a[i] =
                mary_float_to_bfloat(combine_floats(reduction, mary_bfloat_to_float(a[i]), mary_bfloat_to_float(b[i])));
    }
}

/* data[at ..) takes updates[from ..), `count` elements. */
static void apply(mary_type type, enum reduction reduction, void *data, int64_t at, const void *updates, int64_t from,
                  int64_t count)
{
    size_t element = mary_type_size(type);
    if (reduction == REDUCE_NONE) {
        memcpy(mary_advance(data, at, element), mary_advance_const(updates, from, element), (size_t)count * element);
        return;
    }
    switch (type) {
    case MARY_FLOAT:
        COMBINE(float, float);
        break;
    case MARY_DOUBLE:
        COMBINE(double, double);
        break;
    case MARY_INT8:
        COMBINE(int8_t, uint32_t);
        break;
    case MARY_UINT8:
        COMBINE(uint8_t, uint32_t);
        break;
    case MARY_INT16:
        COMBINE(int16_t, uint32_t);
        break;
    case MARY_UINT16:
        COMBINE(uint16_t, uint32_t);
        break;
    case MARY_INT32:
        COMBINE(int32_t, uint32_t);
        break;
    case MARY_UINT32:
        COMBINE(uint32_t, uint32_t);
        break;
    case MARY_INT64:
        COMBINE(int64_t, uint64_t);
        break;
    case MARY_UINT64:
        COMBINE(uint64_t, uint64_t);
        break;
    default: /* float16, bfloat16 */
        combine_halves(type, reduction, (uint16_t *)data + at, (const uint16_t *)updates + from, count);
        break;
    }
}

static void copy_data(mary_op_call *call)
{
    if (call->outputs[0]->data != call->inputs[0]->data)
        memcpy(call->outputs[0]->data, call->inputs[0]->data, mary_tensor_bytes(call->outputs[0]));
}

/* ---- ScatterElements: output[i, indices[i,j,k], k] takes updates[i,j,k] for axis 1 ---- */

static mary_status elements_infer(const mary_op_node *node, mary_op_call *call)
{
    const scatter_state *state = node->state;
    int axis;
    MARY_TRY(mary_copy_expect(node, call, 3, 3, 1));
    MARY_TRY(check_types(node, call));
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    MARY_TRY(mary_copy_axis(node, state->axis, data->rank, &axis));
    if (!mary_shape_equal(indices, &call->inputs[2]->shape) || indices->rank != data->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "data, indices and updates differ in shape");
    for (int i = 0; i < data->rank; i++) {
        if (i != axis && indices->dims[i] > data->dims[i])
            return mary_op_fail(node, MARY_ERROR_INVALID, "indices have length %lld along axis %d, data has %lld",
                                (long long)indices->dims[i], i, (long long)data->dims[i]);
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, data);
}

static mary_status elements_run(const mary_op_node *node, mary_op_call *call)
{
    const scatter_state *state = node->state;
    const mary_tensor *indices = call->inputs[1];
    mary_tensor *output = call->outputs[0];
    int64_t stride[MARY_MAX_RANK], count = mary_shape_count(&indices->shape);
    int axis;
    MARY_TRY(mary_copy_axis(node, state->axis, output->shape.rank, &axis));
    MARY_TRY(mary_indices_check(node, indices, 0, 1, output->shape.dims[axis]));
    copy_data(call);
    mary_tensor_strides(output, stride);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = mary_index(indices, i, output->shape.dims[axis]) * stride[axis], rest = i;
        for (int d = output->shape.rank - 1; d >= 0; d--) {
            if (d != axis)
                at += rest % indices->shape.dims[d] * stride[d];
            rest /= indices->shape.dims[d];
        }
        apply(output->type, state->reduction, output->data, at, call->inputs[2]->data, i, 1);
    }
    return MARY_OK;
}

/* ---- ScatterND: indices [..., k] name the places of slices data[k indices, ...] ---- */

static mary_status nd_infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 3, 3, 1));
    MARY_TRY(check_types(node, call));
    const mary_shape *data = &call->inputs[0]->shape, *indices = &call->inputs[1]->shape;
    const mary_shape *updates = &call->inputs[2]->shape;
    int64_t depth = indices->rank > 0 ? indices->dims[indices->rank - 1] : 0;
    if (indices->rank < 1 || depth < 1 || depth > data->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "indices address %lld axes, data has %d", (long long)depth,
                            data->rank);
    bool fits = updates->rank == indices->rank - 1 + data->rank - (int)depth;
    for (int i = 0; fits && i < updates->rank; i++)
        fits = updates->dims[i] ==
               (i < indices->rank - 1 ? indices->dims[i] : data->dims[depth + i - (indices->rank - 1)]);
    if (!fits) {
        char a[96], b[96], c[96];
        return mary_op_fail(node, MARY_ERROR_INVALID, "updates %s do not fit data %s and indices %s",
                            mary_shape_format(updates, a, sizeof a), mary_shape_format(data, b, sizeof b),
                            mary_shape_format(indices, c, sizeof c));
    }
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, data);
}

static mary_status nd_run(const mary_op_node *node, mary_op_call *call)
{
    const scatter_state *state = node->state;
    const mary_tensor *indices = call->inputs[1];
    mary_tensor *output = call->outputs[0];
    const mary_shape *data = &output->shape;
    int depth = (int)indices->shape.dims[indices->shape.rank - 1];
    int64_t stride[MARY_MAX_RANK], tuples = mary_shape_count_range(&indices->shape, 0, indices->shape.rank - 1);
    int64_t inner = mary_shape_count_range(data, depth, data->rank);
    for (int k = 0; k < depth; k++)
        MARY_TRY(mary_indices_check(node, indices, k, depth, data->dims[k]));
    copy_data(call);
    mary_tensor_strides(output, stride);
    for (int64_t i = 0; i < tuples; i++) {
        int64_t at = 0;
        for (int k = 0; k < depth; k++)
            at += mary_index(indices, i * depth + k, data->dims[k]) * stride[k];
        apply(output->type, state->reduction, output->data, at, call->inputs[2]->data, i * inner, inner);
    }
    return MARY_OK;
}

#define SCATTER(name, first, last, infer_shape, run_node)                                                              \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .until = last, .flags = MARY_OP_IN_PLACE | MARY_OP_HALF,           \
        .prepare = prepare, .infer = infer_shape, .run = run_node                                                      \
    }

const mary_op mary_ops_scatter[] = {
    SCATTER("Scatter", 9, 10, elements_infer, elements_run),
    SCATTER("ScatterElements", 11, 0, elements_infer, elements_run),
    SCATTER("ScatterND", 11, 0, nd_infer, nd_run),
    MARY_OP_END,
};
