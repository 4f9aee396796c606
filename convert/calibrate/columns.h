/* A layer's input as the vectors that its rows are multiplied with: y[row] = sum over k of W[row, k] * column[k], one
 * column for every position of the output. For Conv they are the columns of im2col, a matrix that is never there as a
 * whole. */
#ifndef MARY_CONVERT_CALIBRATE_COLUMNS_H
#define MARY_CONVERT_CALIBRATE_COLUMNS_H

#include "convert/choose.h"
#include "ops/window.h"

typedef struct mary_columns {
    int64_t groups;       /* convolutions: each has rows and columns of its own; else 1 */
    int64_t rows, length; /* of one group's weight matrix */
    int64_t positions;    /* columns of one group */
    bool convolution, transposed, input_transposed;
    int64_t batch, depth; /* convolutions: depth is the channels of a group */
    mary_window window;
} mary_columns;

/* For an input of this shape. MARY_ERROR_INVALID when the layer cannot take it. */
mary_status mary_columns_describe(const mary_layer *layer, const mary_shape *input, mary_columns *columns);
/* Whether `shape` is that of the layer's output. */
bool mary_columns_fit_output(const mary_columns *columns, const mary_shape *shape);
/* column[length] of one position in the input `x`. */
void mary_columns_take(const mary_columns *columns, const float *x, int64_t group, int64_t position, float *column);
/* values[rows] of one position in the output `y`. */
void mary_columns_output(const mary_columns *columns, const float *y, int64_t group, int64_t position, float *values);

#endif
