/* Einsum: operands are contracted two at a time, from the left, each time as a batch of matrix products.
 *
 * Of two operands A and B, a label is `batch` (in both, and needed later), `rows` (A only, needed), `columns` (B only,
 * needed), `sum` (in both, not needed) or `alone` (in one, not needed: summed while packing). A is packed as [batch,
 * rows, sum], B as [batch, sum, columns], their product is [batch, rows, columns]. */
#include "ops/copy.h"

#include <string.h>

enum {
    LETTERS = 52,
    LABELS = LETTERS + MARY_MAX_RANK, /* the axes of an ellipsis follow the letters, the last one last */
    MOST_OPERANDS = 8
};

typedef struct einsum_state {
    char *equation; /* without spaces */
} einsum_state;

/* A tensor over labels: stride[label], 0 where it has none of that label or is broadcast. */
typedef struct einsum_operand {
    bool has[LABELS];
    int64_t stride[LABELS];
} einsum_operand;

typedef struct einsum_plan {
    mary_type type;
    int operands;
    einsum_operand operand[MOST_OPERANDS];
    int64_t size[LABELS];
    int uses[LABELS]; /* how often the label is written in the inputs */
    int output[MARY_MAX_RANK], output_rank;
} einsum_plan;

static mary_status prepare(mary_op_node *node)
{
    const char *text;
    size_t length = 0;
    MARY_TRY(mary_op_state(node, sizeof(einsum_state)));
    einsum_state *state = node->state;
    MARY_TRY(mary_attribute_string(node->proto, "equation", NULL, &text));
    if (text == NULL)
        return mary_op_fail(node, MARY_ERROR_INVALID, "attribute 'equation' is missing");
    state->equation = mary_strdup(text);
    if (state->equation == NULL)
        return mary_fail_memory(strlen(text) + 1);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c != ' ')
            state->equation[length++] = *c;
    }
    state->equation[length] = '\0';
    return MARY_OK;
}

static void release(mary_op_node *node)
{
    einsum_state *state = node->state;
    if (state != NULL)
        mary_free(state->equation);
    mary_free(state);
}

/* ---- reading the equation ---- */

/* Position in the order that an implicit output has: capitals first. */
static int label_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1;
}

/* One term, up to a comma, an arrow or the end: its labels, with -1 for an ellipsis. */
static mary_status read_term(const mary_op_node *node, const char **text, int *labels, int *count)
{
    bool ellipsis = false;
    *count = 0;
    for (const char *c = *text;; c++) {
        int label = label_of(*c);
        if (*c == '\0' || *c == ',' || *c == '-') {
            *text = c;
            return MARY_OK;
        }
        if (strncmp(c, "...", 3) == 0 && !ellipsis) {
            ellipsis = true;
            c += 2;
        } else if (label < 0) {
            return mary_op_fail(node, MARY_ERROR_INVALID, "equation '%s' is not understood at '%s'",
                                ((const einsum_state *)node->state)->equation, c);
        }
        if (*count > MARY_MAX_RANK)
            return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "a term has more than %d labels", MARY_MAX_RANK);
        labels[(*count)++] = label;
    }
}

