/* The driver of element-wise operators of one input. */
#include "ops/unary.h"

#include <string.h>

#include "ops/cpu.h"

enum { GRAIN = 16384 }; /* elements that are worth another thread */

mary_unary_loop *mary_unary_kernel_loop(mary_unary_kernel kernel)
{
#if defined(__x86_64__)
    switch (mary_cpu_base(mary_cpu_current())) {
    case MARY_CPU_AVX512:
        return mary_unary_avx512[kernel];
    case MARY_CPU_AVX2:
        return mary_unary_avx2[kernel];
    default:
        break;
    }
#endif
    return mary_unary_scalar[kernel];
}

mary_status mary_unary_prepare(mary_op_node *node, const mary_unary *list)
{
    while (list->type != NULL && strcmp(list->type, node->op->type) != 0)
        list++;
    if (list->type == NULL)
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "has no description");
    mary_unary_state *state = mary_alloc(sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    *state =
        (mary_unary_state){.unary = list, .parameters = {.alpha = list->alpha_default, .beta = list->beta_default}};
    state->float_loop =
        list->kernel == MARY_UNARY_none ? list->loops[MARY_FLOAT] : mary_unary_kernel_loop(list->kernel);
    if (list->alpha != NULL)
        MARY_TRY(mary_attribute_float(node->proto, list->alpha, list->alpha_default, &state->parameters.alpha));
    if (list->beta != NULL)
        MARY_TRY(mary_attribute_float(node->proto, list->beta, list->beta_default, &state->parameters.beta));
    return MARY_OK;
}

static mary_unary_loop *loop_for(const mary_unary_state *state, mary_type type)
{
    if (type == MARY_FLOAT)
        return state->float_loop;
    return (unsigned)type <= MARY_BFLOAT16 ? state->unary->loops[type] : NULL;
}

mary_status mary_unary_infer(const mary_op_node *node, mary_op_call *call)
{
    const mary_unary_state *state = node->state;
    MARY_TRY(mary_op_expect_inputs(node, call, 1, 1));
    mary_type type = call->inputs[0]->type;
    if (loop_for(state, type) == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(type));
    return mary_op_set_output(node, call, 0, state->unary->result == MARY_UNDEFINED ? type : state->unary->result,
                              &call->inputs[0]->shape);
}

/* `rows` stretches of `length` elements, each its own stride from the next. */
typedef struct apply {
    mary_unary_loop *loop;
    const mary_unary_parameters *parameters;
    const char *x;
    char *y;
    size_t x_step, y_step; /* bytes from row to row */
    size_t x_size, y_size; /* bytes of an element */
    int64_t length;
} apply;

static void apply_rows(void *context, int64_t begin, int64_t end, int thread)
{
    const apply *a = context;
    (void)thread;
    for (int64_t i = begin; i < end; i++)
        a->loop(a->x + (size_t)i * a->x_step, a->y + (size_t)i * a->y_step, a->length, a->parameters);
}

static void apply_elements(void *context, int64_t begin, int64_t end, int thread)
{
    const apply *a = context;
    (void)thread;
    a->loop(a->x + (size_t)begin * a->x_size, a->y + (size_t)begin * a->y_size, end - begin, a->parameters);
}

void mary_unary_apply(const mary_op_call *call, mary_unary_loop *loop, const mary_unary_parameters *parameters)
{
    const mary_tensor *x = call->inputs[0];
    mary_tensor *y = call->outputs[0];
    apply a = {.loop = loop, .parameters = parameters, .x = x->data, .y = y->data};
    a.x_size = mary_type_size(x->type);
    a.y_size = mary_type_size(y->type);
    bool last = x->layout == MARY_LAYOUT_CHANNELS_LAST;
    if (!last || x->pixel_stride == y->pixel_stride) {
        /* The gaps between pixels are computed on like everything else. */
        mary_parallel_for(call->parallel, (int64_t)(mary_tensor_bytes(x) / a.x_size), GRAIN, apply_elements, &a);
        return;
    }
    a.length = x->shape.dims[1];
    a.x_step = (size_t)x->pixel_stride * a.x_size;
    a.y_step = (size_t)y->pixel_stride * a.y_size;
    int64_t pixels = x->shape.dims[0] * mary_shape_count_range(&x->shape, 2, x->shape.rank);
    mary_parallel_for(call->parallel, pixels, a.length > 0 ? GRAIN / a.length + 1 : GRAIN, apply_rows, &a);
}

mary_status mary_unary_run(const mary_op_node *node, mary_op_call *call)
{
    const mary_unary_state *state = node->state;
    mary_unary_apply(call, loop_for(state, call->inputs[0]->type), &state->parameters);
    return MARY_OK;
}

bool mary_unary_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    (void)node;
    (void)call;
    *wants = false;
    return true;
}
