/* What Conv and MaryConv do around the drivers: attributes, shapes, panels, layouts. */
#include "ops/conv.h"

#include <string.h>

#include "onnx/memory.h"
#include "ops/channels.h"

mary_status mary_conv_parse(const mary_op_node *node, mary_conv_attributes *attributes)
{
    MARY_TRY(mary_window_parse(node, &attributes->window));
    MARY_TRY(mary_attribute_int(node->proto, "group", 1, &attributes->group));
    if (attributes->group < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "group is %lld", (long long)attributes->group);
    return MARY_OK;
}

mary_status mary_conv_describe(const mary_op_node *node, const mary_conv_attributes *attributes,
                               const mary_op_call *call, const mary_shape *w, int bias_input,
                               mary_conv_problem *problem)
{
    const mary_tensor *x = call->inputs[0];
    int64_t group = attributes->group;
    memset(problem, 0, sizeof *problem);
    if (x->shape.rank < 3 || x->shape.rank > 5 || w->rank != x->shape.rank)
        return mary_op_fail(node, x->shape.rank > 5 ? MARY_ERROR_UNSUPPORTED : MARY_ERROR_INVALID,
                            "input of rank %d with weights of rank %d", x->shape.rank, w->rank);
    if (x->shape.dims[1] % group != 0 || x->shape.dims[1] / group != w->dims[1])
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld input channels in %lld groups, the weights have %lld",
                            (long long)x->shape.dims[1], (long long)group, (long long)w->dims[1]);
    if (w->dims[0] % group != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld output channels in %lld groups", (long long)w->dims[0],
                            (long long)group);
    const mary_tensor *bias = bias_input < call->input_count ? call->inputs[bias_input] : NULL;
    if (bias != NULL && (bias->type != x->type || bias->shape.rank != 1 || bias->shape.dims[0] != w->dims[0]))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the bias does not have one %s for each of %lld output channels",
                            mary_type_name(x->type), (long long)w->dims[0]);
    MARY_TRY(mary_window_resolve(node, &attributes->window, &x->shape, w->dims + 2, &problem->window));
    problem->batch = x->shape.dims[0];
    problem->groups = group;
    problem->depth = w->dims[1];
    problem->filters = w->dims[0] / group;
    int residual = node->epilogue.residual;
    if (residual > bias_input && residual < call->input_count && call->inputs[residual] != NULL) {
        mary_shape shape = mary_window_output_shape(&problem->window, problem->batch, w->dims[0]);
        if (!mary_shape_equal(&call->inputs[residual]->shape, &shape) || call->inputs[residual]->type != x->type)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the residual is not like the output");
    }
    return MARY_OK;
}

bool mary_conv_panels_size(int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr, size_t *floats)
{
    if (mary_conv_is_depthwise(groups, depth, filters)) {
        filters = groups;
        groups = 1;
    }
    return mary_size_mul((size_t)groups, (size_t)mary_conv_panels(filters, nr), floats) &&
           mary_size_mul(*floats, (size_t)nr, floats) && mary_size_mul(*floats, (size_t)depth, floats) &&
           mary_size_mul(*floats, (size_t)taps, floats) && *floats <= PTRDIFF_MAX / sizeof(float);
}

void mary_conv_panels_pack(const float *w, int64_t groups, int64_t filters, int64_t depth, int64_t taps, int nr,
                           float *panels)
{
    if (mary_conv_is_depthwise(groups, depth, filters)) {
        filters = groups;
        groups = 1;
    }
    int64_t length = taps * depth;
    for (int64_t group = 0; group < groups; group++) {
        for (int64_t first = 0; first < filters; first += nr, panels += length * nr) {
            int64_t count = filters - first < nr ? filters - first : nr;
            const float *rows = w + (group * filters + first) * length;
            if (count < nr)
                memset(panels, 0, sizeof(float) * (size_t)(length * nr));
            for (int64_t c = 0; c < depth; c++) {
                for (int64_t tap = 0; tap < taps; tap++) {
                    const float *from = rows + c * taps + tap;
                    float *to = panels + (tap * depth + c) * nr;
                    for (int64_t j = 0; j < count; j++)
                        to[j] = from[j * length];
                }
            }
        }
    }
}

const char *mary_conv_kernel_name(mary_cpu cpu, int64_t groups, int64_t depth, int64_t filters)
{
    static const char *const depthwise[MARY_CPU_COUNT] = {[MARY_CPU_SCALAR] = "depthwise scalar",
                                                          [MARY_CPU_AVX2] = "depthwise avx2",
                                                          [MARY_CPU_AVX512] = "depthwise avx512"};
    return mary_conv_is_depthwise(groups, depth, filters) ? depthwise[mary_cpu_base(cpu)]
                                                          : mary_tile_kernel_for(cpu)->name;
}

mary_status mary_conv_scratch(const mary_conv_problem *problem, size_t *bytes)
{
    if (problem->transposed)
        return mary_conv_transpose_scratch(problem, bytes);
    if (mary_conv_is_pixels(problem)) {
        *bytes = 0;
        return MARY_OK;
    }
    if (mary_conv_is_depthwise(problem->groups, problem->depth, problem->filters))
        return mary_conv_depthwise_scratch(problem, bytes);
    return mary_conv_tiles_scratch(problem, bytes);
}

