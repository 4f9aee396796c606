/* GridSample: output points read the input at positions that a second input gives, in [-1, 1] across each axis.
 *
 * A point's taps are worked out once and serve all channels. */
#include "ops/copy.h"

#include <math.h>
#include <string.h>

enum { MOST_AXES = 3, MOST_TAPS = 64 };

typedef enum sample_mode { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC } sample_mode;
typedef enum sample_padding { PADDING_ZEROS, PADDING_BORDER, PADDING_REFLECTION } sample_padding;

typedef struct sample_state {
    sample_mode mode;
    sample_padding padding;
    bool align_corners;
} sample_state;

static mary_status prepare(mary_op_node *node)
{
    static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "bicubic"};
    static const sample_mode meaning[] = {SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC, SAMPLE_LINEAR, SAMPLE_CUBIC};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const char *mode, *padding;
    int64_t align;
    int m = 0, p = 0;
    MARY_TRY(mary_op_state(node, sizeof(sample_state)));
    sample_state *state = node->state;
    MARY_TRY(mary_attribute_string(node->proto, "mode", "linear", &mode));
    MARY_TRY(mary_attribute_string(node->proto, "padding_mode", "zeros", &padding));
    MARY_TRY(mary_attribute_int(node->proto, "align_corners", 0, &align));
    while (m < 5 && strcmp(mode, modes[m]) != 0)
        m++;
    while (p < 3 && strcmp(padding, paddings[p]) != 0)
        p++;
    if (m == 5 || p == 3)
        return mary_op_fail(node, MARY_ERROR_INVALID, "mode '%s' or padding_mode '%s' is not known", mode, padding);
    *state = (sample_state){meaning[m], (sample_padding)p, align != 0};
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_copy_expect(node, call, 2, 2, 1));
    const mary_tensor *x = call->inputs[0], *grid = call->inputs[1];
    int axes = x->shape.rank - 2;
    if (axes < 1 || grid->shape.rank != x->shape.rank || grid->shape.dims[0] != x->shape.dims[0] ||
        grid->shape.dims[axes + 1] != axes) {
        char a[96], b[96];
        return mary_op_fail(node, MARY_ERROR_INVALID, "a grid of shape %s does not fit %s",
                            mary_shape_format(&grid->shape, a, sizeof a), mary_shape_format(&x->shape, b, sizeof b));
    }
    if (axes > MOST_AXES)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "%d axes, at most %d are supported", axes, MOST_AXES);
    if ((x->type != MARY_FLOAT && x->type != MARY_DOUBLE) || !mary_type_is_float(grid->type))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "a grid of %s over %s is not supported",
                            mary_type_name(grid->type), mary_type_name(x->type));
    mary_shape shape = x->shape;
    for (int i = 0; i < axes; i++) {
        shape.dims[2 + i] = grid->shape.dims[1 + i];
        if (x->shape.dims[2 + i] == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d of the input is empty", 2 + i);
    }
    return mary_op_set_output(node, call, 0, x->type, &shape);
}

/* ---- positions ---- */

/* Back and forth between the borders until inside. */
static double reflect(double x, double low, double high)
{
    double range = high - low;
    if (range <= 0)
        return low;
    double beyond = x < low ? low - x : x > high ? x - high : 0;
    if (beyond == 0)
        return x;
    double turns = floor(beyond / range), rest = beyond - turns * range;
    bool even = fmod(turns, 2) == 0;
    return (x < low) == even ? low + rest : high - rest;
}

/* The input index that tap position `at` reads; -1: nothing. */
static int64_t resolve(const sample_state *state, double at, int64_t length, double low, double high)
{
    double last = (double)(length - 1);
    if (state->padding == PADDING_ZEROS)
        return at >= 0 && at <= last ? (int64_t)at : -1;
    if (state->padding == PADDING_REFLECTION)
        at = reflect(at, low, high);
    return at <= 0 ? 0 : at >= last ? length - 1 : (int64_t)at;
}

