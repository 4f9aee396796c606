/* com.microsoft QLinearConcat: Y_scale, Y_zero_point, then a tensor, its scale and its zero point for every input. An
 * input that is quantised as the output is copied, any other goes through a table. */
#include <stdio.h>

#include "ops/copy.h"
#include "ops/qlinear.h"

enum { Y_SCALE = 0, FIRST = 2, EACH = 3, LEVELS = 256 };

typedef struct concat_state {
    int64_t axis;
    mary_table_function *function;
} concat_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(concat_state)));
    concat_state *state = node->state;
    state->function = mary_table_function_for(mary_cpu_current());
    if (mary_attribute_find(node->proto, "axis") == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'axis' is missing");
    return mary_attribute_int(node->proto, "axis", 1, &state->axis);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const concat_state *state = node->state;
    int axis;
    if (call->input_count < FIRST + EACH || (call->input_count - FIRST) % EACH != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has %d inputs, two and then three for each tensor are needed",
                            call->input_count);
    MARY_TRY(mary_quantisation_check(node, call, Y_SCALE, "Y"));
    for (int i = FIRST; i < call->input_count; i += EACH) {
        char what[32];
        snprintf(what, sizeof what, "input %d", i);
        MARY_TRY(mary_qlinear_expect_u8(node, call, i, what));
        MARY_TRY(mary_quantisation_check(node, call, i + 1, what));
    }
    mary_shape shape = call->inputs[FIRST]->shape;
    MARY_TRY(mary_copy_axis(node, state->axis, shape.rank, &axis));
    for (int i = FIRST + EACH; i < call->input_count; i += EACH) {
        const mary_shape *other = &call->inputs[i]->shape;
        bool same = other->rank == shape.rank;
        for (int d = 0; same && d < shape.rank; d++)
            same = d == axis || other->dims[d] == shape.dims[d];
        if (!same) {
            char first[96], text[96];
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d %s does not fit input %d %s along axis %d", i,
                                mary_shape_format(other, text, sizeof text), FIRST,
                                mary_shape_format(&call->inputs[FIRST]->shape, first, sizeof first), axis);
        }
        if (__builtin_add_overflow(shape.dims[axis], other->dims[axis], &shape.dims[axis]))
            return mary_op_fail(node, MARY_ERROR_INVALID, "output is too large along axis %d", axis);
    }
    return mary_op_set_output(node, call, 0, MARY_UINT8, &shape);
}

/* Rows of one input: `length` bytes that lie next to each other in both tensors. */
typedef struct rows {
    mary_table_function *function;
    const uint8_t *table, *x;
    uint8_t *y;
    int64_t length, x_step, y_step;
} rows;

static void rows_task(void *context, int64_t begin, int64_t end, int thread)
{
    const rows *r = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        r->function(r->table, r->x + i * r->x_step, r->y + i * r->y_step, r->length);
}

/* The output seen as [outer, axis and what is inside it]; channels last it is [pixels, channels] for axis 1. */
static void look_up(const concat_state *state, const mary_tensor *x, const mary_tensor *y, int axis, int64_t offset,
                    const uint8_t *table, const mary_parallel *parallel)
{
    const mary_shape *shape = &x->shape;
    rows r = {.function = state->function, .table = table, .x = x->data, .y = (uint8_t *)y->data + offset};
    int64_t count;
    if (y->layout == MARY_LAYOUT_CHANNELS_LAST) { /* axis is 1: see channels_last */
        count = shape->dims[0] * mary_shape_count_range(shape, 2, shape->rank);
        r.length = shape->dims[1];
        r.x_step = x->pixel_stride;
        r.y_step = y->pixel_stride;
    } else {
        count = mary_shape_count_range(shape, 0, axis);
        r.length = r.x_step = mary_shape_count_range(shape, axis, shape->rank);
        r.y_step = mary_shape_count_range(&y->shape, axis, shape->rank);
    }
    if (r.length > 0)
        mary_parallel_for(parallel, count, 1 + 65536 / r.length, rows_task, &r);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const concat_state *state = node->state;
    mary_tensor *output = call->outputs[0];
    int rank = output->shape.rank, axis;
    int64_t to[MARY_MAX_RANK], from[MARY_MAX_RANK], offset = 0;
    mary_quantisation x, y;
    MARY_TRY(mary_copy_axis(node, state->axis, rank, &axis));
    MARY_TRY(mary_quantisation_read(node, call, Y_SCALE, "Y", &y));
    mary_tensor_strides(output, to);
    for (int i = FIRST; i < call->input_count; i += EACH) {
        const mary_tensor *input = call->inputs[i];
        MARY_TRY(mary_quantisation_read(node, call, i + 1, "an input", &x));
        uint8_t table[LEVELS];
        if (x.scale == y.scale && x.zero == y.zero) {
            mary_copy copy = {0};
            if (input->data == (const uint8_t *)output->data + offset) { /* a producer may have written it there */
                offset += input->shape.dims[axis] * to[axis];
                continue;
            }
            mary_tensor_strides(input, from);
            for (int d = 0; d < rank; d++)
                mary_copy_add(&copy, input->shape.dims[d], from[d], to[d]);
            mary_copy_run(&copy, 1, input->data, (uint8_t *)output->data + offset, call->parallel);
        } else {
            mary_qlinear_table(&x, &y, table);
            look_up(state, input, output, axis, offset, table, call->parallel);
        }
        offset += input->shape.dims[axis] * to[axis];
    }
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const concat_state *state = node->state;
    int axis;
    *wants = false;
    return mary_copy_axis(node, state->axis, call->inputs[FIRST]->shape.rank, &axis) == MARY_OK && axis == 1;
}

const mary_op mary_ops_qlinear_concat[] = {
    {.domain = "com.microsoft",
     .type = "QLinearConcat",
     .since = 1,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = channels_last},
    MARY_OP_END,
};
