/* Error feedback: codes that make the least error of a layer's outputs over its inputs, not of its weights.
 *
 * With H = sum x x^T over the layer's inputs, a row's error is (w - q) H (w - q)^T. Optimal Brain Quantisation
 * (Frantar & Alistarh 2022) and GPTQ (Frantar et al. 2022) fix one weight after the other and let those that are still
 * free make up for each error. Written with H = L L^T that is successive cancellation (Babai 1986): column by column
 * from the last, q_j is the level nearest to w_j + (sum over i > j of (w_i - q_i) L_ij) / L_jj; no inverse is needed.
 * The columns of most weight come first. */
#ifndef MARY_CONVERT_QUANTIZE_FEEDBACK_H
#define MARY_CONVERT_QUANTIZE_FEEDBACK_H

#include "convert/calibrate/second_moment.h"
#include "convert/quantize/method.h"

typedef struct mary_feedback mary_feedback;

/* Prepares one layer: weights [groups * rows, length] and what its inputs look like. `moment` must be finished; it is
 * not needed afterwards. MARY_ERROR_INVALID when it is not finite. */
mary_status mary_feedback_create(const mary_second_moment *moment, const float *weights, int threads,
                                 mary_feedback **feedback);
void mary_feedback_free(mary_feedback **feedback);

/* What is asked for and what comes back. */
typedef struct mary_feedback_codes {
    int count;      /* M, 2..256 */
    bool shared;    /* one set of levels for all rows */
    mary_type type; /* that levels are rounded to */
    float *levels;  /* [rows or 1, count], ascending */
    uint8_t *codes; /* [rows, length] */
    double *errors; /* [rows]: (w - q) H (w - q)^T, H damped; may be NULL */
} mary_feedback_codes;

/* Levels and codes. */
mary_status mary_feedback_choose(const mary_feedback *feedback, mary_feedback_codes *result);
/* Codes for levels that the caller fixed. No row's error is greater than that of nearest levels. */
mary_status mary_feedback_assign(const mary_feedback *feedback, mary_feedback_codes *result);
#endif
