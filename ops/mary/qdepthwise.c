/* Integer depthwise convolution: one channel in, one out, a group. Jobs are output rows; of each, a block of channels
 * at a time and so many pixels that their interleaved columns stay in the first-level cache. */
#include "ops/mary/qdepthwise.h"

#include <string.h>

#include "onnx/memory.h"
#include "ops/mary/qproduct.h"
#include "ops/qlinear.h"

enum { COLUMN_BYTES = 24 * 1024, GRAIN_MACS = 200000, LINES = 4 /* of a group */ };

struct mary_qdepthwise {
    const mary_qdepthwise_kernels *kernels; /* NULL: plain loops */
    mary_table_function *table;
    int64_t channels, taps;
    int64_t rows, width; /* kernel lines of all planes, columns */
    int8_t *weights;     /* [taps][channels]: codes of so few weights save nothing */
    int8_t *packed;      /* [blocks][width][groups][4][block], see qdepthwise.h; NULL without kernels */
    size_t block_bytes;
};

const mary_qdepthwise_kernels *mary_qdepthwise_kernels_for(mary_cpu cpu)
{
    const mary_qdepthwise_kernels *kernels = NULL;
#if defined(__x86_64__)
    if (cpu >= MARY_CPU_AVX2)
        kernels = &mary_qdepthwise_kernels_avx2;
    if (cpu == MARY_CPU_AVXVNNI)
        kernels = &mary_qdepthwise_kernels_avxvnni;
    if (cpu == MARY_CPU_AVX512VNNI)
        kernels = &mary_qdepthwise_kernels_avx512vnni;
#elif defined(__aarch64__)
    if (cpu == MARY_CPU_NEON)
        kernels = &mary_qdepthwise_kernels_neon;
#else
    (void)cpu;
#endif
    return kernels;
}

/* ---- packing ---- */

/* The line and column of byte t of the packed operand at `position`; false: there is none, and the weight is 0. */
static bool place_of(int64_t rows, int64_t width, int64_t position, int64_t t, int64_t *row, int64_t *column)
{
    int64_t groups = mary_qdepthwise_groups(rows);
    if (mary_qdepthwise_is_five(rows, width)) {
        *row = position < width ? t : LINES;
        *column = position < width ? position : LINES * (position - width) + t;
    } else {
        *row = LINES * (position % groups) + t;
        *column = position / groups;
    }
    return *row < rows && *column < width;
}

void mary_qdepthwise_pack(int block, int fold, const int8_t *weights, int64_t channels, int64_t stride, int64_t rows,
                          int64_t width, int8_t *packed)
{
    int64_t positions = width * mary_qdepthwise_groups(rows);
    for (int64_t i = 0; i < positions * LINES; i++) {
        int64_t row, column;
        const bool there = place_of(rows, width, i / LINES, i % LINES, &row, &column);
        int8_t *to = packed + i / LINES * LINES * block + i % LINES;
        for (int k = 0; k < block; k++) {
            int v = k % 16 / 4, lane = k / 16, dword = k % 4, channel = k % (block / fold);
            to[v * block + 16 * lane + 4 * dword] =
                there && channel < channels ? weights[(row * width + column) * stride + channel] : 0;
        }
    }
}

static mary_status pack(mary_qdepthwise *d)
{
    const int block = d->kernels->block;
    size_t bytes, blocks = ((size_t)d->channels + (size_t)block - 1) / (size_t)block;
    if (!mary_size_mul((size_t)d->width * (size_t)mary_qdepthwise_groups(d->rows), (size_t)(LINES * block),
                       &d->block_bytes) ||
        !mary_size_mul(d->block_bytes, blocks, &bytes))
        return mary_fail_memory(SIZE_MAX);
    d->packed = mary_alloc_aligned(bytes);
    if (d->packed == NULL)
        return mary_fail_memory(bytes);
    for (int64_t i = 0; i < (int64_t)blocks; i++) {
        int64_t left = d->channels - i * block;
        /* Weights of few channels are repeated, whether rows will be folded or not. */
        int fold = left <= block / 4 ? 4 : left <= block / 2 ? 2 : 1;
        mary_qdepthwise_pack(block, fold, d->weights + i * block, left, d->channels, d->rows, d->width,
                             d->packed + (size_t)i * d->block_bytes);
    }
    return MARY_OK;
}

