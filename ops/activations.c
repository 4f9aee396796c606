/* Activation functions: element-wise, one input, most of them with float attributes. */
#include <math.h>
#include <string.h>

#include "ops/unary.h"

/* Loops for double, and for the integers of Relu; float has its kernels. */
MARY_UNARY_LOOP(relu_f64, double, v < 0 ? 0 : v)
MARY_UNARY_LOOP(relu_i8, int8_t, v < 0 ? 0 : v)
MARY_UNARY_LOOP(relu_i16, int16_t, v < 0 ? 0 : v)
MARY_UNARY_LOOP(relu_i32, int32_t, v < 0 ? 0 : v)
MARY_UNARY_LOOP(relu_i64, int64_t, v < 0 ? 0 : v)

static double clip01(double v)
{
    return v > 1 ? 1 : v < 0 ? 0 : v;
}
static double sigmoid(double v)
{
    return 1 / (1 + exp(-v));
}
static double softplus(double v)
{
    return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v));
}
static double shrink(double v, double lambda, double bias)
{
    return v < -lambda ? v + bias : v > lambda ? v - bias : 0;
}

MARY_UNARY_LOOP(leaky_relu_f64, double, v < 0 ? (double)alpha * v : v)
MARY_UNARY_LOOP(thresholded_relu_f64, double, v > (double)alpha ? v : 0)
MARY_UNARY_LOOP(sigmoid_f64, double, sigmoid(v))
MARY_UNARY_LOOP(swish_f64, double, v *sigmoid((double)alpha *v))
MARY_UNARY_LOOP(hard_sigmoid_f64, double, clip01((double)alpha *v + (double)beta))
MARY_UNARY_LOOP(hard_swish_f64, double, v *clip01(v / 6 + 0.5))
MARY_UNARY_LOOP(tanh_f64, double, tanh(v))
MARY_UNARY_LOOP(elu_f64, double, v < 0 ? (double)alpha * expm1(v) : v)
MARY_UNARY_LOOP(selu_f64, double, (double)beta *(v < 0 ? (double)alpha * expm1(v) : v))
MARY_UNARY_LOOP(celu_f64, double, v < 0 ? (double)alpha * expm1(v / (double)alpha) : v)
MARY_UNARY_LOOP(gelu_f64, double, 0.5 * v * (1 + erf(v * 0.70710678118654752440)))
MARY_UNARY_LOOP(gelu_tanh_f64, double, 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))))
MARY_UNARY_LOOP(mish_f64, double, v *tanh(softplus(v)))
MARY_UNARY_LOOP(softplus_f64, double, softplus(v))
MARY_UNARY_LOOP(softsign_f64, double, v / (1 + fabs(v)))
MARY_UNARY_LOOP(shrink_f64, double, shrink(v, (double)alpha, (double)beta))

/* max(v, 0) as a clip: the upper bound is no bound. */
#define NO_BOUND __builtin_inff()

static const mary_unary list[] = {
    {.type = "Relu",
     .kernel = MARY_UNARY_clip,
     .alpha_default = 0,
     .beta_default = NO_BOUND,
     .loops = {[MARY_DOUBLE] = relu_f64,
               [MARY_INT8] = relu_i8,
               [MARY_INT16] = relu_i16,
               [MARY_INT32] = relu_i32,
               [MARY_INT64] = relu_i64}},
    {.type = "LeakyRelu",
     .kernel = MARY_UNARY_leaky_relu,
     .loops[MARY_DOUBLE] = leaky_relu_f64,
     .alpha = "alpha",
     .alpha_default = 0.01f},
    {.type = "ThresholdedRelu",
     .kernel = MARY_UNARY_thresholded_relu,
     .loops[MARY_DOUBLE] = thresholded_relu_f64,
     .alpha = "alpha",
     .alpha_default = 1},
    {.type = "Sigmoid", .kernel = MARY_UNARY_sigmoid, .loops[MARY_DOUBLE] = sigmoid_f64},
    {.type = "Swish",
     .kernel = MARY_UNARY_swish,
     .loops[MARY_DOUBLE] = swish_f64,
     .alpha = "alpha",
     .alpha_default = 1},
    {.type = "HardSigmoid",
     .kernel = MARY_UNARY_hard_sigmoid,
     .loops[MARY_DOUBLE] = hard_sigmoid_f64,
     .alpha = "alpha",
     .alpha_default = 0.2f,
     .beta = "beta",
     .beta_default = 0.5f},
    {.type = "HardSwish",
     .kernel = MARY_UNARY_hard_swish,
     .loops[MARY_DOUBLE] = hard_swish_f64,
     .alpha_default = 1.0f / 6.0f,
     .beta_default = 0.5f},
    {.type = "Tanh", .kernel = MARY_UNARY_tanh, .loops[MARY_DOUBLE] = tanh_f64},
    {.type = "Elu", .kernel = MARY_UNARY_elu, .loops[MARY_DOUBLE] = elu_f64, .alpha = "alpha", .alpha_default = 1},
    {.type = "Selu",
     .kernel = MARY_UNARY_selu,
     .loops[MARY_DOUBLE] = selu_f64,
     .alpha = "alpha",
     .alpha_default = 1.67326319217681884765625f,
     .beta = "gamma",
     .beta_default = 1.05070102214813232421875f},
    {.type = "Celu", .kernel = MARY_UNARY_celu, .loops[MARY_DOUBLE] = celu_f64, .alpha = "alpha", .alpha_default = 1},
    {.type = "Gelu", .kernel = MARY_UNARY_gelu, .loops[MARY_DOUBLE] = gelu_f64},
    {.type = "Mish", .kernel = MARY_UNARY_mish, .loops[MARY_DOUBLE] = mish_f64},
    {.type = "Softplus", .kernel = MARY_UNARY_softplus, .loops[MARY_DOUBLE] = softplus_f64},
    {.type = "Softsign", .kernel = MARY_UNARY_softsign, .loops[MARY_DOUBLE] = softsign_f64},
    {.type = "Shrink",
     .kernel = MARY_UNARY_shrink,
     .loops[MARY_DOUBLE] = shrink_f64,
     .alpha = "lambd",
     .alpha_default = 0.5f,
     .beta = "bias"},
    {0},
};

