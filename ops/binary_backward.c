/* Gradients of Add, Sub, Mul, Div and PRelu, with broadcasting: an operand that was repeated gathers the gradients of
 * all its uses, in double, in the order of the output. */
#include <string.h>

#include "ops/binary.h"
#include "ops/gradient.h"

/* Partial derivatives of y = f(a, b): what dy is multiplied by, and the curvature for what it is added by. */
typedef void partial(float a, float b, float *first, float *second);

/* Axes in the order of the output's memory, outermost first. */
typedef struct binary_backward {
    int rank;
    int64_t dims[MARY_MAX_RANK], a_steps[MARY_MAX_RANK], b_steps[MARY_MAX_RANK];
    const float *a, *b, *dy, *firsts;
    bool second;
} binary_backward;

/* Elements from one index to the next along every axis of the output, 0 where `tensor` is repeated. */
static void steps_of(const mary_tensor *tensor, int rank, int64_t *steps)
{
    int64_t own[MARY_MAX_RANK], step = 1;
    const int missing = rank - tensor->shape.rank;
    const bool last = tensor->layout == MARY_LAYOUT_CHANNELS_LAST;
    if (last)
        step = tensor->shape.dims[1];
    for (int i = tensor->shape.rank - 1; i >= 0; i--) {
        if (last && i == 1) {
            own[1] = 1;
            continue;
        }
        own[i] = step;
        step *= tensor->shape.dims[i];
    }
    for (int i = 0; i < rank; i++)
        steps[i] = i < missing || tensor->shape.dims[i - missing] == 1 ? 0 : own[i - missing];
}

static void lay_out(const mary_gradient_call *call, binary_backward *g)
{
    const mary_tensor *y = call->forward->outputs[0];
    int64_t a[MARY_MAX_RANK], b[MARY_MAX_RANK];
    int order[MARY_MAX_RANK];
    g->rank = y->shape.rank;
    steps_of(call->forward->inputs[0], g->rank, a);
    steps_of(call->forward->inputs[1], g->rank, b);
    for (int i = 0; i < g->rank; i++)
        order[i] = i;
    if (y->layout == MARY_LAYOUT_CHANNELS_LAST) {
        for (int i = 1; i + 1 < g->rank; i++)
            order[i] = i + 1;
        order[g->rank - 1] = 1;
    }
    for (int i = 0; i < g->rank; i++) {
        g->dims[i] = y->shape.dims[order[i]];
        g->a_steps[i] = a[order[i]];
        g->b_steps[i] = b[order[i]];
    }
}

/* Goes over the output; adds to `sums` (of operand `which`) or, where nothing is repeated, writes `to`. */
static inline __attribute__((always_inline)) void walk(const binary_backward *g, int which, partial *derivative,
                                                       float *to, bool accumulate, double *sums)
{
    int64_t index[MARY_MAX_RANK] = {0}, a = 0, b = 0, y = 0;
    const int inner = g->rank - 1;
    const int64_t length = inner >= 0 ? g->dims[inner] : 1;
    const int64_t a_step = inner >= 0 ? g->a_steps[inner] : 0, b_step = inner >= 0 ? g->b_steps[inner] : 0;
    for (int i = 0; i < g->rank; i++) {
        if (g->dims[i] == 0)
            return;
    }
    for (;;) {
        for (int64_t i = 0; i < length; i++, y++) {
            const int64_t ai = a + i * a_step, bi = b + i * b_step, at = which == 0 ? ai : bi;
            float first, second, result;
            derivative(g->a[ai], g->b[bi], &first, &second);
            result = g->second ? first * first * g->dy[y] + second * g->firsts[y] : first * g->dy[y];
            if (sums != NULL)
                sums[at] += (double)result;
            else
                to[at] = (accumulate ? to[at] : 0.0f) + result;
        }
        int axis = inner - 1;
        for (; axis >= 0; axis--) {
            a += g->a_steps[axis];
            b += g->b_steps[axis];
            if (++index[axis] < g->dims[axis])
                break;
            a -= g->a_steps[axis] * g->dims[axis];
            b -= g->b_steps[axis] * g->dims[axis];
            index[axis] = 0;
        }
        if (axis < 0)
            return;
    }
}

static int64_t count_of(const mary_gradient_call *call, int which)
{
    return mary_shape_count(&call->forward->inputs[which]->shape);
}

