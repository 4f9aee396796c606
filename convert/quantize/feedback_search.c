/* Error feedback: the search for levels and codes.
 *
 * Rows are worked on in chunks, so that products have enough rows; a chunk goes through some of these:
 *   nearest  every weight to its nearest level
 *   sweep    successive cancellation (feedback.h)
 *   descend  single codes change as long as one of them makes the error less (coordinate descent)
 *   refit    levels by least squares for the codes: (A^T H A) d = A^T H (w - q), A[k, m] = 1 where k has code m
 * After nearest and descend, refit, sweep and descend are repeated; then refit and descend from the best that was found
 * until nothing changes. */
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "convert/quantize/dense.h"
#include "convert/quantize/feedback_layer.h"
#include "convert/quantize/tensor.h"

enum {
    CHUNK = 96,        /* rows */
    BLOCK = 96,        /* columns of a sweep before the others hear of their errors */
    SPAN = 32,         /* columns of H that are summed by code at a time */
    SWEEPS = 6,        /* with levels refitted after each */
    POLISHES = 12,     /* descend and refit afterwards */
    DESCENTS = 30,     /* passes over the columns in one descend */
    MOST_REFITTED = 64 /* levels; beyond, k-means leaves next to nothing to gain */
};

enum { NEAREST = 1, SWEEP = 2, DESCEND = 4, REFIT = 8, MEASURE = 16 };

typedef struct search {
    const mary_feedback *f;
    int count;
    bool shared;
    mary_type type;
    float *levels;  /* [sets, count] */
    uint8_t *codes; /* [groups * rows, length], columns in f's order */
    double *errors; /* [groups * rows] */
    int64_t chunks_a_group;
    int64_t chunk_rows;
    double *normal, *right; /* shared only: [chunks, count, count], [chunks, count] */
} search;

/* One thread's memory. All [CHUNK or count, ...] as said. */
typedef struct scratch {
    float *errors_down; /* [length, CHUNK]: w - q, or q - w, a column's rows side by side */
    float *sums;        /* [CHUNK, length]: feedback, or the gradient */
    float *span;        /* [length, SPAN] of H */
    float *by_code;     /* [count, SPAN] */
    double *normal;     /* [CHUNK, count, count] */
    double *right;      /* [CHUNK, count] */
    double *solution;   /* [count] */
} scratch;

typedef struct chunk {
    int64_t group, first, rows; /* first: among all rows */
    const float *moment, *factor;
} chunk;

static const float *levels_of(const search *s, int64_t row)
{
    return s->levels + (s->shared ? 0 : row * s->count);
}

