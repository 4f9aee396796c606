/* The table of one resized axis: coordinate transformation, neighbours, coefficients. Formulas are those of ONNX's
 * Resize-19. */
#include "ops/resize.h"

#include <math.h>

/* Half of the kernel's width in input elements. */
static int64_t reach(const resize_rule *rule, const resize_axis *axis)
{
    double radius = rule->mode == RESIZE_LINEAR ? 1 : 2;
    if (rule->antialias && axis->scale < 1)
        radius /= axis->scale;
    return (int64_t)ceil(radius);
}

mary_status mary_resize_axis_size(const mary_op_node *node, const resize_rule *rule, resize_axis *axis, size_t *bytes)
{
    *bytes = 0;
    if (axis->same || axis->output == 0)
        return MARY_OK;
    if (axis->scale < 1e-9)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "a scale of %g is too small", axis->scale);
    axis->taps = rule->mode == RESIZE_NEAREST ? 1 : 2 * reach(rule, axis);
    size_t entries;
    if (!mary_size_mul((size_t)axis->output, (size_t)axis->taps, &entries) || entries > (size_t)1 << 36)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "an axis of %lld with %lld taps each is too large",
                            (long long)axis->output, (long long)axis->taps);
    *bytes = entries * (sizeof(int64_t) + sizeof(float)) + (size_t)axis->output;
    *bytes = (*bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return MARY_OK;
}

/* Where output coordinate x lies in the input. The extent scale * input need not be a whole number. */
static double original(const resize_rule *rule, const resize_axis *axis, double x)
{
    double input = (double)axis->input, scale = axis->scale, extent = scale * input;
    switch (rule->coordinates) {
    case RESIZE_ALIGN_CORNERS:
        return extent == 1 ? 0 : x * (input - 1) / (extent - 1);
    case RESIZE_TF_HALF_PIXEL:
        return (x + 0.5) / scale;
    case RESIZE_ASYMMETRIC:
        return x / scale;
    case RESIZE_CROP:
        if (extent == 1)
            return axis->start * (input - 1) + (axis->end - axis->start) * (input - 1) / 2;
        return axis->start * (input - 1) + x * (axis->end - axis->start) * (input - 1) / (extent - 1);
    case RESIZE_PYTORCH_HALF_PIXEL:
        return extent == 1 ? -0.5 : (x + 0.5) / scale - 0.5;
    case RESIZE_HALF_PIXEL_SYMMETRIC:
        return input / 2 * (1 - (double)axis->output / extent) + (x + 0.5) / scale - 0.5;
    default:
        return (x + 0.5) / scale - 0.5;
    }
}

static double nearest(const resize_rule *rule, const resize_axis *axis, double x)
{
    switch (rule->rounding) {
    case RESIZE_PREFER_FLOOR:
        return ceil(x - 0.5);
    case RESIZE_PREFER_CEIL:
        return floor(x + 0.5);
    case RESIZE_FLOOR:
        return floor(x);
    case RESIZE_CEIL:
        return ceil(x);
    default:
        return axis->scale < 1 ? ceil(x) : floor(x);
    }
}

static double coefficient(const resize_rule *rule, double distance)
{
    double a = rule->cubic, d = fabs(distance);
    if (rule->mode == RESIZE_LINEAR)
        return d < 1 ? 1 - d : 0;
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static int64_t clamp(double value, int64_t most)
{
    return !(value > 0) ? 0 : value > (double)most ? most : (int64_t)value;
}

void mary_resize_axis_fill(const resize_rule *rule, resize_axis *axis, void *memory)
{
    int64_t taps = axis->taps, last = axis->input - 1;
    axis->index = memory;
    axis->weight = (float *)(void *)(axis->index + axis->output * taps);
    axis->outside = (uint8_t *)(axis->weight + axis->output * taps);
    axis->any_outside = false;
    double shrink = rule->antialias && axis->scale < 1 ? axis->scale : 1;
    for (int64_t o = 0; o < axis->output; o++) {
        int64_t *index = axis->index + o * taps;
        float *weight = axis->weight + o * taps;
        double x = original(rule, axis, (double)o);
        /* A region of interest may lie anywhere, NaN included. */
        axis->outside[o] = rule->coordinates == RESIZE_CROP && !(x >= 0 && x <= (double)last);
        if (axis->outside[o]) {
            axis->any_outside = true;
            x = 0;
        }
        if (rule->mode == RESIZE_NEAREST) {
            index[0] = clamp(nearest(rule, axis, x), last);
            weight[0] = 1;
            continue;
        }
        double first = floor(x) - (double)(taps / 2 - 1), sum = 0;
        for (int64_t t = 0; t < taps; t++) {
            double at = first + (double)t, value = coefficient(rule, (at - x) * shrink);
            if (!rule->exclude_outside || (at >= 0 && at <= (double)last))
                sum += value;
        }
        bool normalise = rule->exclude_outside || shrink < 1;
        for (int64_t t = 0; t < taps; t++) {
            double at = first + (double)t, value = coefficient(rule, (at - x) * shrink);
            if (rule->exclude_outside && (at < 0 || at > (double)last))
                value = 0;
            index[t] = clamp(at, last);
            weight[t] = (float)(normalise && sum != 0 ? value / sum : value);
        }
    }
}
