/* What the squared error of a weight counts when its level is chosen, and those of a layer beside others': measured on
 * training samples. */
#include <math.h>
#include <string.h>

#include "train/optimise.h"
#include "tune/run.h"
#include "tune/settings.h"

/* The diagonal of 1,000 samples is about that of 50,000 (Choi, El-Khamy and Lee 2017). */
enum { SAMPLES = 1000 };

#define LEAST_WORTH 0.01 /* a layer that the loss hardly minds now may matter when it has lost its weights */

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

/* What the optimiser has gathered: second moments of gradients. */
static mary_status read_moments(const mary_tuning *t, float *const *moments)
{
    for (int i = 0; i < t->layers.count; i++)
        MARY_TRY(mary_optimiser_moment(t->optimiser, t->layers.items[i].parameter, moments[i]));
    return MARY_OK;
}

/* Their roots, from the training before. */
static mary_status take_roots(const mary_tuning *t, float *const *importance)
{
    if (t->optimiser == NULL)
        return mary_fail(MARY_ERROR_USAGE, "the importance 'adam' needs epochs before the levels");
    MARY_TRY(read_moments(t, importance));
    for (int i = 0; i < t->layers.count; i++) {
        for (int64_t k = 0; k < t->layers.items[i].count; k++)
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

/* A number for each weight of each layer, zero; to be freed on failure, too. */
static mary_status create_arrays(const mary_tuning *t, float ***arrays)
{
    *arrays = mary_calloc((size_t)t->layers.count, sizeof **arrays);
    if (*arrays == NULL)
        return mary_fail_memory((size_t)t->layers.count * sizeof **arrays);
    for (int i = 0; i < t->layers.count; i++) {
        (*arrays)[i] = mary_calloc((size_t)t->layers.items[i].count, sizeof ***arrays);
        if ((*arrays)[i] == NULL)
            return mary_fail_memory((size_t)t->layers.items[i].count * sizeof ***arrays);
    }
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
    MARY_TRY_GOTO(create_arrays(t, &all), done);
    if (kind == MARY_TUNE_IMPORTANCE_ADAM)
        MARY_TRY_GOTO(take_roots(t, all), done);
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

/* ---- layers ---- */

/* What an error of a given part of every weight costs in each layer, by the Fisher information: the sum of squares
 * times second moments of gradients. The worth is this beside the (geometric) mean over all weights, under a root: the
 * Fisher information knows what small errors do, and among few levels the others are many; by it alone a layer that
 * seems to matter little loses all of its weights. */
static void set_worths(const mary_tuned_layers *layers, float *const *moments)
{
    double logarithms = 0, weights = 0;
    for (int i = 0; i < layers->count; i++) {
        const mary_tuned_layer *layer = &layers->items[i];
        double sum = 0;
        for (int64_t k = 0; k < layer->count; k++)
            sum += (double)moments[i][k] * (double)layer->values[k] * (double)layer->values[k];
        layer->coding->worth = sum;
        if (sum > 0) {
            logarithms += (double)layer->count * log(sum);
            weights += (double)layer->count;
        }
    }
    for (int i = 0; i < layers->count; i++) {
        double *worth = &layers->items[i].coding->worth;
        *worth = *worth > 0 ? fmax(sqrt(*worth / exp(logarithms / weights)), LEAST_WORTH) : 1;
    }
}

static mary_status weigh(mary_tuning *t, bool measured, int64_t epoch)
{
    float **moments = NULL;
    mary_status status = create_arrays(t, &moments);
    if (status == MARY_OK)
        status = measured ? measure(t, epoch, MARY_CURVATURE_FISHER, moments) : read_moments(t, moments);
    if (status == MARY_OK)
        set_worths(&t->layers, moments);
    mary_tuning_importance_free(t, moments);
    return status;
}

mary_status mary_tuning_measure_worth(mary_tuning *t, int64_t epoch)
{
    return weigh(t, true, epoch);
}

mary_status mary_tuning_update_worth(mary_tuning *t)
{
    return t->budget == 0 || t->optimiser->steps == 0 ? MARY_OK : weigh(t, false, 0);
}

void mary_tuning_importance_free(const mary_tuning *t, float **importance)
{
    for (int i = 0; importance != NULL && i < t->layers.count; i++)
        mary_free(importance[i]);
    mary_free(importance);
}