/* The nearest of ascending levels; the lower one when two are as near. */
static inline int nearest(const float *levels, int count, float value)
{
    if (count <= 16) {
        int code = 0;
        for (int m = 0; m + 1 < count; m++)
            code += value > 0.5f * (levels[m] + levels[m + 1]);
        return code;
    }
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (value > 0.5f * (levels[middle] + levels[middle + 1]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void code_nearest(const search *s, const chunk *c)
{
    for (int64_t r = c->first; r < c->first + c->rows; r++) {
        const float *levels = levels_of(s, r), *target = s->f->target + r * s->f->length;
        for (int64_t k = 0; k < s->f->length; k++)
            s->codes[r * s->f->length + k] = (uint8_t)nearest(levels, s->count, target[k]);
    }
}

static mary_status sweep(const search *s, const chunk *c, scratch *own)
{
    int64_t length = s->f->length;
    memset(own->sums, 0, (size_t)(c->rows * length) * sizeof *own->sums);
    for (int64_t end = length; end > 0;) {
        int64_t begin = end < BLOCK ? 0 : end - BLOCK;
        for (int64_t j = end; j-- > begin;) {
            const float *l = c->factor + j * length;
            float inverse = 1 / l[j], *errors = own->errors_down + j * CHUNK;
            for (int64_t r = 0; r < c->rows; r++) {
                const float *levels = levels_of(s, c->first + r);
                float *sums = own->sums + r * length, target = s->f->target[(c->first + r) * length + j];
                int code = nearest(levels, s->count, target + sums[j] * inverse);
                float error = target - levels[code];
                s->codes[(c->first + r) * length + j] = (uint8_t)code;
                errors[r] = error;
                mary_dense_add_scaled(sums + begin, l + begin, error, j - begin);
            }
        }
        mary_dense_product rest = {.a = own->errors_down + begin * CHUNK,
                                   .a_stride = CHUNK,
                                   .b = c->factor + begin * length,
                                   .b_stride = length,
                                   .depth = end - begin,
                                   .rows = c->rows,
                                   .columns = begin,
                                   .c = own->sums,
                                   .c_stride = length,
                                   .threads = 1};
        MARY_TRY(mary_dense_multiply(&rest));
        end = begin;
    }
    return MARY_OK;
}

/* sums = (q - w) H for the chunk's codes; errors of the rows. */
static mary_status gradient(const search *s, const chunk *c, scratch *own)
{
    int64_t length = s->f->length;
    for (int64_t r = 0; r < c->rows; r++) {
        const float *levels = levels_of(s, c->first + r), *target = s->f->target + (c->first + r) * length;
        const uint8_t *codes = s->codes + (c->first + r) * length;
        for (int64_t k = 0; k < length; k++)
            own->errors_down[k * CHUNK + r] = levels[codes[k]] - target[k];
    }
    memset(own->sums, 0, (size_t)(c->rows * length) * sizeof *own->sums);
    mary_dense_product product = {.a = own->errors_down,
                                  .a_stride = CHUNK,
                                  .b = c->moment,
                                  .b_stride = length,
                                  .depth = length,
                                  .rows = c->rows,
                                  .columns = length,
                                  .c = own->sums,
                                  .c_stride = length,
                                  .threads = 1};
    MARY_TRY(mary_dense_multiply(&product));
    for (int64_t r = 0; r < c->rows; r++) {
        double error = 0;
        for (int64_t k = 0; k < length; k++)
            error += (double)own->errors_down[k * CHUNK + r] * (double)own->sums[r * length + k];
        s->errors[c->first + r] = error;
    }
    return MARY_OK;
}

static mary_status descend(const search *s, const chunk *c, scratch *own)
{
    int64_t length = s->f->length;
    MARY_TRY(gradient(s, c, own));
    bool any = true;
    for (int pass = 0; pass < DESCENTS && any; pass++) {
        any = false;
        for (int64_t k = length; k-- > 0;) {
            const float *h = c->moment + k * length;
            for (int64_t r = 0; r < c->rows; r++) {
                const float *levels = levels_of(s, c->first + r);
                uint8_t *code = &s->codes[(c->first + r) * length + k];
                float *sums = own->sums + r * length, now = levels[*code];
                int best = nearest(levels, s->count, now - sums[k] / h[k]);
                float change = levels[best] - now;
                if (best == *code || change == 0)
                    continue;
                double gain = (double)change * (2 * (double)sums[k] + (double)change * (double)h[k]);
                if (!(gain < -1e-6 * s->errors[c->first + r]))
                    continue; /* rounding, not progress */
                s->errors[c->first + r] += gain;
                *code = (uint8_t)best;
                any = true;
                mary_dense_add_scaled(sums, h, change, length);
            }
        }
    }
    return gradient(s, c, own);
}

/* sums[code of k] += rows[k], of SPAN floats each. */
static inline __attribute__((always_inline)) void sum_by_code_body(float *sums, const float *rows, const uint8_t *codes,
                                                                   int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        float *to = sums + codes[k] * SPAN;
        for (int i = 0; i < SPAN; i++)
            to[i] += rows[k * SPAN + i];
    }
}

#if defined(__x86_64__)
static __attribute__((target("avx2"))) void sum_by_code_avx2(float *sums, const float *rows, const uint8_t *codes,
                                                             int64_t count)
{
    sum_by_code_body(sums, rows, codes, count);
}
#endif

static void sum_by_code(float *sums, const float *rows, const uint8_t *codes, int64_t count)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        sum_by_code_avx2(sums, rows, codes, count);
        return;
    }
#endif
    sum_by_code_body(sums, rows, codes, count);
}

