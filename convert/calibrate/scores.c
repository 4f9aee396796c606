#include "convert/calibrate/scores.h"

#include <math.h>

double mary_squared_difference(const mary_array *array, const mary_array *reference)
{
    const float *a = array->data, *b = reference->data;
    double sum = 0;
    for (size_t i = 0; i < reference->bytes / sizeof *b; i++) {
        if (isfinite(b[i]))
            sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return isnan(sum) ? INFINITY : sum;
}

bool mary_holds_scores(const mary_array *array)
{
    return array->type == MARY_FLOAT && array->rank == 2 && array->dims[0] > 0 && array->dims[1] > 1;
}

int64_t mary_best_class(const float *scores, int64_t classes)
{
    int64_t best = 0;
    for (int64_t i = 1; i < classes; i++)
        best = scores[i] > scores[best] ? i : best;
    return best;
}

/* log of the sum of exponentials */
static double log_sum(const float *scores, int64_t classes)
{
    double most = scores[mary_best_class(scores, classes)], sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(scores[i] - most);
    return most + log(sum);
}

/* Are these probabilities already? */
static bool are_probabilities(const float *scores, int64_t classes)
{
    double sum = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (!(scores[i] >= 0))
            return false;
        sum += scores[i];
    }
    return fabs(sum - 1) < 1e-3;
}

double mary_score_divergence(const float *got, const float *wanted, int64_t classes)
{
    bool probabilities = are_probabilities(wanted, classes);
    double result = 0, got_sum = probabilities ? 0 : log_sum(got, classes);
    double wanted_sum = probabilities ? 0 : log_sum(wanted, classes);
    for (int64_t i = 0; i < classes; i++) {
        double p = probabilities ? (double)wanted[i] : exp(wanted[i] - wanted_sum);
        double log_p = probabilities ? log(fmax(wanted[i], 1e-9)) : wanted[i] - wanted_sum;
        double log_q = probabilities ? log(fmax(got[i], 1e-9)) : got[i] - got_sum;
        result += p > 0 ? p * (log_p - log_q) : 0;
    }
    return isfinite(result) ? result : INFINITY;
}
