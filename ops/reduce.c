/* ReduceSum, ReduceMean and their kin over any set of axes.
 *
 * Input and output become strides over the input's dimensions (the output's is 0 where it is reduced); neighbours that
 * both walk evenly are merged. Then either the innermost dimension is reduced: one contiguous row after the other is
 * folded into one number; or it is kept: many columns are folded at the same time.
 */
#include <math.h>
#include <string.h>

#include "ops/copy.h"
#include "ops/rows.h"

typedef enum reduce_kind { MEAN, SUM, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE, KINDS } reduce_kind;

static const struct {
    const char *type;
    mary_fold fold;
} kinds[KINDS] = {
    [MEAN] = {"ReduceMean", MARY_FOLD_SUM},
    [SUM] = {"ReduceSum", MARY_FOLD_SUM},
    [MAX] = {"ReduceMax", MARY_FOLD_MAX},
    [MIN] = {"ReduceMin", MARY_FOLD_MIN},
    [PROD] = {"ReduceProd", MARY_FOLD_PROD},
    [L1] = {"ReduceL1", MARY_FOLD_ABS},
    [L2] = {"ReduceL2", MARY_FOLD_SQUARE},
    [LOG_SUM] = {"ReduceLogSum", MARY_FOLD_SUM},
    [LOG_SUM_EXP] = {"ReduceLogSumExp", MARY_FOLD_EXP},
    [SUM_SQUARE] = {"ReduceSumSquare", MARY_FOLD_SQUARE},
};

typedef struct reduce_state {
    reduce_kind kind;
    bool keep_dims, no_axes_is_none; /* without axes: reduce none of them, else all */
    bool axes_are_input;
    int axis_count;
    int64_t axes[MARY_MAX_RANK];
    const mary_rows *rows;
} reduce_state;

static mary_status prepare(mary_op_node *node)
{
    int64_t keep = 1, no_axes = 0;
    reduce_state *state = mary_calloc(1, sizeof *state);
    if (state == NULL)
        return mary_fail_memory(sizeof *state);
    node->state = state;
    while (strcmp(kinds[state->kind].type, node->op->type) != 0)
        state->kind++;
    state->axes_are_input = node->opset >= 18 || (state->kind == SUM && node->opset >= 13);
    state->rows = mary_rows_current();
    MARY_TRY(mary_attribute_int(node->proto, "keepdims", 1, &keep));
    state->keep_dims = keep != 0;
    if (state->axes_are_input) {
        MARY_TRY(mary_attribute_int(node->proto, "noop_with_empty_axes", 0, &no_axes));
        state->no_axes_is_none = no_axes != 0;
        return MARY_OK;
    }
    const int64_t *axes;
    size_t count;
    MARY_TRY(mary_attribute_ints(node->proto, "axes", &axes, &count));
    if (count > MARY_MAX_RANK)
        return mary_op_fail(node, MARY_ERROR_INVALID, "%zu axes, the most is %d", count, MARY_MAX_RANK);
    state->axis_count = (int)count;
    for (size_t i = 0; i < count; i++)
        state->axes[i] = axes[i];
    return MARY_OK;
}

static mary_status find_reduced(const mary_op_node *node, const mary_op_call *call, bool *reduced)
{
    const reduce_state *state = node->state;
    int64_t values[MARY_MAX_RANK];
    const int64_t *axes = state->axes;
    int count = state->axis_count, rank = call->inputs[0]->shape.rank;
    if (state->axes_are_input && call->input_count > 1 && call->inputs[1] != NULL) {
        MARY_TRY(mary_op_ints(node, call->inputs[1], "axes", values, MARY_MAX_RANK, &count));
        axes = values;
    }
    for (int i = 0; i < rank; i++)
        reduced[i] = count == 0 && !state->no_axes_is_none;
    for (int i = 0; i < count; i++) {
        int axis;
        mary_status status = mary_axis_normalise(axes[i], rank, "axis", &axis);
        if (status != MARY_OK)
            return mary_fail_context(status, "node '%s' (%s)", node->name, node->op->type);
        if (reduced[axis])
            return mary_op_fail(node, MARY_ERROR_INVALID, "axis %d is given twice", axis);
        reduced[axis] = true;
    }
    return MARY_OK;
}