/* Adds operand `index` with the labels of its term; an ellipsis stands for what the letters leave. */
static mary_status add_operand(const mary_op_node *node, const mary_tensor *x, const int *labels, int count, int index,
                               einsum_plan *plan)
{
    int letters = 0, axis = 0;
    bool ellipsis = false;
    int64_t stride[MARY_MAX_RANK];
    einsum_operand *operand = &plan->operand[index];
    for (int i = 0; i < count; i++) {
        letters += labels[i] >= 0;
        ellipsis = ellipsis || labels[i] < 0;
    }
    int hidden = x->shape.rank - letters;
    if (hidden < 0 || (hidden > 0 && !ellipsis))
        return mary_op_fail(node, MARY_ERROR_INVALID, "input %d has rank %d, its term %d labels", index, x->shape.rank,
                            letters);
    mary_tensor_strides(x, stride);
    for (int i = 0; i < count; i++) {
        int repeats = labels[i] >= 0 ? 1 : hidden;
        for (int k = 0; k < repeats; k++, axis++) {
            int label = labels[i] >= 0 ? labels[i] : LABELS - hidden + k;
            int64_t dim = x->shape.dims[axis], *size = &plan->size[label];
            if (plan->uses[label]++ == 0 || *size == 1)
                *size = dim;
            else if (dim != 1 && dim != *size)
                return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d of input %d is %lld, elsewhere it is %lld", axis,
                                    index, (long long)dim, (long long)*size);
            operand->has[label] = true;
            operand->stride[label] += dim == 1 ? 0 : stride[axis];
        }
    }
    return MARY_OK;
}

static mary_status add_output(const mary_op_node *node, einsum_plan *plan, int label)
{
    if (plan->output_rank == MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "the output has more than %d axes", MARY_MAX_RANK);
    for (int i = 0; i < plan->output_rank; i++) {
        if (plan->output[i] == label)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the output names a label twice");
    }
    plan->output[plan->output_rank++] = label;
    return MARY_OK;
}

static mary_status add_ellipsis(const mary_op_node *node, einsum_plan *plan)
{
    for (int label = LETTERS; label < LABELS; label++) {
        if (plan->uses[label] > 0)
            MARY_TRY(add_output(node, plan, label));
    }
    return MARY_OK;
}

static mary_status read_output(const mary_op_node *node, const char *text, einsum_plan *plan)
{
    int labels[MARY_MAX_RANK + 1], count;
    if (*text == '\0') { /* implicit: what is written once */
        MARY_TRY(add_ellipsis(node, plan));
        for (int label = 0; label < LETTERS; label++) {
            if (plan->uses[label] == 1)
                MARY_TRY(add_output(node, plan, label));
        }
        return MARY_OK;
    }
    if (strncmp(text, "->", 2) != 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "equation is not understood at '%s'", text);
    text += 2;
    MARY_TRY(read_term(node, &text, labels, &count));
    if (*text != '\0')
        return mary_op_fail(node, MARY_ERROR_INVALID, "equation is not understood at '%s'", text);
    for (int i = 0; i < count; i++) {
        if (labels[i] < 0)
            MARY_TRY(add_ellipsis(node, plan));
        else if (plan->uses[labels[i]] == 0)
            return mary_op_fail(node, MARY_ERROR_INVALID, "the output names a label that no input has");
        else
            MARY_TRY(add_output(node, plan, labels[i]));
    }
    return MARY_OK;
}

static mary_status make_plan(const mary_op_node *node, const mary_op_call *call, einsum_plan *plan)
{
    const char *text = ((const einsum_state *)node->state)->equation;
    int labels[MARY_MAX_RANK + 1], count;
    memset(plan, 0, sizeof *plan);
    plan->type = call->inputs[0]->type;
    plan->operands = call->input_count;
    for (int i = 0; i < plan->operands; i++) {
        if (i > 0 && *text++ != ',')
            return mary_op_fail(node, MARY_ERROR_INVALID, "the equation has %d terms for %d inputs", i, plan->operands);
        MARY_TRY(read_term(node, &text, labels, &count));
        MARY_TRY(add_operand(node, call->inputs[i], labels, count, i, plan));
    }
    if (*text == ',')
        return mary_op_fail(node, MARY_ERROR_INVALID, "the equation has more terms than the %d inputs", plan->operands);
    return read_output(node, text, plan);
}

/* ---- contracting two operands ---- */

typedef struct einsum_step {
    int batch[LABELS], rows[LABELS], columns[LABELS], sum[LABELS];
    int batch_count, row_count, column_count, sum_count;
    int64_t batches, m, n, k;
    size_t a_bytes, b_bytes, result_bytes;
} einsum_step;