/* normal[r] = A^T H A, right[r] = A^T H (w - q) for every row of the chunk; `sums` holds (q - w) H. */
static void normal_equations(const search *s, const chunk *c, scratch *own)
{
    int64_t length = s->f->length, count = s->count;
    memset(own->normal, 0, (size_t)(c->rows * count * count) * sizeof *own->normal);
    memset(own->right, 0, (size_t)(c->rows * count) * sizeof *own->right);
    for (int64_t begin = 0; begin < length; begin += SPAN) {
        int64_t width = length - begin < SPAN ? length - begin : SPAN;
        memset(own->span, 0, (size_t)(length * SPAN) * sizeof *own->span);
        for (int64_t k = 0; k < length; k++)
            memcpy(own->span + k * SPAN, c->moment + k * length + begin, (size_t)width * sizeof *own->span);
        for (int64_t r = 0; r < c->rows; r++) {
            const uint8_t *codes = s->codes + (c->first + r) * length;
            memset(own->by_code, 0, (size_t)(count * SPAN) * sizeof *own->by_code);
            sum_by_code(own->by_code, own->span, codes, length);
            double *normal = own->normal + r * count * count;
            for (int64_t i = 0; i < width; i++) {
                double *row = normal + codes[begin + i] * count;
                for (int64_t m = 0; m < count; m++)
                    row[m] += (double)own->by_code[m * SPAN + i];
            }
        }
    }
    for (int64_t r = 0; r < c->rows; r++) {
        const uint8_t *codes = s->codes + (c->first + r) * length;
        for (int64_t k = 0; k < length; k++)
            own->right[r * count + codes[k]] -= (double)own->sums[r * length + k];
    }
}

/* normal x = right with a trace of a ridge, so that levels that no weight has stay where they are. Destroys both. */
static void solve_levels(double *normal, double *right, int count, double *x)
{
    double trace = 0;
    for (int m = 0; m < count; m++)
        trace += normal[m * count + m];
    for (int m = 0; m < count; m++)
        normal[m * count + m] = normal[m * count + m] * (1 + 1e-9) + 1e-9 * trace / count + 1e-300;
    for (int i = 0; i < count; i++) { /* Cholesky in the lower triangle; the ridge keeps it positive */
        for (int j = 0; j <= i; j++) {
            double sum = normal[i * count + j];
            for (int k = 0; k < j; k++)
                sum -= normal[i * count + k] * normal[j * count + k];
            if (i == j)
                normal[i * count + i] = sqrt(sum > 1e-12 * trace / count ? sum : trace + 1e-150);
            else
                normal[i * count + j] = sum / normal[j * count + j];
        }
    }
    for (int i = 0; i < count; i++) {
        double sum = right[i];
        for (int k = 0; k < i; k++)
            sum -= normal[i * count + k] * x[k];
        x[i] = sum / normal[i * count + i];
    }
    for (int i = count; i-- > 0;) {
        double sum = x[i];
        for (int k = i + 1; k < count; k++)
            sum -= normal[k * count + i] * x[k];
        x[i] = sum / normal[i * count + i];
    }
}

/* levels += x, rounded and ascending again; the codes of `rows` rows follow. */
static void move_levels(const search *s, float *levels, const double *x, uint8_t *codes, int64_t rows)
{
    int origin[256];
    uint8_t place[256];
    bool same = true;
    for (int m = 0; m < s->count; m++) {
        float level = mary_quantize_round((double)levels[m] + x[m], s->type);
        int at = m;
        for (; at > 0 && levels[at - 1] > level; at--) {
            levels[at] = levels[at - 1];
            origin[at] = origin[at - 1];
            same = false;
        }
        levels[at] = level;
        origin[at] = m;
    }
    if (same)
        return;
    for (int m = 0; m < s->count; m++)
        place[origin[m]] = (uint8_t)m;
    for (int64_t i = 0; i < rows * s->f->length; i++)
        codes[i] = place[codes[i]];
}

