/* What the inputs of one layer look like, summed over calibration samples: sum of x x^T over its columns, and where a
 * residual is known (what the output should be less what float weights make of these inputs), sum of residual x^T. The
 * memory does not depend on the number of samples. */
#ifndef MARY_CONVERT_CALIBRATE_SECOND_MOMENT_H
#define MARY_CONVERT_CALIBRATE_SECOND_MOMENT_H

#include "convert/calibrate/columns.h"

typedef struct mary_second_moment {
    int64_t groups, rows, length; /* rows and length of one group's weight matrix */
    double count;                 /* columns that were added, of each group */
    float *moment;                /* [groups, length, length] */
    float *cross;                 /* [groups, rows, length]; zero where no residual was given */
    double *sum;                  /* [groups, length]: of the columns */
    double *residual_sum;         /* [groups, rows] */
} mary_second_moment;

/* Zeroed, for this layer's columns. */
mary_status mary_second_moment_create(const mary_columns *columns, mary_second_moment *moment);
void mary_second_moment_free(mary_second_moment *moment);
/* Adds every `step`-th column of one run: x is the layer's input, residual like its output; NULL: zero. Until
 * mary_second_moment_finish, only the upper triangle of `moment` is meant. */
mary_status mary_second_moment_add(mary_second_moment *moment, const mary_columns *columns, const float *x,
                                   const float *residual, int64_t step, int threads);
/* Completes the matrices. With `centre` they become those of x - mean(x) and residual - mean(residual): right for a
 * layer whose bias may change, which makes up for every mean. */
void mary_second_moment_finish(mary_second_moment *moment, bool centre, int threads);
/* What has to be added to the layer's bias when its weights [groups * rows, length] become `coded`: shift
 * [groups * rows]. */
void mary_second_moment_shift(const mary_second_moment *moment, const float *weights, const float *coded, float *shift);

#endif
