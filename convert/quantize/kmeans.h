#ifndef MARY_CONVERT_QUANTIZE_KMEANS_H
#define MARY_CONVERT_QUANTIZE_KMEANS_H

#include "convert/quantize/method.h"

/* mary_quantize_kmeans with at most `limit` (>= 2 * count + 2) places for thresholds considered at a time; tests call
 * it with small limits to see that the search for large tensors ends at the optimum. */
mary_status mary_quantize_kmeans_limited(const mary_quantize_input *input, int count, int64_t limit, double *levels);

#endif
