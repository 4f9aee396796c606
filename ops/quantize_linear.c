/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: between floats and 8 or 16-bit integers.
 *
 * x is seen as [outer, length, inner] around the axis; a scale belongs to the whole tensor, to one index of the axis,
 * or to a block of `block` of them. y = saturate(round_half_even(x / scale) + zero_point), back: (x - zero_point) *
 * scale. */
#include "ops/copy.h"

#include <math.h>

#include "ops/qlinear_kernels.h"
#include "ops/quantize_channels.h"

typedef struct quantize_state {
    mary_cpu cpu;
    const mary_qlinear_kernels *kernels; /* float to and from uint8 */
    int64_t axis, block, type, precision;
} quantize_state;

typedef struct quantize_view {
    int64_t outer, length, inner;
    int64_t block;  /* indices of the axis that share a scale; 0: all elements do */
    int64_t scales; /* scales along the axis */
    bool blocked;   /* scales vary along inner and outer too */
} quantize_view;

static mary_status prepare(mary_op_node *node)
{
    MARY_TRY(mary_op_state(node, sizeof(quantize_state)));
    quantize_state *state = node->state;
    state->cpu = mary_cpu_current();
    state->kernels = mary_qlinear_kernels_for(state->cpu);
    MARY_TRY(mary_attribute_int(node->proto, "axis", 1, &state->axis));
    if (node->opset >= 21) {
        MARY_TRY(mary_attribute_int(node->proto, "block_size", 0, &state->block));
        MARY_TRY(mary_attribute_int(node->proto, "output_dtype", 0, &state->type));
    }
    if (node->opset >= 23)
        MARY_TRY(mary_attribute_int(node->proto, "precision", 0, &state->precision));
    if (state->block < 0)
        return mary_op_fail(node, MARY_ERROR_INVALID, "block_size is %lld", (long long)state->block);
    return MARY_OK;
}

/* How the scales lie over x; checks their shape and the zero points'. */
static mary_status view_of(const mary_op_node *node, const mary_op_call *call, quantize_view *view)
{
    const quantize_state *state = node->state;
    const mary_shape *x = &call->inputs[0]->shape, *scale = &call->inputs[1]->shape;
    const mary_tensor *zero = call->input_count > 2 ? call->inputs[2] : NULL;
    int axis;
    if (zero != NULL && !mary_shape_equal(&zero->shape, scale) && mary_shape_count(&zero->shape) != 1)
        return mary_op_fail(node, MARY_ERROR_INVALID, "scale and zero point differ in shape");
    if (zero != NULL && mary_shape_count(&zero->shape) != mary_shape_count(scale))
        return mary_op_fail(node, MARY_ERROR_INVALID, "scale and zero point differ in shape");
    *view = (quantize_view){.outer = 1, .length = 1, .inner = mary_shape_count(x)};
    if (state->block == 0 && scale->rank <= 1 && mary_shape_count(scale) == 1)
        return MARY_OK;
    if (node->opset < 13)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the scale must be one number in opset %d", node->opset);
    MARY_TRY(mary_copy_axis(node, state->axis, x->rank, &axis));
    view->outer = mary_shape_count_range(x, 0, axis);
    view->length = x->dims[axis];
    view->inner = mary_shape_count_range(x, axis + 1, x->rank);
    if (state->block == 0) {
        if (scale->rank != 1 || scale->dims[0] != view->length)
            return mary_op_fail(node, MARY_ERROR_INVALID, "there are %lld scales for axis %d of length %lld",
                                (long long)mary_shape_count(scale), axis, (long long)view->length);
        view->block = 1;
        view->scales = view->length;
        return MARY_OK;
    }
    bool fits = scale->rank == x->rank;
    for (int i = 0; fits && i < x->rank; i++) {
        int64_t dim = x->dims[i];
        fits = scale->dims[i] == (i == axis ? dim / state->block + (dim % state->block != 0) : dim);
    }
    if (!fits) {
        char a[96], b[96];
        return mary_op_fail(
            node, MARY_ERROR_INVALID, "scales of shape %s do not fit %s in blocks of %lld along axis %d",
            mary_shape_format(scale, a, sizeof a), mary_shape_format(x, b, sizeof b), (long long)state->block, axis);
    }
    view->block = state->block;
    view->scales = scale->dims[axis];
    view->blocked = true;
    return MARY_OK;
}