static const mary_unary gelu_approximated = {
    .type = "Gelu", .kernel = MARY_UNARY_gelu_tanh, .loops[MARY_DOUBLE] = gelu_tanh_f64};

static mary_status prepare(mary_op_node *node)
{
    return mary_unary_prepare(node, list);
}

static mary_status prepare_gelu(mary_op_node *node)
{
    const char *approximate;
    MARY_TRY(mary_unary_prepare(node, list));
    MARY_TRY(mary_attribute_string(node->proto, "approximate", "none", &approximate));
    if (strcmp(approximate, "tanh") == 0) {
        mary_unary_state *state = node->state;
        state->unary = &gelu_approximated;
        state->float_loop = mary_unary_kernel_loop(gelu_approximated.kernel);
    } else if (strcmp(approximate, "none") != 0) {
        return mary_op_fail(node, MARY_ERROR_INVALID, "approximate is '%s', it must be none or tanh", approximate);
    }
    return MARY_OK;
}

/* ---- as the end of a convolution ---- */

static bool describe(const mary_op_node *node, const mary_tensor *const *constants, mary_epilogue *epilogue)
{
    const mary_unary_state *state = node->state;
    (void)constants;
    mary_activation_kind kind;
    switch (state->unary->kernel) {
    case MARY_UNARY_clip:
        kind = MARY_ACTIVATION_CLIP;
        break;
    case MARY_UNARY_leaky_relu:
        kind = MARY_ACTIVATION_LEAKY_RELU;
        break;
    case MARY_UNARY_sigmoid:
        kind = MARY_ACTIVATION_SIGMOID;
        break;
    case MARY_UNARY_swish:
        if (state->parameters.alpha != 1)
            return false;
        kind = MARY_ACTIVATION_SILU;
        break;
    case MARY_UNARY_hard_sigmoid:
        kind = MARY_ACTIVATION_HARD_SIGMOID;
        break;
    case MARY_UNARY_hard_swish:
        kind = MARY_ACTIVATION_HARD_SWISH;
        break;
    case MARY_UNARY_tanh:
        kind = MARY_ACTIVATION_TANH;
        break;
    default:
        return false;
    }
    epilogue->activation = kind;
    epilogue->alpha = state->parameters.alpha;
    epilogue->beta = state->parameters.beta;
    return true;
}

#define ACTIVATION(name, first, ...)                                                                                   \
    {                                                                                                                  \
        .domain = "", .type = name, .since = first, .flags = MARY_OP_IN_PLACE, .infer = mary_unary_infer,              \
        .run = mary_unary_run, .channels_last = mary_unary_channels_last, .gradient = &mary_unary_gradient,            \
        __VA_ARGS__                                                                                                    \
    }

const mary_op mary_ops_activations[] = {
    ACTIVATION("Relu", 1, .prepare = prepare, .activation = describe),
    ACTIVATION("LeakyRelu", 1, .prepare = prepare, .activation = describe),
    ACTIVATION("ThresholdedRelu", 1, .prepare = prepare),
    ACTIVATION("Sigmoid", 1, .prepare = prepare, .activation = describe),
    ACTIVATION("Swish", 24, .prepare = prepare, .activation = describe),
    ACTIVATION("HardSigmoid", 1, .prepare = prepare, .activation = describe),
    ACTIVATION("HardSwish", 14, .prepare = prepare, .activation = describe),
    ACTIVATION("Tanh", 1, .prepare = prepare, .activation = describe),
    ACTIVATION("Elu", 1, .prepare = prepare),
    ACTIVATION("Selu", 6, .prepare = prepare),
    ACTIVATION("Celu", 12, .prepare = prepare),
    ACTIVATION("Gelu", 20, .prepare = prepare_gelu),
    ACTIVATION("Mish", 18, .prepare = prepare),
    ACTIVATION("Softplus", 1, .prepare = prepare),
    ACTIVATION("Softsign", 1, .prepare = prepare),
    ACTIVATION("Shrink", 9, .prepare = prepare),
    MARY_OP_END,
};
