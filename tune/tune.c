/* mary_tune: prune, train on, choose levels, train these, rewrite. */
#include "convert/passes/passes.h"
#include "tune/identity.h"
#include "tune/run.h"
#include "tune/settings.h"

/* What mary_convert does before it looks at weights has to come before they are tuned: it would change them. */
static mary_status clean_up(mary_model *model)
{
    mary_convert_report *report = NULL;
    mary_status status = mary_convert_report_create(&report);
    if (status != MARY_OK)
        return status;
    MARY_TRY_GOTO(mary_pass_inputs(model, report), done);
    MARY_TRY_GOTO(mary_pass_fold_constants(model, report), done);
    MARY_TRY_GOTO(mary_pass_remove_identity(model, report), done);
    MARY_TRY_GOTO(mary_pass_fold_batchnorm(model, report), done);
    MARY_TRY_GOTO(mary_pass_deduplicate(model, report), done);
    MARY_TRY_GOTO(mary_pass_drop_unused(model, report), done);
done:
    mary_convert_report_free(&report);
    return status;
}

/* Exact k-means finds just the levels that there are. */
static mary_status code(mary_model *model, const mary_tune_options *options)
{
    const mary_convert_options convert = {.levels = options->levels + 1,
                                          .first_last_levels = MARY_SAME_LEVELS,
                                          .method = "kmeans",
                                          .granularity =
                                              options->per_model ? MARY_GRANULARITY_MODEL : MARY_GRANULARITY_TENSOR,
                                          .no_functions = options->no_functions,
                                          .no_fold_batchnorm = true,
                                          .no_deduplicate = true,
                                          .threads = options->threads};
    return mary_convert(model, &convert, NULL);
}

static mary_status create_optimiser(mary_tuning *t)
{
    mary_optimiser_free(&t->optimiser);
    const mary_optimiser_options optimiser = {.weight_decay = t->options.weight_decay, .relative = t->options.relative};
    return mary_optimiser_create(t->trainer, &optimiser, &t->optimiser);
}

/* Levels by the method, for weights (or for their coding), whose codes are a mask. */
static mary_status choose(mary_tuning *t, int64_t epoch,
                          mary_status (*use)(mary_tuned_layers *layers, const mary_tuned_choice *choice))
{
    float **importance = NULL;
    MARY_TRY(mary_tuning_importance(t, epoch, &importance));
    const mary_tuned_choice choice = mary_tuning_choice(t, importance);
    mary_status status = use(&t->layers, &choice);
    mary_tuning_importance_free(t, importance);
    return status;
}

/* After the last epoch that trains single weights. */
static mary_status choose_levels(mary_tuning *t, mary_tune_result *result)
{
    const mary_tune_options *o = &t->options;
    if (o->coded_epochs > 0) {
        MARY_TRY(mary_tuning_update_worth(t));
        MARY_TRY(mary_tuned_settle(&t->layers, t->budget));
    } else {
        MARY_TRY(mary_tuned_prune(&t->layers, o->keep, o->per_layer));
        if (o->no_levels)
            return MARY_OK;
        MARY_TRY(choose(t, t->level_start, mary_tuned_choose_levels));
    }
    mary_tuned_read_mask(&t->layers);
    return mary_tuning_accuracy(t, &result->chosen);
}

/* Before the first epoch that trains coded weights. Within a budget the method says where levels begin only. */
static mary_status begin_coding(mary_tuning *t, int64_t epoch)
{
    MARY_TRY(choose(t, epoch, mary_tuned_choose_coding));
    if (t->budget == 0)
        return MARY_OK;
    MARY_TRY(mary_tuning_measure_worth(t, epoch));
    return mary_tuned_fit_levels(&t->layers, t->budget);
}

/* An epoch of the levels begins with reading them from the values, any other with the mask; so does one that goes on
 * from a checkpoint. */
static mary_status begin_epoch(mary_tuning *t, int64_t epoch, mary_tune_result *result)
{
    const mary_tune_options *o = &t->options;
    mary_tuned_read_mask(&t->layers);
    if (epoch == t->prune_epochs && epoch < t->level_start)
        MARY_TRY(mary_tuned_prune(&t->layers, o->keep, o->per_layer));
    if (epoch == t->coded_start && o->coded_epochs > 0)
        MARY_TRY(begin_coding(t, epoch));
    if (epoch == t->level_start)
        MARY_TRY(choose_levels(t, result));
    if (epoch == 0 || epoch == t->coded_start || epoch == t->level_start)
        MARY_TRY(create_optimiser(t));
    return epoch >= t->level_start ? mary_tuned_read_levels(&t->layers, o->per_model) : MARY_OK;
}