mary_status mary_qdepthwise_create(const mary_qsource *source, int64_t width, mary_cpu cpu, mary_qdepthwise **depthwise)
{
    size_t bytes;
    *depthwise = NULL;
    if (!mary_size_mul((size_t)source->rows, (size_t)source->row_length, &bytes) || bytes > PTRDIFF_MAX / 64)
        return mary_fail_memory(SIZE_MAX);
    mary_qdepthwise *d = mary_calloc(1, sizeof *d);
    if (d == NULL)
        return mary_fail_memory(sizeof *d);
    d->channels = source->rows;
    d->taps = source->row_length;
    d->width = width;
    d->rows = width > 0 ? d->taps / width : 0;
    d->kernels = mary_qdepthwise_kernels_for(cpu);
    d->table = mary_table_function_for(cpu);
    mary_status status = MARY_OK;
    d->weights = mary_alloc_aligned(bytes);
    if (d->weights == NULL) {
        status = mary_fail_memory(bytes);
    } else {
        for (int64_t tap = 0; tap < d->taps; tap++) {
            for (int64_t channel = 0; channel < d->channels; channel++)
                d->weights[tap * d->channels + channel] = mary_qsource_level(source, channel, tap);
        }
    }
    if (status == MARY_OK && d->kernels != NULL)
        status = pack(d);
    if (status != MARY_OK)
        mary_qdepthwise_free(&d);
    *depthwise = d;
    return status;
}

void mary_qdepthwise_free(mary_qdepthwise **depthwise)
{
    if (*depthwise != NULL) {
        mary_free((*depthwise)->weights);
        mary_free((*depthwise)->packed);
    }
    mary_free(*depthwise);
    *depthwise = NULL;
}

const char *mary_qdepthwise_kernel_name(const mary_qdepthwise *depthwise)
{
    return depthwise->kernels != NULL ? depthwise->kernels->name : "int8 depthwise scalar";
}

/* ---- plain loops: the definition, and what the kernels leave ---- */

/* Sum of one output; what is outside the image counts as the zero point. */
static int32_t sum_of(const mary_qproduct *p, const uint8_t *image, const int64_t first[MARY_WINDOW_AXES],
                      int64_t channel)
{
    const mary_window *v = &p->window;
    const int8_t *w = p->depthwise->weights + channel;
    uint32_t sum = (uint32_t)p->epilogue->bias[channel];
    for (int64_t tap = 0; tap < v->taps; tap++, w += p->depthwise->channels) {
        int64_t d = first[0] + tap / (v->kernel[1] * v->kernel[2]) * v->dilation[0];
        int64_t h = first[1] + tap / v->kernel[2] % v->kernel[1] * v->dilation[1];
        int64_t i = first[2] + tap % v->kernel[2] * v->dilation[2];
        bool inside = d >= 0 && d < v->input[0] && h >= 0 && h < v->input[1] && i >= 0 && i < v->input[2];
        int32_t x = inside ? image[((d * v->input[1] + h) * v->input[2] + i) * p->x_stride + channel] : p->x_zero;
        sum += (uint32_t)(x * *w);
    }
    return (int32_t)sum;
}

static void plain_row(const mary_qproduct *p, int64_t row)
{
    const mary_window *v = &p->window;
    int64_t image = row / v->output[1] / v->output[0];
    for (int64_t column = 0; column < v->output[2]; column++) {
        const int64_t position[MARY_WINDOW_AXES] = {row / v->output[1] % v->output[0], row % v->output[1], column};
        int64_t first[MARY_WINDOW_AXES], pixel = row * v->output[2] + column;
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
            first[axis] = position[axis] * v->stride[axis] - v->pad[axis];
        for (int64_t channel = 0; channel < p->groups; channel++) {
            int32_t sum = sum_of(p, p->x + image * v->input_pixels * p->x_stride, first, channel);
            uint8_t residual = p->epilogue->has_residual ? p->residual[pixel * p->residual_stride + channel] : 0;
            p->y[pixel * p->y_stride + channel] = mary_qepilogue_apply(p->epilogue, channel, sum, residual);
        }
    }
}

