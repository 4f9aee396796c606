/* mary_convert_to_goal: measure layers, choose M for each, convert, compare with one M for all. */
#include "search/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/report.h"

enum { LAYER_SAMPLES = 256, MOST_POINTS = 64 };

void mary_search_progress(const mary_search *search, const char *phase, uint64_t done, uint64_t total)
{
    if (search->goal.progress != NULL)
        search->goal.progress(search->goal.progress_context, phase, done, total);
}

bool mary_search_meets(const mary_search *search, const mary_trial *trial)
{
    if (search->goal.kind == MARY_GOAL_DROP)
        return trial->point.drop <= search->goal.value + 1e-9; /* points of 100 / samples, summed in doubles */
    return trial->size <= search->result->summary.target_bytes;
}

static mary_status check(const mary_convert_options *options, const mary_goal *goal)
{
    if (goal->kind == MARY_GOAL_BYTES && !(goal->value >= 1 && goal->value <= 0x1p62))
        return mary_fail(MARY_ERROR_USAGE, "a file of %g bytes is no goal", goal->value);
    if (goal->kind == MARY_GOAL_RATIO && !(goal->value > 0 && isfinite(goal->value)))
        return mary_fail(MARY_ERROR_USAGE, "a file that is %g times smaller is no goal", goal->value);
    if (goal->kind == MARY_GOAL_DROP && !(goal->value >= 0 && goal->value <= 100))
        return mary_fail(MARY_ERROR_USAGE, "a drop of %g percentage points is no goal, it must be from 0 to 100",
                         goal->value);
    if (goal->kind < MARY_GOAL_BYTES || goal->kind > MARY_GOAL_DROP)
        return mary_fail(MARY_ERROR_USAGE, "goal %d is unknown", (int)goal->kind);
    if (goal->frontier < 0 || goal->frontier > MOST_POINTS)
        return mary_fail(MARY_ERROR_USAGE, "%d points of the frontier: it must be from 0 to %d", goal->frontier,
                         MOST_POINTS);
    if (options->levels != 0)
        return mary_fail(MARY_ERROR_USAGE, "levels and a goal exclude each other: the goal chooses them");
    return MARY_OK;
}

static uint64_t target_of(const mary_goal *goal)
{
    const double bytes = goal->kind == MARY_GOAL_BYTES   ? goal->value
                         : goal->kind == MARY_GOAL_RATIO ? (double)goal->float_bytes / goal->value
                                                         : 0;
    return bytes < 0x1p62 ? (uint64_t)bytes : (uint64_t)1 << 62;
}

/* Runs that have LAYER_SAMPLES samples or a little more, and the number of all. */
static mary_status count_samples(mary_search *search)
{
    mary_goal_summary *summary = &search->result->summary;
    const int64_t runs = mary_search_samples_count(&search->samples, MARY_SAMPLES_ALL);
    int64_t layer_samples = 0;
    for (int64_t i = 0; i < runs; i++) {
        const mary_sample_run *run;
        MARY_TRY(mary_search_samples_read(&search->samples, i, &run));
        const int64_t rows = run->count >= 0                                   ? run->count
                             : run->input_count > 0 && run->inputs[0].rank > 0 ? run->inputs[0].dims[0]
                                                                               : 1;
        const bool measured = i % 2 == 0;
        summary->samples += rows;
        summary->measured += measured ? rows : 0;
        if (measured && layer_samples < LAYER_SAMPLES) {
            layer_samples += rows;
            search->layer_runs++;
        }
    }
    summary->judging = search->part == MARY_SAMPLES_ALL ? summary->samples : summary->samples - summary->measured;
    return MARY_OK;
}

/* What the float model itself does: whether there are scores and labels at all. */
static mary_status judge_float(mary_search *search)
{
    mary_goal_summary *summary = &search->result->summary;
    mary_model *copy = NULL;
    mary_outcome outcome;
    MARY_TRY(mary_model_copy(search->model, &copy));
    MARY_TRY(mary_judge_model(&search->judge, &copy, search->part, 0, &outcome));
    summary->scored = outcome.scored;
    summary->labelled = outcome.labelled;
    summary->float_accuracy =
        outcome.labelled && outcome.samples > 0 ? (double)outcome.float_right / (double)outcome.samples : -1;
    if (search->goal.kind == MARY_GOAL_DROP && !outcome.scored)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "no output of the model holds class scores [N, classes], so what "
                                                 "accuracy it loses cannot be told: state a size");
    return MARY_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const mary_goal_point *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    if (x->levels != y->levels)
        return x->levels < y->levels ? -1 : 1;
    return (x->ends_finer > y->ends_finer) - (x->ends_finer < y->ends_finer);
}

/* By bytes, each once: one M for all is met again when its size is searched for. */
static void sort_points(mary_goal_result *result)
{
    size_t kept = 0;
    if (result->point_count > 0)
        qsort(result->points, result->point_count, sizeof *result->points, by_bytes);
    for (size_t i = 0; i < result->point_count; i++) {
        const mary_goal_point *point = &result->points[i];
        if (kept == 0 || by_bytes(point, &result->points[kept - 1]) != 0 ||
            point->error != result->points[kept - 1].error)
            result->points[kept++] = *point;
    }
    result->point_count = kept;
}

