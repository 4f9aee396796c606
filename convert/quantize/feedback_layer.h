/* A layer as error feedback works on it: shared by the files of the method only. */
#ifndef MARY_CONVERT_QUANTIZE_FEEDBACK_LAYER_H
#define MARY_CONVERT_QUANTIZE_FEEDBACK_LAYER_H

#include "convert/quantize/feedback.h"

struct mary_feedback {
    int64_t groups, rows, length; /* rows and length of one group */
    int threads;
    float *moment;     /* [groups, length, length], damped; columns in `order`, like everything here */
    float *factor;     /* the same: L on and below the diagonal, L^T on and above */
    float *target;     /* [groups * rows, length]: what would be best without levels */
    int64_t *order;    /* [groups, length]: ascending diagonal; the last one is coded first */
    float *importance; /* [groups, length]: L_jj squared, what the error of column j costs when it is coded */
};

#endif
