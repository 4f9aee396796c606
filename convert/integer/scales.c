/* Sets of values with one scale: their histograms as one, and the range that a method finds for it. */
#include <math.h>

#include "convert/integer/plan.h"

/* A tensor whose range is below this part of its Concat's keeps its own scale: more than two of its eight bits would be
 * lost. */
#define ALIKE 0.25

void mary_scales_free(mary_scales *scales)
{
    for (size_t i = 0; scales->items != NULL && i < scales->count; i++)
        mary_histogram_free(&scales->items[i].histogram);
    mary_free(scales->items);
    *scales = (mary_scales){0};
}

static double extent(const mary_histogram *histogram)
{
    mary_range range = mary_range_choose(mary_range_method_find("percentile"), histogram);
    return range.high - range.low;
}

/* What the absorbed ReLUs and Clips of a set demand of the range that all share. */
static void limits(const mary_integer_plan *plan, size_t root, double *low, double *high)
{
    *low = -INFINITY;
    *high = INFINITY;
    for (size_t v = 0; v < plan->value_count; v++) {
        if (!plan->values[v].stored || mary_integer_plan_root(plan, v) != root)
            continue;
        *low = fmax(*low, plan->values[v].clip_low);
        *high = fmin(*high, plan->values[v].clip_high);
    }
}

/* Would saturation to the common range still be the ReLU or Clip that `a` absorbed? */
static bool respects(const mary_integer_plan *plan, size_t a, const mary_histogram *other)
{
    double low, high;
    limits(plan, a, &low, &high);
    return other->count == 0 || ((double)other->least >= low && (double)other->most <= high);
}

static mary_status try_to_join(mary_integer_plan *plan, mary_scales *scales, size_t input, size_t output)
{
    size_t a = mary_integer_plan_root(plan, input), b = mary_integer_plan_root(plan, output);
    if (a == b)
        return MARY_OK;
    mary_histogram *x = &scales->items[a].histogram, *y = &scales->items[b].histogram;
    if (extent(x) < ALIKE * extent(y) || !respects(plan, a, y) || !respects(plan, b, x))
        return MARY_OK;
    size_t root = a < b ? a : b, other = a < b ? b : a;
    plan->values[other].parent = root;
    MARY_TRY(mary_histogram_merge(&scales->items[root].histogram, &scales->items[other].histogram));
    mary_histogram_free(&scales->items[other].histogram);
    scales->items[root].tensors += scales->items[other].tensors;
    scales->items[other].tensors = 0;
    return MARY_OK;
}

mary_status mary_scales_create(mary_integer_plan *plan, mary_scales *scales)
{
    mary_status status = MARY_OK;
    *scales =
        (mary_scales){.items = mary_calloc(plan->value_count + 1, sizeof *scales->items), .count = plan->value_count};
    if (scales->items == NULL)
        return mary_fail_memory(plan->value_count * sizeof *scales->items);
    for (size_t v = 0; v < plan->value_count; v++) {
        if (!plan->values[v].stored)
            continue;
        mary_scale *scale = &scales->items[mary_integer_plan_root(plan, v)];
        scale->tensors++;
        MARY_TRY_GOTO(mary_histogram_merge(&scale->histogram, &plan->statistics->values[v].histogram), done);
    }
    for (size_t n = 0; n < plan->node_count; n++) {
        const Onnx__NodeProto *node = plan->graph->node[n];
        if (plan->nodes[n].role != MARY_ROLE_JOIN)
            continue;
        for (size_t i = 0; i < node->n_input; i++)
            MARY_TRY_GOTO(try_to_join(plan, scales, mary_integer_plan_value_of(plan, node->input[i]),
                                      mary_integer_plan_value_of(plan, node->output[0])),
                          done);
    }
done:
    if (status != MARY_OK)
        mary_scales_free(scales);
    return status;
}

void mary_scales_choose(const mary_integer_plan *plan, mary_scales *scales, const mary_range_method *method)
{
    for (size_t v = 0; v < plan->value_count; v++) {
        mary_scale *scale = &scales->items[v];
        double low, high;
        if (scale->tensors == 0)
            continue;
        limits(plan, v, &low, &high);
        mary_range range = mary_range_choose(method, &scale->histogram);
        scale->method = method;
        scale->range = (mary_range){fmax(range.low, low), fmin(range.high, high)};
        scale->step = mary_range_step(scale->range);
    }
}
