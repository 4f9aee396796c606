/* One conversion with its size as a file. */
#include "convert/mixed.h"
#include "search/search.h"

void mary_trial_free(mary_trial *trial)
{
    mary_model_free(&trial->model);
    mary_bytes_free(trial->file);
    mary_convert_report_free(&trial->report);
    if (trial->packing != NULL)
        mary_pack_report_free(&trial->packing);
    *trial = (mary_trial){0};
}

void mary_trial_move(mary_trial *to, mary_trial *from)
{
    mary_trial_free(to);
    *to = *from;
    *from = (mary_trial){0};
}

static mary_status make_file(const mary_search *search, mary_trial *trial)
{
    const mary_pack_options options = {.threads = search->convert.threads};
    void *packed = NULL;
    size_t size;
    MARY_TRY(mary_model_save_memory(trial->model, &trial->file, &trial->size));
    if (!search->goal.pack)
        return MARY_OK;
    MARY_TRY(mary_pack(trial->file, trial->size, &options, &packed, &size, &trial->packing));
    mary_bytes_free(trial->file);
    trial->file = packed;
    trial->size = size;
    return MARY_OK;
}

mary_status mary_trial_make(const mary_search *search, mary_trial_kind kind, const int *levels, int uniform,
                            mary_trial *trial)
{
    mary_convert_options options = search->convert;
    mary_status status = MARY_OK;
    *trial = (mary_trial){0};
    if (levels == NULL)
        options.levels = uniform;
    if (kind == MARY_TRIAL_OF_LAYERS)
        options.no_bias_correction = true;
    MARY_TRY_GOTO(mary_model_copy(search->model, &trial->model), done);
    MARY_TRY_GOTO(mary_convert_mixed(trial->model, &options, levels, levels == NULL ? 0 : search->table.layer_count,
                                     &trial->report),
                  done);
    MARY_TRY_GOTO(make_file(search, trial), done);
    trial->point = (mary_goal_point){.levels = uniform, .ends_finer = levels == NULL, .bytes = trial->size};
done:
    if (status != MARY_OK)
        mary_trial_free(trial);
    return status;
}

static mary_status add_point(mary_goal_result *result, const mary_goal_point *point)
{
    if (!mary_reserve((void **)&result->points, &result->point_capacity, result->point_count + 1,
                      sizeof *result->points))
        return mary_fail_memory(sizeof *result->points);
    result->points[result->point_count++] = *point;
    return MARY_OK;
}

mary_status mary_trial_judge(mary_search *search, mary_trial *trial)
{
    mary_goal_point *point = &trial->point;
    mary_outcome *outcome = &trial->outcome;
    MARY_TRY(mary_judge_model(&search->judge, &trial->model, search->part, 0, outcome));
    const double samples = outcome->samples > 0 ? (double)outcome->samples : 1;
    point->divergence = outcome->divergence;
    point->error = outcome->error;
    point->agreement = outcome->scored ? (double)outcome->agreed / samples : -1;
    point->accuracy = outcome->labelled ? (double)outcome->right / samples : -1;
    point->drop = mary_outcome_drop(outcome, &point->drop_deviation);
    return add_point(search->result, point);
}
