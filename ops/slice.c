/* Slice: a strided box of a tensor; bounds are attributes in opset 1, inputs since 10. */
#include "ops/copy.h"

typedef struct slice_bounds {
    int64_t starts[MARY_MAX_RANK], ends[MARY_MAX_RANK], axes[MARY_MAX_RANK], steps[MARY_MAX_RANK];
    int count;
} slice_bounds;

typedef struct slice_box {
    int64_t first[MARY_MAX_RANK], step[MARY_MAX_RANK], count[MARY_MAX_RANK];
} slice_box;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(slice_bounds)));
    slice_bounds *bounds = node->state;
    if (node->opset >= 10)
        return MARY_OK;
    int ends, axes;
    MARY_TRY(mary_copy_attribute(node, "starts", bounds->starts, MARY_MAX_RANK, &bounds->count));
    MARY_TRY(mary_copy_attribute(node, "ends", bounds->ends, MARY_MAX_RANK, &ends));
    MARY_TRY(mary_copy_attribute(node, "axes", bounds->axes, MARY_MAX_RANK, &axes));
    if (bounds->count < 0 || ends != bounds->count || (axes >= 0 && axes != bounds->count))
        return mary_op_fail(node, MARY_ERROR_INVALID, "'starts', 'ends' and 'axes' differ in length");
    for (int i = 0; i < bounds->count; i++) {
        bounds->steps[i] = 1;
        if (axes < 0)
            bounds->axes[i] = i;
    }
    return MARY_OK;
}

static const mary_tensor *optional_input(const mary_op_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

static mary_status read_inputs(const mary_op_node *node, const mary_op_call *call, slice_bounds *bounds)
{
    int ends, axes, steps;
    MARY_TRY(mary_op_ints(node, call->inputs[1], "'starts'", bounds->starts, MARY_MAX_RANK, &bounds->count));
    MARY_TRY(mary_op_ints(node, call->inputs[2], "'ends'", bounds->ends, MARY_MAX_RANK, &ends));
    axes = steps = bounds->count;
    for (int i = 0; i < bounds->count; i++) {
        bounds->axes[i] = i;
        bounds->steps[i] = 1;
    }
    if (optional_input(call, 3) != NULL)
        MARY_TRY(mary_op_ints(node, call->inputs[3], "'axes'", bounds->axes, MARY_MAX_RANK, &axes));
    if (optional_input(call, 4) != NULL)
        MARY_TRY(mary_op_ints(node, call->inputs[4], "'steps'", bounds->steps, MARY_MAX_RANK, &steps));
    if (ends != bounds->count || axes != bounds->count || steps != bounds->count)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%d starts, %d ends, %d axes and %d steps do not fit together",
                            bounds->count, ends, axes, steps);
    return MARY_OK;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Bounds beyond the ends are clamped, as numpy does; INT64_MIN and INT64_MAX are common here. */
static void clip_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *count)
{
    if (start < 0)
        start = start < -dim ? -1 : start + dim;
    if (end < 0)
        end = end < -dim ? -1 : end + dim;
    *count = 0;
    if (step > 0) {
        start = clamp(start, 0, dim);
        end = clamp(end, 0, dim);
        if (end > start)
            *count = (end - start - 1) / step + 1;
    } else {
        start = clamp(start, -1, dim - 1);
        end = clamp(end, -1, dim - 1);
        if (start > end) /* step may be INT64_MIN, whose negation does not exist */
            *count = (int64_t)((uint64_t)(start - end - 1) / (0 - (uint64_t)step)) + 1;
    }
    *first = *count > 0 ? start : 0;
}

static mary_status resolve(const mary_op_node *node, const mary_op_call *call, slice_box *box)
{
    const mary_shape *shape = &call->inputs[0]->shape;
    slice_bounds bounds;
    bool seen[MARY_MAX_RANK] = {false};
    if (node->opset < 10)
        bounds = *(const slice_bounds *)node->state;
    else
        MARY_TRY(read_inputs(node, call, &bounds));
    for (int i = 0; i < shape->rank; i++) {
        box->first[i] = 0;
        box->step[i] = 1;
        box->count[i] = shape->dims[i];
    }
    for (int i = 0; i < bounds.count; i++) {
        int axis;
        MARY_TRY(mary_copy_axis(node, bounds.axes[i], shape->rank, &axis));
        if (seen[axis])
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is given twice", axis);
        if (bounds.steps[i] == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the step of axis %d is 0", axis);
        seen[axis] = true;
        clip_axis(shape->dims[axis], bounds.starts[i], bounds.ends[i], bounds.steps[i], &box->first[axis],
                  &box->count[axis]);
        box->step[axis] = box->count[axis] > 1 ? bounds.steps[i] : 1;
    }
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    slice_box box;
    if (node->opset < 10)
        MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    else
        MARY_TRY(mary_copy_expect(node, call, 3, 5, 1));
    MARY_TRY(resolve(node, call, &box));
    mary_shape shape = call->inputs[0]->shape;
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = box.count[i];
    return mary_op_set_output(node, call, 0, call->inputs[0]->type, &shape);
}

/* The copy begins `offset` elements into the input. */
static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_copy *copy, int64_t *offset)
{
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    slice_box box;
    *copy = (mary_copy){0};
    *offset = 0;
    MARY_TRY(resolve(node, call, &box));
    mary_tensor_strides(call->inputs[0], from);
    mary_tensor_strides(call->outputs[0], to);
    for (int i = 0; i < call->inputs[0]->shape.rank; i++) {
        *offset += box.first[i] * from[i];
        mary_copy_add(copy, box.count[i], box.step[i] * from[i], to[i]);
    }
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *input = call->inputs[0];
    mary_tensor *output = call->outputs[0];
    size_t element = mary_type_size(input->type);
    mary_copy copy;
    int64_t offset;
    MARY_TRY(describe(node, call, &copy, &offset));
    if (mary_shape_count(&output->shape) > 0)
        mary_copy_run(&copy, element, mary_advance_const(input->data, offset, element), output->data, call->parallel);
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    float *to = mary_copy_gradient(call, 0);
    mary_copy copy;
    int64_t offset;
    MARY_TRY(describe(node, call->forward, &copy, &offset));
    if (to != NULL)
        mary_copy_add_back(&copy, call->output_gradients[0]->data, to + offset, 1.0f);
    return MARY_OK;
}

/* The bounds are looked at, too; they are never in the arena. */
static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .reads_inputs = ~(uint64_t)1, .backward = backward};

const mary_op mary_ops_slice[] = {
    {.domain = "",
     .type = "Slice",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last,
     .gradient = &gradient},
    MARY_OP_END,
};