static mary_status infer(const mary_op_node *node, mary_op_call *call)
{
    const reduce_state *state = node->state;
    bool reduced[MARY_MAX_RANK];
    MARY_TRY(mary_op_expect_inputs(node, call, 1, state->axes_are_input ? 2 : 1));
    const mary_tensor *x = call->inputs[0];
    bool flags = x->type == MARY_BOOL && (state->kind == MAX || state->kind == MIN);
    if (mary_type_size(x->type) == 0 || (x->type == MARY_BOOL && !flags) || x->type == MARY_FLOAT16 ||
        x->type == MARY_BFLOAT16)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "element type %s", mary_type_name(x->type));
    MARY_TRY(find_reduced(node, call, reduced));
    mary_shape shape = {.rank = 0};
    for (int i = 0; i < x->shape.rank; i++) {
        if (!reduced[i])
            shape.dims[shape.rank++] = x->shape.dims[i];
        else if (state->keep_dims)
            shape.dims[shape.rank++] = 1;
    }
    return mary_op_set_output(node, call, 0, x->type, &shape);
}

/* ---- the walk ---- */

typedef struct loops {
    int rank;
    int64_t dims[MARY_MAX_RANK], x[MARY_MAX_RANK], y[MARY_MAX_RANK]; /* sizes and strides of input and output */
} loops;

enum { COLUMNS = 256, FLUSH = 128 };

typedef struct reduction {
    const reduce_state *state;
    const mary_tensor *input;
    const mary_tensor *output;
    loops kept, reduced; /* without `length` and `columns` */
    bool inner_reduced;
    int64_t length;  /* of the innermost dimension when that is reduced */
    int64_t columns; /* of the innermost dimension when that is kept */
    int64_t pieces;  /* of at most COLUMNS columns */
    int64_t count;   /* elements that go into one result */
} reduction;

static void add_loop(loops *l, int64_t dim, int64_t x, int64_t y)
{
    l->dims[l->rank] = dim;
    l->x[l->rank] = x;
    l->y[l->rank++] = y;
}

/* Strides in the order in which memory runs: channels last puts axis 1 behind the others. */
static void make_loops(reduction *r, const bool *reduced)
{
    const mary_tensor *x = r->input, *y = r->output;
    bool last = x->layout == MARY_LAYOUT_CHANNELS_LAST;
    int rank = x->shape.rank, order[MARY_MAX_RANK];
    loops all = {.rank = 0};
    int64_t x_stride = 1, y_stride = 1, xs[MARY_MAX_RANK], ys[MARY_MAX_RANK];
    for (int i = 0; i < rank; i++)
        order[i] = !last || i == 0 ? i : i + 1 < rank ? i + 1 : 1;
    for (int i = rank - 1; i >= 0; i--) {
        int64_t dim = x->shape.dims[order[i]];
        bool channel = last && i == rank - 1;
        xs[i] = x_stride;
        ys[i] = reduced[order[i]] ? 0 : y_stride;
        x_stride = channel ? x->pixel_stride : x_stride * dim;
        if (!reduced[order[i]])
            y_stride = channel ? y->pixel_stride : y_stride * dim;
    }
    for (int i = 0; i < rank; i++) {
        int64_t dim = x->shape.dims[order[i]];
        int before = all.rank - 1;
        if (dim == 1)
            continue;
        if (before >= 0 && all.x[before] == xs[i] * dim && all.y[before] == ys[i] * dim) {
            all.dims[before] *= dim;
            all.x[before] = xs[i];
            all.y[before] = ys[i];
        } else {
            add_loop(&all, dim, xs[i], ys[i]);
        }
    }
    r->columns = r->length = 1;
    int inner = all.rank - 1;
    if (inner >= 0 && all.x[inner] == 1) {
        r->inner_reduced = all.y[inner] == 0;
        *(r->inner_reduced ? &r->length : &r->columns) = all.dims[inner];
        all.rank--;
    }
    for (int i = 0; i < all.rank; i++)
        add_loop(all.y[i] == 0 ? &r->reduced : &r->kept, all.dims[i], all.x[i], all.y[i]);
    r->pieces = (r->columns + COLUMNS - 1) / COLUMNS;
    r->count = r->length;
    for (int i = 0; i < r->reduced.rank; i++)
        r->count *= r->reduced.dims[i];
}

