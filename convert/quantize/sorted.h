/* The weights of one quantisation problem, ascending, equal ones merged. */
#ifndef MARY_CONVERT_QUANTIZE_SORTED_H
#define MARY_CONVERT_QUANTIZE_SORTED_H

#include "convert/quantize/method.h"

/* Distinct values with positive weight. Only what is asked for is stored: a tensor of 10^8 weights without importance
 * costs 4 bytes for the value (and 4 while sorting), and a count only when there are duplicates. */
typedef struct mary_sorted {
    float *values;   /* [count], strictly ascending */
    double *weights; /* [count], > 0; NULL: all 1 */
    int64_t count;
} mary_sorted;

/* Elements of importance 0 do not take part; when that is all of them, every element counts the same. -0 is 0. */
mary_status mary_sorted_create(const mary_quantize_input *input, mary_sorted *sorted);
void mary_sorted_free(mary_sorted *sorted);

#endif