static bool is_quantised(mary_type type)
{
    return type == MARY_UINT8 || type == MARY_INT8 || type == MARY_UINT16 || type == MARY_INT16;
}

static bool is_scale(mary_type type)
{
    return type == MARY_FLOAT || type == MARY_FLOAT16 || type == MARY_BFLOAT16;
}

static float round_to(mary_type type, float value)
{
    if (type == MARY_FLOAT16)
        return mary_half_to_float(mary_float_to_half(value));
    return type == MARY_BFLOAT16 ? mary_bfloat_to_float(mary_float_to_bfloat(value)) : value;
}

static void limits(mary_type type, double *low, double *high)
{
    *low = type == MARY_INT8 ? INT8_MIN : type == MARY_INT16 ? INT16_MIN : 0;
    *high = type == MARY_INT8 ? INT8_MAX : type == MARY_UINT8 ? UINT8_MAX : type == MARY_INT16 ? INT16_MAX : UINT16_MAX;
}

/* A run of elements with one scale, or with scales that follow the elements (step 1). */
typedef struct quantize_job {
    const mary_op_call *call;
    const mary_qlinear_kernels *kernels;
    quantize_view view;
    mary_type precision; /* of the division or product */
} quantize_job;

static double number(const mary_tensor *tensor, int64_t i)
{
    return tensor->type == MARY_FLOAT ? (double)((const float *)tensor->data)[i] : mary_tensor_double(tensor, i);
}

/* Index of the scale for element `i` of row (outer, index of the axis). */
static int64_t scale_index(const quantize_view *view, int64_t row, int64_t i)
{
    if (view->block == 0)
        return 0;
    int64_t at = row % view->length / view->block;
    return view->blocked ? (row / view->length * view->scales + at) * view->inner + i : at;
}

static inline void store_quantised(mary_type type, void *data, int64_t i, int32_t value)
{
    if (type == MARY_UINT8)
        ((uint8_t *)data)[i] = (uint8_t)value;
    else if (type == MARY_INT8)
        ((int8_t *)data)[i] = (int8_t)value;
    else if (type == MARY_UINT16)
        ((uint16_t *)data)[i] = (uint16_t)value;
    else
        ((int16_t *)data)[i] = (int16_t)value;
}

/* round, add, saturate; NaN becomes the zero point. */
static inline int32_t quantise(double quotient, double zero, double low, double high)
{
    double value = quotient == quotient ? rint(quotient) + zero : zero;
    return (int32_t)(value < low ? low : value > high ? high : value);
}

/* Elements [from, from + count) share a scale. */
static void quantise_run(const quantize_job *job, int64_t from, int64_t count, double scale, double zero)
{
    const mary_tensor *x = job->call->inputs[0];
    mary_tensor *y = job->call->outputs[0];
    double low, high;
    limits(y->type, &low, &high);
    if (x->type == MARY_FLOAT && job->precision == MARY_FLOAT && y->type == MARY_UINT8) {
        job->kernels->quantise((const float *)x->data + from, (uint8_t *)y->data + from, count, (float)scale,
                               (int32_t)zero);
    } else {
        for (int64_t i = from; i < from + count; i++) {
            /* int32 does not fit a float: its quotient is formed in double, as numpy does. */
            double quotient = x->type == MARY_INT32
                                  ? number(x, i) / scale
                                  : (double)round_to(job->precision, (float)number(x, i) / (float)scale);
            store_quantised(y->type, y->data, i, quantise(quotient, zero, low, high));
        }
    }
}

