/* ConvTranspose: 1-D to 3-D. float runs on the tile kernels, double in a plain loop. */
#include "ops/conv_transpose.h"

#include "onnx/memory.h"

typedef mary_conv_transpose_state conv_transpose;

static mary_status prepare(mary_op_node *node)
{
    conv_transpose *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    return mary_conv_transpose_parse(node, &state->attributes);
}

static void release(mary_op_node *node)
{
    conv_transpose *state = node->state;
    if (state != NULL) {
        mary_free(state->panels);
        mary_free(state->turned[0]);
        mary_free(state->turned[1]);
    }
    mary_free(state);
}

static mary_status panels_size(const mary_op_node *node, const mary_shape *w, const mary_window *window, size_t *floats)
{
    const conv_transpose *state = node->state;
    int64_t group = state->attributes.conv.group;
    if (!mary_conv_transpose_panels_size(group, w->dims[1], w->dims[0] / group, window->taps,
                                         mary_tile_kernel_for(state->cpu)->nr, floats))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the weights are too large");
    return MARY_OK;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    conv_transpose *state = node->state;
    const mary_tensor *w = node->input_count > 1 ? constants[1] : NULL;
    if (w == NULL || w->type != MARY_FLOAT)
        return MARY_OK;
    mary_window window;
    size_t floats;
    MARY_TRY(mary_conv_transpose_kernel(node, &state->attributes, &w->shape, &window));
    MARY_TRY(panels_size(node, &w->shape, &window, &floats));
    if (state->panels == NULL) /* else they are of the same size */
        state->panels = mary_alloc_aligned(floats * sizeof(float));
    if (state->panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    int64_t group = state->attributes.conv.group;
    mary_conv_transpose_pack(w->data, group, w->shape.dims[1], w->shape.dims[0] / group, &window,
                             mary_tile_kernel_for(state->cpu)->nr, state->panels);
    state->w = w->shape;
    *consumed |= 1u << 1;
    return MARY_OK;
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_conv_problem *problem)
{
    const conv_transpose *state = node->state;
    MARY_TRY(mary_conv_transpose_describe(node, &state->attributes, call, &call->inputs[1]->shape, 2, problem));
    problem->cpu = state->cpu;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const conv_transpose *state = node->state;
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
    mary_shape y = mary_window_output_shape(&problem.window, problem.batch, problem.groups * problem.filters);
    return mary_op_set_output(node, call, 0, x->type, &y);
}

/* Weights that are not constant are packed in front of the rest of the scratch, on every run. */
static mary_status dynamic_bytes(const mary_op_node *node, const mary_op_call *call, const mary_conv_problem *problem,
                                 size_t *bytes)
{
    const conv_transpose *state = node->state;
    size_t floats;
    *bytes = 0;
    if (state->panels != NULL)
        return MARY_OK;
    MARY_TRY(panels_size(node, &call->inputs[1]->shape, &problem->window, &floats));
    *bytes = (floats * sizeof(float) + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_conv_problem problem;
    size_t packed;
    *bytes = 0;
    if (call->inputs[0]->type != MARY_FLOAT)
        return MARY_OK;
    MARY_TRY(describe(node, call, &problem));
    MARY_TRY(dynamic_bytes(node, call, &problem, &packed));
    problem.panels = (const float *)&problem; /* the driver asks only whether there are panels */
    MARY_TRY(mary_conv_call_scratch(node, call, &problem, bytes));
    if (!mary_size_add(*bytes, packed, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* One output channel of one image at a time: every output collects the taps that reach it. */
typedef struct plain_double {
    const mary_conv_problem *p;
    const double *x, *w, *bias;
    double *y;
} plain_double;

static double plain_sum(const plain_double *c, const double *x, const double *w, const int64_t o[MARY_WINDOW_AXES])
{
    const mary_window *v = &c->p->window;
    double sum = 0;
    for (int64_t tap = 0; tap < v->taps; tap++) {
        int64_t k[MARY_WINDOW_AXES] = {tap / v->kernel[2] / v->kernel[1], tap / v->kernel[2] % v->kernel[1],
                                       tap % v->kernel[2]};
        int64_t at = 0;
        bool inside = true;
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
            int64_t i = o[axis] + v->pad[axis] - k[axis] * v->dilation[axis];
            inside = inside && i >= 0 && i % v->stride[axis] == 0 && i / v->stride[axis] < v->input[axis];
            at = inside ? at * v->input[axis] + i / v->stride[axis] : 0;
        }
        for (int64_t channel = 0; inside && channel < c->p->depth; channel++)
            sum += x[channel * v->input_pixels + at] * w[channel * c->p->filters * v->taps + tap];
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
        const double *w = c->w + (group * p->depth * p->filters + channel % p->filters) * v->taps;
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
    const conv_transpose *state = node->state;
    const mary_tensor *w = call->inputs[1], *bias = call->input_count > 2 ? call->inputs[2] : NULL;
    mary_conv_problem problem;
    MARY_TRY(describe(node, call, &problem));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    if (call->inputs[0]->type == MARY_DOUBLE) {
        plain_double c = {&problem, call->inputs[0]->data, w->data, bias != NULL ? bias->data : NULL,
                          call->outputs[0]->data};
        mary_parallel_for(call->parallel, problem.batch * problem.groups * problem.filters, 1, plain_task, &c);
        return MARY_OK;
    }
    problem.bias = bias != NULL ? bias->data : NULL;
    problem.panels = state->panels;
    size_t packed;
    MARY_TRY(dynamic_bytes(node, call, &problem, &packed));
    if (state->panels == NULL) {
        mary_conv_transpose_pack(w->data, problem.groups, problem.filters, problem.depth, &problem.window,
                                 mary_tile_kernel_for(state->cpu)->nr, call->scratch);
        problem.panels = call->scratch;
    }
    return mary_conv_call_run(node, call, &problem, (char *)call->scratch + packed);
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const conv_transpose *state = node->state;
    *wants = call->inputs[0]->type == MARY_FLOAT && state->panels != NULL; /* weights that are computed come plain */
    return *wants;
}

static const char *kernel(const mary_op_node *node)
{
    const conv_transpose *state = node->state;
    return mary_tile_kernel_for(state->cpu)->name;
}

const mary_op mary_ops_conv_transpose[] = {
    {.domain = "",
     .type = "ConvTranspose",
     .since = 1,
     .flags = MARY_OP_EPILOGUE | MARY_OP_CHANNELS_ONLY,
     .prepare = prepare,
     .pack = pack,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .channels_last = channels_last,
     .kernel = kernel,
     .gradient = &mary_conv_transpose_gradient},
    MARY_OP_END,
};
