/* Gradients of Gemm and MatMul: two more products.
 *
 *   dA' = alpha * dY * B'^T      with panels of B'^T made once for all calls where B is a parameter
 *   dB' = alpha * A'^T * dY
 *
 * Second derivatives are the same with all three factors squared.
 */
#include <string.h>

#include "onnx/memory.h"
#include "ops/gemm.h"
#include "ops/gradient.h"
#include "ops/matmul.h"

/* One product and its gradients; matrices are those of the file (A and B before transposition). */
typedef struct product_gradient {
    int64_t rows, columns, depth; /* of A' B' */
    bool trans_a, trans_b;
    float alpha;
    const float *a, *b, *dy;
    const float *turned; /* panels of B'^T with alpha in them; NULL: use b */
    float *da, *db;      /* NULL: not wanted */
    bool add_a, add_b;
    mary_cpu cpu;
    const mary_parallel *parallel;
} product_gradient;

/* dA = dY B'^T [rows x depth], or its transposed. */
static mary_product product_of_a(const product_gradient *g)
{
    mary_product p = {.cpu = g->cpu, .parallel = g->parallel, .b_scale = g->alpha, .out = g->da};
    p.accumulate = g->add_a;
    p.depth = g->columns;
    if (!g->trans_a) {
        p.rows = g->rows;
        p.columns = g->depth;
        p.a = g->dy;
        p.a_row = g->columns;
        p.a_column = 1;
        p.panels = g->turned;
        p.b = g->b; /* element (n, k) of B'^T is B'[k][n] */
        p.b_row = g->trans_b ? g->depth : 1;
        p.b_column = g->trans_b ? 1 : g->columns;
        return p;
    }
    p.rows = g->depth;
    p.columns = g->rows;
    p.a = g->b; /* element (k, n): B'[k][n] */
    p.a_row = g->trans_b ? 1 : g->columns;
    p.a_column = g->trans_b ? g->depth : 1;
    p.b = g->dy; /* element (n, m): dY[m][n] */
    p.b_row = 1;
    p.b_column = g->columns;
    return p;
}

/* dB = A'^T dY [depth x columns], or its transposed. */
static mary_product product_of_b(const product_gradient *g)
{
    mary_product p = {.cpu = g->cpu, .parallel = g->parallel, .b_scale = g->alpha, .out = g->db};
    p.accumulate = g->add_b;
    p.depth = g->rows;
    if (!g->trans_b) {
        p.rows = g->depth;
        p.columns = g->columns;
        p.a = g->a; /* element (k, m): A'[m][k] */
        p.a_row = g->trans_a ? g->rows : 1;
        p.a_column = g->trans_a ? 1 : g->depth;
        p.b = g->dy;
        p.b_row = g->columns;
        p.b_column = 1;
        return p;
    }
    p.rows = g->columns;
    p.columns = g->depth;
    p.a = g->dy; /* element (n, m): dY[m][n] */
    p.a_row = 1;
    p.a_column = g->columns;
    p.b = g->a; /* element (m, k): A'[m][k] */
    p.b_row = g->trans_a ? 1 : g->depth;
    p.b_column = g->trans_a ? g->rows : 1;
    return p;
}

static mary_status product_scratch(const product_gradient *g, size_t *bytes)
{
    *bytes = 0;
    if (g->da != NULL) {
        mary_product p = product_of_a(g);
        MARY_TRY(mary_product_scratch(&p, bytes));
    }
    if (g->db != NULL) {
        mary_product p = product_of_b(g);
        size_t more;
        MARY_TRY(mary_product_scratch(&p, &more));
        *bytes = more > *bytes ? more : *bytes;
    }
    return MARY_OK;
}

static void product_run(const product_gradient *g, void *scratch)
{
    if (g->da != NULL) {
        mary_product p = product_of_a(g);
        mary_product_run(&p, scratch);
    }
    if (g->db != NULL) {
        mary_product p = product_of_b(g);
        mary_product_run(&p, scratch);
    }
}

/* Panels of the transposed of B' [depth x columns], times alpha; squared for second derivatives. */
static mary_status pack_turned(const mary_tensor *b, int64_t depth, int64_t columns, bool trans_b, float alpha,
                               mary_cpu cpu, bool second, float **turned)
{
    const int nr = mary_tile_kernel_for(cpu)->nr;
    size_t floats;
    if (!mary_product_panels_size(depth, columns, nr, &floats))
        return mary_fail(MARY_ERROR_INVALID, "the weights are too large");
    int64_t count = mary_shape_count(&b->shape);
    for (int order = 0; order <= (int)second; order++) {
        float *squares = NULL;
        if (turned[order] == NULL)
            turned[order] = mary_alloc_aligned(floats * sizeof(float));
        if (turned[order] == NULL)
            return mary_fail_memory(floats * sizeof(float));
        if (order == 1) {
            squares = mary_alloc_aligned((size_t)count * sizeof *squares);
            if (squares == NULL)
                return mary_fail_memory((size_t)count * sizeof *squares);
            mary_gradient_square(squares, b->data, count);
            alpha *= alpha;
        }
        mary_product_panels_pack(order == 1 ? squares : b->data, trans_b ? depth : 1, trans_b ? 1 : columns, depth,
                                 columns, nr, alpha, turned[order]);
        mary_free(squares);
    }
    return MARY_OK;
}