static void dequantise_run(const quantize_job *job, int64_t from, int64_t count, float scale, int32_t zero)
{
    const mary_tensor *x = job->call->inputs[0];
    mary_tensor *y = job->call->outputs[0];
    if (x->type == MARY_UINT8 && y->type == MARY_FLOAT) {
        job->kernels->dequantise((const uint8_t *)x->data + from, (float *)y->data + from, count, scale, zero);
        return;
    }
    for (int64_t i = from; i < from + count; i++) {
        int64_t integer = x->type == MARY_UINT8  ? ((const uint8_t *)x->data)[i]
                          : x->type == MARY_INT8 ? ((const int8_t *)x->data)[i]
                                                 : mary_tensor_int(x, i);
        float value = (float)(integer - zero) * scale;
        if (y->type == MARY_FLOAT)
            ((float *)y->data)[i] = value;
        else if (y->type == MARY_FLOAT16)
            ((uint16_t *)y->data)[i] = mary_float_to_half(value);
        else
            ((uint16_t *)y->data)[i] = mary_float_to_bfloat(value);
    }
}

static void run_rows(const quantize_job *job, int64_t begin, int64_t end, bool quantising)
{
    const mary_tensor *scales = job->call->inputs[1];
    const mary_tensor *zeros = job->call->input_count > 2 ? job->call->inputs[2] : NULL;
    int64_t inner = job->view.inner, step = job->view.blocked ? 1 : inner;
    for (int64_t at = begin; at < end;) {
        int64_t row = at / inner, i = at % inner, count = step - (step > 1 ? i : 0);
        if (count > end - at)
            count = end - at;
        int64_t which = scale_index(&job->view, row, i);
        double scale = number(scales, which);
        int64_t zero = zeros == NULL ? 0 : mary_tensor_int(zeros, which);
        if (quantising)
            quantise_run(job, at, count, (double)round_to(job->precision, (float)scale), (double)zero);
        else
            dequantise_run(job, at, count, (float)scale, (int32_t)zero);
        at += count;
    }
}

static void quantise_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    run_rows(context, begin, end, true);
}

static void dequantise_task(void *context, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    run_rows(context, begin, end, false);
}

/* ---- channels last: uint8 and float with one scale ---- */

static bool channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants)
{
    const quantize_state *state = node->state;
    const mary_tensor *x = call->inputs[0], *scale = call->inputs[1], *y = call->outputs[0];
    *wants = x->type == MARY_FLOAT && x->shape.rank == 4; /* images go into networks this way, in one pass */
    return x->shape.rank >= 3 && state->block == 0 && state->precision == 0 && scale->type == MARY_FLOAT &&
           scale->shape.rank <= 1 && mary_shape_count(&scale->shape) == 1 &&
           ((x->type == MARY_FLOAT && y->type == MARY_UINT8) || (x->type == MARY_UINT8 && y->type == MARY_FLOAT));
}

static void pixels_task(void *context, int64_t begin, int64_t end, int thread)
{
    const quantize_job *job = context;
    const mary_tensor *x = job->call->inputs[0], *y = job->call->outputs[0];
    const mary_tensor *zeros = job->call->input_count > 2 ? job->call->inputs[2] : NULL;
    const float scale = *(const float *)job->call->inputs[1]->data;
    const int32_t zero = zeros == NULL ? 0 : *(const uint8_t *)zeros->data;
    int64_t channels = x->shape.dims[1];
    (void)thread;
    if (x->pixel_stride == channels && y->pixel_stride == channels) { /* one run */
        begin *= channels;
        channels = end * channels - begin;
        if (x->type == MARY_FLOAT)
            job->kernels->quantise((const float *)x->data + begin, (uint8_t *)y->data + begin, channels, scale, zero);
        else
            job->kernels->dequantise((const uint8_t *)x->data + begin, (float *)y->data + begin, channels, scale, zero);
        return;
    }
    for (int64_t p = begin; p < end; p++) {
        int64_t from = p * x->pixel_stride, to = p * y->pixel_stride;
        if (x->type == MARY_FLOAT)
            job->kernels->quantise((const float *)x->data + from, (uint8_t *)y->data + to, channels, scale, zero);
        else
            job->kernels->dequantise((const uint8_t *)x->data + from, (float *)y->data + to, channels, scale, zero);
    }
}