static void refit(const search *s, const chunk *c, int64_t number, scratch *own)
{
    int64_t squares = (int64_t)s->count * s->count;
    normal_equations(s, c, own);
    if (!s->shared) {
        for (int64_t r = 0; r < c->rows; r++) {
            solve_levels(own->normal + r * squares, own->right + r * s->count, s->count, own->solution);
            move_levels(s, s->levels + (c->first + r) * s->count, own->solution,
                        s->codes + (c->first + r) * s->f->length, 1);
        }
        return;
    }
    for (int64_t r = 0; r < c->rows; r++) {
        for (int64_t i = 0; i < squares; i++)
            s->normal[number * squares + i] += own->normal[r * squares + i];
        for (int64_t i = 0; i < s->count; i++)
            s->right[number * s->count + i] += own->right[r * s->count + i];
    }
}

static void scratch_free(scratch *own)
{
    mary_free(own->errors_down);
    mary_free(own->sums);
    mary_free(own->span);
    mary_free(own->by_code);
    mary_free(own->normal);
    mary_free(own->right);
    mary_free(own->solution);
}

static mary_status scratch_create(const search *s, int steps, scratch *own)
{
    size_t length = (size_t)s->f->length, count = (size_t)s->count;
    bool refits = (steps & REFIT) != 0;
    *own = (scratch){.errors_down = mary_alloc_aligned(length * CHUNK * sizeof(float)),
                     .sums = mary_alloc_aligned(length * CHUNK * sizeof(float)),
                     .span = mary_alloc_aligned(refits ? length * SPAN * sizeof(float) : 1),
                     .by_code = mary_alloc_aligned(refits ? count * SPAN * sizeof(float) : 1),
                     .normal = mary_alloc(refits ? CHUNK * count * count * sizeof(double) : 1),
                     .right = mary_alloc(CHUNK * count * sizeof(double)),
                     .solution = mary_alloc(count * sizeof(double))};
    if (own->errors_down != NULL && own->sums != NULL && own->span != NULL && own->by_code != NULL &&
        own->normal != NULL && own->right != NULL && own->solution != NULL)
        return MARY_OK;
    scratch_free(own);
    return mary_fail_memory(length * CHUNK * sizeof(float));
}

static mary_status work(const search *s, int64_t number, int steps, scratch *own)
{
    const mary_feedback *f = s->f;
    int64_t inside = number % s->chunks_a_group * s->chunk_rows;
    chunk c = {.group = number / s->chunks_a_group};
    c.first = c.group * f->rows + inside;
    c.rows = f->rows - inside < s->chunk_rows ? f->rows - inside : s->chunk_rows;
    c.moment = f->moment + c.group * f->length * f->length;
    c.factor = f->factor + c.group * f->length * f->length;
    if ((steps & NEAREST) != 0)
        code_nearest(s, &c);
    if ((steps & SWEEP) != 0)
        MARY_TRY(sweep(s, &c, own));
    if ((steps & DESCEND) != 0)
        MARY_TRY(descend(s, &c, own));
    if ((steps & (MEASURE | REFIT)) != 0)
        MARY_TRY(gradient(s, &c, own));
    if ((steps & REFIT) != 0)
        refit(s, &c, number, own);
    return MARY_OK;
}

/* All chunks through these steps; s->errors are those of the codes, before levels are refitted. */
static mary_status run(const search *s, int steps)
{
    int64_t chunks = s->f->groups * s->chunks_a_group, squares = (int64_t)s->count * s->count;
    int threads = chunks < s->f->threads ? (int)chunks : s->f->threads;
    _Atomic int failed = MARY_OK;
    if (s->shared && (steps & REFIT) != 0) {
        memset(s->normal, 0, (size_t)(chunks * squares) * sizeof *s->normal);
        memset(s->right, 0, (size_t)(chunks * s->count) * sizeof *s->right);
    }
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        scratch own;
        mary_status status = scratch_create(s, steps, &own);
        if (status != MARY_OK)
            atomic_store(&failed, (int)status);
#pragma omp for schedule(dynamic)
        for (int64_t number = 0; number < chunks; number++) {
            if (atomic_load_explicit(&failed, memory_order_relaxed) != MARY_OK)
                continue;
            mary_status one = work(s, number, steps, &own);
            if (one != MARY_OK)
                atomic_store(&failed, (int)one);
        }
        if (status == MARY_OK)
            scratch_free(&own);
    }
    if (failed != MARY_OK)
        return mary_fail((mary_status)failed, "error feedback for %lld rows of %lld weights failed: out of memory",
                         (long long)(s->f->groups * s->f->rows), (long long)s->f->length);
    if (s->shared && (steps & REFIT) != 0) {
        for (int64_t number = 1; number < chunks; number++) {
            for (int64_t i = 0; i < squares; i++)
                s->normal[i] += s->normal[number * squares + i];
            for (int64_t i = 0; i < s->count; i++)
                s->right[i] += s->right[number * s->count + i];
        }
        double x[256];
        solve_levels(s->normal, s->right, s->count, x);
        move_levels(s, s->levels, x, s->codes, s->f->groups * s->f->rows);
    }
    return MARY_OK;
}

