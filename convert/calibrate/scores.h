/* How far one output of a model is from what the float model made of the same samples. */
#ifndef MARY_CONVERT_CALIBRATE_SCORES_H
#define MARY_CONVERT_CALIBRATE_SCORES_H

#include "mary.h"

/* Sum of squared differences of two float arrays of the same shape, where the reference is finite; infinite when the
 * other is not. */
double mary_squared_difference(const mary_array *array, const mary_array *reference);
/* One row per sample, one score per class. */
bool mary_holds_scores(const mary_array *array);
/* The largest score, the first of equals. */
int64_t mary_best_class(const float *scores, int64_t classes);
/* Kullback-Leibler divergence of the class probabilities of one sample; infinite when a score is not finite. Scores are
 * logits, unless those that are wanted are probabilities already. */
double mary_score_divergence(const float *got, const float *wanted, int64_t classes);

#endif