/* ---- kernels ---- */

typedef struct rows {
    const mary_qproduct *p;
    int64_t pixels; /* of an output row at once; 0: plain loops */
    int64_t count;  /* output rows of the batch */
    int fold;       /* rows of a job: the last channels of so many are done together */
    size_t columns_bytes, lines_bytes;
    char *scratch; /* of each thread: columns, pointers to lines */
} rows;

static size_t align_up(size_t bytes)
{
    return (bytes + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

static mary_status plan(const mary_qproduct *p, rows *r)
{
    const mary_qdepthwise *d = p->depthwise;
    const mary_window *v = &p->window;
    *r = (rows){.p = p, .count = p->batch * v->output[0] * v->output[1], .fold = 1};
    if (d->kernels == NULL || p->epilogue->has_residual || v->output[2] == 0)
        return MARY_OK;
    const int block = d->kernels->block, last = (int)((d->channels - 1) % block) + 1;
    r->fold = d->kernels->fold(last, d->rows, d->width, v->stride[2], v->dilation[2]);
    size_t column = (size_t)mary_qdepthwise_groups(d->rows) * (size_t)(LINES * block), span;
    int64_t extent = (d->width - 1) * v->dilation[2] + 1, most = COLUMN_BYTES / (int64_t)column;
    r->pixels = most > extent ? (most - extent) / v->stride[2] + 1 : 1;
    r->pixels = r->pixels < 8 ? 8 : r->pixels; /* else columns are interleaved again for every few pixels */
    r->pixels = r->pixels < v->output[2] ? r->pixels : v->output[2];
    if (!mary_size_mul((size_t)(r->pixels - 1), (size_t)v->stride[2], &span) ||
        !mary_size_mul(span + (size_t)extent, column, &r->columns_bytes) ||
        !mary_size_mul((size_t)d->rows, MARY_QDEPTHWISE_FOLD * sizeof(uint8_t *), &r->lines_bytes) ||
        r->columns_bytes > PTRDIFF_MAX / 8)
        return mary_fail_memory(SIZE_MAX);
    if (r->columns_bytes > (size_t)COLUMN_BYTES * 64) { /* a dilation or stride that large */
        r->pixels = 0;
        r->fold = 1;
        r->columns_bytes = 0;
    }
    r->columns_bytes = align_up(r->columns_bytes);
    r->lines_bytes = align_up(r->lines_bytes);
    return MARY_OK;
}

mary_status mary_qdepthwise_scratch(const mary_qproduct *product, size_t *bytes)
{
    rows r;
    MARY_TRY(plan(product, &r));
    int threads = product->parallel != NULL ? product->parallel->threads : 1;
    if (!mary_size_mul(r.columns_bytes + r.lines_bytes, (size_t)threads, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* Pointers to the input lines that the window of output row `row` covers. */
static void find_lines(const mary_qproduct *p, int64_t row, int64_t channel, const uint8_t **lines)
{
    const mary_window *v = &p->window;
    int64_t image = row / v->output[1] / v->output[0];
    int64_t od = row / v->output[1] % v->output[0], oh = row % v->output[1];
    for (int64_t kd = 0; kd < v->kernel[0]; kd++) {
        int64_t d = od * v->stride[0] - v->pad[0] + kd * v->dilation[0];
        for (int64_t kh = 0; kh < v->kernel[1]; kh++) {
            int64_t h = oh * v->stride[1] - v->pad[1] + kh * v->dilation[1];
            bool inside = d >= 0 && d < v->input[0] && h >= 0 && h < v->input[1];
            int64_t line = image * v->input_pixels + (d * v->input[1] + h) * v->input[2];
            *lines++ = inside ? p->x + line * p->x_stride + channel : NULL;
        }
    }
}

static void apply_table(const mary_qproduct *p, int64_t pixel, int64_t pixels)
{
    mary_table_function *look_up = p->depthwise->table;
    uint8_t *y = p->y + pixel * p->y_stride;
    if (p->y_stride == p->groups) {
        look_up(p->epilogue->table, y, y, pixels * p->groups);
        return;
    }
    for (int64_t i = 0; i < pixels; i++, y += p->y_stride)
        look_up(p->epilogue->table, y, y, p->groups);
}

/* Channels [channel, channel + call->channels) of rows [row, row + some), some <= call->fold; the rows that are missing
 * are computed and thrown away. */
static void kernel_block(const rows *r, mary_qdepthwise_call *call, int64_t row, int64_t some, int64_t channel,
                         const uint8_t **lines)
{
    const mary_qproduct *p = r->p;
    const mary_qdepthwise *d = p->depthwise;
    const mary_window *v = &p->window;
    uint8_t nowhere[64];
    call->lines = lines;
    call->weights = d->packed + (size_t)(channel / d->kernels->block) * d->block_bytes;
    call->channel = channel;
    for (int f = 0; f < call->fold; f++) {
        if (f < some)
            find_lines(p, row + f, channel, lines + f * d->rows);
        for (int64_t i = 0; f >= some && i < d->rows; i++)
            lines[f * d->rows + i] = NULL;
    }
    for (int64_t pixel = 0; pixel < v->output[2]; pixel += r->pixels) {
        call->pixels = v->output[2] - pixel < r->pixels ? v->output[2] - pixel : r->pixels;
        call->first = pixel * v->stride[2] - v->pad[2];
        for (int f = 0; f < call->fold; f++) {
            call->y[f] = f < some ? p->y + ((row + f) * v->output[2] + pixel) * p->y_stride + channel : nowhere;
            call->y_stride[f] = f < some ? p->y_stride : 0;
        }
        d->kernels->run(call);
    }
}

/* Rows [row, row + some), some <= fold. */
static void kernel_rows(const rows *r, int64_t row, int64_t some, const uint8_t **lines, uint8_t *columns)
{
    const mary_qproduct *p = r->p;
    const mary_qdepthwise *d = p->depthwise;
    const mary_window *v = &p->window;
    const int block = d->kernels->block;
    mary_qdepthwise_call call = {.rows = (int)d->rows,
                                 .taps = d->width,
                                 .stride = v->stride[2],
                                 .dilation = v->dilation[2],
                                 .width = v->input[2],
                                 .x_stride = p->x_stride,
                                 .x_zero = p->x_zero,
                                 .epilogue = p->epilogue,
                                 .columns = columns};
    const int64_t folded = r->fold > 1 ? (p->groups - 1) / block * block : p->groups; /* channels from here on are */
    for (int64_t i = 0; i < some; i++) {
        for (int64_t channel = 0; channel < folded; channel += block) {
            call.fold = 1;
            call.channels = p->groups - channel < block ? (int)(p->groups - channel) : block;
            kernel_block(r, &call, row + i, 1, channel, lines);
        }
    }
    if (folded < p->groups) {
        call.fold = r->fold;
        call.channels = (int)(p->groups - folded);
        kernel_block(r, &call, row, some, folded, lines);
    }
    if (p->epilogue->table != NULL)
        apply_table(p, row * v->output[2], some * v->output[2]);
}

/* Jobs are groups of `fold` rows. */
static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const rows *r = context;
    char *scratch = r->scratch + (size_t)thread * (r->columns_bytes + r->lines_bytes);
    for (int64_t job = begin; job < end; job++) {
        int64_t row = job * r->fold, some = r->count - row < r->fold ? r->count - row : r->fold;
        if (r->pixels == 0)
            plain_row(r->p, row);
        else
            kernel_rows(r, row, some, (const uint8_t **)(void *)(scratch + r->columns_bytes), (uint8_t *)scratch);
    }
}

void mary_qdepthwise_run(const mary_qproduct *product, void *scratch)
{
    const mary_window *v = &product->window;
    rows r;
    if (plan(product, &r) != MARY_OK) /* then mary_qdepthwise_scratch failed, too */
        return;
    r.scratch = scratch;
    int64_t macs = product->groups * v->taps * v->output[2] * r.fold;
    mary_parallel_for(product->parallel, (r.count + r.fold - 1) / r.fold, 1 + GRAIN_MACS / (macs + 1), task, &r);
}
