/* MaryGemm and MaryMatMul: the right operand is rows of codes, [N][K]. Few rows of A are multiplied in registers, where
 * every code is read once; more go through panels that are decoded a slice at a time. */
#include "ops/gemm.h"

#include "onnx/memory.h"

typedef struct mary_gemm {
    mary_gemm_attributes attributes; /* of MaryMatMul: alpha 1, nothing else */
    bool matmul;
    int64_t columns, depth;
    int bits;
    mary_cpu cpu;
    mary_weights *weights; /* alpha times the levels; NULL until pack saw constants */
} mary_gemm;

static mary_status prepare_weights(const mary_op_node *node, mary_gemm *state)
{
    const int64_t *dims;
    size_t rank;
    int64_t row_length, bits;
    MARY_TRY(mary_attribute_ints(node->proto, "weight_shape", &dims, &rank));
    MARY_TRY(mary_attribute_int(node->proto, "row_length", 0, &row_length));
    MARY_TRY(mary_attribute_int(node->proto, "bits", 0, &bits));
    if (rank != 2)
        return mary_op_fail(node, MARY_ERROR_INVALID, "weight_shape has %zu values, it needs 2", rank);
    mary_shape shape = {2, {dims[0], dims[1]}};
    mary_status status = mary_shape_check(&shape, "weight_shape");
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    if (row_length != dims[1])
        return mary_op_fail(node, MARY_ERROR_INVALID, "row_length is %lld, weight_shape says %lld",
                            (long long)row_length, (long long)dims[1]);
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8)
        return mary_op_fail(node, MARY_ERROR_INVALID, "bits is %lld, it must be 1, 2, 4 or 8", (long long)bits);
    state->columns = dims[0];
    state->depth = dims[1];
    state->bits = (int)bits;
    return MARY_OK;
}

static mary_status create_state(mary_op_node *node, mary_gemm **state)
{
    *state = mary_calloc(1, sizeof **state);
    if (*state == NULL)
        return mary_fail_memory(sizeof **state);
    node->state = *state;
    (*state)->cpu = mary_cpu_current();
    return prepare_weights(node, *state);
}

static mary_status prepare_gemm(mary_op_node *node)
{
    mary_gemm *state;
    MARY_TRY(create_state(node, &state));
    return mary_gemm_parse(node, &state->attributes);
}

static mary_status prepare_matmul(mary_op_node *node)
{
    mary_gemm *state;
    MARY_TRY(create_state(node, &state));
    state->matmul = true;
    state->attributes = (mary_gemm_attributes){.alpha = 1.0f};
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    mary_gemm *state = node->state;
    if (state != NULL)
        mary_weights_free(&state->weights);
    mary_free(state);
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    mary_gemm *state = node->state;
    if (node->input_count < 3 || constants[1] == NULL || constants[2] == NULL)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    mary_status status = mary_weights_create(constants[1], constants[2], state->columns, state->depth, state->bits, 1,
                                             state->attributes.alpha, &state->weights);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    *consumed |= 1u << 1 | 1u << 2;
    return MARY_OK;
}

/* Shapes are asked for before pack, too: whether the weights are constants is pack's to check. */
static mary_status check(const mary_op_node *node, const mary_op_call *call, int most)
{
    const mary_gemm *state = node->state;
    char text[96];
    if (node->epilogue.residual >= most)
        most = node->epilogue.residual + 1;
    MARY_TRY(mary_op_expect_inputs(node, call, 3, most));
    const mary_tensor *a = call->inputs[0];
    if (a->type != MARY_FLOAT)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "A is %s, it must be float", mary_type_name(a->type));
    int rank = a->shape.rank;
    if (rank < 1 || (!state->matmul && rank != 2) ||
        a->shape.dims[state->attributes.trans_a ? 0 : rank - 1] != state->depth)
        return mary_op_fail(node, MARY_ERROR_INVALID, "A %s%s does not multiply weights [%lld,%lld]",
                            mary_shape_format(&a->shape, text, sizeof text),
                            state->attributes.trans_a ? " transposed" : "", (long long)state->columns,
                            (long long)state->depth);
    return MARY_OK;
}

static mary_status infer_gemm(const mary_op_node *node, mary_op_call *call)
{
    const mary_gemm *state = node->state;
    MARY_TRY(check(node, call, 4));
    mary_shape shape = {2, {call->inputs[0]->shape.dims[state->attributes.trans_a], state->columns}};
    MARY_TRY(mary_gemm_check_c(node, mary_gemm_input(node, call, 3), MARY_FLOAT, shape.dims[0], shape.dims[1]));
    return mary_op_set_output(node, call, 0, MARY_FLOAT, &shape);
}

static mary_status infer_matmul(const mary_op_node *node, mary_op_call *call)
{
    const mary_gemm *state = node->state;
    MARY_TRY(check(node, call, 3));
    mary_shape shape = call->inputs[0]->shape;
    shape.dims[shape.rank - 1] = state->columns;
    return mary_op_set_output(node, call, 0, MARY_FLOAT, &shape);
}

/* Everything but C. */
static mary_product describe(const mary_op_node *node, const mary_op_call *call)
{
    const mary_gemm *state = node->state;
    mary_product product;
    mary_gemm_describe(node, call, &state->attributes, state->columns, state->cpu, &product);
    if (state->matmul) { /* all leading dimensions are rows */
        const mary_shape *a = &call->inputs[0]->shape;
        product.rows = mary_shape_count_range(a, 0, a->rank - 1);
        product.depth = state->depth;
        product.a_row = state->depth;
        product.a_column = 1;
    }
    product.codes = state->weights;
    return product;
}

/* A row of beta * C, then the product's. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_product product = describe(node, call);
    MARY_TRY(mary_product_scratch(&product, bytes));
    if (!mary_size_add(*bytes, mary_gemm_row_bytes(product.columns), bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const mary_gemm *state = node->state;
    if (state->weights == NULL)
        return mary_op_fail(node, MARY_ERROR_INTERNAL, "the weights were never packed");
    mary_product product = describe(node, call);
    if (!state->matmul)
        mary_gemm_add_c(&state->attributes, mary_gemm_input(node, call, 3), &product, call->scratch);
    mary_product_run(&product, (char *)call->scratch + mary_gemm_row_bytes(product.columns));
    return MARY_OK;
}

static const char *kernel(const mary_op_node *node)
{
    switch (mary_cpu_base(((const mary_gemm *)node->state)->cpu)) {
    case MARY_CPU_AVX512:
        return "mary avx512";
    case MARY_CPU_AVX2:
        return "mary avx2";
    default:
        return "mary scalar";
    }
}

#define MARY_PRODUCT(name, suffix)                                                                                     \
    {                                                                                                                  \
        .domain = "ai.mary", .type = name, .since = 1, .flags = MARY_OP_EPILOGUE, .prepare = prepare_##suffix,         \
        .pack = pack, .infer = infer_##suffix, .scratch = scratch, .run = run, .release = release, .kernel = kernel    \
    }

const mary_op mary_ops_mary_gemm[] = {MARY_PRODUCT("MaryGemm", gemm), MARY_PRODUCT("MaryMatMul", matmul), MARY_OP_END};
