/* Pad (constant, edge, reflect, wrap) and CenterCropPad. Negative pads crop.
 *
 * Every axis of the output is [before | kept | after]: `kept` elements come from input element `first` on, `before` may
 * be cut short when pads are negative. Constant borders are written slab by slab, so that nothing is written twice. */
#include "ops/copy.h"

#include <string.h>

enum pad_mode { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP };

typedef struct pad_state {
    enum pad_mode mode;
    int64_t pads[2 * MARY_MAX_RANK]; /* the attribute, until opset 10 */
    int count;
    float value;
    int64_t axes[MARY_MAX_RANK]; /* CenterCropPad */
    int axis_count;              /* -1: all */
} pad_state;

typedef struct pad_axis {
    int64_t input, output;
    int64_t before; /* output elements before the kept ones, 0..output */
    int64_t first;  /* the first kept input element */
    int64_t kept;
} pad_axis;

static mary_status prepare(mary_op_node *node)
{
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    const char *mode;
    int known = node->opset >= 19 ? 4 : 3, i = 0;
    MARY_TRY(mary_op_state(node, sizeof(pad_state)));
    pad_state *state = node->state;
    MARY_TRY(mary_attribute_string(node->proto, "mode", "constant", &mode));
    while (i < known && strcmp(mode, modes[i]) != 0)
        i++;
    if (i == known)
        return mary_op_fail(node, MARY_ERROR_INVALID, "mode '%s' is not known", mode);
    state->mode = (enum pad_mode)i;
    if (node->opset >= 11)
        return MARY_OK;
    MARY_TRY(mary_copy_attribute(node, node->opset < 2 ? "paddings" : "pads", state->pads, 2 * MARY_MAX_RANK,
                                 &state->count));
    if (state->count < 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'pads' is missing");
    return mary_attribute_float(node->proto, "value", 0, &state->value);
}

static const mary_tensor *optional_input(const mary_op_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

/* before[axis], after[axis] for all axes. */
static mary_status read_pads(const mary_op_node *node, const mary_op_call *call, int64_t *before, int64_t *after)
{
    const pad_state *state = node->state;
    int rank = call->inputs[0]->shape.rank, count, axis_count = rank;
    int64_t pads[2 * MARY_MAX_RANK], axes[MARY_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        before[i] = after[i] = 0;
        axes[i] = i;
    }
    if (node->opset < 11) {
        memcpy(pads, state->pads, sizeof pads);
        count = state->count;
    } else {
        MARY_TRY(mary_op_ints(node, call->inputs[1], "'pads'", pads, 2 * MARY_MAX_RANK, &count));
    }
    if (node->opset >= 18 && optional_input(call, 3) != NULL)
        MARY_TRY(mary_op_ints(node, call->inputs[3], "'axes'", axes, MARY_MAX_RANK, &axis_count));
    if (count != 2 * axis_count)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'pads' has %d values for %d axes", count, axis_count);
    bool seen[MARY_MAX_RANK] = {false};
    for (int i = 0; i < axis_count; i++) {
        int axis;
        MARY_TRY(mary_copy_axis(node, axes[i], rank, &axis));
        if (seen[axis])
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is given twice", axis);
        seen[axis] = true;
        before[axis] = pads[i];
        after[axis] = pads[axis_count + i];
    }
    return MARY_OK;
}

static mary_status set_axis(const mary_op_node *node, int64_t dim, int64_t before, int64_t after, bool constant,
                            pad_axis *axis)
{
    const int64_t most = INT64_C(1) << 48; /* dims are below that too: sums cannot overflow */
    *axis = (pad_axis){.input = dim, .output = dim, .kept = dim};
    if (before == 0 && after == 0)
        return MARY_OK;
    if (before > most || before < -most || after > most || after < -most || dim > most || dim + before + after < 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "pads %lld and %lld do not fit a dimension of %lld",
                            (long long)before, (long long)after, (long long)dim);
    axis->output = dim + before + after;
    int64_t first = before < 0 ? -before : 0, end = after < 0 ? dim + after : dim;
    axis->before = before > 0 ? before : 0;
    axis->first = first;
    axis->kept = end > first ? end - first : 0;
    if (axis->kept > axis->output - axis->before)
        axis->kept = axis->output - axis->before;
    if (axis->kept <= 0) { /* all border */
        axis->kept = 0;
        axis->before = axis->output;
        axis->first = 0;
    }
    if (!constant && axis->kept == 0 && axis->output > 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "nothing is left to repeat of a dimension of %lld",
                            (long long)dim);
    return MARY_OK;
}

static mary_status resolve(const mary_op_node *node, const mary_op_call *call, pad_axis *axes)
{
    const pad_state *state = node->state;
    const mary_shape *shape = &call->inputs[0]->shape;
    int64_t before[MARY_MAX_RANK], after[MARY_MAX_RANK];
    MARY_TRY(read_pads(node, call, before, after));
    for (int i = 0; i < shape->rank; i++)
        MARY_TRY(set_axis(node, shape->dims[i], before[i], after[i], state->mode == PAD_CONSTANT, &axes[i]));
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    pad_axis axes[MARY_MAX_RANK];
    if (node->opset < 11)
        MARY_TRY(mary_copy_expect(node, call, 1, 1, 1));
    else
        MARY_TRY(mary_copy_expect(node, call, 2, node->opset >= 18 ? 4 : 3, 1));
    const mary_tensor *input = call->inputs[0], *value = node->opset >= 11 ? optional_input(call, 2) : NULL;
    if (value != NULL && (value->type != input->type || mary_shape_count(&value->shape) != 1))
        return mary_op_fail(node, MARY_ERROR_INVALID, "constant_value must be one %s", mary_type_name(input->type));
    if (node->opset < 11 && !mary_type_is_float(input->type))
        return mary_op_fail(node, MARY_ERROR_INVALID, "input 0 is of type %s, a float type is needed",
                            mary_type_name(input->type));
    MARY_TRY(resolve(node, call, axes));
    mary_shape shape = {.rank = input->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = axes[i].output;
    return mary_copy_set_output(node, call, input->type, &shape);
}

/* ---- constant ---- */

static void pad_constant(mary_op_call *call, const pad_axis *axes, const void *value)
{
    const mary_tensor *input = call->inputs[0];
    mary_tensor *output = call->outputs[0];
    size_t element = mary_type_size(output->type);
    int rank = output->shape.rank;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK], source = 0, target = 0;
    mary_copy inside = {0};
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    /* Axis i's two slabs: axes before i within what is kept, axes after i whole. */
    for (int i = 0; i < rank; i++) {
        int64_t begins[2] = {0, axes[i].before + axes[i].kept};
        int64_t lengths[2] = {axes[i].before, axes[i].output - axes[i].before - axes[i].kept};
        for (int side = 0; side < 2; side++) {
            mary_copy slab = {0};
            int64_t offset = begins[side] * to[i];
            for (int d = 0; d < rank; d++) {
                mary_copy_add(&slab, d < i ? axes[d].kept : d == i ? lengths[side] : axes[d].output, 0, to[d]);
                offset += d < i ? axes[d].before * to[d] : 0;
            }
            mary_copy_run(&slab, element, value, mary_advance(output->data, offset, element), call->parallel);
        }
    }
    for (int i = 0; i < rank; i++) {
        mary_copy_add(&inside, axes[i].kept, from[i], to[i]);
        source += axes[i].first * from[i];
        target += axes[i].before * to[i];
        if (axes[i].kept == 0)
            return;
    }
    mary_copy_run(&inside, element, mary_advance_const(input->data, source, element),
                  mary_advance(output->data, target, element), call->parallel);
}

/* ---- edge, reflect, wrap: axis after axis, each output element looked up ---- */

static int64_t source_of(enum pad_mode mode, const pad_axis *axis, int64_t at)
{
    int64_t i = at - axis->before, n = axis->kept;
    if (i < 0 || i >= n) {
        int64_t period = mode == PAD_WRAP ? n : 2 * (n - 1);
        if (mode == PAD_EDGE) {
            i = i < 0 ? 0 : n - 1;
        } else if (period <= 0) {
            i = 0;
        } else {
            i = (i % period + period) % period;
            if (i >= n)
                i = period - i;
        }
    }
    return axis->first + i;
}

typedef struct pad_job {
    const pad_axis *axes;
    enum pad_mode mode;
    int rank, inner; /* the axis whose output stride is smallest */
    const char *source;
    char *target;
    size_t element;
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
} pad_job;

/* Lines are runs along `inner`; the others are numbered in ONNX's order. */
static void pad_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pad_job *job = context;
    const pad_axis *inner = &job->axes[job->inner];
    int64_t element = (int64_t)job->element, from = job->from[job->inner], to = job->to[job->inner];
    for (int64_t line = begin; line < end; line++) {
        int64_t source = 0, target = 0, rest = line;
        for (int d = job->rank - 1; d >= 0; d--) {
            if (d == job->inner)
                continue;
            int64_t at = rest % job->axes[d].output;
            rest /= job->axes[d].output;
            source += source_of(job->mode, &job->axes[d], at) * job->from[d];
            target += at * job->to[d];
        }
        for (int64_t j = 0; j < inner->output; j++) {
            if (j == inner->before && from == 1 && to == 1) {
                memcpy(job->target + (target + j) * element, job->source + (source + inner->first) * element,
                       (size_t)(inner->kept * element));
                j += inner->kept - 1;
                continue;
            }
            memcpy(job->target + (target + j * to) * element,
                   job->source + (source + source_of(job->mode, inner, j) * from) * element, job->element);
        }
    }
}

static void pad_repeat(mary_op_call *call, const pad_axis *axes, enum pad_mode mode)
{
    mary_tensor *output = call->outputs[0];
    pad_job job = {.axes = axes,
                   .mode = mode,
                   .rank = output->shape.rank,
                   .source = call->inputs[0]->data,
                   .target = output->data,
                   .element = mary_type_size(output->type)};
    int64_t count = mary_shape_count(&output->shape);
    if (count == 0)
        return;
    mary_tensor_strides(call->inputs[0], job.from);
    mary_tensor_strides(output, job.to);
    job.inner = output->layout == MARY_LAYOUT_PLAIN ? job.rank - 1 : 1;
    if (job.rank == 0) {
        memcpy(job.target, job.source, job.element);
        return;
    }
    int64_t width = axes[job.inner].output;
    mary_parallel_for(call->parallel, count / width, 8192 / width + 1, pad_task, &job);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const pad_state *state = node->state;
    pad_axis axes[MARY_MAX_RANK];
    MARY_TRY(resolve(node, call, axes));
    if (state->mode != PAD_CONSTANT) {
        pad_repeat(call, axes, state->mode);
        return MARY_OK;
    }
    union {
        uint64_t bits;
        float single;
        double twice;
        uint16_t half;
    } value = {.bits = 0};
    mary_type type = call->outputs[0]->type;
    if (node->opset >= 11 && optional_input(call, 2) != NULL)
        memcpy(&value, call->inputs[2]->data, mary_type_size(type));
    else if (type == MARY_FLOAT)
        value.single = state->value;
    else if (type == MARY_DOUBLE)
        value.twice = (double)state->value;
    else if (type == MARY_FLOAT16)
        value.half = mary_float_to_half(state->value);
    else if (type == MARY_BFLOAT16)
        value.half = mary_float_to_bfloat(state->value);
    pad_constant(call, axes, &value);
    return MARY_OK;
}

/* Constant padding only: what was put around the input has no part in it. */
static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const mary_tensor *x = call->forward->inputs[0], *y = call->forward->outputs[0];
    float *to = mary_copy_gradient(call, 0);
    const float *from = call->output_gradients[0]->data;
    pad_axis axes[MARY_MAX_RANK];
    int64_t in[MARY_MAX_RANK], out[MARY_MAX_RANK];
    mary_copy copy = {0};
    MARY_TRY(resolve(node, call->forward, axes));
    if (to == NULL)
        return MARY_OK;
    mary_tensor_strides(x, in);
    mary_tensor_strides(y, out);
    for (int i = 0; i < x->shape.rank; i++) {
        from += axes[i].before * out[i];
        to += axes[i].first * in[i];
        mary_copy_add(&copy, axes[i].kept, in[i], out[i]);
    }
    mary_copy_add_back(&copy, from, to, 1.0f);
    return MARY_OK;
}

