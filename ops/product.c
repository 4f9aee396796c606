/* Cuts a matrix product into jobs of some rows by some panels, and runs the tile kernel over them. */
#include "ops/product.h"

#include <string.h>

#include "onnx/memory.h"

enum {
    SLICE = 256, /* of the depth: a slice of a panel fits into L1 or nearly so, SLICE x BLOCK_ROWS of `a` into L2 */
    BLOCK_ROWS = 192, /* about this many rows of `a` are gathered at a time */
    MOST_PANELS = 16, /* in a job: what one gathering of `a` serves */
    MOST_MR = 32,
    ROW_PADDING = 16, /* floats between gathered rows, so that they do not fall into one set of the cache */
    FEW_ROWS = 8,     /* up to here codes are multiplied in registers, without a panel */
    FEW_CHUNK = 64,   /* columns of such a product at a time */
    GRAIN = 1 << 16   /* products of numbers that are worth a thread */
};

typedef struct product_plan {
    const mary_product *p;
    const mary_tile_kernel *kernel;
    int64_t batch, panels;
    int64_t slice, block_rows; /* of one job's step */
    bool gather;               /* copy `a` to scratch, slice by slice */
    int64_t blocks, chunk, chunks;
    float *gathered; /* few rows times codes: all of `a` when it does not lie in rows */
    size_t gathered_bytes;
    char *threads; /* of thread_bytes each: a block of `a`, then a slice of a panel */
    size_t block_bytes, thread_bytes;
} product_plan;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static bool multiplies_codes(const mary_product *p)
{
    return p->codes != NULL && p->rows <= FEW_ROWS && p->batch_rank == 0;
}

static void plan(const mary_product *p, product_plan *t)
{
    memset(t, 0, sizeof *t);
    t->p = p;
    t->kernel = mary_tile_kernel_for(p->cpu);
    t->batch = 1;
    for (int i = 0; i < p->batch_rank; i++)
        t->batch *= p->batch_dims[i];
    if (multiplies_codes(p)) {
        if (p->a_column != 1)
            t->gathered_bytes = align_up((size_t)(p->rows * p->depth) * sizeof(float));
        return;
    }
    int mr = t->kernel->mr, nr = t->kernel->nr, threads = p->parallel != NULL ? p->parallel->threads : 1;
    t->panels = divide_up(p->columns, nr);
    t->gather = p->rows > mr || p->a_column != 1;
    t->slice = p->panels != NULL && !t->gather ? p->depth : least(p->depth, SLICE);
    t->block_rows = least(p->rows, BLOCK_ROWS / mr * mr);
    t->blocks = t->block_rows > 0 ? divide_up(p->rows, t->block_rows) : 0;
    /* Enough jobs for the threads: fewer panels in each when rows are few. */
    int64_t wanted = divide_up(2 * threads, t->batch * t->blocks > 0 ? t->batch * t->blocks : 1);
    t->chunk = least(MOST_PANELS, divide_up(t->panels, wanted));
    t->chunk = t->chunk < 1 ? 1 : t->chunk;
    t->chunks = divide_up(t->panels, t->chunk);
    if (t->gather)
        t->block_bytes = align_up((size_t)(t->block_rows * (t->slice + ROW_PADDING)) * sizeof(float));
    t->thread_bytes = t->block_bytes;
    if (p->panels == NULL)
        t->thread_bytes += align_up((size_t)(t->slice * nr) * sizeof(float));
}