/* The better of the two becomes the result: less loss at the size, fewer bytes at the drop. */
static void decide(mary_search *search, mary_trial *mixed, mary_trial *uniform, bool found)
{
    mary_goal_result *result = search->result;
    mary_goal_summary *summary = &result->summary;
    summary->mixed = mixed->point;
    summary->has_uniform = found;
    if (found)
        summary->uniform = uniform->point;
    summary->took_uniform = found && (search->goal.kind == MARY_GOAL_DROP
                                          ? uniform->size < mixed->size
                                          : mary_outcome_loss(&uniform->outcome) < mary_outcome_loss(&mixed->outcome));
    mary_trial *taken = summary->took_uniform ? uniform : mixed;
    result->file = taken->file;
    result->size = taken->size;
    result->report = taken->report;
    taken->file = NULL;
    taken->report = NULL;
    sort_points(result);
}

static mary_status search_all(mary_search *search)
{
    mary_goal_summary *summary = &search->result->summary;
    mary_trial mixed = {0}, uniform = {0};
    mary_status status = MARY_OK;
    bool found = false;
    MARY_TRY_GOTO(count_samples(search), done);
    MARY_TRY_GOTO(mary_judge_create(search->model, &search->samples, search->convert.threads, &search->judge), done);
    MARY_TRY_GOTO(judge_float(search), done);
    MARY_TRY_GOTO(mary_layer_table_create(search), done);
    summary->float_bytes = search->goal.float_bytes;
    summary->target_bytes = target_of(&search->goal);
    MARY_TRY_GOTO(mary_mixed_find(search, &mixed), done);
    MARY_TRY_GOTO(mary_uniform_find(search, &uniform, &found), done);
    MARY_TRY_GOTO(mary_mixed_points(search, search->goal.frontier), done);
    decide(search, &mixed, &uniform, found);
done:
    mary_trial_free(&mixed);
    mary_trial_free(&uniform);
    return status;
}

static mary_status search_once(const mary_model *model, const mary_convert_options *options, const mary_goal *goal,
                               mary_goal_result **result)
{
    mary_search search = {.model = model, .convert = *options, .goal = *goal};
    mary_status status = MARY_OK;
    search.part = goal->kind == MARY_GOAL_DROP ? MARY_SAMPLES_ALL : MARY_SAMPLES_APART;
    search.result = mary_calloc(1, sizeof *search.result);
    if (search.result == NULL)
        return mary_fail_memory(sizeof *search.result);
    MARY_TRY_GOTO(mary_search_samples_create(search.convert.calibration, goal, &search.samples), done);
    search.convert.calibration = &search.samples.measured;
    search.convert.progress = NULL;
    MARY_TRY_GOTO(search_all(&search), done);
    *result = search.result;
    search.result = NULL;
done:
    mary_layer_table_free(&search.table);
    mary_judge_free(&search.judge);
    mary_search_samples_free(&search.samples);
    mary_model_free(&search.base);
    mary_goal_result_free(&search.result);
    return status;
}

mary_status mary_convert_to_goal(const mary_model *model, const mary_convert_options *options, const mary_goal *goal,
                                 mary_goal_result **result)
{
    static const mary_convert_options defaults;
    mary_convert_options convert = options != NULL ? *options : defaults;
    char message[1024];
    *result = NULL;
    MARY_TRY(check(&convert, goal));
    mary_status status = search_once(model, &convert, goal, result);
    if (status != MARY_ERROR_BUDGET || goal->kind == MARY_GOAL_DROP || convert.granularity != MARY_GRANULARITY_AUTO)
        return status;
    /* One set of levels for all layers makes the smallest files, where the method can choose one. */
    snprintf(message, sizeof message, "%s", mary_error_message());
    convert.granularity = MARY_GRANULARITY_MODEL;
    status = search_once(model, &convert, goal, result);
    return status == MARY_OK || status == MARY_ERROR_BUDGET ? status : mary_fail(MARY_ERROR_BUDGET, "%s", message);
}

void mary_goal_result_free(mary_goal_result **result)
{
    if (*result == NULL)
        return;
    mary_bytes_free((*result)->file);
    mary_convert_report_free(&(*result)->report);
    mary_free((*result)->points);
    mary_free(*result);
    *result = NULL;
}

const void *mary_goal_file(const mary_goal_result *result, size_t *size)
{
    *size = result->size;
    return result->file;
}

const mary_convert_report *mary_goal_report(const mary_goal_result *result)
{
    return result->report;
}

const mary_goal_summary *mary_goal_summary_of(const mary_goal_result *result)
{
    return &result->summary;
}

const mary_goal_point *mary_goal_frontier(const mary_goal_result *result, size_t index)
{
    return index < result->point_count ? &result->points[index] : NULL;
}
