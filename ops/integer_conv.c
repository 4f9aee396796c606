/* ConvInteger and QLinearConv, 1-D to 3-D: exact 32-bit sums, padding counts as the zero point. */
#include "ops/integer.h"
#include "ops/window.h"

typedef struct conv_state {
    mary_window_attributes window;
    int64_t group;
    /* Which input is which; -1: the operator has none. */
    int w, x_zero, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
} conv_state;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(conv_state)));
    conv_state *state = node->state;
    MARY_TRY(mary_window_parse(node, &state->window));
    MARY_TRY(mary_attribute_int(node->proto, "group", 1, &state->group));
    if (state->group < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "group is %lld", (long long)state->group);
    if (node->op->type[0] == 'Q') {
        state->x_scale = 1;
        state->x_zero = 2;
        state->w = 3;
        state->w_scale = 4;
        state->w_zero = 5;
        state->y_scale = 6;
        state->y_zero = 7;
        state->bias = 8;
    } else {
        state->w = 1;
        state->x_zero = 2;
        state->w_zero = 3;
        state->x_scale = state->w_scale = state->y_scale = state->y_zero = state->bias = -1;
    }
    return MARY_OK;
}

static const mary_tensor *optional_input(const mary_op_call *call, int index)
{
    return index >= 0 && index < call->input_count ? call->inputs[index] : NULL;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_window *window)
{
    const conv_state *state = node->state;
    const mary_shape *x = &call->inputs[0]->shape, *w = &call->inputs[state->w]->shape;
    if (x->rank < 3 || w->rank != x->rank)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input of rank %d with weights of rank %d", x->rank, w->rank);
    if (w->dims[0] % state->group != 0 || x->dims[1] % state->group != 0 || x->dims[1] / state->group != w->dims[1])
        return mary_op_fail(node, MARY_ERROR_INVALID,
                            "%lld channels in %lld groups, the weights are for %lld into %lld", (long long)x->dims[1],
                            (long long)state->group, (long long)w->dims[1], (long long)w->dims[0]);
    return mary_window_resolve(node, &state->window, x, w->dims + 2, window);
}

/* One value for all output channels, or one for each. */
static mary_status check_channels(const mary_op_node *node, const mary_op_call *call, int index, mary_type type,
                                  int64_t filters, bool one_will_do)
{
    const mary_tensor *tensor = optional_input(call, index);
    if (tensor == NULL)
        return MARY_OK;
    bool fits = tensor->shape.rank <= 1 && ((one_will_do && mary_shape_count(&tensor->shape) == 1) ||
                                            (tensor->shape.rank == 1 && tensor->shape.dims[0] == filters));
    if (!fits || tensor->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input %d does not have one %s for each of %lld output channels",
                            index, mary_type_name(type), (long long)filters);
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const conv_state *state = node->state;
    bool is_linear = state->y_zero >= 0;
    mary_window window;
    MARY_TRY(mary_copy_expect(node, call, is_linear ? 8 : 2, is_linear ? 9 : 4, 1));
    MARY_TRY(mary_integer_type(node, call, 0));
    MARY_TRY(mary_integer_type(node, call, state->w));
    MARY_TRY(mary_integer_scalar(node, call, state->x_zero, call->inputs[0]->type));
    MARY_TRY(describe(node, call, &window));
    int64_t filters = call->inputs[state->w]->shape.dims[0];
    MARY_TRY(check_channels(node, call, state->w_zero, call->inputs[state->w]->type, filters, true));
    mary_shape shape = mary_window_output_shape(&window, call->inputs[0]->shape.dims[0], filters);
    if (!is_linear)
        return mary_op_set_output(node, call, 0, MARY_INT32, &shape);
    MARY_TRY(mary_integer_scalar(node, call, state->x_scale, MARY_FLOAT));
    MARY_TRY(check_channels(node, call, state->w_scale, MARY_FLOAT, filters, true));
    MARY_TRY(mary_integer_scalar(node, call, state->y_scale, MARY_FLOAT));
    MARY_TRY(mary_integer_scalar(node, call, state->y_zero, MARY_UNDEFINED));
    MARY_TRY(check_channels(node, call, state->bias, MARY_INT32, filters, false));
    return mary_op_set_output(node, call, 0, call->inputs[state->y_zero]->type, &shape);
}

/* Scratch: X and W as int16. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    const conv_state *state = node->state;
    *bytes = 2 * (mary_tensor_bytes(call->inputs[0]) + mary_tensor_bytes(call->inputs[state->w]));
    return MARY_OK;
}

typedef struct conv_job {
    const conv_state *state;
    const mary_op_call *call;
    mary_window window;
    int64_t channels, depth, filters; /* of the input; of a group; of the output */
    const int16_t *x, *w;
} conv_job;

