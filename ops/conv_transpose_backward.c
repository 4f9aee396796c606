/* Gradients of ConvTranspose, channels last: it is the convolution that a Conv's gradient is, so its own input gradient
 * is an ordinary convolution of dY, and its weight gradient that of this convolution, with X in the place of dY. */
#include "onnx/memory.h"
#include "ops/conv_transpose.h"
#include "ops/gradient.h"

/* The convolution whose gradient this node computes: of Y, with filters that are X's channels. */
static mary_conv_problem turn(const mary_conv_problem *p)
{
    mary_conv_problem t = {.window = p->window,
                           .batch = p->batch,
                           .groups = p->groups,
                           .depth = p->filters,
                           .filters = p->depth,
                           .cpu = p->cpu,
                           .x_stride = p->groups * p->filters,
                           .y_stride = p->groups * p->depth,
                           .residual_stride = p->groups * p->depth,
                           .parallel = p->parallel};
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++) {
        t.window.input[axis] = p->window.output[axis];
        t.window.output[axis] = p->window.input[axis];
    }
    t.window.input_pixels = p->window.output_pixels;
    t.window.output_pixels = p->window.input_pixels;
    return t;
}

static mary_status pack_turned(mary_conv_transpose_state *state, const mary_tensor *w, const float *values,
                               float **panels)
{
    const int64_t groups = state->attributes.conv.group, filters = w->shape.dims[0] / groups, depth = w->shape.dims[1];
    const int64_t taps = mary_shape_count_range(&w->shape, 2, w->shape.rank);
    const int nr = mary_tile_kernel_for(state->cpu)->nr;
    size_t floats;
    if (!mary_conv_panels_size(groups, filters, depth, taps, nr, &floats))
        return mary_fail(MARY_ERROR_INVALID, "the weights are too large");
    if (*panels == NULL)
        *panels = mary_alloc_aligned(floats * sizeof(float));
    if (*panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    mary_conv_panels_pack(values, groups, filters, depth, taps, nr, *panels);
    return MARY_OK;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, bool second)
{
    mary_conv_transpose_state *state = node->state;
    const mary_tensor *w = constants[1];
    uint64_t consumed = 0;
    MARY_TRY(node->op->pack(node, constants, &consumed));
    if (state->panels == NULL)
        return MARY_OK;
    MARY_TRY(pack_turned(state, w, w->data, &state->turned[0]));
    if (!second)
        return MARY_OK;
    int64_t count = mary_shape_count(&w->shape);
    float *squares = mary_alloc_aligned((size_t)count * sizeof *squares);
    if (squares == NULL)
        return mary_fail_memory((size_t)count * sizeof *squares);
    mary_gradient_square(squares, w->data, count);
    mary_status status = pack_turned(state, w, squares, &state->turned[1]);
    mary_free(squares);
    return status;
}

static mary_status describe(const mary_op_node *node, const mary_gradient_call *call, mary_conv_problem *turned)
{
    const mary_conv_transpose_state *state = node->state;
    mary_conv_problem p;
    if (!node->channels_last || state->turned[call->second] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "gradients need weights that are parameters or constants");
    MARY_TRY(
        mary_conv_transpose_describe(node, &state->attributes, call->forward, &call->forward->inputs[1]->shape, 2, &p));
    p.cpu = state->cpu;
    p.parallel = call->parallel;
    *turned = turn(&p);
    turned->panels = state->turned[call->second];
    return MARY_OK;
}

static size_t square_bytes(const mary_gradient_call *call)
{
    const mary_tensor *x = call->forward->inputs[0];
    return call->second && mary_gradient_wanted(call, 1)
               ? mary_gradient_align(sizeof(float) * (size_t)mary_shape_count(&x->shape))
               : 0;
}

static mary_status scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    mary_conv_problem turned;
    MARY_TRY(describe(node, call, &turned));
    *bytes = 0;
    if (mary_gradient_wanted(call, 0))
        MARY_TRY(mary_conv_scratch(&turned, bytes));
    const size_t more = mary_gradient_wanted(call, 1) ? mary_conv_weights_scratch(&turned) : 0;
    *bytes = (more > *bytes ? more : *bytes) + square_bytes(call);
    return MARY_OK;
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const float *x = call->forward->inputs[0]->data, *dy = call->output_gradients[0]->data;
    float *dx = mary_gradient_of(call, 0), *dw = mary_gradient_of(call, 1), *db = mary_gradient_of(call, 2);
    float *squares = call->scratch;
    char *rest = (char *)call->scratch + square_bytes(call);
    mary_conv_problem turned;
    MARY_TRY(describe(node, call, &turned));
    if (dw != NULL && call->second) {
        mary_gradient_square(squares, x, mary_shape_count(&call->forward->inputs[0]->shape));
        x = squares;
    }
    if (dw != NULL)
        mary_conv_weights_run(&turned, dy, x, false, dw, call->accumulate[1], rest);
    if (db != NULL)
        mary_gradient_sum_rows(db, dy, turned.batch * turned.window.input_pixels, turned.x_stride, turned.x_stride,
                               1.0f, call->accumulate[2]);
    if (dx != NULL) {
        turned.x = dy;
        turned.y = dx;
        turned.residual = call->accumulate[0] ? dx : NULL; /* every output is read just before it is written */
        mary_conv_run(&turned, rest);
    }
    return MARY_OK;
}

const mary_op_gradient mary_conv_transpose_gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT,
                                                       .inputs = 7,
                                                       .reads_inputs = 1,
                                                       .pack = pack,
                                                       .scratch = scratch,
                                                       .backward = backward};