/* With `second`, squares of A and B are put into `scratch`, whose rest is returned. */
static char *square_factors(product_gradient *g, int64_t a_count, int64_t b_count, char *scratch)
{
    float *a = (float *)(void *)scratch;
    scratch += mary_gradient_align(sizeof(float) * (size_t)a_count);
    float *b = (float *)(void *)scratch;
    scratch += mary_gradient_align(sizeof(float) * (size_t)b_count);
    if (g->db != NULL) {
        mary_gradient_square(a, g->a, a_count);
        g->a = a;
    }
    if (g->da != NULL && b_count > 0) {
        mary_gradient_square(b, g->b, b_count);
        g->b = b;
    }
    return scratch;
}

static size_t square_bytes(int64_t a_count, int64_t b_count)
{
    return mary_gradient_align(sizeof(float) * (size_t)a_count) + mary_gradient_align(sizeof(float) * (size_t)b_count);
}

/* ---- Gemm ---- */

static mary_status gemm_pack(mary_op_node *node, const mary_tensor *const *constants, bool second)
{
    mary_gemm_state *state = node->state;
    uint64_t consumed = 0;
    MARY_TRY(node->op->pack(node, constants, &consumed));
    const mary_tensor *b = constants[1];
    const mary_gemm_attributes *t = &state->attributes;
    if (state->panels == NULL || t->trans_a)
        return MARY_OK;
    return pack_turned(b, b->shape.dims[t->trans_b], b->shape.dims[!t->trans_b], t->trans_b, t->alpha, state->cpu,
                       second, state->turned);
}

static product_gradient gemm_describe(const mary_op_node *node, const mary_gradient_call *call)
{
    const mary_gemm_state *state = node->state;
    const mary_gemm_attributes *t = &state->attributes;
    const mary_tensor *a = call->forward->inputs[0], *b = call->forward->inputs[1];
    return (product_gradient){
        .rows = a->shape.dims[t->trans_a],
        .columns = b->shape.dims[!t->trans_b],
        .depth = a->shape.dims[!t->trans_a],
        .trans_a = t->trans_a,
        .trans_b = t->trans_b,
        .alpha = call->second ? t->alpha * t->alpha : t->alpha,
        .a = a->data,
        .b = b->data,
        .dy = call->output_gradients[0]->data,
        .turned = state->turned[call->second],
        .da = mary_gradient_of(call, 0),
        .db = mary_gradient_of(call, 1),
        .add_a = call->accumulate[0],
        .add_b = call->accumulate[1],
        .cpu = state->cpu,
        .parallel = call->parallel,
    };
}

static int64_t gemm_b_count(const product_gradient *g)
{
    return g->turned != NULL && !g->trans_a ? 0 : g->depth * g->columns;
}

/* While planning, gradients have no memory; any address says that they are wanted. */
static void mark_wanted(product_gradient *g, const mary_gradient_call *call)
{
    static float wanted;
    g->da = call->input_gradients[0] != NULL ? &wanted : NULL;
    g->db = call->input_gradients[1] != NULL ? &wanted : NULL;
}

static mary_status gemm_scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    product_gradient g = gemm_describe(node, call);
    mark_wanted(&g, call);
    MARY_TRY(product_scratch(&g, bytes));
    if (call->second)
        *bytes += square_bytes(g.rows * g.depth, gemm_b_count(&g));
    return MARY_OK;
}

static void gemm_c(const mary_op_node *node, const mary_gradient_call *call, const product_gradient *g)
{
    const mary_gemm_state *state = node->state;
    float *dc = mary_gradient_of(call, 2);
    if (dc == NULL)
        return;
    const float beta = call->second ? state->attributes.beta * state->attributes.beta : state->attributes.beta;
    int64_t row, column;
    mary_gemm_c_strides(call->forward->inputs[2], g->rows, g->columns, &row, &column);
    const bool add = call->accumulate[2];
    if (row != 0 && column != 0) {
        mary_gradient_add(dc, g->dy, g->rows * g->columns, beta, add);
    } else if (column != 0 || (row == 0 && g->columns == 1)) {
        mary_gradient_sum_rows(dc, g->dy, g->rows, g->columns, g->columns, beta, add);
    } else {
        double all = 0;
        for (int64_t i = 0; i < g->rows; i++) {
            double sum = 0;
            for (int64_t j = 0; j < g->columns; j++)
                sum += (double)g->dy[i * g->columns + j];
            if (row != 0)
                dc[i] = (add ? dc[i] : 0.0f) + beta * (float)sum;
            all += sum;
        }
        if (row == 0)
            dc[0] = (add ? dc[0] : 0.0f) + beta * (float)all;
    }
}

