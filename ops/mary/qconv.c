/* MaryQLinearConv: u8 activations, packed codes of int8 levels, u8 out. */
#include "onnx/memory.h"
#include "ops/conv.h"
#include "ops/mary/qchannels.h"
#include "ops/mary/qproduct.h"
#include "ops/mary/weight_attributes.h"

typedef struct qconv {
    mary_conv_attributes attributes;
    mary_weight_attributes weights;
    mary_cpu cpu;
    mary_qlayer layer;
    mary_qweights *codes; /* one of these two after pack */
    mary_qdepthwise *depthwise;
} qconv;

static mary_status prepare(mary_op_node *node)
{
    qconv *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    MARY_TRY(mary_conv_parse(node, &state->attributes));
    MARY_TRY(mary_weight_attributes_parse(node, &state->weights));
    const mary_shape *w = &state->weights.shape;
    if (state->weights.row_length != mary_shape_count_range(w, 1, w->rank))
        return mary_op_fail(node, MARY_ERROR_INVALID, "row_length is %lld, weight_shape says %lld",
                            (long long)state->weights.row_length, (long long)mary_shape_count_range(w, 1, w->rank));
    if (w->dims[0] % state->attributes.group != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%lld output channels in %lld groups", (long long)w->dims[0],
                            (long long)state->attributes.group);
    for (int axis = 2; axis < w->rank; axis++) {
        if (w->dims[axis] == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the kernel has size 0");
    }
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    qconv *state = node->state;
    if (state != NULL) {
        mary_qlayer_free(&state->layer);
        mary_qweights_free(&state->codes);
        mary_qdepthwise_free(&state->depthwise);
    }
    mary_free(state);
}

static mary_status pack_weights(qconv *state)
{
    const mary_shape *w = &state->weights.shape;
    int64_t group = state->attributes.group, depth = w->dims[1], taps = mary_shape_count_range(w, 2, w->rank);
    if (mary_conv_is_depthwise(group, depth, w->dims[0] / group))
        return mary_qdepthwise_create(&state->layer.source, w->dims[w->rank - 1], state->cpu, &state->depthwise);
    const mary_window_attributes *window = &state->attributes.window;
    int64_t dilation = window->dilation_count > 0 ? window->dilations[window->dilation_count - 1] : 1;
    int64_t run_taps = mary_qproduct_patches(group, depth, taps, dilation) ? taps : 1;
    return mary_qweights_create(&state->layer.source, group, taps, depth, run_taps, state->cpu, &state->codes);
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    qconv *state = node->state;
    MARY_TRY(mary_qlayer_create(node, constants, state->weights.shape.dims[0], state->weights.row_length,
                                state->weights.bits, &state->layer, consumed));
    mary_status status = pack_weights(state);
    return status == MARY_OK ? status : mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
}

static mary_status describe(const mary_op_node *node, const mary_op_call *call, mary_qproduct *product)
{
    const qconv *state = node->state;
    mary_conv_problem problem; /* window and sizes are those of any convolution */
    MARY_TRY(mary_conv_describe(node, &state->attributes, call, &state->weights.shape, INT32_MAX, &problem));
    *product = (mary_qproduct){.window = problem.window,
                               .batch = problem.batch,
                               .groups = problem.groups,
                               .depth = problem.depth,
                               .filters = problem.filters,
                               .cpu = state->cpu,
                               .weights = state->codes,
                               .depthwise = state->depthwise,
                               .epilogue = &state->layer.epilogue,
                               .x_zero = state->layer.x_zero,
                               .parallel = call->parallel};
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const qconv *state = node->state;
    mary_qproduct product;
    MARY_TRY(mary_qlinear_check(node, call));
    MARY_TRY(describe(node, call, &product));
    mary_shape y = mary_window_output_shape(&product.window, product.batch, state->weights.shape.dims[0]);
    MARY_TRY(mary_qlinear_check_residual(node, call, &y));
    return mary_op_set_output(node, call, 0, MARY_UINT8, &y);
}

/* Scratch of a plain call: x, y and residual channels last, one after the other, then the driver's. */
typedef struct call_layout {
    size_t x_bytes, y_bytes, residual_bytes, driver_bytes;
} call_layout;

static mary_status copy_bytes(int64_t batch, int64_t pixels, int64_t channels, size_t *bytes)
{
    if (!mary_size_mul((size_t)batch, (size_t)pixels, bytes) || !mary_size_mul(*bytes, (size_t)channels, bytes) ||
        *bytes > PTRDIFF_MAX / 8)
        return mary_fail_memory(SIZE_MAX);
    *bytes = (*bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return MARY_OK;
}

/* Sets strides in the product. */
static mary_status lay_out(const mary_op_node *node, const mary_op_call *call, mary_qproduct *p, call_layout *layout)
{
    int64_t in_channels = p->groups * p->depth, out_channels = p->groups * p->filters;
    const mary_tensor *residual = mary_qlinear_residual(call);
    *layout = (call_layout){0};
    if (node->channels_last) {
        p->x_stride = call->inputs[MARY_QLINEAR_X]->pixel_stride;
        p->y_stride = call->outputs[0]->pixel_stride;
        p->residual_stride = residual != NULL ? residual->pixel_stride : 0;
    } else {
        p->x_stride = in_channels;
        p->y_stride = p->residual_stride = out_channels;
        MARY_TRY(copy_bytes(p->batch, p->window.input_pixels, in_channels, &layout->x_bytes));
        MARY_TRY(copy_bytes(p->batch, p->window.output_pixels, out_channels, &layout->y_bytes));
        layout->residual_bytes = residual != NULL ? layout->y_bytes : 0;
    }
    return mary_qproduct_scratch(p, &layout->driver_bytes);
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_qproduct product;
    call_layout layout;
    MARY_TRY(describe(node, call, &product));
    MARY_TRY(lay_out(node, call, &product, &layout));
    if (!mary_size_add(layout.x_bytes + layout.y_bytes + layout.residual_bytes, layout.driver_bytes, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    mary_qproduct p;
    call_layout layout;
    MARY_TRY(describe(node, call, &p));
    const mary_tensor *x = call->inputs[MARY_QLINEAR_X], *residual = mary_qlinear_residual(call);
    mary_tensor *y = call->outputs[0];
    if (mary_shape_count(&y->shape) == 0)
        return MARY_OK;
    MARY_TRY(lay_out(node, call, &p, &layout));
    p.x = x->data;
    p.y = y->data;
    p.residual = residual != NULL ? residual->data : NULL;
    if (node->channels_last) {
        mary_qproduct_run(&p, call->scratch);
        return MARY_OK;
    }
    uint8_t *x_last = call->scratch, *y_last = x_last + layout.x_bytes, *residual_last = y_last + layout.y_bytes;
    mary_qchannels_to_last(p.x, p.batch, p.x_stride, p.window.input_pixels, x_last, p.x_stride, call->parallel);
    if (residual != NULL) {
        mary_qchannels_to_last(p.residual, p.batch, p.y_stride, p.window.output_pixels, residual_last, p.y_stride,
                               call->parallel);
        p.residual = residual_last;
    }
    p.x = x_last;
    p.y = y_last;
    mary_qproduct_run(&p, residual_last + layout.residual_bytes);
    mary_qchannels_to_plain(y_last, p.y_stride, p.batch, p.y_stride, p.window.output_pixels, y->data, call->parallel);
    return MARY_OK;
}

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    *wants = call->inputs[MARY_QLINEAR_X]->type == MARY_UINT8;
    return *wants;
}

static const char *kernel(const mary_op_node *node)
{
    const qconv *state = node->state;
    return mary_qproduct_kernel_name(state->codes, state->depthwise);
}

const mary_op mary_ops_mary_qconv[] = {
    {.domain = "ai.mary",
     .type = "MaryQLinearConv",
     .since = 1,
     .prepare = prepare,
     .pack = pack,
     .flags = MARY_OP_CHANNELS_ONLY,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .channels_last = channels_last,
     .kernel = kernel},
    MARY_OP_END,
};
