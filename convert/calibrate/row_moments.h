/* Mean and spread of every row of a layer's outputs, over calibration samples, and what factors and shifts make those
 * of a coded layer the float one's. The memory does not depend on the number of samples. */
#ifndef MARY_CONVERT_CALIBRATE_ROW_MOMENTS_H
#define MARY_CONVERT_CALIBRATE_ROW_MOMENTS_H

#include "onnx/memory.h"
#include "onnx/status.h"

typedef struct mary_row_moments {
    int64_t rows;
    double count;           /* values of each row */
    double *sums, *squares; /* [rows]; NULL: nothing was seen */
} mary_row_moments;

void mary_row_moments_free(mary_row_moments *moments);
/* Adds values [batch, rows, positions]; starts from a zeroed struct. In one thread: a thread team of its own, waiting
 * for the next call, would take the processors from the session that runs in between. */
mary_status mary_row_moments_add(mary_row_moments *moments, int64_t batch, int64_t rows, int64_t positions,
                                 const float *values);

/* What was seen of one layer, in the float network and in the one that is coded up to this layer, on the same samples.
 */
typedef struct mary_output_match {
    mary_row_moments wanted, made;         /* its outputs: float, coded */
    mary_row_moments wanted_sum, made_sum; /* a sum that they go into and that is to come out right instead; nothing:
                                            * there is none */
} mary_output_match;

void mary_output_match_free(mary_output_match *match);

/* Which levels can have a factor of their own. */
typedef enum mary_factor_per { MARY_FACTOR_PER_ROW = 0, MARY_FACTOR_PER_LAYER, MARY_FACTOR_NONE } mary_factor_per;

/* factors [rows] for the levels, with which the outputs vary as much as those of the float layer, and shifts [rows],
 * which then make the means right. `bias` [rows] is what the coded layer adds to its rows; NULL: nothing. */
void mary_output_match_solve(const mary_output_match *match, mary_factor_per per, const float *bias, double *factors,
                             float *shifts);

#endif
