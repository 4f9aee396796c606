/* Gradients of MaxPool, AveragePool and their Global forms. A maximum hands its gradient to the first tap that has it,
 * a mean an equal share to every tap. Images are independent of each other: threads share those. */
#include <string.h>

#include "ops/gradient.h"
#include "ops/pool.h"

typedef struct pool_backward {
    mary_pool_shape shape;
    bool second, accumulate;
    const float *x, *y, *dy;
    float *dx;
    int64_t channels;
    /* From one image, pixel and channel to the next; of the input and of the output. */
    int64_t image[2], pixel[2], channel[2];
} pool_backward;

enum { BLOCK = 64 }; /* channels at a time */

static void take_max(const pool_backward *b, const float *x, const float *y, const float *dy, float *dx, bool *taken,
                     int64_t count)
{
    const int64_t in = b->channel[0], out = b->channel[1];
    for (int64_t c = 0; c < count; c++) {
        const bool hit = !taken[c] && x[c * in] == y[c * out];
        dx[c * in] += hit ? dy[c * out] : 0.0f;
        taken[c] = taken[c] || hit;
    }
}

static void window_backward(const pool_backward *b, int64_t n, const int64_t o[MARY_WINDOW_AXES], int64_t pixel)
{
    const mary_window *w = &b->shape.window;
    int64_t begin[MARY_WINDOW_AXES], end[MARY_WINDOW_AXES];
    for (int axis = 0; axis < MARY_WINDOW_AXES; axis++)
        mary_window_clip(w, axis, o[axis], &begin[axis], &end[axis]);
    const double count = mary_window_count(w, o, b->shape.count_include_pad);
    float share = count > 0 ? (float)(1 / count) : 0.0f;
    share = b->second ? share * share : share;
    for (int64_t first = 0; first < b->channels; first += BLOCK) {
        const int64_t channels = b->channels - first < BLOCK ? b->channels - first : BLOCK;
        const int64_t out = n * b->image[1] + pixel * b->pixel[1] + first * b->channel[1];
        bool taken[BLOCK] = {false};
        for (int64_t kd = begin[0]; kd < end[0]; kd++) {
            const int64_t d = o[0] * w->stride[0] - w->pad[0] + kd * w->dilation[0];
            for (int64_t kh = begin[1]; kh < end[1]; kh++) {
                const int64_t h = o[1] * w->stride[1] - w->pad[1] + kh * w->dilation[1];
                for (int64_t kw = begin[2]; kw < end[2]; kw++) {
                    const int64_t i = o[2] * w->stride[2] - w->pad[2] + kw * w->dilation[2];
                    const int64_t at = n * b->image[0] + ((d * w->input[1] + h) * w->input[2] + i) * b->pixel[0] +
                                       first * b->channel[0];
                    if (b->shape.max) {
                        take_max(b, b->x + at, b->y + out, b->dy + out, b->dx + at, taken, channels);
                        continue;
                    }
                    for (int64_t c = 0; c < channels; c++)
                        b->dx[at + c * b->channel[0]] += share * b->dy[out + c * b->channel[1]];
                }
            }
        }
    }
}

static void images_task(void *context, int64_t start, int64_t stop, int thread)
{
    const pool_backward *b = context;
    const mary_window *w = &b->shape.window;
    (void)thread;
    for (int64_t n = start; n < stop; n++) {
        int64_t o[MARY_WINDOW_AXES], pixel = 0;
        if (!b->accumulate)
            memset(b->dx + n * b->image[0], 0, sizeof(float) * (size_t)b->image[0]);
        for (o[0] = 0; o[0] < w->output[0]; o[0]++) {
            for (o[1] = 0; o[1] < w->output[1]; o[1]++) {
                for (o[2] = 0; o[2] < w->output[2]; o[2]++)
                    window_backward(b, n, o, pixel++);
            }
        }
    }
}

static mary_status backward(const mary_op_node *node, const mary_gradient_call *call)
{
    const mary_tensor *x = call->forward->inputs[0], *y = call->forward->outputs[0];
    pool_backward b = {.second = call->second,
                       .accumulate = call->accumulate[0],
                       .x = x->data,
                       .y = y->data,
                       .dy = call->output_gradients[0]->data,
                       .dx = mary_gradient_of(call, 0),
                       .channels = x->shape.dims[1]};
    if (b.dx == NULL)
        return MARY_OK;
    MARY_TRY(mary_pool_describe(node, call->forward, &b.shape));
    const int64_t pixels[2] = {b.shape.window.input_pixels, b.shape.window.output_pixels};
    for (int side = 0; side < 2; side++) {
        b.image[side] = b.channels * pixels[side];
        b.pixel[side] = node->channels_last ? b.channels : 1;
        b.channel[side] = node->channels_last ? 1 : pixels[side];
    }
    mary_parallel_for(call->parallel, x->shape.dims[0], 1 + 16384 / (b.image[0] + 1), images_task, &b);
    return MARY_OK;
}

const mary_op_gradient mary_pool_gradient = {
    .flags = MARY_GRADIENT_ANY_LAYOUT, .inputs = 1, .reads_inputs = 1, .reads_outputs = 1, .backward = backward};
