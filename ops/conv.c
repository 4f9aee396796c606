/* Conv: 1-D to 3-D, groups, strides, dilations. float runs on the tile kernels, double in a plain loop. */
#include "ops/conv.h"

#include <string.h>

#include "onnx/memory.h"

typedef mary_conv_state conv;

static mary_status prepare(mary_op_node *node)
{
    conv *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    return mary_conv_parse(node, &state->attributes);
}

static void release(mary_op_node *node)
{
    conv *state = node->state;
    if (state != NULL) {
        mary_free(state->panels);
        mary_free(state->turned[0]);
        mary_free(state->turned[1]);
    }
    mary_free(state);
}

/* Checks that weights alone can be packed; what depends on the input is infer's to refuse. */
static bool packable(const conv *state, const mary_tensor *w)
{
    return w->type == MARY_FLOAT && w->shape.rank >= 3 && w->shape.rank <= 5 &&
           w->shape.dims[0] % state->attributes.group == 0;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    conv *state = node->state;
    const mary_tensor *w = node->input_count > 1 ? constants[1] : NULL;
    if (w == NULL || !packable(state, w))
        return MARY_OK;
    int64_t group = state->attributes.group, filters = w->shape.dims[0] / group, depth = w->shape.dims[1];
    int64_t taps = mary_shape_count_range(&w->shape, 2, w->shape.rank);
    int nr = mary_tile_kernel_for(state->cpu)->nr;
    size_t floats;
    if (!mary_conv_panels_size(group, filters, depth, taps, nr, &floats))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the weights are too large");
    if (state->panels == NULL) /* else they are of the same size */
        state->panels = mary_alloc_aligned(floats * sizeof(float));
    if (state->panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    mary_conv_panels_pack(w->data, group, filters, depth, taps, nr, state->panels);
    state->w = w->shape;
    *consumed |= 1u << 1;
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_conv_problem *problem)
{
    const conv *state = node->state;
    const mary_tensor *w = call->inputs[1];
    MARY_TRY(mary_conv_describe(node, &state->attributes, call, &w->shape, 2, problem));
    problem->cpu = state->cpu;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const conv *state = node->state;
    int most = node->epilogue.residual >= 3 ? node->epilogue.residual + 1 : 3;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, most));
    const mary_tensor *x = call->inputs[0], *w = call->inputs[1];
    if ((x->type != MARY_FLOAT && x->type != MARY_DOUBLE) || w->type != x->type)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "input is %s, weights are %s", mary_type_name(x->type),
                            mary_type_name(w->type));
    if (x->type == MARY_DOUBLE && (node->epilogue.activation != MARY_ACTIVATION_NONE || node->epilogue.residual >= 0))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "nothing can be fused into a double convolution");
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    if (state->panels != NULL && !mary_shape_equal(&state->w, &w->shape))
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "the weights changed their shape");
    mary_shape y = mary_window_output_shape(&problem.window, problem.batch, w->shape.dims[0]);
    return mary_op_set_output(node, call, 0, x->type, &y);
}