/* Offsets of iteration `number` of the loops. */
static void locate(const loops *l, int64_t number, int64_t *x, int64_t *y)
{
    *x = *y = 0;
    for (int i = l->rank - 1; i >= 0; i--) {
        int64_t index = number % l->dims[i];
        number /= l->dims[i];
        *x += index * l->x[i];
        *y += index * l->y[i];
    }
}

/* ---- float ---- */

static double finish_real(const reduction *r, double value, double shift)
{
    switch (r->state->kind) {
    case MEAN:
        return value / (double)r->count;
    case L2:
        return sqrt(value);
    case LOG_SUM:
        return log(value);
    case LOG_SUM_EXP:
        return log(value) + shift;
    default:
        return value;
    }
}

static double join(mary_fold fold, double a, double b)
{
    switch (fold) {
    case MARY_FOLD_MAX:
        return b != b || a < b ? b : a;
    case MARY_FOLD_MIN:
        return b != b || b < a ? b : a;
    case MARY_FOLD_PROD:
        return a * b;
    default:
        return a + b;
    }
}

static double fold_rows(const reduction *r, mary_fold fold, const float *x, int64_t outer, float shift)
{
    double total = (double)mary_fold_start(fold);
    for (int64_t i = 0; i < outer; i++) {
        int64_t at, unused;
        locate(&r->reduced, i, &at, &unused);
        total = join(fold, total, r->state->rows->fold[fold](x + at, r->length, shift));
    }
    return total;
}

/* Folds `columns` columns; sums are moved to double after every FLUSH rows. */
static void fold_columns(const reduction *r, mary_fold fold, const float *x, int64_t columns, const float *shift,
                         double *total)
{
    loops outer = r->reduced;
    int64_t rows = 1, stride = 0, count = 1;
    if (outer.rank > 0) { /* the innermost reduced dimension runs inside the kernel */
        outer.rank--;
        rows = outer.dims[outer.rank];
        stride = outer.x[outer.rank];
    }
    for (int i = 0; i < outer.rank; i++)
        count *= outer.dims[i];
    float acc[COLUMNS];
    for (int64_t j = 0; j < columns; j++)
        total[j] = (double)mary_fold_start(fold);
    for (int64_t i = 0; i < count; i++) {
        int64_t at, unused;
        locate(&outer, i, &at, &unused);
        for (int64_t begin = 0; begin < rows; begin += FLUSH) {
            int64_t n = rows - begin < FLUSH ? rows - begin : FLUSH;
            for (int64_t j = 0; j < columns; j++)
                acc[j] = mary_fold_start(fold);
            r->state->rows->fold_columns[fold](acc, x + at + begin * stride, columns, n, stride, shift);
            for (int64_t j = 0; j < columns; j++)
                total[j] = join(fold, total[j], (double)acc[j]);
        }
    }
}

static float finite_shift(double largest)
{
    return isfinite(largest) ? (float)largest : 0.0f;
}

static void run_float(void *context, int64_t begin, int64_t end, int thread)
{
    const reduction *r = context;
    const mary_fold fold = kinds[r->state->kind].fold;
    const bool shifted = r->state->kind == LOG_SUM_EXP;
    (void)thread;
    for (int64_t item = begin; item < end; item++) {
        int64_t at_x, at_y, first = item % r->pieces * COLUMNS;
        locate(&r->kept, item / r->pieces, &at_x, &at_y);
        const float *x = (const float *)r->input->data + at_x + first;
        float *y = (float *)r->output->data + at_y + first;
        if (r->inner_reduced) {
            int64_t outer = r->length > 0 ? r->count / r->length : 0;
            float shift = shifted ? finite_shift(fold_rows(r, MARY_FOLD_MAX, x, outer, 0)) : 0;
            *y = (float)finish_real(r, fold_rows(r, fold, x, outer, shift), (double)shift);
            continue;
        }
        double total[COLUMNS];
        float shift[COLUMNS] = {0};
        int64_t columns = r->columns - first < COLUMNS ? r->columns - first : COLUMNS;
        if (shifted) {
            fold_columns(r, MARY_FOLD_MAX, x, columns, NULL, total);
            for (int64_t j = 0; j < columns; j++)
                shift[j] = finite_shift(total[j]);
        }
        fold_columns(r, fold, x, columns, shifted ? shift : NULL, total);
        for (int64_t j = 0; j < columns; j++)
            y[j] = (float)finish_real(r, total[j], (double)shift[j]);
    }
}

