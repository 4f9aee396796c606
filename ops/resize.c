/* Resize (10 to 19) and Upsample (7, 9): attributes, scales or sizes, output shape. The numbers are in resize_axis.c.
 */
#include "ops/resize.h"

#include <math.h>
#include <string.h>

typedef enum resize_policy { POLICY_STRETCH, POLICY_NOT_LARGER, POLICY_NOT_SMALLER } resize_policy;

typedef struct resize_state {
    resize_rule rule;
    resize_policy policy;
    int64_t axes[MARY_MAX_RANK];
    int axis_count; /* -1: all */
    const char *mode;
    float scales[MARY_MAX_RANK]; /* Upsample 7: the attribute */
    int scale_count;
    int roi, scale_input, size_input; /* which input is which; -1: none */
} resize_state;

/* *value = position of `text` in `names`. */
static mary_status choose(const mary_op_node *node, const char *attribute, const char *fallback,
                          const char *const *names, int count, int *value)
{
    const char *text;
    MARY_TRY(mary_attribute_string(node->proto, attribute, fallback, &text));
    for (*value = 0; *value < count; ++*value) {
        if (strcmp(names[*value], text) == 0)
            return MARY_OK;
    }
    return mary_op_fail(node, MARY_ERROR_INVALID, "%s '%s' is not known", attribute, text);
}

static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear"};

static mary_status upsample_prepare(mary_op_node *node)
{
    int mode;
    MARY_TRY(mary_op_state(node, sizeof(resize_state)));
    resize_state *state = node->state;
    state->axis_count = -1;
    state->roi = state->size_input = -1;
    state->scale_input = node->opset >= 9 ? 1 : -1;
    MARY_TRY(choose(node, "mode", "nearest", modes, 4, &mode));
    if (mode == RESIZE_CUBIC)
        return mary_op_fail(node, MARY_ERROR_INVALID, "mode 'cubic' is not known");
    state->rule.mode = mode == 3 ? RESIZE_LINEAR : (resize_mode)mode;
    state->rule.coordinates = RESIZE_ASYMMETRIC;
    state->rule.rounding = RESIZE_SIMPLE;
    if (node->opset >= 9)
        return MARY_OK;
    const float *scales;
    size_t count;
    MARY_TRY(mary_attribute_floats(node->proto, "scales", &scales, &count));
    if (count < 1 || count > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'scales' has %zu values", count);
    for (size_t i = 0; i < count; i++)
        state->scales[i] = scales[i];
    state->scale_count = (int)count;
    return MARY_OK;
}

static mary_status resize_prepare(mary_op_node *node)
{
    static const char *const coordinates[] = {"half_pixel",          "half_pixel_symmetric", "pytorch_half_pixel",
                                              "align_corners",       "asymmetric",           "tf_crop_and_resize",
                                              "tf_half_pixel_for_nn"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    int chosen;
    int64_t flag;
    float value;
    if (node->opset < 11) {
        MARY_TRY(upsample_prepare(node));
        ((resize_state *)node->state)->scale_input = 1;
        return MARY_OK;
    }
    MARY_TRY(mary_op_state(node, sizeof(resize_state)));
    resize_state *state = node->state;
    resize_rule *rule = &state->rule;
    state->roi = 1;
    state->scale_input = 2;
    state->size_input = 3;
    state->axis_count = -1;
    MARY_TRY(choose(node, "mode", "nearest", modes, 3, &chosen));
    rule->mode = (resize_mode)chosen;
    MARY_TRY(
        choose(node, "coordinate_transformation_mode", "half_pixel", coordinates, node->opset < 18 ? 7 : 6, &chosen));
    rule->coordinates = (resize_coordinates)chosen;
    MARY_TRY(choose(node, "nearest_mode", "round_prefer_floor", roundings, 4, &chosen));
    rule->rounding = (resize_rounding)chosen;
    MARY_TRY(mary_attribute_float(node->proto, "cubic_coeff_a", -0.75f, &value));
    rule->cubic = (double)value;
    MARY_TRY(mary_attribute_float(node->proto, "extrapolation_value", 0, &value));
    rule->extrapolation = (double)value;
    MARY_TRY(mary_attribute_int(node->proto, "exclude_outside", 0, &flag));
    rule->exclude_outside = flag != 0;
    if (node->opset < 18)
        return MARY_OK;
    MARY_TRY(mary_attribute_int(node->proto, "antialias", 0, &flag));
    rule->antialias = flag != 0 && rule->mode != RESIZE_NEAREST;
    MARY_TRY(choose(node, "keep_aspect_ratio_policy", "stretch", policies, 3, &chosen));
    state->policy = (resize_policy)chosen;
    return mary_copy_attribute(node, "axes", state->axes, MARY_MAX_RANK, &state->axis_count);
}

/* The input, unless it is absent or empty (how opsets before 13 say absent). */
static const mary_tensor *used_input(const mary_op_call *call, int index)
{
    if (index < 0 || index >= call->input_count || call->inputs[index] == NULL)
        return NULL;
    return mary_shape_count(&call->inputs[index]->shape) == 0 ? NULL : call->inputs[index];
}

static mary_status check_values(const mary_op_node *node, const mary_tensor *tensor, const char *what, int64_t expected)
{
    if (tensor->shape.rank != 1 || !mary_type_is_float(tensor->type) || tensor->shape.dims[0] != expected) {
        char text[96];
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s must be %lld floats, it is %s %s", what, (long long)expected,
                            mary_type_name(tensor->type), mary_shape_format(&tensor->shape, text, sizeof text));
    }
    return MARY_OK;
}

static mary_status set_scale(const mary_op_node *node, resize_axis *axis, double scale)
{
    if (!(scale > 0) || !isfinite(scale))
        return mary_op_fail(node, MARY_ERROR_INVALID, "scale %g is not positive", scale);
    double output = floor((double)((float)axis->input * (float)scale));
    if (output > 0x1p40)
        return mary_op_fail(node, MARY_ERROR_INVALID, "scale %g makes an axis of %lld too long", scale,
                            (long long)axis->input);
    axis->scale = scale;
    axis->output = (int64_t)output;
    return MARY_OK;
}

static mary_status set_sizes(const mary_op_node *node, const mary_tensor *sizes, const int *map, int count,
                             resize_axis *axes)
{
    const resize_state *state = node->state;
    int64_t values[MARY_MAX_RANK];
    int found;
    double common = 0;
    MARY_TRY(mary_op_ints(node, sizes, "'sizes'", values, MARY_MAX_RANK, &found));
    if (found != count)
        return mary_op_fail(node, MARY_ERROR_INVALID, "'sizes' has %d values for %d axes", found, count);
    for (int i = 0; i < count; i++) {
        resize_axis *axis = &axes[map[i]];
        if (values[i] < 0 || values[i] > INT64_C(1) << 40)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'sizes' has %lld at %d", (long long)values[i], i);
        axis->output = values[i];
        axis->scale = (double)values[i] / (double)(axis->input > 0 ? axis->input : 1);
        if (i == 0 || (state->policy == POLICY_NOT_LARGER ? axis->scale < common : axis->scale > common))
            common = axis->scale;
    }
    if (state->policy == POLICY_STRETCH)
        return MARY_OK;
    for (int i = 0; i < count; i++) {
        resize_axis *axis = &axes[map[i]];
        double output = floor(common * (double)axis->input + 0.5);
        if (output > 0x1p40)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'sizes' makes an axis of %lld too long",
                                (long long)axis->input);
        axis->scale = common;
        axis->output = (int64_t)output;
    }
    return MARY_OK;
}