static mary_status check_mode(const mary_op_node *node)
{
    if (((const pad_state *)node->state)->mode != PAD_CONSTANT)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "gradients flow through constant padding only");
    return MARY_OK;
}

static const mary_op_gradient gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT,
                                          .inputs = 1,
                                          .reads_inputs = ~(uint64_t)1,
                                          .check = check_mode,
                                          .backward = backward};

/* ---- CenterCropPad: the window of `shape` around the centre, zero outside ---- */

static mary_status centre_prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(pad_state)));
    pad_state *state = node->state;
    return mary_copy_attribute(node, "axes", state->axes, MARY_MAX_RANK, &state->axis_count);
}

static mary_status centre_resolve(const mary_op_node *node, const mary_op_call *call, pad_axis *axes)
{
    const pad_state *state = node->state;
    const mary_shape *shape = &call->inputs[0]->shape;
    int64_t window[MARY_MAX_RANK];
    int count, expected = state->axis_count < 0 ? shape->rank : state->axis_count;
    MARY_TRY(mary_op_ints(node, call->inputs[1], "'shape'", window, MARY_MAX_RANK, &count));
    if (count != expected)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' has %d values for %d axes", count, expected);
    for (int i = 0; i < shape->rank; i++)
        MARY_TRY(set_axis(node, shape->dims[i], 0, 0, true, &axes[i]));
    for (int i = 0; i < count; i++) {
        int axis = i;
        if (state->axis_count >= 0)
            MARY_TRY(mary_copy_axis(node, state->axes[i], shape->rank, &axis));
        if (window[i] < 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'shape' has %lld at %d", (long long)window[i], i);
        int64_t dim = shape->dims[axis], more = window[i] - dim, before = more / 2; /* rounds to the left either way */
        if (more < 0)
            before = -(-more / 2);
        MARY_TRY(set_axis(node, dim, before, more - before, true, &axes[axis]));
    }
    return MARY_OK;
}

static mary_status centre_infer(const mary_op_node *node, mary_op_call *call)
{
    pad_axis axes[MARY_MAX_RANK];
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    MARY_TRY(centre_resolve(node, call, axes));
    mary_shape shape = {.rank = call->inputs[0]->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = axes[i].output;
    return mary_copy_set_output(node, call, call->inputs[0]->type, &shape);
}

static mary_status centre_run(const mary_op_node *node, mary_op_call *call)
{
    pad_axis axes[MARY_MAX_RANK];
    uint64_t zero = 0;
    MARY_TRY(centre_resolve(node, call, axes));
    pad_constant(call, axes, &zero);
    return MARY_OK;
}

const mary_op mary_ops_pad[] = {
    {.domain = "",
     .type = "Pad",
     .since = 1,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_copy_channels_last,
     .gradient = &gradient},
    {.domain = "",
     .type = "CenterCropPad",
     .since = 18,
     .flags = MARY_OP_HALF,
     .prepare = centre_prepare,
     .infer = centre_infer,
     .run = centre_run,
     .channels_last = mary_copy_channels_last},
    MARY_OP_END,
};
