/* Weights of an integer layer: codes of int8 levels with one scale per row. */
#ifndef MARY_CONVERT_INTEGER_WEIGHT_H
#define MARY_CONVERT_INTEGER_WEIGHT_H

#include "convert/choose.h"
#include "convert/quantize/tensor.h"

/* The weight of row r at position k is scale[r] * grid[r or 0][code[r, k]]. */
typedef struct mary_integer_weight {
    int64_t rows, row_length;
    int levels, bits;
    bool shared;    /* one row of `grid` for all */
    uint8_t *codes; /* packed, [rows, mary_codes_row_bytes(row_length, bits)] */
    int8_t *grid;   /* [rows or 1, 2^bits] */
    float *scale;   /* [rows], > 0 */
    const char *method;
    double energy, error; /* sums of squares of the weights and of the differences */
} mary_integer_weight;

/* What the sums of one row of a layer need besides its weights. */
typedef struct mary_integer_row_needs {
    const double *mean; /* [row_length * (groups)]: mean of the input that position k of group g meets; NULL: unknown */
    int64_t group_rows; /* rows of one group; the mean of row r starts at (r / group_rows) * row_length */
    const double *least_scale;     /* [rows]: smallest scale at which the bias fits i32; NULL: any */
    const mary_feedback *feedback; /* codes make the least error of the layer's outputs; NULL: of its weights */
} mary_integer_row_needs;

/* Chooses levels, scales and codes for `matrix` [rows, row_length], finite. Levels of M <= 16 come from the layer's
 * method and are then put on the int8 grid whose scale fits them best; more levels are M equally spaced integers (at M
 * = 256 that is int8 as usual), and so are rows too short to pay for levels of their own. `correction` [rows] (may be
 * NULL) gets what the row's sums lose on average: sum over k of (weight - stored weight) * mean. */
mary_status mary_integer_weight_choose(mary_layer *layer, const float *matrix, int threads, uint64_t seed,
                                       const mary_integer_row_needs *needs, double *correction,
                                       mary_integer_weight *weight);
void mary_integer_weight_free(mary_integer_weight *weight);
/* What is stored, as floats: matrix [rows, row_length]. */
mary_status mary_integer_weight_decode(const mary_integer_weight *weight, float *matrix);
/* Bytes in the file: codes, levels, scales, zero points. */
int64_t mary_integer_weight_bytes(const mary_integer_weight *weight);

#endif