/* Lengths and scales of all axes; regions of interest too when `with_region` (they change no shape). */
static mary_status resolve(const mary_op_node *node, const mary_op_call *call, bool with_region, resize_axis *axes)
{
    const resize_state *state = node->state;
    const mary_shape *shape = &call->inputs[0]->shape;
    int rank = shape->rank, count = state->axis_count < 0 ? rank : state->axis_count, map[MARY_MAX_RANK];
    bool crop = state->rule.coordinates == RESIZE_CROP, seen[MARY_MAX_RANK] = {false};
    const mary_tensor *sizes = used_input(call, state->size_input), *scales = used_input(call, state->scale_input);
    const mary_tensor *region = crop ? used_input(call, state->roi) : NULL;
    for (int i = 0; i < count; i++) {
        map[i] = i;
        if (state->axis_count >= 0)
            MARY_TRY(mary_copy_axis(node, state->axes[i], rank, &map[i]));
        if (seen[map[i]])
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is given twice", map[i]);
        seen[map[i]] = true;
    }
    for (int i = 0; i < rank; i++)
        axes[i] = (resize_axis){.input = shape->dims[i], .output = shape->dims[i], .scale = 1, .end = 1, .taps = 1};
    if (sizes != NULL && scales != NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has both 'scales' and 'sizes'");
    if (sizes != NULL) {
        MARY_TRY(set_sizes(node, sizes, map, count, axes));
    } else if (state->scale_count > 0) {
        if (state->scale_count != rank)
            return mary_op_fail(node, MARY_ERROR_INVALID, "'scales' has %d values for rank %d", state->scale_count,
                                rank);
        for (int i = 0; i < rank; i++)
            MARY_TRY(set_scale(node, &axes[i], (double)state->scales[i]));
    } else if (scales != NULL) {
        MARY_TRY(check_values(node, scales, "'scales'", count));
        if (scales->data == NULL)
            return MARY_DEFERRED;
        for (int i = 0; i < count; i++)
            MARY_TRY(set_scale(node, &axes[map[i]], mary_tensor_double(scales, i)));
    } else if (count > 0) {
        return mary_op_fail(node, MARY_ERROR_INVALID, "has neither 'scales' nor 'sizes'");
    }
    if (crop && region == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "tf_crop_and_resize needs 'roi'");
    if (crop)
        MARY_TRY(check_values(node, region, "'roi'", 2 * (int64_t)count));
    for (int i = 0; crop && with_region && i < count; i++) {
        axes[map[i]].start = mary_tensor_double(region, i);
        axes[map[i]].end = mary_tensor_double(region, count + i);
    }
    for (int i = 0; i < rank; i++) {
        resize_axis *axis = &axes[i];
        if (axis->input == 0 && axis->output > 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is empty, it cannot become %lld long", i,
                                (long long)axis->output);
        /* Before the region is known every axis that it names counts as resized. */
        bool whole = !crop || (with_region ? axis->start == 0 && axis->end == 1 : !seen[i]);
        axis->same = whole && axis->scale == 1 && axis->output == axis->input;
    }
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const resize_state *state = node->state;
    resize_axis axes[MARY_MAX_RANK];
    int most = state->size_input > 0 ? 4 : state->scale_input > 0 ? 2 : 1;
    MARY_TRY(mary_copy_expect(node, call, 1, most, 1));
    MARY_TRY(resolve(node, call, false, axes));
    mary_shape shape = {.rank = call->inputs[0]->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = axes[i].output;
    MARY_TRY(mary_copy_set_output(node, call, call->inputs[0]->type, &shape));
    for (int i = 0; i < shape.rank; i++) {
        size_t bytes;
        MARY_TRY(mary_resize_axis_size(node, &state->rule, &axes[i], &bytes));
    }
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    const resize_state *state = node->state;
    resize_axis axes[MARY_MAX_RANK];
    MARY_TRY(resolve(node, call, false, axes));
    *bytes = 0;
    for (int i = 0; i < call->inputs[0]->shape.rank; i++) {
        size_t size;
        MARY_TRY(mary_resize_axis_size(node, &state->rule, &axes[i], &size));
        *bytes += size;
    }
    return MARY_OK;
}

/* Axes with their tables in `memory`; *same: nothing is resized. */
static mary_status fill(const mary_op_node *node, const mary_op_call *call, char *memory, resize_axis *axes, bool *same)
{
    const resize_state *state = node->state;
    *same = true;
    MARY_TRY(resolve(node, call, true, axes));
    for (int i = 0; i < call->inputs[0]->shape.rank; i++) {
        size_t size;
        MARY_TRY(mary_resize_axis_size(node, &state->rule, &axes[i], &size));
        if (!axes[i].same)
            mary_resize_axis_fill(&state->rule, &axes[i], memory);
        memory += size;
        *same = *same && axes[i].same;
    }
    return MARY_OK;
}

static mary_status backward_scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    return scratch(node, call->forward, bytes);
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const mary_op_call *forward = call->forward;
    float *dx = mary_copy_gradient(call, 0);
    resize_axis axes[MARY_MAX_RANK];
    bool same;
    if (dx == NULL || mary_shape_count(&forward->outputs[0]->shape) == 0)
        return MARY_OK;
    MARY_TRY(fill(node, forward, call->scratch, axes, &same));
    mary_resize_back(axes, forward->inputs[0], forward->outputs[0], call->output_gradients[0]->data, dx, call->second);
    return MARY_OK;
}

static const mary_op_gradient gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT,
                                          .inputs = 1,
                                          .reads_inputs = ~(uint64_t)1,
                                          .scratch = backward_scratch,
                                          .backward = backward};

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const resize_state *state = node->state;
    const mary_tensor *input = call->inputs[0];
    mary_tensor *output = call->outputs[0];
    resize_axis axes[MARY_MAX_RANK];
    bool same;
    if (mary_shape_count(&output->shape) == 0)
        return MARY_OK;
    MARY_TRY(fill(node, call, call->scratch, axes, &same));
    if (!same) {
        mary_resize_run(&state->rule, axes, input, output, call->parallel);
        return MARY_OK;
    }
    mary_copy copy = {0};
    int64_t from[MARY_MAX_RANK], to[MARY_MAX_RANK];
    mary_tensor_strides(input, from);
    mary_tensor_strides(output, to);
    for (int i = 0; i < output->shape.rank; i++)
        mary_copy_add(&copy, output->shape.dims[i], from[i], to[i]);
    mary_copy_run(&copy, mary_type_size(output->type), input->data, output->data, call->parallel);
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    resize_axis axes[MARY_MAX_RANK];
    *wants = false;
    return call->inputs[0]->shape.rank >= 3 && resolve(node, call, false, axes) == MARY_OK && axes[1].same;
}

#define RESIZE(name, prepare_node, first, final)                                                                       \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .until = final, .prepare = prepare_node, .infer = infer,           \
        .scratch = scratch, .run = run, .channels_last = channels_last, .gradient = &gradient                          \
    }

const mary_op mary_ops_resize[] = {
    RESIZE("Resize", resize_prepare, 10, 0),
    RESIZE("Upsample", upsample_prepare, 7, 9),
    MARY_OP_END,
};
