/* MatMulInteger and QLinearMatMul: A [..., M, K] times B [..., K, N] in exact 32-bit sums. */
#include "ops/integer.h"

/* Where a node keeps what. */
typedef struct product_inputs {
    int a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; /* -1: the operator has none */
} product_inputs;

static const product_inputs plain = {
    .a = 0, .b = 1, .a_zero = 2, .b_zero = 3, .a_scale = -1, .b_scale = -1, .y_scale = -1, .y_zero = -1};
static const product_inputs linear = {
    .a = 0, .a_scale = 1, .a_zero = 2, .b = 3, .b_scale = 4, .b_zero = 5, .y_scale = 6, .y_zero = 7};

typedef struct product_shape {
    mary_shape output, batch;
    int64_t m, k, n, batches;
    int64_t a_step[MARY_MAX_RANK], b_step[MARY_MAX_RANK]; /* matrices from one batch index to the next; 0: broadcast */
} product_shape;

static mary_status describe(const mary_op_node *node, const mary_op_call *call, const product_inputs *in,
                            product_shape *p)
{
    const mary_shape *a = &call->inputs[in->a]->shape, *b = &call->inputs[in->b]->shape;
    if (a->rank < 1 || b->rank < 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "a scalar cannot be multiplied");
    int a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
    *p = (product_shape){.m = a->rank > 1 ? a->dims[a->rank - 2] : 1,
                         .k = a->dims[a->rank - 1],
                         .n = b->rank > 1 ? b->dims[b->rank - 1] : 1};
    if ((b->rank > 1 ? b->dims[b->rank - 2] : b->dims[0]) != p->k) {
        char left[96], right[96];
        return mary_op_fail(node, MARY_ERROR_INVALID, "shapes %s and %s cannot be multiplied",
                            mary_shape_format(a, left, sizeof left), mary_shape_format(b, right, sizeof right));
    }
    mary_shape a_outer = {.rank = a_batch}, b_outer = {.rank = b_batch};
    for (int i = 0; i < a_batch; i++)
        a_outer.dims[i] = a->dims[i];
    for (int i = 0; i < b_batch; i++)
        b_outer.dims[i] = b->dims[i];
    mary_status status = mary_shape_broadcast(&a_outer, &b_outer, &p->batch);
    if (status != MARY_OK)
        return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
    int rank = p->batch.rank;
    int64_t a_stride = 1, b_stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t a_dim = i >= rank - a_batch ? a_outer.dims[i - (rank - a_batch)] : 1;
        int64_t b_dim = i >= rank - b_batch ? b_outer.dims[i - (rank - b_batch)] : 1;
        p->a_step[i] = a_dim == 1 ? 0 : a_stride;
        p->b_step[i] = b_dim == 1 ? 0 : b_stride;
        a_stride *= a_dim;
        b_stride *= b_dim;
    }
    p->batches = mary_shape_count(&p->batch);
    p->output = p->batch;
    if (a->rank > 1)
        p->output.dims[p->output.rank++] = p->m;
    if (b->rank > 1)
        p->output.dims[p->output.rank++] = p->n;
    return MARY_OK;
}

/* One for all, one for each row (or column) of every matrix, or one for each of every batch: [..., M, 1] for A, [...,
 * 1, N] for B. */
static mary_status check_parameter(const mary_op_node *node, const mary_op_call *call, int index,
                                   const mary_shape *matrix, bool is_b, int64_t length, mary_type type)
{
    if (index < 0 || index >= call->input_count || call->inputs[index] == NULL)
        return MARY_OK;
    const mary_tensor *tensor = call->inputs[index];
    const mary_shape *shape = &tensor->shape;
    if (tensor->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "input %d is %s, %s is needed", index,
                            mary_type_name(tensor->type), mary_type_name(type));
    if (mary_shape_count(shape) == 1 || (shape->rank == 1 && shape->dims[0] == length))
        return MARY_OK;
    bool fits = shape->rank == matrix->rank && matrix->rank >= 2;
    int one = is_b ? matrix->rank - 2 : matrix->rank - 1;
    for (int i = 0; fits && i < matrix->rank; i++)
        fits = shape->dims[i] == (i == one ? 1 : matrix->dims[i]);
    if (fits)
        return MARY_OK;
    char text[96];
    return mary_op_fail(node, MARY_ERROR_INVALID, "input %d of shape %s gives no value for each of %lld", index,
                        mary_shape_format(shape, text, sizeof text), (long long)length);
}

/* Index into a parameter of row or column `i` of matrix number `matrix`. */
static int64_t parameter_index(const mary_op_call *call, int index, int64_t matrix, int64_t length, int64_t i)
{
    if (index < 0 || index >= call->input_count || call->inputs[index] == NULL)
        return 0;
    return call->inputs[index]->shape.rank <= 1 ? i : matrix * length + i;
}