/* ---- the best so far, row by row, or as a whole when levels are shared ---- */

typedef struct best {
    float *levels;
    uint8_t *codes;
    double *errors;
    bool any; /* something was kept: until then nothing here is defined */
} best;

static void best_free(best *b)
{
    mary_free(b->levels);
    mary_free(b->codes);
    mary_free(b->errors);
    *b = (best){0};
}

static mary_status best_create(const search *s, best *b)
{
    size_t rows = (size_t)(s->f->groups * s->f->rows), sets = s->shared ? 1 : rows;
    *b = (best){.levels = mary_alloc(sets * (size_t)s->count * sizeof *b->levels),
                .codes = mary_alloc(rows * (size_t)s->f->length),
                .errors = mary_alloc(rows * sizeof *b->errors)};
    if (b->levels == NULL || b->codes == NULL || b->errors == NULL) {
        best_free(b);
        return mary_fail_memory(rows * (size_t)s->f->length);
    }
    for (size_t r = 0; r < rows; r++)
        b->errors[r] = INFINITY;
    return MARY_OK;
}

/* Rows [first, first + rows) with all that belongs to them; the set of levels is that of row `first`. */
static void copy_rows(const search *s, float *to_levels, uint8_t *to_codes, double *to_errors, const float *levels,
                      const uint8_t *codes, const double *errors, int64_t first, int64_t rows)
{
    int64_t length = s->f->length, set = s->shared ? 0 : first * s->count;
    memcpy(to_levels + set, levels + set, (size_t)s->count * sizeof *levels);
    memcpy(to_codes + first * length, codes + first * length, (size_t)(rows * length));
    memcpy(to_errors + first, errors + first, (size_t)rows * sizeof *errors);
}

/* Keeps what is better now; returns whether anything was. */
static bool best_keep(const search *s, best *b)
{
    int64_t all = s->f->groups * s->f->rows, step = s->shared ? all : 1;
    bool better = false;
    for (int64_t r = 0; r < all; r += step) {
        double now = 0, before = 0;
        for (int64_t i = r; i < r + step; i++) {
            now += s->errors[i];
            before += b->errors[i];
        }
        if (b->any && !(now < before))
            continue; /* errors beyond the range of double are not less than anything */
        better = better || !(now > before * (1 - 1e-5));
        copy_rows(s, b->levels, b->codes, b->errors, s->levels, s->codes, s->errors, r, step);
    }
    b->any = true;
    return better;
}

static void best_restore(const search *s, const best *b)
{
    int64_t all = s->f->groups * s->f->rows, step = s->shared ? all : 1;
    for (int64_t r = 0; r < all; r += step)
        copy_rows(s, s->levels, s->codes, s->errors, b->levels, b->codes, b->errors, r, step);
}