static bool is_needed(const einsum_plan *plan, int label, int next)
{
    for (int i = 0; i < plan->output_rank; i++) {
        if (plan->output[i] == label)
            return true;
    }
    for (int i = next; i < plan->operands; i++) {
        if (plan->operand[i].has[label])
            return true;
    }
    return false;
}

static int64_t product(const einsum_plan *plan, const int *labels, int count, bool *fits)
{
    int64_t result = 1, size;
    for (int i = 0; i < count; i++) {
        size = plan->size[labels[i]];
        *fits = *fits && !__builtin_mul_overflow(result, size > 0 ? size : 1, &result) && result <= INT64_C(1) << 40;
        if (!*fits)
            return 0;
    }
    for (int i = 0; i < count; i++) {
        if (plan->size[labels[i]] == 0)
            return 0;
    }
    return result;
}

static bool buffer_bytes(const einsum_plan *plan, int64_t a, int64_t b, int64_t c, size_t *bytes)
{
    size_t size = mary_type_size(plan->type);
    if (!mary_size_mul((size_t)a, (size_t)b, bytes) || !mary_size_mul(*bytes, (size_t)c, bytes) ||
        !mary_size_mul(*bytes, size, bytes) || *bytes > (size_t)1 << 36)
        return false;
    *bytes = (*bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
    return true;
}

/* How `a` (what operands 0..next-1 gave) meets operand `next`; b == NULL: `a` is alone. */
static mary_status make_step(const mary_op_node *node, const einsum_plan *plan, const einsum_operand *a,
                             const einsum_operand *b, int next, einsum_step *step)
{
    bool fits = true;
    memset(step, 0, sizeof *step);
    for (int label = 0; label < LABELS; label++) {
        bool in_a = a->has[label], in_b = b != NULL && b->has[label], needed = is_needed(plan, label, next + 1);
        if (in_a && in_b && needed)
            step->batch[step->batch_count++] = label;
        else if (in_a && in_b)
            step->sum[step->sum_count++] = label;
        else if (in_a && needed)
            step->rows[step->row_count++] = label;
        else if (in_b && needed)
            step->columns[step->column_count++] = label;
    }
    /* An operand packs its labels, and those that it sums alone, in one strided walk. */
    if (step->batch_count + step->row_count + step->column_count > MARY_COPY_RANK)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "an intermediate result has more than %d axes",
                            MARY_COPY_RANK);
    step->batches = product(plan, step->batch, step->batch_count, &fits);
    step->m = product(plan, step->rows, step->row_count, &fits);
    step->n = product(plan, step->columns, step->column_count, &fits);
    step->k = product(plan, step->sum, step->sum_count, &fits);
    if (!fits || !buffer_bytes(plan, step->batches, step->m, step->k, &step->a_bytes) ||
        !buffer_bytes(plan, step->batches, step->k, step->n, &step->b_bytes) ||
        !buffer_bytes(plan, step->batches, step->m, step->n, &step->result_bytes))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "an intermediate result is too large");
    return MARY_OK;
}

/* The labels of the step's result, dense, in the order [batch, rows, columns]. */
static void result_operand(const einsum_plan *plan, const einsum_step *step, einsum_operand *result)
{
    int64_t stride = 1;
    const int *groups[] = {step->columns, step->rows, step->batch};
    int counts[] = {step->column_count, step->row_count, step->batch_count};
    memset(result, 0, sizeof *result);
    for (int g = 0; g < 3; g++) {
        for (int i = counts[g] - 1; i >= 0; i--) {
            int label = groups[g][i];
            result->has[label] = true;
            result->stride[label] = plan->size[label] == 1 ? 0 : stride;
            stride *= plan->size[label];
        }
    }
}

/* ---- arithmetic, in each type ---- */

