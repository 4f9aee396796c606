/* Integer depthwise convolution: one channel in, one out, a group. */
#include "ops/mary/qproduct.h"

#include "onnx/memory.h"

struct mary_qdepthwise {
    int64_t channels, taps;
    int8_t *weights; /* [taps][channels]: codes of so few weights save nothing */
};

mary_status mary_qdepthwise_create(const mary_qsource *source, mary_cpu cpu, mary_qdepthwise **depthwise)
{
    size_t bytes;
    *depthwise = NULL;
    (void)cpu;
    if (!mary_size_mul((size_t)source->rows, (size_t)source->row_length, &bytes))
        return mary_fail_memory(SIZE_MAX);
    mary_qdepthwise *d = mary_calloc(1, sizeof *d);
    if (d == NULL)
        return mary_fail_memory(sizeof *d);
    d->channels = source->rows;
    d->taps = source->row_length;
    d->weights = mary_alloc_aligned(bytes);
    if (d->weights == NULL) {
        mary_qdepthwise_free(&d);
        return mary_fail_memory(bytes);
    }
    for (int64_t tap = 0; tap < d->taps; tap++) {
        for (int64_t channel = 0; channel < d->channels; channel++)
            d->weights[tap * d->channels + channel] = mary_qsource_level(source, channel, tap);
    }
    *depthwise = d;
    return MARY_OK;
}

void mary_qdepthwise_free(mary_qdepthwise **depthwise)
{
    if (*depthwise != NULL)
        mary_free((*depthwise)->weights);
    mary_free(*depthwise);
    *depthwise = NULL;
}

const char *mary_qdepthwise_kernel_name(const mary_qdepthwise *depthwise)
{
    (void)depthwise;
    return "int8 depthwise scalar";
}

mary_status mary_qdepthwise_scratch(const mary_qproduct *product, size_t *bytes)
{
    (void)product;
    *bytes = 0;
    return MARY_OK;
}

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

/* Jobs are output pixels. */
static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const mary_qproduct *p = context;
    const mary_window *v = &p->window;
    (void)thread;
    for (int64_t pixel = begin; pixel < end; pixel++) {
        const int64_t image = pixel / v->output_pixels, at = pixel % v->output_pixels;
        const int64_t position[MARY_WINDOW_AXES] = {at / v->output[2] / v->output[1], at / v->output[2] % v->output[1],
                                                    at % v->output[2]};
        int64_t first[MARY_WINDOW_AXES];
        for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
            first[axis] = position[axis] * v->stride[axis] - v->pad[axis];
        for (int64_t channel = 0; channel < p->groups; channel++) {
            int32_t sum = sum_of(p, p->x + image * v->input_pixels * p->x_stride, first, channel);
            uint8_t residual = p->epilogue->has_residual ? p->residual[pixel * p->residual_stride + channel] : 0;
            p->y[pixel * p->y_stride + channel] = mary_qepilogue_apply(p->epilogue, channel, sum, residual);
        }
    }
}

void mary_qdepthwise_run(const mary_qproduct *product, void *scratch)
{
    (void)scratch;
    mary_parallel_for(product->parallel, product->batch * product->window.output_pixels, 64, task, (void *)product);
}
