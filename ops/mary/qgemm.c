/* MaryQLinearGemm and MaryQLinearMatMul: u8 [.., K] times rows of codes [N][K], u8 out. A row of the left operand is a
 * pixel of a 1 x 1 convolution. */
#include "onnx/memory.h"
#include "ops/mary/qproduct.h"

typedef struct qgemm {
    bool matmul;
    int64_t columns, depth;
    int bits;
    mary_cpu cpu;
    mary_qlayer layer;
    mary_qweights *codes;
} qgemm;

static mary_status prepare_weights(const mary_op_node *node, qgemm *state)
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

static mary_status create_state(mary_op_node *node, bool matmul)
{
    qgemm *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    state->matmul = matmul;
    return prepare_weights(node, state);
}

/* The converter folds alpha into w_scale, beta into B and a transposition of B into the codes. */
static mary_status prepare_gemm(mary_op_node *node)
{
    float alpha, beta;
    int64_t trans_a;
    MARY_TRY(mary_attribute_float(node->proto, "alpha", 1.0f, &alpha));
    MARY_TRY(mary_attribute_float(node->proto, "beta", 1.0f, &beta));
    MARY_TRY(mary_attribute_int(node->proto, "transA", 0, &trans_a));
    if (!(alpha == 1.0f) || !(beta == 1.0f) || trans_a != 0)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "alpha %g, beta %g, transA %lld: they must be 1, 1 and 0",
                            (double)alpha, (double)beta, (long long)trans_a);
    return create_state(node, false);
}

static mary_status prepare_matmul(mary_op_node *node)
{
    return create_state(node, true);
}

static void release(mary_op_node *node)
{
    qgemm *state = node->state;
    if (state != NULL) {
        mary_qlayer_free(&state->layer);
        mary_qweights_free(&state->codes);
    }
    mary_free(state);
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    qgemm *state = node->state;
    MARY_TRY(mary_qlayer_create(node, constants, state->columns, state->depth, state->bits, &state->layer, consumed));
    mary_status status = mary_qweights_create(&state->layer.source, 1, 1, state->depth, 1, state->cpu, &state->codes);
    return status == MARY_OK ? status : mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const qgemm *state = node->state;
    char text[96];
    MARY_TRY(mary_qlinear_check(node, call));
    if (state->matmul && call->input_count > MARY_QLINEAR_BIAS && call->inputs[MARY_QLINEAR_BIAS] != NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "has a bias");
    mary_shape shape = call->inputs[MARY_QLINEAR_X]->shape;
    if (shape.rank < 1 || (!state->matmul && shape.rank != 2) || shape.dims[shape.rank - 1] != state->depth)
        return mary_op_fail(node, MARY_ERROR_INVALID, "A %s does not multiply weights [%lld,%lld]",
                            mary_shape_format(&shape, text, sizeof text), (long long)state->columns,
                            (long long)state->depth);
    shape.dims[shape.rank - 1] = state->columns;
    MARY_TRY(mary_qlinear_check_residual(node, call, &shape));
    return mary_op_set_output(node, call, 0, MARY_UINT8, &shape);
}

static mary_qproduct describe(const mary_op_node *node, const mary_op_call *call)
{
    const qgemm *state = node->state;
    const mary_tensor *x = call->inputs[MARY_QLINEAR_X], *residual = mary_qlinear_residual(call);
    int64_t rows = mary_shape_count_range(&x->shape, 0, x->shape.rank - 1);
    return (mary_qproduct){.window = {.rank = 1,
                                      .input = {1, 1, rows},
                                      .output = {1, 1, rows},
                                      .kernel = {1, 1, 1},
                                      .stride = {1, 1, 1},
                                      .dilation = {1, 1, 1},
                                      .taps = 1,
                                      .input_pixels = rows,
                                      .output_pixels = rows},
                           .batch = 1,
                           .groups = 1,
                           .depth = state->depth,
                           .filters = state->columns,
                           .cpu = state->cpu,
                           .weights = state->codes,
                           .epilogue = &state->layer.epilogue,
                           .x_zero = state->layer.x_zero,
                           .x = x->data,
                           .x_stride = state->depth,
                           .y = call->outputs[0]->data,
                           .y_stride = state->columns,
                           .residual = residual != NULL ? residual->data : NULL,
                           .residual_stride = state->columns,
                           .parallel = call->parallel};
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_qproduct product = describe(node, call);
    return mary_qproduct_scratch(&product, bytes);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    mary_qproduct product = describe(node, call);
    mary_qproduct_run(&product, call->scratch);
    return MARY_OK;
}

static const char *kernel(const mary_op_node *node)
{
    const qgemm *state = node->state;
    return mary_qproduct_kernel_name(state->codes, NULL);
}

#define MARY_Q_PRODUCT(name, suffix)                                                                                   \
    {                                                                                                                  \
        .domain = "ai.mary", .type = name, .since = 1, .prepare = prepare_##suffix, .pack = pack, .infer = infer,      \
        .scratch = scratch, .run = run, .release = release, .kernel = kernel                                           \
    }

const mary_op mary_ops_mary_qgemm[] = {MARY_Q_PRODUCT("MaryQLinearGemm", gemm),
                                       MARY_Q_PRODUCT("MaryQLinearMatMul", matmul), MARY_OP_END};