static void run_pixels(quantize_job *job)
{
    const mary_shape *shape = &job->call->inputs[0]->shape;
    int64_t pixels = shape->dims[0] * mary_shape_count_range(shape, 2, shape->rank);
    mary_parallel_for(job->call->parallel, pixels, 1 + 16384 / (shape->dims[1] + 1), pixels_task, job);
}

/* ---- QuantizeLinear ---- */

static mary_status quantize_infer(const mary_op_node *node, mary_op_call *call)
{
    const quantize_state *state = node->state;
    quantize_view view;
    MARY_TRY(mary_copy_expect(node, call, 2, 3, 1));
    const mary_tensor *x = call->inputs[0], *scale = call->inputs[1];
    const mary_tensor *zero = call->input_count > 2 ? call->inputs[2] : NULL;
    int64_t type = state->type != 0 ? state->type : zero != NULL ? (int64_t)zero->type : MARY_UINT8;
    if (!is_scale(x->type) && x->type != MARY_INT32)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "x of type %s is not supported", mary_type_name(x->type));
    if (!is_scale(scale->type) && scale->type != MARY_INT32)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "scales of type %s are not supported",
                            mary_type_name(scale->type));
    if (zero != NULL && (int64_t)zero->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the zero point is %s, output_dtype is %lld",
                            mary_type_name(zero->type), (long long)type);
    if (type < 0 || type > 64 || !is_quantised((mary_type)type))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "output type %lld is not supported", (long long)type);
    if (state->precision != 0 &&
        (state->precision < 0 || state->precision > 64 || !is_scale((mary_type)state->precision)))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "precision %lld is not supported",
                            (long long)state->precision);
    MARY_TRY(view_of(node, call, &view));
    return mary_op_set_output(node, call, 0, (mary_type)type, &x->shape);
}

static void quantize_plain(const quantize_state *state, mary_op_call *call)
{
    const mary_tensor *x = call->inputs[0], *y = call->outputs[0];
    const mary_tensor *zero = call->input_count > 2 ? call->inputs[2] : NULL;
    const mary_quantisation to = {.scale = *(const float *)call->inputs[1]->data,
                                  .zero = zero == NULL ? 0 : *(const uint8_t *)zero->data};
    mary_quantize_to_channels_last(state->cpu, x->data, x->shape.dims[0], x->shape.dims[1],
                                   mary_shape_count_range(&x->shape, 2, x->shape.rank), to, y->data, y->pixel_stride,
                                   call->parallel);
}

static mary_status quantize_run(const mary_op_node *node, mary_op_call *call)
{
    const quantize_state *state = node->state;
    mary_type x = call->inputs[0]->type, scale = call->inputs[1]->type;
    quantize_job job = {.call = call, .kernels = state->kernels, .precision = MARY_FLOAT};
    if (node->channels_last && call->inputs[0]->layout == MARY_LAYOUT_PLAIN) {
        quantize_plain(state, call);
        return MARY_OK;
    }
    if (node->channels_last) {
        run_pixels(&job);
        return MARY_OK;
    }
    MARY_TRY(view_of(node, call, &job.view));
    if (state->precision != 0)
        job.precision = (mary_type)state->precision;
    else if (x == scale && x != MARY_INT32) /* numpy's rule: two halves make a half, mixed types a float */
        job.precision = x;
    mary_parallel_for(call->parallel, mary_shape_count(&call->outputs[0]->shape), 16384, quantise_task, &job);
    return MARY_OK;
}

/* ---- DequantizeLinear ---- */