static double cubic(double distance)
{
    const double a = -0.75;
    double d = fabs(distance);
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Taps of one axis. */
static int axis_taps(const sample_state *state, double position, int64_t length, int64_t *index, double *weight)
{
    double size = (double)length, low = state->align_corners ? 0 : -0.5, high = size - (state->align_corners ? 1 : 0.5);
    double x = state->align_corners ? (position + 1) / 2 * (size - 1) : ((position + 1) * size - 1) / 2;
    if (!(x > -1e9 && x < 1e9)) /* NaN, too; far outside in any mode */
        x = x > 0 ? 1e9 : -1e9;
    if (state->mode == SAMPLE_NEAREST)
        x = rint(x);
    if (state->padding == PADDING_BORDER)
        x = x < 0 ? 0 : x > size - 1 ? size - 1 : x;
    else if (state->padding == PADDING_REFLECTION)
        x = reflect(x, low, high);
    int taps = state->mode == SAMPLE_NEAREST ? 1 : state->mode == SAMPLE_LINEAR ? 2 : 4;
    double first = state->mode == SAMPLE_NEAREST ? rint(x) : floor(x) - (state->mode == SAMPLE_CUBIC ? 1 : 0);
    for (int t = 0; t < taps; t++) {
        double at = first + t;
        index[t] = resolve(state, at, length, low, high);
        weight[t] = taps == 1 ? 1 : taps == 2 ? 1 - fabs(at - x) : cubic(at - x);
    }
    return taps;
}

typedef struct sample_job {
    const sample_state *state;
    const mary_op_call *call;
    int axes;
    int64_t points, pixels; /* of one image: output, input */
} sample_job;

/* Items are output points of all images. */
static void sample_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const sample_job *job = context;
    const mary_tensor *x = job->call->inputs[0], *grid = job->call->inputs[1];
    mary_tensor *y = job->call->outputs[0];
    int64_t channels = x->shape.dims[1];
    for (int64_t item = begin; item < end; item++) {
        int64_t image = item / job->points, offset[MOST_TAPS] = {0};
        double weight[MOST_TAPS] = {1};
        int count = 1;
        for (int d = 0; d < job->axes; d++) { /* the grid names the innermost axis first */
            int64_t index[4], length = x->shape.dims[2 + d], grown[MOST_TAPS];
            double factor[4], weights[MOST_TAPS];
            int next = 0;
            int taps = axis_taps(job->state, mary_tensor_double(grid, item * job->axes + job->axes - 1 - d), length,
                                 index, factor);
            for (int i = 0; i < count; i++) {
                for (int t = 0; t < taps; t++) {
                    if (index[t] < 0)
                        continue;
                    grown[next] = offset[i] * length + index[t];
                    weights[next++] = weight[i] * factor[t];
                }
            }
            memcpy(offset, grown, sizeof grown[0] * (size_t)next);
            memcpy(weight, weights, sizeof weights[0] * (size_t)next);
            count = next;
        }
        for (int64_t c = 0; c < channels; c++) {
            int64_t from = (image * channels + c) * job->pixels;
            int64_t to = (image * channels + c) * job->points + item % job->points;
            double sum = 0;
            for (int i = 0; i < count; i++)
                sum += weight[i] * mary_tensor_double(x, from + offset[i]);
            if (y->type == MARY_FLOAT)
                ((float *)y->data)[to] = (float)sum;
            else
                ((double *)y->data)[to] = sum;
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0];
    mary_tensor *y = call->outputs[0];
    sample_job job = {.state = node->state, .call = call, .axes = x->shape.rank - 2};
    job.points = mary_shape_count_range(&y->shape, 2, y->shape.rank);
    job.pixels = mary_shape_count_range(&x->shape, 2, x->shape.rank);
    if (mary_shape_count(&y->shape) == 0)
        return MARY_OK;
    mary_parallel_for(call->parallel, y->shape.dims[0] * job.points, 1024 / y->shape.dims[1] + 1, sample_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_grid_sample[] = {
    {.domain = "", .type = "GridSample", .since = 16, .prepare = prepare, .infer = infer, .run = run},
    MARY_OP_END,
};
