/* Measuring a candidate against the float model by its outputs on calibration samples. */
#include <math.h>

#include "convert/calibrate/collect.h"

/* Sums over the batches. */
typedef struct comparing {
    double *errors;    /* [outputs] */
    double divergence; /* of the first output that holds scores */
    int64_t agreed, rows;
    size_t scores; /* that output; SIZE_MAX: none yet */
} comparing;

static double squared_difference(const mary_array *array, const mary_array *reference)
{
    const float *a = array->data, *b = reference->data;
    double sum = 0;
    for (size_t i = 0; i < reference->bytes / sizeof *b; i++) {
        if (isfinite(b[i]))
            sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return isnan(sum) ? INFINITY : sum;
}

/* One row per sample, one score per class. */
static bool holds_scores(const mary_array *array)
{
    return array->type == MARY_FLOAT && array->rank == 2 && array->dims[0] > 0 && array->dims[1] > 1;
}

static int64_t best_of(const float *scores, int64_t classes)
{
    int64_t best = 0;
    for (int64_t i = 1; i < classes; i++)
        best = scores[i] > scores[best] ? i : best;
    return best;
}

/* log of the sum of exponentials */
static double log_sum(const float *scores, int64_t classes)
{
    double most = scores[best_of(scores, classes)], sum = 0;
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

static double row_divergence(const float *got, const float *wanted, int64_t classes)
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

static void compare_output(comparing *c, size_t output, const mary_array *got, const mary_array *wanted)
{
    if (wanted->data == NULL)
        return;
    if (got->type != MARY_FLOAT || got->bytes != wanted->bytes) {
        c->errors[output] = INFINITY;
        return;
    }
    c->errors[output] += squared_difference(got, wanted);
    if (!holds_scores(wanted) || (c->scores != SIZE_MAX && c->scores != output))
        return;
    c->scores = output;
    int64_t classes = wanted->dims[1];
    for (int64_t row = 0; row < wanted->dims[0]; row++) {
        const float *a = (const float *)got->data + row * classes, *b = (const float *)wanted->data + row * classes;
        c->divergence += row_divergence(a, b, classes);
        c->agreed += best_of(a, classes) == best_of(b, classes);
        c->rows++;
    }
}

mary_status mary_statistics_compare(const mary_statistics *statistics, const mary_model *model,
                                    const mary_settings *settings, mary_comparison *comparison)
{
    size_t outputs = statistics->output_count;
    mary_session *session = NULL;
    mary_array *made = mary_calloc(outputs, sizeof *made);
    comparing c = {.errors = mary_calloc(outputs, sizeof *c.errors), .scores = SIZE_MAX};
    mary_status status = MARY_OK;
    *comparison = (mary_comparison){.divergence = -1, .agreement = -1};
    if (made == NULL || c.errors == NULL) {
        status = mary_fail_memory(outputs * sizeof *made);
        goto done;
    }
    MARY_TRY_GOTO(mary_calibration_session(model, settings, false, &session), done);
    for (int64_t batch = 0; batch < statistics->reference_batches; batch++) {
        const mary_array *inputs;
        int count;
        MARY_TRY_GOTO(mary_calibration_inputs(settings, batch, &inputs, &count), done);
        MARY_TRY_GOTO(mary_session_run(session, inputs, count, made, (int)outputs), done);
        for (size_t o = 0; o < outputs; o++) {
            compare_output(&c, o, &made[o], &statistics->references[(size_t)batch * outputs + o]);
            mary_array_free(&made[o]);
        }
    }
    for (size_t o = 0; o < outputs; o++)
        comparison->error += statistics->energies[o] > 0 ? c.errors[o] / statistics->energies[o] : c.errors[o];
    if (c.rows > 0) {
        comparison->divergence = c.divergence / (double)c.rows;
        comparison->agreement = (double)c.agreed / (double)c.rows;
    }
done:
    mary_session_free(&session);
    mary_free(made);
    mary_free(c.errors);
    return status;
}

double mary_comparison_loss(const mary_comparison *comparison)
{
    return comparison->divergence >= 0 ? comparison->divergence : comparison->error;
}