/* Weights that are not constant are packed in front of the rest of the scratch, on every run. */
static mary_status dynamic_bytes(const mary_op_node *node, const mary_conv_problem *problem, size_t *bytes)
{
    const conv *state = node->state;
    *bytes = 0;
    if (state->panels != NULL)
        return MARY_OK;
    size_t floats;
    if (!mary_conv_panels_size(problem->groups, problem->filters, problem->depth, problem->window.taps,
                               mary_tile_kernel_for(state->cpu)->nr, &floats))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the weights are too large");
    *bytes = (floats * sizeof(float) + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    const conv *state = node->state;
    mary_conv_problem problem;
    size_t packed;
    *bytes = 0;
    if (call->inputs[0]->type != MARY_FLOAT)
        return MARY_OK;
    MARY_TRY(describe(node, call, &problem));
    MARY_TRY(dynamic_bytes(node, &problem, &packed));
    /* The drivers ask only whether there are panels; any address says so. */
    problem.panels = state->panels != NULL ? state->panels : (const float *)&problem;
    MARY_TRY(mary_conv_call_scratch(node, call, &problem, bytes));
    if (!mary_size_add(*bytes, packed, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* One output channel of one image at a time, as the definition says. */
typedef struct plain_double {
    const mary_conv_problem *p;
    const double *x, *w, *bias;
    double *y;
} plain_double;

static double plain_sum(const plain_double *c, const double *x, const double *w, const int64_t o[MARY_WINDOW_AXES])
{
    const mary_window *v = &c->p->window;
    int64_t begin[MARY_WINDOW_AXES], end[MARY_WINDOW_AXES];
    double sum = 0;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        mary_window_clip(v, axis, o[axis], &begin[axis], &end[axis]);
    for (int64_t channel = 0; channel < c->p->depth; channel++, x += v->input_pixels, w += v->taps) {
        for (int64_t kd = begin[0]; kd < end[0]; kd++) {
            int64_t d = o[0] * v->stride[0] - v->pad[0] + kd * v->dilation[0];
            for (int64_t kh = begin[1]; kh < end[1]; kh++) {
                int64_t h = o[1] * v->stride[1] - v->pad[1] + kh * v->dilation[1];
                for (int64_t kw = begin[2]; kw < end[2]; kw++) {
                    int64_t i = o[2] * v->stride[2] - v->pad[2] + kw * v->dilation[2];
                    sum += x[(d * v->input[1] + h) * v->input[2] + i] * w[(kd * v->kernel[1] + kh) * v->kernel[2] + kw];
                }
            }
        }
    }
    return sum;
}

static void plain_task(void *context, int64_t begin, int64_t end, int thread)
{
    const plain_double *c = context;
    const mary_conv_problem *p = c->p;
    const mary_window *v = &p->window;
    (void)thread;
    int64_t channels = p->groups * p->filters;
    for (int64_t job = begin; job < end; job++) {
        int64_t channel = job % channels, group = channel / p->filters;
        const double *x = c->x + (job / channels * p->groups + group) * p->depth * v->input_pixels;
        const double *w = c->w + channel * p->depth * v->taps;
        double *y = c->y + job * v->output_pixels, bias = c->bias != NULL ? c->bias[channel] : 0;
        int64_t o[MARY_WINDOW_AXES];
        for (o[0] = 0; o[0] < v->output[0]; o[0]++) {
            for (o[1] = 0; o[1] < v->output[1]; o[1]++) {
                for (o[2] = 0; o[2] < v->output[2]; o[2]++)
                    *y++ = bias + plain_sum(c, x, w, o);
            }
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const conv *state = node->state;
    const mary_tensor *bias = call->input_count > 2 ? call->inputs[2] : NULL;
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    if (call->inputs[0]->type == MARY_DOUBLE) {
        plain_double c = {&problem, call->inputs[0]->data, call->inputs[1]->data, bias != NULL ? bias->data : NULL,
                          call->outputs[0]->data};
        mary_parallel_for(call->parallel, problem.batch * problem.groups * problem.filters, 1, plain_task, &c);
        return MARY_OK;
    }
    problem.bias = bias != NULL ? bias->data : NULL;
    problem.panels = state->panels;
    size_t packed;
    MARY_TRY(dynamic_bytes(node, &problem, &packed));
    if (state->panels == NULL) {
        mary_conv_panels_pack(call->inputs[1]->data, problem.groups, problem.filters, problem.depth,
                              problem.window.taps, mary_tile_kernel_for(state->cpu)->nr, call->scratch);
        problem.panels = call->scratch;
    }
    return mary_conv_call_run(node, call, &problem, (char *)call->scratch + packed);
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const conv *state = node->state;
    *wants = call->inputs[0]->type == MARY_FLOAT && state->panels != NULL; /* weights that are computed come plain */
    return *wants;
}

static const char *kernel(const mary_op_node *node)
{
    const conv *state = node->state;
    const mary_shape *w = &state->w;
    if (state->panels == NULL)
        return mary_tile_kernel_for(state->cpu)->name;
    return mary_conv_kernel_name(state->cpu, state->attributes.group, w->dims[1], w->dims[0] / state->attributes.group);
}

#define CONV(first, last)                                                                                              \
    {                                                                                                                  \
        .domain = "", .type = "Conv", .since = first, .until = last,                                                   \
        .flags = MARY_OP_EPILOGUE | MARY_OP_CHANNELS_ONLY, .prepare = prepare, .pack = pack, .infer = infer,           \
        .scratch = scratch, .run = run, .release = release, .channels_last = channels_last, .kernel = kernel,          \
        .gradient = &mary_conv_gradient                                                                                \
    }

const mary_op mary_ops_conv[] = {CONV(1, 0), MARY_OP_END};
