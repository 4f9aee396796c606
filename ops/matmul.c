/* MatMul as numpy does it: leading dimensions broadcast, vectors gain a dimension that the result loses again. */
#include "ops/matmul.h"

#include <string.h>

#include "onnx/memory.h"
#include "ops/product_plain.h"

typedef mary_matmul_state matmul;
typedef mary_matmul_shapes matmul_shapes;

static mary_status prepare(mary_op_node *node)
{
    matmul *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    state->cpu = mary_cpu_current();
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    matmul *state = node->state;
    if (state != NULL) {
        mary_free(state->panels);
        mary_free(state->turned[0]);
        mary_free(state->turned[1]);
    }
    mary_free(state);
}

/* The matrices of a right operand: [K, N] from a vector [K] too. */
static void right_matrix(const mary_shape *b, int64_t *depth, int64_t *columns, int64_t *count)
{
    *depth = b->dims[b->rank == 1 ? 0 : b->rank - 2];
    *columns = b->rank == 1 ? 1 : b->dims[b->rank - 1];
    *count = b->rank > 2 ? mary_shape_count_range(b, 0, b->rank - 2) : 1;
}

static mary_status pack(mary_op_node *node, const mary_tensor *const *constants, uint64_t *consumed)
{
    matmul *state = node->state;
    const mary_tensor *b = node->input_count > 1 ? constants[1] : NULL;
    if (b == NULL || b->type != MARY_FLOAT || b->shape.rank < 1)
        return MARY_OK;
    int64_t depth, columns, count;
    right_matrix(&b->shape, &depth, &columns, &count);
    int nr = mary_tile_kernel_for(state->cpu)->nr;
    size_t floats, bytes;
    if (!mary_product_panels_size(columns, depth, nr, &floats) || !mary_size_mul(floats, (size_t)count, &bytes) ||
        !mary_size_mul(bytes, sizeof(float), &bytes))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the weights are too large");
    if (state->panels == NULL) /* else they are of the same size */
        state->panels = mary_alloc_aligned(bytes);
    if (state->panels == NULL)
        return mary_fail_memory(bytes);
    for (int64_t i = 0; i < count; i++)
        mary_product_panels_pack((const float *)b->data + i * depth * columns, columns, 1, columns, depth, nr, 1.0f,
                                 state->panels + (size_t)i * floats);
    state->b = b->shape;
    *consumed |= 1u << 1;
    return MARY_OK;
}

mary_status mary_matmul_describe(const mary_op_node *node, const mary_op_call *call, matmul_shapes *s)
{
    const mary_shape *a = &call->inputs[0]->shape, *b = &call->inputs[1]->shape;
    char left[96], right[96];
    memset(s, 0, sizeof *s);
    if (a->rank < 1 || b->rank < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "a scalar cannot be multiplied as a matrix");
    int64_t b_depth, b_count;
    right_matrix(b, &b_depth, &s->columns, &b_count);
    s->depth = a->dims[a->rank - 1];
    s->rows = a->rank == 1 ? 1 : a->dims[a->rank - 2];
    mary_shape a_batch = {a->rank > 2 ? a->rank - 2 : 0, {0}}, b_batch = {b->rank > 2 ? b->rank - 2 : 0, {0}};
    memcpy(a_batch.dims, a->dims, (size_t)a_batch.rank * sizeof *a->dims);
    memcpy(b_batch.dims, b->dims, (size_t)b_batch.rank * sizeof *b->dims);
    if (s->depth != b_depth || mary_shape_broadcast(&a_batch, &b_batch, &s->result) != MARY_OK)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%s and %s do not multiply",
                            mary_shape_format(a, left, sizeof left), mary_shape_format(b, right, sizeof right));

    s->batch_rank = s->result.rank;
    int64_t a_step = 1, b_step = 1;
    for (int i = s->batch_rank - 1; i >= 0; i--) {
        int in_a = i - (s->batch_rank - a_batch.rank), in_b = i - (s->batch_rank - b_batch.rank);
        int64_t a_dim = in_a >= 0 ? a_batch.dims[in_a] : 1, b_dim = in_b >= 0 ? b_batch.dims[in_b] : 1;
        s->batch_dims[i] = s->result.dims[i];
        s->a_steps[i] = a_dim == 1 ? 0 : a_step;
        s->b_steps[i] = b_dim == 1 ? 0 : b_step;
        a_step *= a_dim;
        b_step *= b_dim;
    }
    if (a->rank > 1)
        s->result.dims[s->result.rank++] = s->rows;
    if (b->rank > 1)
        s->result.dims[s->result.rank++] = s->columns;
    if (b_count == 1 && b_step == 1) { /* one right operand: all of a is one matrix */
        for (int i = 0; i < s->batch_rank; i++)
            s->rows *= s->batch_dims[i];
        s->batch_rank = 0;
    }
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const matmul *state = node->state;
    int most = node->epilogue.residual >= 2 ? node->epilogue.residual + 1 : 2;
    MARY_TRY(mary_op_expect_inputs(node, call, 2, most));
    const mary_tensor *a = call->inputs[0], *b = call->inputs[1];
    matmul_shapes shapes;
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
    MARY_TRY(mary_matmul_describe(node, call, &shapes));
    return mary_op_set_output(node, call, 0, a->type, &shapes.result);
}

