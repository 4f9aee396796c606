/* BatchNormalization: y = (x - mean) / sqrt(var + epsilon) * scale + B, one of each for a channel. Inference folds them
 * into one product and one sum at load; training mode (opset 14 on) computes mean and variance of this batch. */
#include <math.h>

#include "ops/normalise_backward.h"
#include "ops/rows.h"

typedef struct batch_state {
    float epsilon, momentum;
    bool training;
    int64_t channels; /* of the packed parameters; 0: they come with every call */
    double *factors;  /* scale[channels], shift[channels] */
    float *float_factors;
    const mary_rows *rows;
} batch_state;

static mary_status prepare(mary_op_node *node)
{
    int64_t training = 0;
    batch_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->rows = mary_rows_current();
    MARY_TRY(mary_attribute_float(node->proto, "epsilon", 1e-5f, &state->epsilon));
    MARY_TRY(mary_attribute_float(node->proto, "momentum", 0.9f, &state->momentum));
    if (node->opset >= 14)
        MARY_TRY(mary_attribute_int(node->proto, "training_mode", 0, &training));
    int64_t testing = 1;
    if (node->opset < 7)
        MARY_TRY(mary_attribute_int(node->proto, "is_test", 0, &testing));
    if (testing == 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "is_test is 0: training before opset 14");
    state->training = training != 0;
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    batch_state *state = node->state;
    if (state != NULL) {
        mary_free(state->factors);
        mary_free(state->float_factors);
    }
    mary_free(state);
}

/* parameters: scale, B, mean, var; factors[c] and factors[channels + c] become product and sum. */
static void fold(const mary_tensor *const *parameters, float epsilon, int64_t channels, double *factors)
{
    for (int64_t c = 0; c < channels; c++) {
        double inverse = 1 / sqrt(mary_tensor_double(parameters[3], c) + (double)epsilon);
        factors[c] = mary_tensor_double(parameters[0], c) * inverse;
        factors[channels + c] =
            mary_tensor_double(parameters[1], c) - mary_tensor_double(parameters[2], c) * factors[c];
    }
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    batch_state *state = node->state;
    if (state->training || node->input_count != 5)
        return MARY_OK;
    for (int i = 1; i < 5; i++) {
        if (constants[i] == NULL || !mary_type_is_float(constants[i]->type) || constants[i]->shape.rank != 1 ||
            constants[i]->shape.dims[0] != constants[1]->shape.dims[0])
            return MARY_OK; /* infer says what is wrong with them */
    }
    int64_t channels = constants[1]->shape.dims[0];
    state->factors = mary_calloc((size_t)channels, 2 * sizeof *state->factors);
    state->float_factors = mary_calloc((size_t)channels, 2 * sizeof *state->float_factors);
    if (state->factors == NULL || state->float_factors == NULL)
        return mary_fail_memory((size_t)channels * 2 * sizeof *state->factors);
    fold(constants + 1, state->epsilon, channels, state->factors);
    for (int64_t c = 0; c < 2 * channels; c++)
        state->float_factors[c] = (float)state->factors[c];
    state->channels = channels;
    *consumed = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
    return MARY_OK;
}

static int64_t channels_of(const mary_tensor *x)
{
    return x->shape.rank > 1 ? x->shape.dims[1] : 1;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    static const char *const names[] = {"X", "scale", "B", "mean", "var"};
    const batch_state *state = node->state;
    MARY_TRY(mary_op_expect_inputs(node, call, 5, 5));
    const mary_tensor *x = call->inputs[0];
    if (x->type != MARY_FLOAT && x->type != MARY_DOUBLE)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(x->type));
    if (x->shape.rank < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "X is a scalar");
    int64_t channels = channels_of(x);
    for (int i = 1; i < 5; i++) {
        const mary_tensor *p = call->inputs[i];
        if (p->type != MARY_FLOAT && p->type != MARY_DOUBLE)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "%s is %s", names[i], mary_type_name(p->type));
        if (p->shape.rank != 1 || p->shape.dims[0] != channels)
            return mary_op_fail(node, MARY_ERROR_INVALID, "%s must have one value for each of %lld channels", names[i],
                                (long long)channels);
    }
    MARY_TRY(mary_op_set_output(node, call, 0, x->type, &x->shape));
    for (int i = 1; i < call->output_count; i++) {
        if (call->outputs[i] == NULL)
            continue;
        if (!state->training || i > 2)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "output %d exists in training mode only", i);
        MARY_TRY(mary_op_set_output(node, call, i, call->inputs[i + 2]->type, &call->inputs[i + 2]->shape));
    }
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    const batch_state *state = node->state;
    *bytes = state->channels > 0 ? 0 : (size_t)channels_of(call->inputs[0]) * 2 * (sizeof(double) + sizeof(float));
    return MARY_OK;
}