static mary_status gemm_backward(const mary_op_node *node, const mary_gradient_call *call)
{
    product_gradient g = gemm_describe(node, call);
    char *scratch = call->scratch;
    if (call->second)
        scratch = square_factors(&g, g.rows * g.depth, gemm_b_count(&g), scratch);
    product_run(&g, scratch);
    gemm_c(node, call, &g);
    return MARY_OK;
}

const mary_op_gradient mary_gemm_gradient = {.inputs = 1 << 0 | 1 << 1 | 1 << 2,
                                             .reads_inputs = 1 << 0 | 1 << 1,
                                             .pack = gemm_pack,
                                             .scratch = gemm_scratch,
                                             .backward = gemm_backward};

/* ---- MatMul ---- */

static mary_status matmul_pack(mary_op_node *node, const mary_tensor *const *constants, bool second)
{
    mary_matmul_state *state = node->state;
    uint64_t consumed = 0;
    MARY_TRY(node->op->pack(node, constants, &consumed));
    const mary_tensor *b = constants[1];
    if (state->panels == NULL || b->shape.rank != 2)
        return MARY_OK;
    return pack_turned(b, b->shape.dims[0], b->shape.dims[1], false, 1.0f, state->cpu, second, state->turned);
}

static mary_status matmul_describe(const mary_op_node *node, const mary_gradient_call *call, mary_matmul_shapes *s,
                                   product_gradient *g)
{
    const mary_matmul_state *state = node->state;
    MARY_TRY(mary_matmul_describe(node, call->forward, s));
    *g = (product_gradient){
        .rows = s->rows,
        .columns = s->columns,
        .depth = s->depth,
        .alpha = 1.0f,
        .a = call->forward->inputs[0]->data,
        .b = call->forward->inputs[1]->data,
        .dy = call->output_gradients[0]->data,
        .turned = s->batch_rank == 0 ? state->turned[call->second] : NULL,
        .da = mary_gradient_of(call, 0),
        .db = mary_gradient_of(call, 1),
        .cpu = state->cpu,
        .parallel = call->parallel,
    };
    return MARY_OK;
}

static int64_t matmul_b_count(const mary_gradient_call *call, const product_gradient *g)
{
    return g->turned != NULL ? 0 : mary_shape_count(&call->forward->inputs[1]->shape);
}

static mary_status matmul_scratch(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes)
{
    mary_matmul_shapes s;
    product_gradient g;
    MARY_TRY(matmul_describe(node, call, &s, &g));
    mark_wanted(&g, call);
    MARY_TRY(product_scratch(&g, bytes));
    if (call->second)
        *bytes += square_bytes(mary_shape_count(&call->forward->inputs[0]->shape), matmul_b_count(call, &g));
    return MARY_OK;
}

/* An operand that is used again (step 0) gathers the gradients of all its uses: everything is added to zeros. */
static mary_status matmul_backward(const mary_op_node *node, const mary_gradient_call *call)
{
    mary_matmul_shapes s;
    product_gradient g;
    MARY_TRY(matmul_describe(node, call, &s, &g));
    const int64_t a_count = mary_shape_count(&call->forward->inputs[0]->shape);
    char *scratch = call->scratch;
    if (call->second)
        scratch = square_factors(&g, a_count, matmul_b_count(call, &g), scratch);
    int64_t count = 1;
    for (int i = 0; i < s.batch_rank; i++)
        count *= s.batch_dims[i];
    g.add_a = call->accumulate[0];
    g.add_b = call->accumulate[1];
    if (s.batch_rank > 0) {
        if (g.da != NULL && !g.add_a)
            memset(g.da, 0, sizeof(float) * (size_t)a_count);
        if (g.db != NULL && !g.add_b)
            memset(g.db, 0, sizeof(float) * (size_t)mary_shape_count(&call->forward->inputs[1]->shape));
        g.add_a = g.add_b = true;
    }
    for (int64_t n = 0; n < count; n++) {
        product_gradient one = g;
        int64_t a = 0, b = 0, left = n;
        for (int i = s.batch_rank - 1; i >= 0; i--) {
            a += left % s.batch_dims[i] * s.a_steps[i];
            b += left % s.batch_dims[i] * s.b_steps[i];
            left /= s.batch_dims[i];
        }
        a *= s.rows * s.depth;
        b *= s.depth * s.columns;
        one.a += a;
        one.b = one.turned != NULL ? one.b : one.b + b;
        one.dy += n * s.rows * s.columns;
        one.da = one.da != NULL ? one.da + a : NULL;
        one.db = one.db != NULL ? one.db + b : NULL;
        product_run(&one, scratch);
    }
    return MARY_OK;
}

const mary_op_gradient mary_matmul_gradient = {.inputs = 1 << 0 | 1 << 1,
                                               .reads_inputs = 1 << 0 | 1 << 1,
                                               .pack = matmul_pack,
                                               .scratch = matmul_scratch,
                                               .backward = matmul_backward};