static mary_status float_product(const mary_op_node *node, const mary_op_call *call, mary_product *product)
{
    const matmul *state = node->state;
    int residual = node->epilogue.residual;
    matmul_shapes s;
    MARY_TRY(mary_matmul_describe(node, call, &s));
    size_t panel_floats;
    if (!mary_product_panels_size(s.columns, s.depth, mary_tile_kernel_for(state->cpu)->nr, &panel_floats))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the product is too large");
    *product = (mary_product){
        .rows = s.rows,
        .columns = s.columns,
        .depth = s.depth,
        .batch_rank = s.batch_rank,
        .a = call->inputs[0]->data,
        .a_row = s.depth,
        .a_column = 1,
        .panels = state->panels,
        .b = call->inputs[1]->data,
        .b_row = s.columns,
        .b_column = 1,
        .b_scale = 1.0f,
        .residual = residual >= 0 ? call->inputs[residual]->data : NULL,
        .out = call->outputs[0]->data,
        .epilogue = &node->epilogue,
        .cpu = state->cpu,
        .parallel = call->parallel,
    };
    int64_t matrix = state->panels != NULL ? (int64_t)panel_floats : s.depth * s.columns;
    for (int i = 0; i < s.batch_rank; i++) {
        product->batch_dims[i] = s.batch_dims[i];
        product->a_steps[i] = s.a_steps[i] * s.rows * s.depth;
        product->b_steps[i] = s.b_steps[i] * matrix;
    }
    return MARY_OK;
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    mary_product product;
    *bytes = 0;
    if (call->inputs[0]->type != MARY_FLOAT)
        return MARY_OK;
    MARY_TRY(float_product(node, call, &product));
    return mary_product_scratch(&product, bytes);
}

static mary_status run_plain(const mary_op_node *node, mary_op_call *call)
{
    matmul_shapes s;
    MARY_TRY(mary_matmul_describe(node, call, &s));
    int64_t size = (int64_t)mary_type_size(call->inputs[0]->type), count = 1;
    for (int i = 0; i < s.batch_rank; i++)
        count *= s.batch_dims[i];
    for (int64_t n = 0; n < count; n++) {
        int64_t a = 0, b = 0, left = n;
        for (int i = s.batch_rank - 1; i >= 0; i--) {
            a += left % s.batch_dims[i] * s.a_steps[i];
            b += left % s.batch_dims[i] * s.b_steps[i];
            left /= s.batch_dims[i];
        }
        mary_product_plain plain = {
            .type = call->inputs[0]->type,
            .rows = s.rows,
            .columns = s.columns,
            .depth = s.depth,
            .a = (const char *)call->inputs[0]->data + a * s.rows * s.depth * size,
            .a_row = s.depth,
            .a_column = 1,
            .b = (const char *)call->inputs[1]->data + b * s.depth * s.columns * size,
            .b_row = s.columns,
            .b_column = 1,
            .out = (char *)call->outputs[0]->data + n * s.rows * s.columns * size,
            .alpha = 1.0f,
        };
        mary_product_plain_run(&plain, call->parallel);
    }
    return MARY_OK;
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    mary_product product;
    if (call->inputs[0]->type != MARY_FLOAT)
        return run_plain(node, call);
    MARY_TRY(float_product(node, call, &product));
    mary_product_run(&product, call->scratch);
    return MARY_OK;
}

static const char *kernel(const mary_op_node *node)
{
    return mary_tile_kernel_for(((const matmul *)node->state)->cpu)->name;
}

const mary_op mary_ops_matmul[] = {
    {.domain = "",
     .type = "MatMul",
     .since = 1,
     .flags = MARY_OP_EPILOGUE,
     .prepare = prepare,
     .pack = pack,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release,
     .kernel = kernel,
     .gradient = &mary_matmul_gradient},
    MARY_OP_END,
};