/* X is [batch, channels, pixels]. */
typedef struct work {
    const mary_rows *rows;
    const mary_tensor *x, *y;
    const float *float_factors;
    const double *factors;
    int64_t channels, pixels, x_stride, y_stride;
} work;

/* Items are planes of one channel. */
static void run_planes(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % w->channels;
        w->rows->affine((const float *)w->x->data + i * w->pixels, (float *)w->y->data + i * w->pixels, w->pixels, 0,
                        w->float_factors[c], w->float_factors[w->channels + c]);
    }
}

/* Items are pixels with all their channels. */
static void run_pixels(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        w->rows->affine_each((const float *)w->x->data + i * w->x_stride, (float *)w->y->data + i * w->y_stride,
                             w->channels, w->float_factors, w->float_factors + w->channels);
}

static void run_double(void *context, int64_t begin, int64_t end, int thread)
{
    const work *w = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i % w->channels;
        const double *x = (const double *)w->x->data + i * w->pixels;
        double *y = (double *)w->y->data + i * w->pixels;
        for (int64_t p = 0; p < w->pixels; p++)
            y[p] = x[p] * w->factors[c] + w->factors[w->channels + c];
    }
}

static void store_real(const mary_tensor *tensor, int64_t index, double value)
{
    if (tensor->type == MARY_FLOAT)
        ((float *)tensor->data)[index] = (float)value;
    else
        ((double *)tensor->data)[index] = value;
}

/* Factors from this batch's own mean and population variance; running outputs move towards those. */
static void fold_batch(const batch_state *state, const mary_op_call *call, int64_t batch, int64_t channels,
                       int64_t pixels, double *factors)
{
    const mary_tensor *x = call->inputs[0];
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0, count = (double)batch * (double)pixels;
        for (int64_t i = 0; i < batch * pixels; i++)
            sum += mary_tensor_double(x, (i / pixels * channels + c) * pixels + i % pixels);
        double mean = sum / count;
        for (int64_t i = 0; i < batch * pixels; i++) {
            double d = mary_tensor_double(x, (i / pixels * channels + c) * pixels + i % pixels) - mean;
            squares += d * d;
        }
        const double statistics[2] = {mean, squares / count}, momentum = (double)state->momentum;
        for (int k = 0; k < 2; k++) {
            const mary_tensor *running = call->output_count > 1 + k ? call->outputs[1 + k] : NULL;
            if (running != NULL)
                store_real(running, c,
                           mary_tensor_double(call->inputs[3 + k], c) * momentum + statistics[k] * (1 - momentum));
        }
        factors[c] = mary_tensor_double(call->inputs[1], c) / sqrt(statistics[1] + (double)state->epsilon);
        factors[channels + c] = mary_tensor_double(call->inputs[2], c) - mean * factors[c];
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const batch_state *state = node->state;
    const mary_tensor *x = call->inputs[0];
    work w = {.rows = state->rows, .x = x, .y = call->outputs[0], .channels = channels_of(x)};
    w.pixels = mary_shape_count_range(&x->shape, 2, x->shape.rank);
    int64_t batch = x->shape.dims[0];
    w.factors = state->factors;
    w.float_factors = state->float_factors;
    if (state->channels == 0) {
        double *factors = call->scratch;
        float *float_factors = (float *)(factors + 2 * w.channels);
        if (state->training)
            fold_batch(state, call, batch, w.channels, w.pixels, factors);
        else
            fold(call->inputs + 1, state->epsilon, w.channels, factors);
        for (int64_t c = 0; c < 2 * w.channels; c++)
            float_factors[c] = (float)factors[c];
        w.factors = factors;
        w.float_factors = float_factors;
    }
    bool last = x->layout == MARY_LAYOUT_CHANNELS_LAST;
    if (x->type == MARY_FLOAT && (last || w.pixels == 1)) {
        w.x_stride = last ? x->pixel_stride : w.channels;
        w.y_stride = last ? w.y->pixel_stride : w.channels;
        mary_parallel_for(call->parallel, batch * w.pixels, 16384 / (w.channels + 1) + 1, run_pixels, &w);
    } else {
        mary_parallel_for(call->parallel, batch * w.channels, 16384 / (w.pixels + 1) + 1,
                          x->type == MARY_FLOAT ? run_planes : run_double, &w);
    }
    return MARY_OK;
}

