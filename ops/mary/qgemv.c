/* Integer products of few pixels: every code is used so rarely that it is decoded where it is used. Threads share
 * panels. */
#include "ops/mary/qgemv.h"

#include <string.h>

#include "onnx/memory.h"
#include "ops/mary/qproduct.h"

enum { GRAIN_MACS = 500000, MOST_COLUMNS = MARY_Q_MOST_STRIPS * MARY_Q_STRIP };

const mary_qgemv_kernels *mary_qgemv_kernels_for(mary_cpu cpu)
{
    const mary_qgemv_kernels *kernels = NULL;
#if defined(__x86_64__)
    if (cpu >= MARY_CPU_AVX2)
        kernels = &mary_qgemv_kernels_avx2;
    if (cpu == MARY_CPU_AVXVNNI)
        kernels = &mary_qgemv_kernels_avxvnni;
    if (cpu == MARY_CPU_AVX512VNNI)
        kernels = &mary_qgemv_kernels_avx512vnni;
#elif defined(__aarch64__)
    if (cpu == MARY_CPU_NEON)
        kernels = &mary_qgemv_kernels_neon;
#else
    (void)cpu;
#endif
    return kernels;
}

bool mary_qgemv_is(const mary_qproduct *product)
{
    const mary_window *v = &product->window;
    bool matrix = v->taps == 1 && v->input_pixels == v->output_pixels;
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        matrix = matrix && v->stride[axis] == 1 && v->pad[axis] == 0;
    return matrix && product->groups == 1 && product->weights->runs == 1 && product->batch <= MARY_QGEMV_MOST_ROWS &&
           product->batch * v->output_pixels <= MARY_QGEMV_MOST_ROWS && mary_qgemv_kernels_for(product->cpu) != NULL;
}

static int64_t padded_depth(const mary_qproduct *p)
{
    return (p->depth + MARY_QGEMV_PADDING - 1) / MARY_QGEMV_PADDING * MARY_QGEMV_PADDING;
}

mary_status mary_qgemv_scratch(const mary_qproduct *product, size_t *bytes)
{
    if (!mary_size_mul((size_t)padded_depth(product), MARY_QGEMV_MOST_ROWS, bytes))
        return mary_fail_memory(SIZE_MAX);
    return MARY_OK;
}

/* Measured: a layer of 4 MB of codes runs within 4 % of its best from the last cache, and a fifth faster from memory.
 */
static int64_t fetch_ahead(const mary_qweights *w)
{
    enum { CACHED_BYTES = 16 << 20 };
    return w->bytes > CACHED_BYTES ? 16384 : 12288;
}

typedef struct few {
    const mary_qproduct *p;
    const mary_qgemv_kernels *kernels;
    const uint8_t *x;
    int64_t x_stride;
    int rows;
} few;

static void finish(const few *f, int64_t row, int64_t count, const int32_t *sums, int64_t sums_stride)
{
    const mary_qproduct *p = f->p;
    const mary_qepilogue *e = p->epilogue;
    for (int i = 0; i < f->rows; i++, sums += sums_stride) {
        uint8_t *out = p->y + i * p->y_stride + row;
        if (!e->has_residual && e->table == NULL) {
            f->kernels->finish(e, row, sums, count, out);
            continue;
        }
        for (int64_t j = 0; j < count; j++) {
            int32_t sum = (int32_t)((uint32_t)sums[j] + (uint32_t)e->bias[row + j]);
            out[j] = mary_qepilogue_apply(e, row + j, sum,
                                          e->has_residual ? p->residual[i * p->residual_stride + row + j] : 0);
        }
    }
}

static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const few *f = context;
    const mary_qweights *w = f->p->weights;
    _Alignas(MARY_ALIGNMENT) int32_t sums[MARY_QGEMV_MOST_ROWS * MOST_COLUMNS];
    const int which = w->bits == 8 ? 3 : w->bits == 4 ? 2 : w->bits - 1;
    (void)thread;
    for (int64_t panel = begin; panel < end; panel++) {
        const int strips = mary_qweights_strips(w, panel);
        const mary_qgemv_call call = {.codes = mary_qweights_codes(w, 0, panel),
                                      .levels = w->bits == 8 ? NULL : mary_qweights_levels(w, 0, panel),
                                      .level_stride = w->level_stride,
                                      .strips = strips,
                                      .quads = w->quads,
                                      .x = f->x,
                                      .x_stride = f->x_stride,
                                      .ahead = fetch_ahead(w),
                                      .rows = f->rows,
                                      .sums = sums};
        f->kernels->multiply[which](&call);
        int64_t row = panel * w->nr, left = w->filters - row;
        finish(f, row, left < w->nr ? left : w->nr, sums, strips * MARY_Q_STRIP);
    }
}

void mary_qgemv_run(const mary_qproduct *product, void *scratch)
{
    const mary_qweights *w = product->weights;
    few f = {.p = product,
             .kernels = mary_qgemv_kernels_for(product->cpu),
             .x = scratch,
             .x_stride = padded_depth(product),
             .rows = (int)(product->batch * product->window.output_pixels)};
    uint8_t *x = scratch;
    for (int i = 0; i < f.rows; i++, x += f.x_stride) {
        if (product->depth > 0)
            memcpy(x, product->x + i * product->x_stride, (size_t)product->depth);
        memset(x + product->depth, 0, (size_t)(f.x_stride - product->depth));
    }
    int64_t macs = w->nr * (product->depth + 1) * f.rows;
    mary_parallel_for(product->parallel, w->group_panels, 1 + GRAIN_MACS / macs, task, &f);
}
