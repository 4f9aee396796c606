/* What the squared error of a weight counts when its level is chosen, measured on training samples. */
#include <math.h>
#include <string.h>

#include "tune/run.h"
#include "tune/settings.h"

/* The diagonal of 1,000 samples is about that of 50,000 (Choi, El-Khamy and Lee 2017). */
enum { SAMPLES = 1000 };

/* The curvature of the loss, over some batches as they would come in epoch `epoch`. */
static mary_status measure(mary_tuning *t, int64_t epoch, mary_curvature kind, float *const *importance)
{
    int64_t seen = 0;
    for (int64_t number = 0; number < t->steps && seen < SAMPLES; number++) {
        int64_t size;
        MARY_TRY(mary_batches_read(t->batches, epoch, number, t->values, t->labels, NULL, &size));
        MARY_TRY(mary_tuning_pass(t, size, kind, NULL));
        seen += size;
        for (int i = 0; i < t->layers.count; i++) {
            const mary_tuned_layer *layer = &t->layers.items[i];
            mary_parameter parameter;
            MARY_TRY(mary_trainer_parameter(t->trainer, layer->parameter, &parameter));
            for (int64_t k = 0; k < layer->count; k++)
                importance[i][k] += fmaxf(parameter.curvature[k], 0.0f) * (float)size;
        }
    }
    return MARY_OK;
}

/* The training before has gathered it. */
static mary_status take_moments(const mary_tuning *t, float *const *importance)
{
    for (int i = 0; i < t->layers.count; i++) {
        const mary_tuned_layer *layer = &t->layers.items[i];
        if (t->optimiser == NULL)
            return mary_fail(MARY_ERROR_USAGE, "the importance 'adam' needs epochs before the levels");
        MARY_TRY(mary_optimiser_moment(t->optimiser, layer->parameter, importance[i]));
        for (int64_t k = 0; k < layer->count; k++)
            importance[i][k] = sqrtf(importance[i][k]);
    }
    return MARY_OK;
}

/* No weight is free: a diagonal knows nothing of errors that add up (docs/levels.md). */
static mary_status finish(const mary_tuned_layer *layer, float *importance)
{
    double sum = 0;
    int64_t kept = 0;
    for (int64_t k = 0; k < layer->count; k++) {
        if (!isfinite(importance[k]))
            return mary_fail(MARY_ERROR_INVALID, "the curvature of the loss is not finite");
        sum += layer->codes[k] != 0 ? (double)importance[k] : 0;
        kept += layer->codes[k] != 0;
    }
    for (int64_t k = 0; k < layer->count; k++)
        importance[k] =
            (float)((double)importance[k] + MARY_TUNE_IMPORTANCE_FLOOR * sum / (double)(kept > 0 ? kept : 1));
    return MARY_OK;
}

mary_status mary_tuning_importance(mary_tuning *t, int64_t epoch, float ***importance)
{
    const mary_tune_importance kind = mary_tune_importance_of(&t->options);
    mary_status status = MARY_OK;
    float **all = NULL;
    *importance = NULL;
    if (kind == MARY_TUNE_IMPORTANCE_NONE)
        return MARY_OK;
    all = mary_calloc((size_t)t->layers.count, sizeof *all);
    if (all == NULL)
        return mary_fail_memory((size_t)t->layers.count * sizeof *all);
    for (int i = 0; i < t->layers.count; i++) {
        all[i] = mary_calloc((size_t)t->layers.items[i].count, sizeof **all);
        if (all[i] == NULL) {
            status = mary_fail_memory((size_t)t->layers.items[i].count * sizeof **all);
            goto done;
        }
    }
    if (kind == MARY_TUNE_IMPORTANCE_ADAM)
        MARY_TRY_GOTO(take_moments(t, all), done);
    else
        MARY_TRY_GOTO(measure(t, epoch,
                              kind == MARY_TUNE_IMPORTANCE_FISHER ? MARY_CURVATURE_FISHER : MARY_CURVATURE_HESSIAN,
                              all),
                      done);
    for (int i = 0; i < t->layers.count; i++)
        MARY_TRY_GOTO(finish(&t->layers.items[i], all[i]), done);
    *importance = all;
    all = NULL;
done:
    mary_tuning_importance_free(t, all);
    return status;
}

void mary_tuning_importance_free(const mary_tuning *t, float **importance)
{
    for (int i = 0; importance != NULL && i < t->layers.count; i++)
        mary_free(importance[i]);
    mary_free(importance);
}