static const char *phase_of(const mary_tuning *t, int64_t epoch)
{
    return epoch < t->prune_epochs  ? "prune"
           : epoch < t->coded_start ? "train"
           : epoch < t->level_start ? "coded"
                                    : "levels";
}

static mary_status train(mary_tuning *t, mary_training_place *place, mary_tune_result *result)
{
    const mary_tune_options *o = &t->options;
    for (int64_t epoch = place->epoch; epoch < o->epochs; epoch++) {
        mary_tune_epoch done = {phase_of(t, epoch), epoch, o->epochs, .accuracy = -1};
        MARY_TRY(begin_epoch(t, epoch, result));
        MARY_TRY(mary_tuning_epoch(t, epoch, &done));
        mary_tuned_clear(&t->layers);
        done.kept = (double)mary_tuned_kept(&t->layers) / (double)mary_tuned_weights(&t->layers);
        MARY_TRY(mary_tuning_accuracy(t, &done.accuracy));
        if (epoch + 1 == t->level_start)
            result->trained = done.accuracy;
        place->epoch = epoch + 1;
        place->step += t->steps;
        if (o->checkpoint != NULL)
            MARY_TRY(mary_checkpoint_save(o->checkpoint, t->trainer, t->optimiser, place));
        if (o->progress != NULL)
            o->progress(o->progress_context, &done);
    }
    return MARY_OK;
}

/* Where to begin: at the start, or where the checkpoint ends. */
static mary_status resume(mary_tuning *t, uint64_t identity, mary_training_place *place)
{
    const mary_tune_options *o = &t->options;
    *place = (mary_training_place){.seed = identity};
    if (!o->resume || !mary_tune_file_exists(o->checkpoint))
        return MARY_OK;
    MARY_TRY(create_optimiser(t));
    MARY_TRY(mary_checkpoint_load(o->checkpoint, t->trainer, t->optimiser, place));
    if (place->seed != identity || place->epoch > o->epochs)
        return mary_fail(MARY_ERROR_USAGE, "%s: the checkpoint belongs to other options, models or data",
                         o->checkpoint);
    return MARY_OK;
}

static mary_status tune(mary_model **model, const mary_samples *samples, const mary_tune_options *options,
                        mary_tune_result *result)
{
    mary_tuning t = {0};
    mary_training_place place;
    uint64_t identity;
    mary_model *tuned = NULL;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(mary_tune_settle(options, &t.options), done);
    MARY_TRY_GOTO(mary_split_create(samples, t.options.holdout, &t.split), done);
    MARY_TRY_GOTO(mary_tune_identity(&t.options, &t.split.all, *model, &identity), done);
    MARY_TRY_GOTO(clean_up(*model), done);
    MARY_TRY_GOTO(mary_tuning_create(&t, model), done);
    MARY_TRY_GOTO(resume(&t, identity, &place), done);
    *result = (mary_tune_result){.weights = mary_tuned_weights(&t.layers),
                                 .layers = t.layers.count,
                                 .samples = t.split.training.samples,
                                 .held_out = t.split.held_out,
                                 .before = -1,
                                 .trained = -1,
                                 .chosen = -1,
                                 .after = -1};
    if (place.epoch == 0)
        MARY_TRY_GOTO(mary_tuning_accuracy(&t, &result->before), done);
    MARY_TRY_GOTO(train(&t, &place, result), done);
    mary_tuned_read_mask(&t.layers);
    if (t.level_start == t.options.epochs) /* nothing trains the levels */
        MARY_TRY_GOTO(choose_levels(&t, result), done);
    if (!t.options.no_levels)
        MARY_TRY_GOTO(mary_tuned_round(t.trainer, t.options.precision), done);
    MARY_TRY_GOTO(mary_tuning_accuracy(&t, &result->after), done); /* of what is written */
    result->kept = mary_tuned_kept(&t.layers);
    MARY_TRY_GOTO(mary_trainer_model(t.trainer, true, &tuned), done);
    if (!t.options.no_levels)
        MARY_TRY_GOTO(code(tuned, &t.options), done);
    *model = tuned;
    tuned = NULL;
done:
    mary_model_free(&tuned);
    mary_tuning_free(&t);
    return status;
}

mary_status mary_tune(mary_model **model, const mary_samples *samples, const mary_tune_options *options,
                      mary_tune_result *result)
{
    static const mary_tune_options defaults;
    mary_tune_result ignored;
    mary_model *taken = *model;
    *model = NULL;
    mary_status status =
        tune(&taken, samples, options != NULL ? options : &defaults, result != NULL ? result : &ignored);
    if (status == MARY_OK)
        *model = taken;
    else
        mary_model_free(&taken);
    return status;
}
