/* Gemm: alpha * A' * B' + beta * C. float runs on the tile kernels, double and integers in plain loops. */
#include "ops/gemm.h"

#include "onnx/memory.h"
#include "ops/product_plain.h"

typedef mary_gemm_state gemm;

static mary_status prepare(mary_op_node *node)
{
    gemm *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    return mary_gemm_parse(node, &state->attributes);
}

static void release(mary_op_node *node)
{
    gemm *state = node->state;
    if (state != NULL) {
        mary_free(state->panels);
        mary_free(state->turned[0]);
        mary_free(state->turned[1]);
    }
    mary_free(state);
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    gemm *state = node->state;
    const mary_tensor *b = node->input_count > 1 ? constants[1] : NULL;
    if (b == NULL || b->type != MARY_FLOAT || b->shape.rank != 2)
        return MARY_OK;
    bool turned = state->attributes.trans_b;
    int64_t depth = b->shape.dims[turned], columns = b->shape.dims[!turned];
    int nr = mary_tile_kernel_for(state->cpu)->nr;
    size_t floats;
    if (!mary_product_panels_size(columns, depth, nr, &floats))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the weights are too large");
    if (state->panels == NULL) /* else they are of the same size */
        state->panels = mary_alloc_aligned(floats * sizeof(float));
    if (state->panels == NULL)
        return mary_fail_memory(floats * sizeof(float));
    mary_product_panels_pack(b->data, turned ? 1 : columns, turned ? depth : 1, columns, depth, nr,
                             state->attributes.alpha, state->panels);
    state->b = b->shape;
    *consumed |= 1u << 1;
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const gemm *state = node->state;
    int most = node->epilogue.residual >= 3 ? node->epilogue.residual + 1 : 3;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, most));
    const mary_tensor *a = call->inputs[0], *b = call->inputs[1], *c = mary_gemm_input(node, call, 2);
    char left[96], right[96];
    if (c == NULL && node->opset < 11)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input 2 is missing");
    if (a->type != b->type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "A is %s, B is %s", mary_type_name(a->type),
                            mary_type_name(b->type));
    if (a->type != MARY_FLOAT && !mary_product_plain_supports(a->type))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "A is %s", mary_type_name(a->type));
    if (a->type != MARY_FLOAT && (node->epilogue.activation != MARY_ACTIVATION_NONE || node->epilogue.residual >= 0))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "nothing can be fused into a product of %s",
                            mary_type_name(a->type));
    if (state->panels != NULL && !mary_shape_equal(&state->b, &b->shape))
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "the weights changed their shape");
    const mary_gemm_attributes *t = &state->attributes;
    if (a->shape.rank != 2 || b->shape.rank != 2 || a->shape.dims[!t->trans_a] != b->shape.dims[t->trans_b])
        return mary_op_fail(node, MARY_ERROR_INVALID, "A %s%s and B %s%s do not multiply",
                            mary_shape_format(&a->shape, left, sizeof left), t->trans_a ? " transposed" : "",
                            mary_shape_format(&b->shape, right, sizeof right), t->trans_b ? " transposed" : "");
    mary_shape shape = {2, {a->shape.dims[t->trans_a], b->shape.dims[!t->trans_b]}};
    MARY_TRY(mary_gemm_check_c(node, c, a->type, shape.dims[0], shape.dims[1]));
    return mary_op_set_output(node, call, 0, a->type, &shape);
}

/* Everything but C. */
static mary_product describe(const mary_op_node *node, const mary_op_call *call)
{
    const gemm *state = node->state;
    const mary_tensor *b = call->inputs[1];
    bool turned = state->attributes.trans_b;
    mary_product product;
    mary_gemm_describe(node, call, &state->attributes, b->shape.dims[!turned], state->cpu, &product);
    product.panels = state->panels;
    product.b = b->data;
    product.b_row = turned ? 1 : b->shape.dims[1];
    product.b_column = turned ? b->shape.dims[1] : 1;
    product.b_scale = state->attributes.alpha;
    return product;
}

/* A row of beta * C, then the product's. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    *bytes = 0;
    if (call->inputs[0]->type != MARY_FLOAT)
        return MARY_OK;
    mary_product product = describe(node, call);
    MARY_TRY(mary_product_scratch(&product, bytes));
    if (!mary_size_add(*bytes, mary_gemm_row_bytes(product.columns), bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const gemm *state = node->state;
    const mary_tensor *c = mary_gemm_input(node, call, 2);
    mary_product product = describe(node, call);
    if (call->inputs[0]->type == MARY_FLOAT) {
        mary_gemm_add_c(&state->attributes, c, &product, call->scratch);
        mary_product_run(&product, (char *)call->scratch + mary_gemm_row_bytes(product.columns));
        return MARY_OK;
    }
    mary_product_plain plain = {
        .type = call->inputs[0]->type,
        .rows = product.rows,
        .columns = product.columns,
        .depth = product.depth,
        .a = call->inputs[0]->data,
        .a_row = product.a_row,
        .a_column = product.a_column,
        .b = call->inputs[1]->data,
        .b_row = product.b_row,
        .b_column = product.b_column,
        .out = call->outputs[0]->data,
        .alpha = state->attributes.alpha,
        .beta = state->attributes.beta,
        .c = c != NULL && state->attributes.beta != 0.0f ? c->data : NULL,
    };
    if (plain.c != NULL)
        mary_gemm_c_strides(c, plain.rows, plain.columns, &plain.c_row, &plain.c_column);
    mary_product_plain_run(&plain, call->parallel);
    return MARY_OK;
}

static const char *kernel(const mary_op_node *node)
{
    return mary_tile_kernel_for(((const gemm *)node->state)->cpu)->name;
}

const mary_op mary_ops_gemm[] = {
    {.domain = "",
     .type = "Gemm",
     .since = 7,
     .flags = MARY_OP_EPILOGUE,
     .prepare = prepare,
     .pack = pack,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .kernel = kernel,
     .gradient = &mary_gemm_gradient},
    MARY_OP_END,
};