mary_status mary_product_scratch(const mary_product *product, size_t *bytes)
{
    product_plan t;
    plan(product, &t);
    size_t threads = product->parallel != NULL ? (size_t)product->parallel->threads : 1;
    if (!mary_size_mul(t.thread_bytes, threads, bytes) || !mary_size_add(*bytes, t.gathered_bytes, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* out[i*stride + k] = a[i*a_row + k*a_column] */
static void gather(const mary_product *p, const float *a, int64_t rows, int64_t depth, float *out, int64_t stride)
{
    if (p->a_column == 1) {
        for (int64_t i = 0; i < rows; i++)
            memcpy(out + i * stride, a + i * p->a_row, (size_t)depth * sizeof(float));
        return;
    }
    for (int64_t k = 0; k < depth; k++) {
        const float *from = a + k * p->a_column;
        for (int64_t i = 0; i < rows; i++)
            out[i * stride + k] = from[i * p->a_row];
    }
}

/* A slice of one panel: panel[k*nr + j] = scale * b[k*b_row + j*b_column], zero for j >= n. */
static void pack_slice(const float *b, int64_t b_row, int64_t b_column, int64_t n, int64_t depth, int nr, float scale,
                       float *panel)
{
    if (b_column == 1) {
        for (int64_t k = 0; k < depth; k++, b += b_row, panel += nr) {
            for (int64_t j = 0; j < n; j++)
                panel[j] = scale * b[j];
            for (int64_t j = n; j < nr; j++)
                panel[j] = 0.0f;
        }
        return;
    }
    enum { TILE = 16 }; /* positions of all columns at a time: both sides stay in the cache */
    for (int64_t first = 0; first < depth; first += TILE) {
        int64_t last = least(first + TILE, depth);
        for (int64_t j = 0; j < n; j++) {
            for (int64_t k = first; k < last; k++)
                panel[k * nr + j] = scale * b[k * b_row + j * b_column];
        }
        for (int64_t k = first; k < last; k++) {
            for (int64_t j = n; j < nr; j++)
                panel[k * nr + j] = 0.0f;
        }
    }
}

bool mary_product_panels_size(int64_t columns, int64_t depth, int nr, size_t *floats)
{
    size_t bytes;
    return mary_size_mul((size_t)(divide_up(columns, nr) * nr), (size_t)depth, floats) &&
           mary_size_mul(*floats, 16, &bytes) && bytes <= PTRDIFF_MAX;
}

void mary_product_panels_pack(const float *b, int64_t b_row, int64_t b_column, int64_t columns, int64_t depth, int nr,
                              float scale, float *panels)
{
    for (int64_t j = 0; j < columns; j += nr, panels += depth * nr)
        pack_slice(b + j * b_column, b_row, b_column, least(nr, columns - j), depth, nr, scale, panels);
}

/* One job: rows [row, row + rows) by panels [first, last) of product `n`. */
typedef struct product_job {
    int64_t row, rows, first, last;
    const float *a, *b; /* of this product; b: its panels or its matrix */
    float *out;
    const float *residual;
} product_job;

static const float *find_panel(const product_plan *t, const product_job *job, int64_t panel, int64_t k, int64_t depth,
                               float *decoded)
{
    const mary_product *p = t->p;
    const int nr = t->kernel->nr;
    int64_t column = panel * nr, n = least(nr, p->columns - column);
    if (p->panels != NULL)
        return job->b + (panel * p->depth + k) * nr;
    if (p->codes != NULL)
        mary_weights_decode_panel(p->codes, column, (int)n, k, k + depth, nr, decoded);
    else
        pack_slice(job->b + k * p->b_row + column * p->b_column, p->b_row, p->b_column, n, depth, nr, p->b_scale,
                   decoded);
    return decoded;
}

static void run_job(const product_plan *t, const product_job *job, char *memory)
{
    const mary_product *p = t->p;
    const int mr = t->kernel->mr, nr = t->kernel->nr;
    float *block = (float *)memory, *decoded = (float *)(memory + t->block_bytes);
    const float *pointers[MOST_MR];
    int64_t k = 0;
    do { /* once at least: an empty sum is the bias */
        int64_t depth = least(t->slice, p->depth - k), stride = t->gather ? depth + ROW_PADDING : p->a_row;
        const float *a = job->a + job->row * p->a_row + k * p->a_column;
        if (t->gather) {
            gather(p, a, job->rows, depth, block, stride);
            a = block;
        }
        for (int64_t panel = job->first; panel < job->last; panel++) {
            int64_t column = panel * nr;
            mary_tile_call call = {
                .rows = pointers,
                .taps = 1,
                .depth = depth,
                .panel = find_panel(t, job, panel, k, depth, decoded),
                .bias = p->bias != NULL ? p->bias + column : NULL,
                .residual_stride = p->columns,
                .out_stride = p->columns,
                .n = (int)least(nr, p->columns - column),
                .accumulate = p->accumulate || k > 0,
                .partial = k + depth < p->depth,
                .epilogue = p->epilogue,
            };
            for (int64_t i = 0; i < job->rows; i += mr) {
                int64_t offset = (job->row + i) * p->columns + column;
                call.m = (int)least(mr, job->rows - i);
                for (int r = 0; r < mr; r++)
                    pointers[r] = a + (i + (r < call.m ? r : call.m - 1)) * stride;
                call.out = job->out + offset;
                call.residual = job->residual != NULL ? job->residual + offset : NULL;
                t->kernel->run(&call);
            }
        }
        k += depth;
    } while (k < p->depth);
}

static void tiles_task(void *context, int64_t begin, int64_t end, int thread)
{
    const product_plan *t = context;
    const mary_product *p = t->p;
    char *memory = t->threads != NULL ? t->threads + (size_t)thread * t->thread_bytes : NULL;
    for (int64_t number = begin; number < end; number++) {
        int64_t n = number / (t->blocks * t->chunks), rest = number % (t->blocks * t->chunks);
        int64_t block = rest / t->chunks, chunk = rest % t->chunks, a = 0, b = 0, left = n;
        for (int i = p->batch_rank - 1; i >= 0; i--) {
            a += left % p->batch_dims[i] * p->a_steps[i];
            b += left % p->batch_dims[i] * p->b_steps[i];
            left /= p->batch_dims[i];
        }
        product_job job = {
            .row = block * t->block_rows,
            .rows = least(t->block_rows, p->rows - block * t->block_rows),
            .first = chunk * t->chunk,
            .last = least((chunk + 1) * t->chunk, t->panels),
            .a = p->a + a,
            .out = p->out + n * p->rows * p->columns,
            .residual = p->residual != NULL ? p->residual + n * p->rows * p->columns : NULL,
        };
        if (p->panels != NULL)
            job.b = p->panels + b;
        else if (p->b != NULL)
            job.b = p->b + b;
        run_job(t, &job, memory);
    }
}

/* Few rows times codes: chunks of columns, decoded in registers. */
static void few_task(void *context, int64_t begin, int64_t end, int thread)
{
    const product_plan *t = context;
    const mary_product *p = t->p;
    const float *a = t->gathered != NULL ? t->gathered : p->a;
    int64_t stride = t->gathered != NULL ? p->depth : p->a_row;
    (void)thread;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        float sums[FEW_ROWS][FEW_CHUNK];
        int64_t column = chunk * FEW_CHUNK, count = least(FEW_CHUNK, p->columns - column);
        mary_weights_multiply(p->codes, a, stride, (int)p->rows, column, count, sums[0] - column, FEW_CHUNK);
        for (int64_t i = 0; i < p->rows; i++) {
            float *out = p->out + i * p->columns + column;
            const float *first = p->accumulate ? out : p->bias != NULL ? p->bias + column : NULL;
            const float *residual = p->residual != NULL ? p->residual + i * p->columns + column : NULL;
            for (int64_t j = 0; j < count; j++) {
                float sum = sums[i][j] + (first != NULL ? first[j] : 0.0f);
                out[j] = sum + (residual != NULL ? residual[j] : 0.0f);
            }
            if (p->epilogue != NULL && p->epilogue->activation != MARY_ACTIVATION_NONE)
                mary_activation_apply(p->epilogue, out, count, p->cpu);
        }
    }
}

void mary_product_run(const mary_product *product, void *scratch)
{
    product_plan t;
    plan(product, &t);
    if (t.batch == 0 || product->rows == 0 || product->columns == 0)
        return;
    if (multiplies_codes(product)) {
        if (t.gathered_bytes > 0) {
            t.gathered = scratch;
            gather(product, product->a, product->rows, product->depth, t.gathered, product->depth);
        }
        int64_t work = product->rows * product->depth * FEW_CHUNK;
        mary_parallel_for(product->parallel, divide_up(product->columns, FEW_CHUNK), 1 + GRAIN / (work + 1), few_task,
                          &t);
        return;
    }
    t.threads = t.thread_bytes > 0 ? scratch : NULL;
    int64_t work = t.block_rows * (product->depth + 1) * t.chunk * t.kernel->nr;
    mary_parallel_for(product->parallel, t.batch * t.blocks * t.chunks, 1 + GRAIN / (work + 1), tiles_task, &t);
}

const char *mary_product_kernel(const mary_product *product)
{
    return mary_tile_kernel_for(product->cpu)->name;
}