static bool repeated(const mary_gradient_call *call, int which)
{
    return count_of(call, which) != mary_shape_count(&call->forward->outputs[0]->shape);
}

/* Sums of the larger repeated operand. */
static mary_status scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    (void)node;
    *bytes = 0;
    for (int which = 0; which < 2; which++) {
        size_t wanted = sizeof(double) * (size_t)count_of(call, which);
        if (call->input_gradients[which] != NULL && repeated(call, which) && wanted > *bytes)
            *bytes = wanted;
    }
    return MARY_OK;
}

/* Everything down to the derivatives is inlined into one function an operator, so that they are no calls. */
#define INLINE static inline __attribute__((always_inline))

INLINE void run_side(const binary_backward *g, const mary_gradient_call *call, int which, partial *derivative)
{
    float *to = mary_gradient_of(call, which);
    const int64_t count = count_of(call, which);
    const bool accumulate = call->accumulate[which];
    double *sums = call->scratch;
    if (to == NULL)
        return;
    if (!repeated(call, which)) {
        walk(g, which, derivative, to, accumulate, NULL);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        sums[i] = 0;
    walk(g, which, derivative, to, accumulate, sums);
    for (int64_t i = 0; i < count; i++)
        to[i] = (accumulate ? to[i] : 0.0f) + (float)sums[i];
}

INLINE mary_status run(const mary_gradient_call *call, partial *of_a, partial *of_b)
{
    binary_backward g = {.a = call->forward->inputs[0]->data,
                         .b = call->forward->inputs[1]->data,
                         .dy = call->output_gradients[0]->data,
                         .firsts = call->second ? call->output_firsts[0]->data : NULL,
                         .second = call->second};
    lay_out(call, &g);
    run_side(&g, call, 0, of_a);
    run_side(&g, call, 1, of_b);
    return MARY_OK;
}

#define PARTIAL(name, expression, curvature)                                                                           \
    static void name(float a, float b, float *first, float *second)                                                    \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        *first = expression;                                                                                           \
        *second = curvature;                                                                                           \
    }

PARTIAL(one, 1, 0)
PARTIAL(minus_one, -1, 0)
PARTIAL(right, b, 0)
PARTIAL(left, a, 0)
PARTIAL(div_left, 1 / b, 0)
PARTIAL(div_right, -a / (b * b), 2 * a / (b * b * b))
PARTIAL(prelu_left, a > 0 ? 1 : b, 0)
PARTIAL(prelu_right, a > 0 ? 0 : a, 0)

/* Add and Sub look at no values; `walk` is handed something that it may read. */
INLINE mary_status run_linear(const mary_gradient_call *call, partial *of_a, partial *of_b)
{
    const mary_op_call *forward = call->forward;
    const mary_tensor *out = call->output_gradients[0];
    mary_tensor operands[2] = {*forward->inputs[0], *forward->inputs[1]};
    const mary_tensor *inputs[2] = {&operands[0], &operands[1]};
    operands[0].data = operands[1].data = out->data;
    const mary_op_call plain = {
        .inputs = inputs, .input_count = 2, .outputs = forward->outputs, .output_count = forward->output_count};
    mary_gradient_call linear = *call;
    linear.forward = &plain;
    return run(&linear, of_a, of_b);
}

#define BACKWARD(name, function, of_a, of_b, curved, reads)                                                            \
    static mary_status name##_backward(const mary_op_node *node, const mary_gradient_call *call)                       \
    {                                                                                                                  \
        (void)node;                                                                                                    \
        return function(call, of_a, of_b);                                                                             \
    }                                                                                                                  \
    const mary_op_gradient mary_##name##_gradient = {.flags = MARY_GRADIENT_ANY_LAYOUT | (curved),                     \
                                                     .inputs = 3,                                                      \
                                                     .reads_inputs = reads,                                            \
                                                     .scratch = scratch,                                               \
                                                     .backward = name##_backward};

BACKWARD(add, run_linear, one, one, MARY_GRADIENT_PASS, 0)
BACKWARD(sub, run_linear, one, minus_one, 0, 0)
BACKWARD(mul, run, right, left, 0, 3)
BACKWARD(div, run, div_left, div_right, MARY_GRADIENT_CURVED, 3)
BACKWARD(prelu, run, prelu_left, prelu_right, 0, 3)
