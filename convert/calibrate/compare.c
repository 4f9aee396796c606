/* Measuring a candidate against the float model by its outputs on calibration samples. */
#include <math.h>

#include "convert/calibrate/collect.h"
#include "convert/calibrate/scores.h"

/* Sums over the batches. */
typedef struct comparing {
    double *errors;    /* [outputs] */
    double divergence; /* of the first output that holds scores */
    int64_t agreed, rows;
    size_t scores; /* that output; SIZE_MAX: none yet */
} comparing;

static void compare_output(comparing *c, size_t output, const mary_array *got, const mary_array *wanted)
{
    if (wanted->data == NULL)
        return;
    if (got->type != MARY_FLOAT || got->bytes != wanted->bytes) {
        c->errors[output] = INFINITY;
        return;
    }
    c->errors[output] += mary_squared_difference(got, wanted);
    if (!mary_holds_scores(wanted) || (c->scores != SIZE_MAX && c->scores != output))
        return;
    c->scores = output;
    int64_t classes = wanted->dims[1];
    for (int64_t row = 0; row < wanted->dims[0]; row++) {
        const float *a = (const float *)got->data + row * classes, *b = (const float *)wanted->data + row * classes;
        c->divergence += mary_score_divergence(a, b, classes);
        c->agreed += mary_best_class(a, classes) == mary_best_class(b, classes);
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
