/* Clip: bounds as attributes up to opset 10, as inputs from 11 on. min(high, max(low, x)), so that NaN stays NaN and
 * crossed bounds give the upper one. */
#include <float.h>

#include "ops/gradient.h"
#include "ops/unary.h"

#define CLIP(name, T, low_bound, high_bound)                                                                           \
    static void name(const void *from, void *to, int64_t count, const mary_unary_parameters *p)                        \
    {                                                                                                                  \
        const T *x = from;                                                                                             \
        T *y = to;                                                                                                     \
        const T low = (T)(low_bound), high = (T)(high_bound);                                                          \
        MARY_INDEPENDENT                                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            T v = x[i];                                                                                                \
            v = v < low ? low : v;                                                                                     \
            y[i] = v > high ? high : v;                                                                                \
        }                                                                                                              \
    }

CLIP(clip_f64, double, p->low_double, p->high_double)
CLIP(clip_i8, int8_t, p->low, p->high)
CLIP(clip_i16, int16_t, p->low, p->high)
CLIP(clip_i32, int32_t, p->low, p->high)
CLIP(clip_i64, int64_t, p->low, p->high)
CLIP(clip_u8, uint8_t, p->low, p->high)
CLIP(clip_u16, uint16_t, p->low, p->high)
CLIP(clip_u32, uint32_t, p->low, p->high)
CLIP(clip_u64, uint64_t, p->low, p->high)

static const mary_unary list[] = {
    {.type = "Clip",
     .kernel = MARY_UNARY_clip,
     .loops = {[MARY_DOUBLE] = clip_f64,
               [MARY_INT8] = clip_i8,
               [MARY_INT16] = clip_i16,
               [MARY_INT32] = clip_i32,
               [MARY_INT64] = clip_i64,
               [MARY_UINT8] = clip_u8,
               [MARY_UINT16] = clip_u16,
               [MARY_UINT32] = clip_u32,
               [MARY_UINT64] = clip_u64}},
    {0},
};

static mary_status prepare_attributes(mary_op_node *node)
{
    MARY_TRY(mary_unary_prepare(node, list));
    mary_unary_parameters *p = &((mary_unary_state *)node->state)->parameters;
    MARY_TRY(mary_attribute_float(node->proto, "min", -FLT_MAX, &p->alpha));
    MARY_TRY(mary_attribute_float(node->proto, "max", FLT_MAX, &p->beta));
    p->low_double = (double)p->alpha;
    p->high_double = (double)p->beta;
    return MARY_OK;
}

static mary_status prepare(mary_op_node *node)
{
    return mary_unary_prepare(node, list);
}

static void default_bounds(mary_type type, mary_unary_parameters *p)
{
    p->alpha = -FLT_MAX;
    p->beta = FLT_MAX;
    p->low_double = -DBL_MAX;
    p->high_double = DBL_MAX;
    bool is_unsigned = type == MARY_UINT8 || type == MARY_UINT16 || type == MARY_UINT32 || type == MARY_UINT64;
    int bits = 8 * (int)mary_type_size(type);
    if (bits == 0)
        return;
    p->low = is_unsigned ? 0 : (int64_t)(UINT64_MAX << (bits - 1));
    p->high = is_unsigned ? (int64_t)(UINT64_MAX >> (64 - bits)) : (int64_t)(UINT64_MAX >> (65 - bits));
}

/* The bounds that inputs 1 and 2 give; absent ones are those of the type. */
static void read_bounds(mary_type type, const mary_tensor *low, const mary_tensor *high, mary_unary_parameters *p)
{
    default_bounds(type, p);
    if (low != NULL) {
        p->low = mary_tensor_int(low, 0);
        p->low_double = mary_tensor_double(low, 0);
        p->alpha = (float)p->low_double;
    }
    if (high != NULL) {
        p->high = mary_tensor_int(high, 0);
        p->high_double = mary_tensor_double(high, 0);
        p->beta = (float)p->high_double;
    }
}

static const mary_tensor *input(const mary_op_call *call, int index)
{
    return index < call->input_count ? call->inputs[index] : NULL;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 3));
    for (int i = 1; i < 3; i++) {
        const mary_tensor *bound = input(call, i);
        if (bound == NULL)
            continue;
        if (bound->type != call->inputs[0]->type || bound->shape.rank > 1 || mary_shape_count(&bound->shape) != 1)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the %s bound must be a scalar of type %s",
                                i == 1 ? "lower" : "upper", mary_type_name(call->inputs[0]->type));
    }
    mary_op_call first = *call;
    first.input_count = 1;
    return mary_unary_infer(node, &first);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_unary_state *state = node->state;
    mary_type type = call->inputs[0]->type;
    mary_unary_parameters parameters = {0};
    read_bounds(type, input(call, 1), input(call, 2), &parameters);
    mary_unary_apply(call, type == MARY_FLOAT ? state->float_loop : state->unary->loops[type], &parameters);
    return MARY_OK;
}

static bool is_absent(const mary_op_node *node, size_t index)
{
    return index >= node->proto->n_input || node->proto->input[index][0] == '\0';
}

static bool describe(const mary_op_node *node, const mary_tensor *const *constants, mary_epilogue *epilogue)
{
    const mary_tensor *bounds[2] = {NULL, NULL};
    for (int i = 1; i < 3; i++) {
        if (is_absent(node, (size_t)i))
            continue;
        const mary_tensor *bound = i < node->input_count ? constants[i] : NULL;
        if (bound == NULL || bound->type != MARY_FLOAT || mary_shape_count(&bound->shape) != 1)
            return false;
        bounds[i - 1] = bound;
    }
    mary_unary_parameters parameters = {0};
    read_bounds(MARY_FLOAT, bounds[0], bounds[1], &parameters);
    epilogue->activation = MARY_ACTIVATION_CLIP;
    epilogue->alpha = parameters.alpha;
    epilogue->beta = parameters.beta;
    return true;
}

static bool describe_attributes(const mary_op_node *node, const mary_tensor *const *constants, mary_epilogue *epilogue)
{
    const mary_unary_state *state = node->state;
    (void)constants;
    epilogue->activation = MARY_ACTIVATION_CLIP;
    epilogue->alpha = state->parameters.alpha;
    epilogue->beta = state->parameters.beta;
    return true;
}

/* What was not clipped is what came in. Bounds have no gradient. */
static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    (void)node;
    const float *x = call->forward->inputs[0]->data, *y = call->forward->outputs[0]->data;
    const float *dy = call->output_gradients[0]->data;
    float *dx = mary_gradient_of(call, 0);
    const int64_t count = mary_shape_count(&call->forward->inputs[0]->shape);
    for (int64_t i = 0; dx != NULL && i < count; i++)
        dx[i] = (call->accumulate[0] ? dx[i] : 0.0f) + (x[i] == y[i] ? dy[i] : 0.0f);
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .reads_inputs = 1, .reads_outputs = 1, .backward = backward};

const mary_op mary_ops_clip[] = {
    {.domain = "",
     .type = "Clip",
     .since = 1,
     .until = 10,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare_attributes,
     .infer = mary_unary_infer,
     .run = mary_unary_run,
     .channels_last = mary_unary_channels_last,
     .activation = describe_attributes,
     .gradient = &gradient},
    {.domain = "",
     .type = "Clip",
     .since = 11,
     .flags = MARY_OP_IN_PLACE,
     .prepare = prepare,
     .infer = infer,
     .run = run,
     .channels_last = mary_unary_channels_last,
     .activation = describe,
     .gradient = &gradient},
    MARY_OP_END,
};
