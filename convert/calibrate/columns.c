#include "convert/calibrate/columns.h"

#include <string.h>

#include "ops/conv_transpose.h"

static mary_status describe_convolution(const mary_layer *layer, const mary_shape *input, mary_columns *columns)
{
    static const mary_op op = {.type = "Conv"};
    mary_op_node node = {.op = &op, .proto = layer->node, .name = layer->name, .epilogue = {.residual = -1}};
    mary_tensor x = {.type = MARY_FLOAT, .shape = *input};
    const mary_tensor *inputs[] = {&x};
    mary_op_call call = {.inputs = inputs, .input_count = 1};
    mary_conv_transpose_attributes attributes;
    mary_conv_problem problem;
    if (layer->kind == MARY_LAYER_CONV) {
        MARY_TRY(mary_conv_parse(&node, &attributes.conv));
        MARY_TRY(mary_conv_describe(&node, &attributes.conv, &call, &layer->layout.shape, 2, &problem));
    } else {
        MARY_TRY(mary_conv_transpose_parse(&node, &attributes));
        MARY_TRY(mary_conv_transpose_describe(&node, &attributes, &call, &layer->layout.shape, 2, &problem));
    }
    columns->convolution = true;
    columns->transposed = problem.transposed;
    columns->groups = problem.groups;
    columns->batch = problem.batch;
    columns->depth = problem.depth;
    columns->rows = problem.filters;
    columns->window = problem.window;
    columns->length = problem.depth * problem.window.taps;
    columns->positions = problem.batch * problem.window.output_pixels;
    return MARY_OK;
}

mary_status mary_columns_describe(const mary_layer *layer, const mary_shape *input, mary_columns *columns)
{
    const mary_layout_rows *layout = &layer->layout;
    *columns = (mary_columns){.groups = 1, .rows = layout->rows, .length = layout->row_length};
    if (layer->kind == MARY_LAYER_CONV || layer->kind == MARY_LAYER_CONV_TRANSPOSE)
        return describe_convolution(layer, input, columns);
    int64_t transposed = 0;
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY(mary_attribute_int(layer->node, "transA", 0, &transposed));
    columns->input_transposed = transposed != 0;
    int depth = columns->input_transposed ? 0 : input->rank - 1;
    if (input->rank < 1 || (layer->kind == MARY_LAYER_GEMM && input->rank != 2) ||
        input->dims[depth] != columns->length) {
        char text[128];
        return mary_fail(MARY_ERROR_INVALID, "node '%s' has an input of shape %s for rows of %lld weights", layer->name,
                         mary_shape_format(input, text, sizeof text), (long long)columns->length);
    }
    columns->positions = mary_shape_count(input) / columns->length;
    return MARY_OK;
}

bool mary_columns_fit_output(const mary_columns *columns, const mary_shape *shape)
{
    if (!columns->convolution)
        return shape->rank >= 1 && shape->dims[shape->rank - 1] == columns->rows &&
               mary_shape_count(shape) == columns->positions * columns->rows;
    mary_shape output = mary_window_output_shape(&columns->window, columns->batch, columns->groups * columns->rows);
    return mary_shape_equal(&output, shape);
}

/* Input index that output index `o` meets at `tap` of `axis`; -1: none. */
static int64_t meets(const mary_columns *columns, int axis, int64_t o, int64_t tap)
{
    const mary_window *window = &columns->window;
    int64_t at;
    if (columns->transposed) {
        at = o + window->pad[axis] - tap * window->dilation[axis];
        if (at % window->stride[axis] != 0)
            return -1;
        at /= window->stride[axis];
    } else {
        at = o * window->stride[axis] - window->pad[axis] + tap * window->dilation[axis];
    }
    return at >= 0 && at < window->input[axis] ? at : -1;
}

static void take_window(const mary_columns *columns, const float *x, int64_t group, int64_t position, float *column)
{
    const mary_window *w = &columns->window;
    int64_t image = position / w->output_pixels, pixel = position % w->output_pixels;
    int64_t o[MARY_WINDOW_AXES] = {pixel / (w->output[1] * w->output[2]), pixel / w->output[2] % w->output[1],
                                   pixel % w->output[2]};
    x += (image * columns->groups + group) * columns->depth * w->input_pixels;
    float *to = column; /* the first channel's taps, then the same places of the others */
    for (int64_t d = 0; d < w->kernel[0]; d++) {
        int64_t plane = meets(columns, 0, o[0], d);
        for (int64_t h = 0; h < w->kernel[1]; h++) {
            int64_t line = meets(columns, 1, o[1], h);
            for (int64_t k = 0; k < w->kernel[2]; k++, to++) {
                int64_t at = meets(columns, 2, o[2], k);
                bool inside = plane >= 0 && line >= 0 && at >= 0;
                const float *from = inside ? x + (plane * w->input[1] + line) * w->input[2] + at : NULL;
                for (int64_t c = 0; c < columns->depth; c++)
                    to[c * w->taps] = inside ? from[c * w->input_pixels] : 0;
            }
        }
    }
}

void mary_columns_take(const mary_columns *columns, const float *x, int64_t group, int64_t position, float *column)
{
    if (columns->convolution) {
        take_window(columns, x, group, position, column);
    } else if (columns->input_transposed) {
        for (int64_t k = 0; k < columns->length; k++)
            column[k] = x[k * columns->positions + position];
    } else {
        memcpy(column, x + position * columns->length, (size_t)columns->length * sizeof *column);
    }
}

void mary_columns_output(const mary_columns *columns, const float *y, int64_t group, int64_t position, float *values)
{
    if (!columns->convolution) {
        memcpy(values, y + position * columns->rows, (size_t)columns->rows * sizeof *values);
        return;
    }
    int64_t pixels = columns->window.output_pixels, image = position / pixels;
    y += (image * columns->groups + group) * columns->rows * pixels + position % pixels;
    for (int64_t r = 0; r < columns->rows; r++)
        values[r] = y[r * pixels];
}