#define ADD_RUN(type, wide)                                                                                            \
    do {                                                                                                               \
        const type *in = source;                                                                                       \
        type *out = target;                                                                                            \
        for (int64_t i = 0; i < count; i++)                                                                            \
            out[i * to] = (type)((wide)out[i * to] + (wide)in[i * from]);                                              \
    } while (0)

static void add_run(mary_type type, int64_t count, const void *source, int64_t from, void *target, int64_t to)
{
    if (type == MARY_FLOAT)
        ADD_RUN(float, float);
    else if (type == MARY_DOUBLE)
        ADD_RUN(double, double);
    else if (type == MARY_INT32)
        ADD_RUN(int32_t, uint32_t);
    else
        ADD_RUN(int64_t, uint64_t);
}

/* target[...] += source[...] over all dimensions; those with `to` 0 are summed. */
static void add_strided(mary_type type, const mary_copy *copy, int dim, const void *source, void *target)
{
    size_t element = mary_type_size(type);
    if (copy->rank == 0) {
        add_run(type, 1, source, 0, target, 0);
    } else if (dim == copy->rank - 1) {
        add_run(type, copy->dims[dim], source, copy->from[dim], target, copy->to[dim]);
    } else {
        for (int64_t i = 0; i < copy->dims[dim]; i++)
            add_strided(type, copy, dim + 1, mary_advance_const(source, i * copy->from[dim], element),
                        mary_advance(target, i * copy->to[dim], element));
    }
}

/* Packs an operand densely in the order of `groups`; labels in none of them are summed. */
static void pack(const einsum_plan *plan, const einsum_operand *operand, const int *const *groups, const int *counts,
                 const void *source, void *target, const mary_parallel *parallel)
{
    mary_copy copy = {0};
    bool placed[LABELS] = {false}, sums = false;
    int64_t stride[LABELS], total = 1;
    for (int g = 2; g >= 0; g--) {
        for (int i = counts[g] - 1; i >= 0; i--) {
            stride[groups[g][i]] = total;
            placed[groups[g][i]] = true;
            total *= plan->size[groups[g][i]];
        }
    }
    for (int g = 0; g < 3; g++) {
        for (int i = 0; i < counts[g]; i++)
            mary_copy_add(&copy, plan->size[groups[g][i]], operand->stride[groups[g][i]], stride[groups[g][i]]);
    }
    for (int label = 0; label < LABELS; label++) {
        if (operand->has[label] && !placed[label]) {
            mary_copy_add(&copy, plan->size[label], operand->stride[label], 0);
            sums = true;
        }
    }
    if (!sums) {
        mary_copy_run(&copy, mary_type_size(plan->type), source, target, parallel);
        return;
    }
    memset(target, 0, (size_t)total * mary_type_size(plan->type));
    add_strided(plan->type, &copy, 0, source, target);
}

typedef struct einsum_product {
    mary_type type;
    int64_t m, n, k;
    const void *a, *b;
    void *result;
} einsum_product;

#define MULTIPLY(type, wide)                                                                                           \
    do {                                                                                                               \
        const type *a = (const type *)job->a + row * k;                                                                \
        const type *b = (const type *)job->b + row / job->m * k * n;                                                   \
        type *restrict out = (type *)job->result + row * n;                                                            \
        for (int64_t j = 0; j < n; j++)                                                                                \
            out[j] = 0;                                                                                                \
        for (int64_t i = 0; i < k; i++) {                                                                              \
            for (int64_t j = 0; j < n; j++)                                                                            \
                out[j] = (type)((wide)out[j] + (wide)a[i] * (wide)b[i * n + j]);                                       \
        }                                                                                                              \
    } while (0)

static void multiply_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const einsum_product *job = context;
    int64_t n = job->n, k = job->k;
    for (int64_t row = begin; row < end; row++) {
        if (job->type == MARY_FLOAT)
            MULTIPLY(float, float);
        else if (job->type == MARY_DOUBLE)
            MULTIPLY(double, double);
        else if (job->type == MARY_INT32)
            MULTIPLY(int32_t, uint32_t);
        else
            MULTIPLY(int64_t, uint64_t);
    }
}