static const product_inputs *inputs_of(const mary_op_node *node)
{
    return node->op->type[0] == 'Q' ? &linear : &plain;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const product_inputs *in = inputs_of(node);
    bool is_linear = in == &linear;
    product_shape p;
    MARY_TRY(mary_copy_expect(node, call, is_linear ? 8 : 2, is_linear ? 8 : 4, 1));
    MARY_TRY(mary_integer_type(node, call, in->a));
    MARY_TRY(mary_integer_type(node, call, in->b));
    MARY_TRY(describe(node, call, in, &p));
    const mary_tensor *a = call->inputs[in->a], *b = call->inputs[in->b];
    MARY_TRY(check_parameter(node, call, in->a_zero, &a->shape, false, p.m, a->type));
    MARY_TRY(check_parameter(node, call, in->b_zero, &b->shape, true, p.n, b->type));
    MARY_TRY(check_parameter(node, call, in->a_scale, &a->shape, false, p.m, MARY_FLOAT));
    MARY_TRY(check_parameter(node, call, in->b_scale, &b->shape, true, p.n, MARY_FLOAT));
    if (!is_linear)
        return mary_op_set_output(node, call, 0, MARY_INT32, &p.output);
    MARY_TRY(mary_integer_scalar(node, call, in->y_scale, MARY_FLOAT));
    MARY_TRY(mary_integer_scalar(node, call, in->y_zero, MARY_UNDEFINED));
    return mary_op_set_output(node, call, 0, call->inputs[in->y_zero]->type, &p.output);
}

/* Scratch: A and B as int16. */
static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    const product_inputs *in = inputs_of(node);
    *bytes = 2 * (mary_tensor_bytes(call->inputs[in->a]) + mary_tensor_bytes(call->inputs[in->b]));
    return MARY_OK;
}

typedef struct product_job {
    const mary_op_call *call;
    const product_inputs *in;
    product_shape shape;
    const int16_t *a, *b;
} product_job;

/* Items are rows of the output, over all batches. */
static void product_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const product_job *job = context;
    const product_shape *p = &job->shape;
    const mary_op_call *call = job->call;
    uint32_t sums[MARY_INTEGER_CHUNK];
    for (int64_t item = begin; item < end; item++) {
        int64_t row = item % p->m, rest = item / p->m, a_matrix = 0, b_matrix = 0;
        for (int i = p->batch.rank - 1; i >= 0; i--) {
            a_matrix += rest % p->batch.dims[i] * p->a_step[i];
            b_matrix += rest % p->batch.dims[i] * p->b_step[i];
            rest /= p->batch.dims[i];
        }
        const int16_t *a = job->a + (a_matrix * p->m + row) * p->k, *b = job->b + b_matrix * p->k * p->n;
        for (int64_t first = 0; first < p->n; first += MARY_INTEGER_CHUNK) {
            int64_t count = p->n - first < MARY_INTEGER_CHUNK ? p->n - first : MARY_INTEGER_CHUNK;
            for (int64_t i = 0; i < count; i++)
                sums[i] = 0;
            for (int64_t k = 0; k < p->k; k++) {
                if (a[k] != 0)
                    mary_integer_add(sums, b + k * p->n + first, 1, a[k], count);
            }
            int64_t at = item * p->n + first;
            if (job->in != &linear) {
                int32_t *out = (int32_t *)call->outputs[0]->data + at;
                for (int64_t i = 0; i < count; i++)
                    out[i] = (int32_t)sums[i];
                continue;
            }
            float a_scale = mary_integer_scale(call, 1, parameter_index(call, 1, a_matrix, p->m, row));
            float y_scale = mary_integer_scale(call, 6, 0);
            mary_type type = call->outputs[0]->type;
            bool same = mary_shape_count(&call->inputs[4]->shape) == 1;
            for (int64_t i = 0; i < count; i += same ? count : 1) {
                float b_scale = mary_integer_scale(call, 4, parameter_index(call, 4, b_matrix, p->n, first + i));
                mary_integer_requantise(sums + i, same ? count : 1, a_scale * b_scale / y_scale,
                                        mary_integer_zero(call, 7, 0), type, (char *)call->outputs[0]->data + at + i);
            }
        }
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    const product_inputs *in = inputs_of(node);
    product_job job = {.call = call, .in = in};
    product_shape *p = &job.shape;
    MARY_TRY(describe(node, call, in, p));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    const mary_tensor *a = call->inputs[in->a], *b = call->inputs[in->b];
    int16_t *a_wide = call->scratch, *b_wide = a_wide + mary_shape_count(&a->shape);
    int64_t a_rows = p->k == 0 ? 0 : mary_shape_count(&a->shape) / p->k;
    for (int64_t i = 0; i < a_rows; i++) {
        int64_t at = parameter_index(call, in->a_zero, i / p->m, p->m, i % p->m);
        mary_integer_widen(a, i * p->k, p->k, mary_integer_zero(call, in->a_zero, at), a_wide + i * p->k);
    }
    bool by_column = in->b_zero < call->input_count && call->inputs[in->b_zero] != NULL &&
                     mary_shape_count(&call->inputs[in->b_zero]->shape) > 1;
    int64_t b_rows = mary_shape_count(&b->shape) / p->n, step = by_column ? 1 : p->n;
    for (int64_t i = 0; i < b_rows; i++) {
        for (int64_t j = 0; j < p->n; j += step) {
            int64_t at = parameter_index(call, in->b_zero, i / (p->k > 0 ? p->k : 1), p->n, j);
            mary_integer_widen(b, i * p->n + j, step, mary_integer_zero(call, in->b_zero, at), b_wide + i * p->n + j);
        }
    }
    job.a = a_wide;
    job.b = b_wide;
    int64_t work = p->k * p->n + 1;
    mary_parallel_for(call->parallel, p->batches * p->m, 65536 / work + 1, product_task, &job);
    return MARY_OK;
}

const mary_op mary_ops_integer_matmul[] = {
    {.domain = "", .type = "MatMulInteger", .since = 10, .infer = infer, .scratch = scratch, .run = run},
    {.domain = "", .type = "QLinearMatMul", .since = 10, .infer = infer, .scratch = scratch, .run = run},
    MARY_OP_END,
};