static mary_status dequantize_infer(const mary_op_node *node, mary_op_call *call)
{
    const quantize_state *state = node->state;
    quantize_view view;
    MARY_TRY(mary_copy_expect(node, call, 2, 3, 1));
    const mary_tensor *x = call->inputs[0], *scale = call->inputs[1];
    const mary_tensor *zero = call->input_count > 2 ? call->inputs[2] : NULL;
    int64_t type = state->type != 0 ? state->type : (int64_t)scale->type;
    if (!is_quantised(x->type) && x->type != MARY_INT32)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "x of type %s is not supported", mary_type_name(x->type));
    if (!is_scale(scale->type))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "scales of type %s are not supported",
                            mary_type_name(scale->type));
    if (type < 0 || type > 64 || !is_scale((mary_type)type))
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "output type %lld is not supported", (long long)type);
    if (zero != NULL && zero->type != x->type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "x is %s, its zero point %s", mary_type_name(x->type),
                            mary_type_name(zero->type));
    MARY_TRY(view_of(node, call, &view));
    return mary_op_set_output(node, call, 0, (mary_type)type, &x->shape);
}

static mary_status dequantize_run(const mary_op_node *node, mary_op_call *call)
{
    const quantize_state *state = node->state;
    quantize_job job = {.call = call, .kernels = state->kernels, .precision = MARY_FLOAT};
    if (node->channels_last) {
        run_pixels(&job);
        return MARY_OK;
    }
    MARY_TRY(view_of(node, call, &job.view));
    mary_parallel_for(call->parallel, mary_shape_count(&call->outputs[0]->shape), 16384, dequantise_task, &job);
    return MARY_OK;
}

/* ---- DynamicQuantizeLinear: x -> y (uint8), scale, zero point, from x's range and 0 ---- */

static mary_status dynamic_infer(const mary_op_node *node, mary_op_call *call)
{
    mary_shape scalar = {0};
    MARY_TRY(mary_copy_expect(node, call, 1, 1, 3));
    if (call->inputs[0]->type != MARY_FLOAT)
        return mary_op_fail(node, MARY_ERROR_INVALID, "x of type %s is not supported",
                            mary_type_name(call->inputs[0]->type));
    MARY_TRY(mary_op_set_output(node, call, 0, MARY_UINT8, &call->inputs[0]->shape));
    MARY_TRY(mary_op_set_output(node, call, 1, MARY_FLOAT, &scalar));
    return mary_op_set_output(node, call, 2, MARY_UINT8, &scalar);
}

static mary_status dynamic_run(const mary_op_node *node, mary_op_call *call)
{
    (void)node;
    const float *x = call->inputs[0]->data;
    int64_t count = mary_shape_count(&call->inputs[0]->shape);
    float low = 0, high = 0;
    for (int64_t i = 0; i < count; i++) { /* NaN compares false and is passed over */
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float scale = (high == low ? 1.0f : high - low) / 255.0f;
    uint8_t zero = (uint8_t)quantise((double)(-low / scale), 0, 0, 255);
    uint8_t *y = call->outputs[0]->data;
    for (int64_t i = 0; i < count; i++)
        y[i] = (uint8_t)quantise((double)(x[i] / scale), (double)zero, 0, 255);
    if (call->output_count > 1 && call->outputs[1] != NULL)
        *(float *)call->outputs[1]->data = scale;
    if (call->output_count > 2 && call->outputs[2] != NULL)
        *(uint8_t *)call->outputs[2]->data = zero;
    return MARY_OK;
}

const mary_op mary_ops_quantize_linear[] = {
    {.domain = "",
     .type = "QuantizeLinear",
     .since = 10,
     .flags = MARY_OP_HALF | MARY_OP_EITHER_LAYOUT,
     .prepare = prepare,
     .infer = quantize_infer,
     .run = quantize_run,
     .channels_last = channels_last},
    {.domain = "",
     .type = "DequantizeLinear",
     .since = 10,
     .flags = MARY_OP_HALF,
     .prepare = prepare,
     .infer = dequantize_infer,
     .run = dequantize_run,
     .channels_last = channels_last},
    {.domain = "", .type = "DynamicQuantizeLinear", .since = 11, .infer = dynamic_infer, .run = dynamic_run},
    MARY_OP_END,
};