/* ---- all other types: one element after the other ---- */

static double fold_real(reduce_kind kind, double acc, double v, double shift)
{
    switch (kind) {
    case MAX:
    case MIN:
    case PROD:
        return join(kinds[kind].fold, acc, v);
    case L1:
        return acc + fabs(v);
    case L2:
    case SUM_SQUARE:
        return acc + v * v;
    case LOG_SUM_EXP:
        return acc + exp(v - shift);
    default:
        return acc + v;
    }
}

/* Wraps. `v` has the bits of a signed or unsigned 64-bit integer. */
static uint64_t fold_integer(reduce_kind kind, uint64_t acc, uint64_t v, bool is_signed)
{
    bool less = is_signed ? (int64_t)v < (int64_t)acc : v < acc;
    switch (kind) {
    case MAX:
        return less ? acc : v;
    case MIN:
        return less ? v : acc;
    case PROD:
        return acc * v;
    case L1:
        return acc + (is_signed && (int64_t)v < 0 ? 0 - v : v);
    case L2:
    case SUM_SQUARE:
        return acc + v * v;
    default:
        return acc + v;
    }
}

static bool is_signed_type(mary_type type)
{
    return type == MARY_INT8 || type == MARY_INT16 || type == MARY_INT32 || type == MARY_INT64;
}

static uint64_t integer_start(reduce_kind kind, mary_type type)
{
    int bits = type == MARY_BOOL ? 1 : 8 * (int)mary_type_size(type);
    uint64_t low = is_signed_type(type) ? UINT64_MAX << (bits - 1) : 0;
    uint64_t high = is_signed_type(type) ? ~low : UINT64_MAX >> (64 - bits);
    return kind == MAX ? low : kind == MIN ? high : kind == PROD ? 1 : 0;
}

static uint64_t to_integer(double value)
{
    return !(value > -0x1p63) ? (uint64_t)INT64_MIN : value >= 0x1p63 ? (uint64_t)INT64_MAX : (uint64_t)(int64_t)value;
}

static uint64_t finish_integer(const reduction *r, uint64_t value, bool is_signed)
{
    switch (r->state->kind) {
    case MEAN:
        return r->count == 0 ? 0 : is_signed ? (uint64_t)((int64_t)value / r->count) : value / (uint64_t)r->count;
    case L2:
        return to_integer(sqrt((double)value));
    case LOG_SUM:
        return to_integer(log(is_signed ? (double)(int64_t)value : (double)value));
    default:
        return value;
    }
}

static void store_integer(const mary_tensor *tensor, int64_t index, uint64_t value)
{
    size_t size = mary_type_size(tensor->type); /* little-endian: the low bytes come first */
    memcpy((char *)tensor->data + (size_t)index * size, &value, size);
}

static void run_any(void *context, int64_t begin, int64_t end, int thread)
{
    const reduction *r = context;
    const reduce_kind kind = r->state->kind;
    const mary_tensor *x = r->input;
    const bool real = x->type == MARY_DOUBLE || kind == LOG_SUM_EXP, is_signed = is_signed_type(x->type);
    int64_t inner_step = r->inner_reduced ? 1 : 0, outer = r->length > 0 ? r->count / r->length : 0;
    (void)thread;
    for (int64_t item = begin; item < end; item++) {
        int64_t at_x, at_y, column = item % r->columns, at, unused;
        locate(&r->kept, item / r->columns, &at_x, &at_y);
        at_x += column;
        at_y += column;
        double shift = 0, total = (double)mary_fold_start(kinds[kind].fold);
        uint64_t sum = integer_start(kind, x->type);
        for (int pass = kind == LOG_SUM_EXP ? 0 : 1; pass < 2; pass++) {
            double largest = -INFINITY;
            for (int64_t i = 0; i < outer; i++) {
                locate(&r->reduced, i, &at, &unused);
                for (int64_t j = 0; j < r->length; j++) {
                    int64_t index = at_x + at + j * inner_step;
                    if (pass == 0)
                        largest = fmax(largest, mary_tensor_double(x, index));
                    else if (real)
                        total = fold_real(kind, total, mary_tensor_double(x, index), shift);
                    else
                        sum = fold_integer(kind, sum, (uint64_t)mary_tensor_int(x, index), is_signed);
                }
            }
            if (pass == 0)
                shift = isfinite(largest) ? largest : 0;
        }
        if (x->type == MARY_DOUBLE)
            ((double *)r->output->data)[at_y] = finish_real(r, total, shift);
        else
            store_integer(r->output, at_y,
                          real ? to_integer(finish_real(r, total, shift)) : finish_integer(r, sum, is_signed));
    }
}

