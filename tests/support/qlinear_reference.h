/* A MaryQLinear node with random constants, and what it must give: the definition in plain loops, for tests. */
#ifndef MARY_TESTS_QLINEAR_REFERENCE_H
#define MARY_TESTS_QLINEAR_REFERENCE_H

#include "tests/support/conv_reference.h"
#include "tests/support/op_run.h"

typedef struct qlinear_options {
    int bits;
    bool shared_levels, one_scale, bias, residual, table;
    int x_zero, y_zero;
    uint32_t seed;
} qlinear_options;

typedef struct qlinear {
    qlinear_options options;
    int64_t rows, length;
    uint8_t *codes;
    int8_t *levels, *dense; /* dense: [rows][length] in the file's order */
    float *w_scale;
    int32_t *bias;
    uint8_t table[256];
    float x_scale, y_scale, residual_scale, sum_scale;
    uint8_t residual_zero, sum_zero;
    uint8_t *x, *residual;
} qlinear;

/* x_count and y_count elements of activations. Scales are such that outputs use most of 0..255 and some saturate. */
void qlinear_make(qlinear *q, const qlinear_options *options, int64_t rows, int64_t length, int64_t x_count,
                  int64_t y_count);
void qlinear_free(qlinear *q);
/* Adds all inputs of the node: x and the residual with the given shapes. */
void qlinear_inputs(const qlinear *q, op_case *c, int rank, const int64_t *x_dims, const int64_t *y_dims);
/* The byte that row `row` has for a sum of (x - x_zero) * w. */
uint8_t qlinear_requantise(const qlinear *q, int64_t row, int64_t sum, int64_t residual_at);
/* y [batch, groups*filters, output...] */
void qlinear_conv(const qlinear *q, const conv_shape *s, uint8_t *y);

#endif