/* ---- gradients ---- */

static bool needs_batch(const mary_op_node *node)
{
    return ((const batch_state *)node->state)->training;
}

/* Sums over the batch for scale and B. */
static mary_status backward_scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    (void)node;
    *bytes = 2 * sizeof(double) * (size_t)channels_of(call->forward->inputs[0]);
    return MARY_OK;
}

/* Fixed statistics: a product and a sum. */
static void channel_backward(const mary_normalised *g, double mean, double inverse, bool second)
{
    const double factor = (g->scale != NULL ? (double)g->scale[0] : 1) * inverse;
    const float slope = (float)(second ? factor * factor : factor);
    for (int64_t o = 0; o < g->outer; o++) {
        for (int64_t i = 0; i < g->inner; i++) {
            const int64_t at = o * g->outer_step + i * g->inner_step;
            const double dy = (double)g->dy[at];
            if (g->dscale != NULL) {
                const double z = ((double)g->x[at] - mean) * inverse;
                *g->dscale += second ? dy * z * z : dy * z;
            }
            *g->dshift += dy;
            if (g->dx != NULL)
                g->dx[at] = (g->accumulate ? g->dx[at] : 0.0f) + slope * g->dy[at];
        }
    }
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const batch_state *state = node->state;
    const mary_op_call *forward = call->forward;
    const mary_tensor *x = forward->inputs[0];
    const bool last = x->layout == MARY_LAYOUT_CHANNELS_LAST, packed = state->channels > 0;
    const int64_t channels = channels_of(x), pixels = mary_shape_count_range(&x->shape, 2, x->shape.rank);
    float *const to[2] = {mary_gradient_of(call, 1), mary_gradient_of(call, 2)};
    float *dx = mary_gradient_of(call, 0);
    double *sums = call->scratch;
    for (int64_t c = 0; c < 2 * channels; c++)
        sums[c] = 0;
    for (int64_t c = 0; c < channels && x->shape.dims[0] * pixels > 0; c++) {
        const int64_t at = last ? c : c * pixels;
        const mary_normalised group = {
            .outer = x->shape.dims[0],
            .inner = pixels,
            .outer_step = channels * pixels,
            .inner_step = last ? channels : 1,
            .centred = true,
            .epsilon = (double)state->epsilon,
            .x = (const float *)x->data + at,
            .dy = (const float *)call->output_gradients[0]->data + at,
            .firsts = call->second && state->training ? (const float *)call->output_firsts[0]->data + at : NULL,
            .scale = packed ? NULL : (const float *)forward->inputs[1]->data + c,
            .dx = dx != NULL ? dx + at : NULL,
            .accumulate = call->accumulate[0],
            .dscale = to[0] != NULL ? sums + c : NULL,
            .dshift = sums + channels + c};
        if (state->training) {
            mary_normalise_backward(&group);
            continue;
        }
        const double mean = packed ? 0 : mary_tensor_double(forward->inputs[3], c);
        const double inverse =
            packed ? state->factors[c] : 1 / sqrt(mary_tensor_double(forward->inputs[4], c) + (double)state->epsilon);
        channel_backward(&group, mean, inverse, call->second);
    }
    for (int k = 0; k < 2; k++) {
        for (int64_t c = 0; to[k] != NULL && c < channels; c++)
            to[k][c] = (call->accumulate[1 + k] ? to[k][c] : 0.0f) + (float)sums[k * channels + c];
    }
    return MARY_OK;
}

static const mary_op_gradient gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT | MARY_GRADIENT_CURVED,
                                          .inputs = 7,
                                          .reads_inputs = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4,
                                          .batch = needs_batch,
                                          .scratch = backward_scratch,
                                          .backward = backward};

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const batch_state *state = node->state;
    *wants = false;
    return !state->training && call->inputs[0]->type == MARY_FLOAT && call->inputs[0]->shape.rank >= 3;
}

const mary_op mary_ops_batch_normalization[] = {
    {.domain = "",
     .type = "BatchNormalization",
     .since = 1,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .pack = pack,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .channels_last = channels_last,
     .gradient = &gradient},
    MARY_OP_END,
};