static mary_status run(const mary_op_node *node, mary_op_call *call)
{
    bool reduced[MARY_MAX_RANK];
    reduction r = {.state = node->state, .input = call->inputs[0], .output = call->outputs[0]};
    MARY_TRY(find_reduced(node, call, reduced));
    if (mary_shape_count(&r.output->shape) == 0)
        return MARY_OK;
    make_loops(&r, reduced);
    bool is_float = r.input->type == MARY_FLOAT;
    int64_t items = is_float ? r.pieces : r.columns;
    int64_t work = r.count * (is_float && r.columns > COLUMNS ? COLUMNS : is_float ? r.columns : 1);
    for (int i = 0; i < r.kept.rank; i++)
        items *= r.kept.dims[i];
    mary_parallel_for(call->parallel, items, 16384 / (work + 1) + 1, is_float ? run_float : run_any, &r);
    return MARY_OK;
}

/* Of a sum and a mean: every element that was added up gets the sum's gradient, or its share of it. */
static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const reduce_state *state = node->state;
    const mary_tensor *x = call->forward->inputs[0], *y = call->forward->outputs[0];
    float *to = mary_copy_gradient(call, 0);
    bool reduced[MARY_MAX_RANK];
    int64_t from[MARY_MAX_RANK], at[MARY_MAX_RANK];
    mary_copy copy = {0};
    MARY_TRY(find_reduced(node, call->forward, reduced));
    if (to == NULL || mary_shape_count(&x->shape) == 0)
        return MARY_OK;
    mary_tensor_strides(x, from);
    mary_tensor_strides(y, at);
    for (int i = 0, kept = 0; i < x->shape.rank; i++) {
        const bool there = !reduced[i] || state->keep_dims;
        mary_copy_add(&copy, x->shape.dims[i], from[i], reduced[i] ? 0 : at[kept]);
        kept += there;
    }
    float share = 1.0f;
    if (state->kind == MEAN)
        share = (float)((double)mary_shape_count(&y->shape) / (double)mary_shape_count(&x->shape));
    mary_copy_add_back(&copy, call->output_gradients[0]->data, to, call->second ? share * share : share);
    return MARY_OK;
}

static const mary_op_gradient gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .reads_inputs = 1 << 1, .backward = backward};

/* Over exactly all spatial axes, which stay as ones: [N, C, ...] to [N, C, 1...]. */
static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const reduce_state *state = node->state;
    bool reduced[MARY_MAX_RANK];
    *wants = false;
    if (!state->keep_dims || call->inputs[0]->shape.rank < 3 || find_reduced(node, call, reduced) != MARY_OK)
        return false;
    bool spatial = !reduced[0] && !reduced[1];
    for (int i = 2; i < call->inputs[0]->shape.rank; i++)
        spatial &= reduced[i];
    return spatial;
}

#define REDUCE(name, slope)                                                                                            \
    {                                                                                                                  \
        .domain = "", .type = name, .since = 1, .prepare = prepare, .infer = infer, .run = run,                        \
        .channels_last = channels_last, .gradient = slope                                                              \
    }

const mary_op mary_ops_reduce[] = {
    REDUCE("ReduceMean", &gradient),
    REDUCE("ReduceSum", &gradient),
    REDUCE("ReduceMax", NULL),
    REDUCE("ReduceMin", NULL),
    REDUCE("ReduceProd", NULL),
    REDUCE("ReduceL1", NULL),
    REDUCE("ReduceL2", NULL),
    REDUCE("ReduceLogSum", NULL),
    REDUCE("ReduceLogSumExp", NULL),
    REDUCE("ReduceSumSquare", NULL),
    MARY_OP_END,
};