/* sums[0..count) of output columns [first, first + count) of one output row. */
static void sum_row(const conv_job *job, int64_t image, int64_t filter, int64_t d, int64_t h, int64_t first,
                    int64_t count, uint32_t *sums)
{
    const mary_window *window = &job->window;
    int64_t group = filter / (job->filters / job->state->group);
    int64_t stride = window->stride[2], width = window->input[2], begin[2], end[2];
    mary_window_clip(window, 0, d, &begin[0], &end[0]);
    mary_window_clip(window, 1, h, &begin[1], &end[1]);
    for (int64_t c = 0; c < job->depth; c++) {
        const int16_t *plane = job->x + (image * job->channels + group * job->depth + c) * window->input_pixels;
        const int16_t *weights = job->w + (filter * job->depth + c) * window->taps;
        for (int64_t kd = begin[0]; kd < end[0]; kd++) {
            int64_t z = d * window->stride[0] - window->pad[0] + kd * window->dilation[0];
            for (int64_t kh = begin[1]; kh < end[1]; kh++) {
                int64_t y = h * window->stride[1] - window->pad[1] + kh * window->dilation[1];
                const int16_t *line = plane + (z * window->input[1] + y) * width;
                const int16_t *row = weights + (kd * window->kernel[1] + kh) * window->kernel[2];
                for (int64_t kw = 0; kw < window->kernel[2]; kw++) {
                    /* Columns o with 0 <= o*stride + shift < width. */
                    int64_t shift = kw * window->dilation[2] - window->pad[2];
                    int64_t low = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
                    int64_t high = width - shift <= 0 ? 0 : (width - shift + stride - 1) / stride;
                    low = low > first ? low : first;
                    high = high < first + count ? high : first + count;
                    if (low < high && row[kw] != 0)
                        mary_integer_add(sums + low - first, line + low * stride + shift, stride, row[kw], high - low);
                }
            }
        }
    }
}

/* Items are output rows: [N, filters, D, H]. */
static void conv_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const conv_job *job = context;
    const conv_state *state = job->state;
    const mary_op_call *call = job->call;
    const mary_window *window = &job->window;
    mary_tensor *output = call->outputs[0];
    uint32_t sums[MARY_INTEGER_CHUNK];
    for (int64_t item = begin; item < end; item++) {
        int64_t h = item % window->output[1], d = item / window->output[1] % window->output[0];
        int64_t plane = item / window->output[1] / window->output[0];
        int64_t filter = plane % job->filters, image = plane / job->filters;
        const mary_tensor *bias = optional_input(call, state->bias);
        uint32_t start = bias != NULL ? (uint32_t)((const int32_t *)bias->data)[filter] : 0;
        for (int64_t first = 0; first < window->output[2]; first += MARY_INTEGER_CHUNK) {
            int64_t count = window->output[2] - first, at = item * window->output[2] + first;
            count = count < MARY_INTEGER_CHUNK ? count : MARY_INTEGER_CHUNK;
            for (int64_t i = 0; i < count; i++)
                sums[i] = start;
            sum_row(job, image, filter, d, h, first, count, sums);
            if (state->y_zero < 0) {
                int32_t *out = (int32_t *)output->data + at;
                for (int64_t i = 0; i < count; i++)
                    out[i] = (int32_t)sums[i];
                continue;
            }
            float scale = mary_integer_scale(call, state->x_scale, 0) *
                          mary_integer_scale(call, state->w_scale, filter) /
                          mary_integer_scale(call, state->y_scale, 0);
            mary_integer_requantise(sums, count, scale, mary_integer_zero(call, state->y_zero, 0), output->type,
                                    (char *)output->data + at);
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const conv_state *state = node->state;
    const mary_tensor *x = call->inputs[0], *w = call->inputs[state->w];
    conv_job job = {.state = state, .call = call};
    MARY_TRY(describe(node, call, &job.window));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    int16_t *x_wide = call->scratch, *w_wide = x_wide + mary_shape_count(&x->shape);
    job.channels = x->shape.dims[1];
    job.depth = w->shape.dims[1];
    job.filters = w->shape.dims[0];
    int64_t length = job.depth * job.window.taps;
    mary_integer_widen(x, 0, mary_shape_count(&x->shape), mary_integer_zero(call, state->x_zero, 0), x_wide);
    for (int64_t i = 0; i < job.filters; i++)
        mary_integer_widen(w, i * length, length, mary_integer_zero(call, state->w_zero, i), w_wide + i * length);
    job.x = x_wide;
    job.w = w_wide;
    int64_t rows = mary_shape_count(&call->outputs[0]->shape) / job.window.output[2];
    int64_t work = job.window.output[2] * (length < INT32_MAX ? length : INT32_MAX) + 1;
    mary_parallel_for(call->parallel, rows, 65536 / work + 1, conv_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_integer_conv[] = {
    {.domain = "",
     .type = "ConvInteger",
     .since = 10,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run},
    {.domain = "",
     .type = "QLinearConv",
     .since = 10,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run},
    MARY_OP_END,
};