static mary_status first_levels(const search *s)
{
    const mary_feedback *f = s->f;
    int64_t all = f->groups * f->rows, sets = s->shared ? 1 : all;
    _Atomic int failed = MARY_OK;
    float *importance = NULL;
    if (s->shared) {
        importance = mary_alloc((size_t)(all * f->length) * sizeof *importance);
        if (importance == NULL)
            return mary_fail_memory((size_t)(all * f->length) * sizeof *importance);
        for (int64_t r = 0; r < all; r++)
            memcpy(importance + r * f->length, f->importance + r / f->rows * f->length,
                   (size_t)f->length * sizeof *importance);
    }
#pragma omp parallel for schedule(dynamic) num_threads(f->threads) if (sets > 1 && f->threads > 1)
    for (int64_t r = 0; r < sets; r++) {
        mary_quantize_input input = {.values = f->target + r * f->length,
                                     .importance = s->shared ? importance : f->importance + r / f->rows * f->length,
                                     .count = s->shared ? all * f->length : f->length};
        double levels[256];
        mary_status status = mary_quantize_kmeans(&input, s->count, levels);
        if (status != MARY_OK)
            atomic_store(&failed, (int)status);
        for (int m = 0; status == MARY_OK && m < s->count; m++)
            s->levels[r * s->count + m] = mary_quantize_round(levels[m], s->type);
    }
    mary_free(importance);
    return failed == MARY_OK ? MARY_OK : mary_fail_memory((size_t)f->length);
}

static mary_status find(const search *s, bool fixed, best *b)
{
    bool refits = !fixed && s->count <= MOST_REFITTED;
    if (!fixed)
        MARY_TRY(first_levels(s));
    MARY_TRY(run(s, NEAREST | DESCEND));
    best_keep(s, b);
    for (int i = 0; i < (refits ? SWEEPS : 1); i++) {
        if (refits && i > 0)
            MARY_TRY(run(s, REFIT));
        MARY_TRY(run(s, SWEEP | DESCEND));
        best_keep(s, b);
    }
    best_restore(s, b);
    for (int i = 0; i < POLISHES && refits; i++) {
        MARY_TRY(run(s, REFIT));
        MARY_TRY(run(s, DESCEND));
        if (!best_keep(s, b))
            break;
    }
    return MARY_OK;
}

/* Both ways of asking: levels are the caller's (fixed), or found. */
static mary_status solve(const mary_feedback *f, mary_feedback_codes *result, bool fixed)
{
    mary_status status = MARY_OK;
    int64_t all = f->groups * f->rows;
    search s = {
        .f = f, .count = result->count, .shared = result->shared, .type = result->type, .levels = result->levels};
    best b = {0};
    s.chunk_rows = (f->rows + 3) / 4; /* few rows: threads share them, the same way whatever their number */
    s.chunk_rows = s.chunk_rows < CHUNK ? s.chunk_rows : CHUNK;
    s.chunks_a_group = (f->rows + s.chunk_rows - 1) / s.chunk_rows;
    s.codes = mary_alloc((size_t)(all * f->length));
    s.errors = mary_alloc((size_t)all * sizeof *s.errors);
    if (s.codes == NULL || s.errors == NULL) {
        status = mary_fail_memory((size_t)(all * f->length));
        goto done;
    }
    if (s.shared) {
        size_t chunks = (size_t)(f->groups * s.chunks_a_group), count = (size_t)s.count;
        s.normal = mary_alloc(chunks * count * count * sizeof *s.normal);
        s.right = mary_alloc(chunks * count * sizeof *s.right);
        if (s.normal == NULL || s.right == NULL) {
            status = mary_fail_memory(chunks * count * count * sizeof *s.normal);
            goto done;
        }
    }
    MARY_TRY_GOTO(best_create(&s, &b), done);
    MARY_TRY_GOTO(find(&s, fixed, &b), done);
    best_restore(&s, &b);
    for (int64_t r = 0; r < all; r++) {
        const int64_t *order = f->order + r / f->rows * f->length;
        for (int64_t k = 0; k < f->length; k++)
            result->codes[r * f->length + order[k]] = s.codes[r * f->length + k];
        if (result->errors != NULL)
            result->errors[r] = s.errors[r];
    }
done:
    mary_free(s.codes);
    mary_free(s.errors);
    mary_free(s.normal);
    mary_free(s.right);
    best_free(&b);
    return status;
}

mary_status mary_feedback_choose(const mary_feedback *feedback, mary_feedback_codes *result)
{
    return solve(feedback, result, false);
}

mary_status mary_feedback_assign(const mary_feedback *feedback, mary_feedback_codes *result)
{
    return solve(feedback, result, true);
}