/* ---- the operator ---- */

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    einsum_plan plan;
    MARY_TRY(mary_copy_expect(node, call, call->input_count > 0 ? call->input_count : 1, MOST_OPERANDS, 1));
    mary_type type = call->inputs[0]->type;
    if (type != MARY_FLOAT && type != MARY_DOUBLE && type != MARY_INT32 && type != MARY_INT64)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "type %s is not supported", mary_type_name(type));
    for (int i = 1; i < call->input_count; i++) {
        if (call->inputs[i]->type != type)
            return mary_op_fail(node, MARY_ERROR_INVALID, "input %d is %s, input 0 is %s", i,
                                mary_type_name(call->inputs[i]->type), mary_type_name(type));
    }
    MARY_TRY(make_plan(node, call, &plan));
    mary_shape shape = {.rank = plan.output_rank};
    for (int i = 0; i < plan.output_rank; i++)
        shape.dims[i] = plan.size[plan.output[i]];
    return mary_copy_set_output(node, call, type, &shape);
}

static mary_status scratch(const mary_op_node *node, const mary_op_call *call, size_t *bytes)
{
    einsum_plan plan;
    einsum_step step;
    MARY_TRY(make_plan(node, call, &plan));
    einsum_operand left = plan.operand[0], result;
    *bytes = 0;
    for (int next = 1; next < plan.operands; next++) {
        MARY_TRY(make_step(node, &plan, &left, &plan.operand[next], next, &step));
        result_operand(&plan, &step, &result);
        left = result;
        *bytes += step.a_bytes + step.b_bytes + step.result_bytes;
    }
    return MARY_OK;
}

/* The last step: sums what is left over and puts the labels in the output's order. */
static void finish(const einsum_plan *plan, const einsum_operand *operand, const void *source, mary_op_call *call)
{
    const int *groups[] = {plan->output, NULL, NULL};
    int counts[] = {plan->output_rank, 0, 0};
    pack(plan, operand, groups, counts, source, call->outputs[0]->data, call->parallel);
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    einsum_plan plan;
    einsum_step step;
    MARY_TRY(make_plan(node, call, &plan));
    if (mary_shape_count(&call->outputs[0]->shape) == 0)
        return MARY_OK;
    einsum_operand left = plan.operand[0], result;
    const void *source = call->inputs[0]->data;
    char *memory = call->scratch;
    for (int next = 1; next < plan.operands; next++) {
        MARY_TRY(make_step(node, &plan, &left, &plan.operand[next], next, &step));
        char *a = memory, *b = a + step.a_bytes, *c = b + step.b_bytes;
        const int *a_groups[] = {step.batch, step.rows, step.sum}, *b_groups[] = {step.batch, step.sum, step.columns};
        int a_counts[] = {step.batch_count, step.row_count, step.sum_count};
        int b_counts[] = {step.batch_count, step.sum_count, step.column_count};
        pack(&plan, &left, a_groups, a_counts, source, a, call->parallel);
        pack(&plan, &plan.operand[next], b_groups, b_counts, call->inputs[next]->data, b, call->parallel);
        einsum_product job = {plan.type, step.m, step.n, step.k, a, b, c};
        mary_parallel_for(call->parallel, step.batches * step.m, 32768 / (step.n * step.k + 1) + 1, multiply_task,
                          &job);
        result_operand(&plan, &step, &result);
        left = result;
        source = c;
        memory = c + step.result_bytes;
    }
    finish(&plan, &left, source, call);
    return MARY_OK;
}

const mary_op mary_ops_einsum[] = {
    {.domain = "",
     .type = "Einsum",
     .since = 12,
     .prepare = prepare,
     .infer = infer,
     .scratch = scratch,
     .run = run,
     .release = release},
    MARY_OP_END,
};
