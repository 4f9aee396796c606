/* Derivatives of the element-wise operators of one input. Where a function has a corner, the derivative is that of the
 * side which is flat, as torch has it. */
#include <math.h>

#include "ops/gradient.h"
#include "ops/unary.h"

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

bool mary_unary_derivatives(mary_unary_kernel kernel, const mary_unary_parameters *p, double x, double *first,
                            double *second)
{
    const double alpha = (double)p->alpha, beta = (double)p->beta;
    *second = 0;
    switch (kernel) {
    case MARY_UNARY_clip:
        *first = x > alpha && x < beta;
        return true;
    case MARY_UNARY_leaky_relu:
        *first = x > 0 ? 1 : alpha;
        return true;
    case MARY_UNARY_thresholded_relu:
        *first = x > alpha;
        return true;
    case MARY_UNARY_shrink:
        *first = x < -alpha || x > alpha;
        return true;
    case MARY_UNARY_hard_sigmoid: {
        const double y = alpha * x + beta;
        *first = y > 0 && y < 1 ? alpha : 0;
        return true;
    }
    case MARY_UNARY_hard_swish: {
        const double y = alpha * x + beta;
        *first = y <= 0 ? 0 : y >= 1 ? 1 : 2 * alpha * x + beta;
        *second = y <= 0 || y >= 1 ? 0 : 2 * alpha;
        return true;
    }
    case MARY_UNARY_sigmoid: {
        const double s = sigmoid(x);
        *first = s * (1 - s);
        *second = *first * (1 - 2 * s);
        return true;
    }
    case MARY_UNARY_swish: {
        const double s = sigmoid(alpha * x), slope = s * (1 - s);
        *first = s + alpha * x * slope;
        *second = alpha * slope * (2 + alpha * x * (1 - 2 * s));
        return true;
    }
    case MARY_UNARY_tanh: {
        const double t = tanh(x);
        *first = 1 - t * t;
        *second = -2 * t * *first;
        return true;
    }
    case MARY_UNARY_elu:
        *first = x > 0 ? 1 : alpha * exp(x);
        *second = x > 0 ? 0 : *first;
        return true;
    case MARY_UNARY_selu:
        *first = x > 0 ? beta : beta * alpha * exp(x);
        *second = x > 0 ? 0 : *first;
        return true;
    case MARY_UNARY_celu:
        *first = x > 0 ? 1 : exp(x / alpha);
        *second = x > 0 ? 0 : *first / alpha;
        return true;
    case MARY_UNARY_gelu: {
        const double density = 0.39894228040143267794 * exp(-0.5 * x * x);
        *first = 0.5 * (1 + erf(x * 0.70710678118654752440)) + x * density;
        *second = density * (2 - x * x);
        return true;
    }
    case MARY_UNARY_gelu_tanh: {
        const double k = 0.79788456080286535588, c = 0.044715, t = tanh(k * (x + c * x * x * x));
        const double slope = k * (1 + 3 * c * x * x), turn = 1 - t * t;
        *first = 0.5 * (1 + t) + 0.5 * x * turn * slope;
        *second = turn * slope + 0.5 * x * (-2 * t * turn * slope * slope + turn * k * 6 * c * x);
        return true;
    }
    case MARY_UNARY_mish: {
        const double e = x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)), t = tanh(e), s = sigmoid(x);
        const double turn = 1 - t * t, slope = s * (1 - s);
        *first = t + x * turn * s;
        *second = 2 * turn * s + x * turn * (slope - 2 * t * s * s);
        return true;
    }
    case MARY_UNARY_softplus:
        *first = sigmoid(x);
        *second = *first * (1 - *first);
        return true;
    case MARY_UNARY_softsign: {
        const double d = 1 + fabs(x);
        *first = 1 / (d * d);
        *second = (x > 0 ? -2 : 2) / (d * d * d);
        return true;
    }
    case MARY_UNARY_exp:
        *first = *second = exp(x);
        return true;
    case MARY_UNARY_log:
        *first = 1 / x;
        *second = -1 / (x * x);
        return true;
    case MARY_UNARY_erf:
        *first = 1.12837916709551257390 * exp(-x * x);
        *second = -2 * x * *first;
        return true;
    case MARY_UNARY_sqrt:
        *first = 0.5 / sqrt(x);
        *second = -0.5 * *first / x;
        return true;
    case MARY_UNARY_abs:
        *first = (x > 0) - (x < 0);
        return true;
    case MARY_UNARY_neg:
        *first = -1;
        return true;
    case MARY_UNARY_reciprocal:
        *first = -1 / (x * x);
        *second = 2 / (x * x * x);
        return true;
    default:
        return false;
    }
}

static mary_status check(const mary_op_node *node)
{
    const mary_unary_state *state = node->state;
    double first, second;
    if (!mary_unary_derivatives(state->unary->kernel, &state->parameters, 0.5, &first, &second))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "has no derivative");
    return MARY_OK;
}

typedef struct unary_backward {
    const mary_unary_state *state;
    const float *x, *dy, *first;
    float *dx;
    bool second, accumulate;
} unary_backward;

/* Relu and what else is flat outside an interval: the derivative is 0 or 1, and so is its square. */
static void clip_range(const unary_backward *b, int64_t begin, int64_t end)
{
    const float low = b->state->parameters.alpha, high = b->state->parameters.beta;
    const float *x = b->x, *dy = b->dy;
    float *dx = b->dx;
    if (b->accumulate) {
        for (int64_t i = begin; i < end; i++)
            dx[i] += (x[i] > low) & (x[i] < high) ? dy[i] : 0.0f;
    } else {
        MARY_INDEPENDENT
        for (int64_t i = begin; i < end; i++)
            dx[i] = (x[i] > low) & (x[i] < high) ? dy[i] : 0.0f;
    }
}

static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const unary_backward *b = context;
    (void)thread;
    if (b->state->unary->kernel == MARY_UNARY_clip) {
        clip_range(b, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        double first = 0, second = 0, result;
        mary_unary_derivatives(b->state->unary->kernel, &b->state->parameters, (double)b->x[i], &first, &second);
        if (b->second)
            result = first * first * (double)b->dy[i] + second * (double)b->first[i];
        else
            result = first * (double)b->dy[i];
        b->dx[i] = (b->accumulate ? b->dx[i] : 0.0f) + (float)result;
    }
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    unary_backward b = {.state = node->state,
                        .x = call->forward->inputs[0]->data,
                        .dy = call->output_gradients[0]->data,
                        .first = call->second ? call->output_firsts[0]->data : NULL,
                        .dx = mary_gradient_of(call, 0),
                        .second = call->second,
                        .accumulate = call->accumulate[0]};
    if (b.dx != NULL)
        mary_parallel_for(call->parallel, mary_shape_count(&call->forward->inputs[0]->shape), 16384, task, &b);
    return MARY_OK;
}

const mary_op_gradient mary_unary_gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT | MARY_GRADIENT_IN_PLACE |
                                                       MARY_GRADIENT_CURVED,
                                              .inputs = 1,
                                              .reads_inputs = 1,
                                              .check = check,
                                              .backward = backward};