void mary_conv_run(const mary_conv_problem *problem, void *scratch)
{
    if (problem->transposed)
        mary_conv_transpose_run(problem, scratch);
    else if (mary_conv_is_pixels(problem))
        mary_conv_pixels_run(problem);
    else if (mary_conv_is_depthwise(problem->groups, problem->depth, problem->filters))
        mary_conv_depthwise_run(problem, scratch);
    else
        mary_conv_tiles_run(problem, scratch);
}

/* Scratch of a plain call: x, y and residual channels last, one after the other, then the driver's. */
typedef struct call_layout {
    size_t x_bytes, y_bytes, residual_bytes, driver_bytes;
} call_layout;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static mary_status copy_bytes(int64_t batch, int64_t pixels, int64_t stride, size_t *bytes)
{
    if (!mary_size_mul((size_t)batch, (size_t)pixels, bytes) || !mary_size_mul(*bytes, (size_t)stride, bytes) ||
        !mary_size_mul(*bytes, sizeof(float), bytes) || *bytes > PTRDIFF_MAX / 4)
        return mary_fail_memory(SIZE_MAX);
    *bytes = align_up(*bytes);
    return MARY_OK;
}

static bool has_residual(const mary_op_node *node, const mary_op_call *call)
{
    int residual = node->epilogue.residual;
    return residual >= 0 && residual < call->input_count && call->inputs[residual] != NULL;
}

/* Sets strides in the problem. */
static mary_status lay_out(const mary_op_node *node, const mary_op_call *call, mary_conv_problem *p,
                           call_layout *layout)
{
    int64_t in_channels = p->groups * p->depth, out_channels = p->groups * p->filters;
    bool residual = has_residual(node, call);
    memset(layout, 0, sizeof *layout);
    p->parallel = call->parallel;
    p->epilogue = node->epilogue.activation != MARY_ACTIVATION_NONE ? &node->epilogue : NULL;
    if (node->channels_last) {
        p->x_stride = call->inputs[0]->pixel_stride;
        p->y_stride = call->outputs[0]->pixel_stride;
        if (residual)
            p->residual_stride = call->inputs[node->epilogue.residual]->pixel_stride;
    } else {
        p->x_stride = mary_channels_stride(in_channels);
        p->y_stride = p->residual_stride = mary_channels_stride(out_channels);
        MARY_TRY(copy_bytes(p->batch, p->window.input_pixels, p->x_stride, &layout->x_bytes));
        MARY_TRY(copy_bytes(p->batch, p->window.output_pixels, p->y_stride, &layout->y_bytes));
        layout->residual_bytes = residual ? layout->y_bytes : 0;
    }
    return mary_conv_scratch(p, &layout->driver_bytes);
}

mary_status mary_conv_call_scratch(const mary_op_node *node, const mary_op_call *call, const mary_conv_problem *problem,
                                   size_t *bytes)
{
    mary_conv_problem p = *problem;
    call_layout layout;
    MARY_TRY(lay_out(node, call, &p, &layout));
    if (!mary_size_add(layout.x_bytes + layout.y_bytes + layout.residual_bytes, layout.driver_bytes, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

mary_status mary_conv_call_run(const mary_op_node *node, mary_op_call *call, mary_conv_problem *problem, void *scratch)
{
    call_layout layout;
    MARY_TRY(lay_out(node, call, problem, &layout));
    const mary_tensor *x = call->inputs[0],
                      *residual = has_residual(node, call) ? call->inputs[node->epilogue.residual] : NULL;
    mary_tensor *y = call->outputs[0];
    problem->x = x->data;
    problem->y = y->data;
    problem->residual = residual != NULL ? residual->data : NULL;
    if (node->channels_last) {
        mary_conv_run(problem, scratch);
        return MARY_OK;
    }
    char *memory = scratch;
    float *x_last = (float *)(void *)memory, *y_last = (float *)(void *)(memory + layout.x_bytes);
    float *residual_last = (float *)(void *)(memory + layout.x_bytes + layout.y_bytes);
    const mary_window *w = &problem->window;
    int64_t in_channels = problem->groups * problem->depth, out_channels = problem->groups * problem->filters;
    mary_channels_to_last(x->data, problem->batch, in_channels, w->input_pixels, x_last, problem->x_stride,
                          call->parallel);
    if (residual != NULL) {
        mary_channels_to_last(residual->data, problem->batch, out_channels, w->output_pixels, residual_last,
                              problem->residual_stride, call->parallel);
        problem->residual = residual_last;
    }
    problem->x = x_last;
    problem->y = y_last;
    mary_conv_run(problem, memory + layout.x_bytes + layout.y_bytes + layout.residual_bytes);
    mary_channels_to_plain(y_last, problem->y_stride, problem->batch, out_channels, w->output_pixels, y->data,
                           call->parallel);
    return MARY_OK;
}
