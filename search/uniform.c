/* What one M for all layers gives: the baseline. */
#include "search/search.h"

/* A plain file has codes of 1, 2, 4 or 8 bits, so these are the largest M of every size. */
static const int plain[] = {2, 4, 16, 256};
static const int packed[] = {2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,  13,  14, 15,
                             16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192, 256};

/* One M for all layers, or for all but the first and the last. */
static mary_status make(mary_search *search, mary_trial_kind kind, int *levels, int uniform, bool ends_finer,
                        mary_trial *trial, bool *good)
{
    for (size_t i = 0; i < search->table.layer_count; i++)
        levels[i] = uniform;
    MARY_TRY(mary_trial_make(search, kind, ends_finer ? NULL : levels, uniform, trial));
    mary_status status = search->goal.kind == MARY_GOAL_DROP ? mary_trial_judge(search, trial) : MARY_OK;
    if (status != MARY_OK)
        mary_trial_free(trial);
    else
        *good = mary_search_meets(search, trial);
    return status;
}

/* The largest M that has the size, or the smallest that keeps to the drop. */
static mary_status find(mary_search *search, bool ends_finer, int *levels, mary_trial *best, int *step)
{
    const bool drop = search->goal.kind == MARY_GOAL_DROP;
    const int *list = search->goal.pack ? packed : plain;
    int low = -1, high = (int)(search->goal.pack ? sizeof packed / sizeof *packed : sizeof plain / sizeof *plain);
    while (high - low > 1) { /* list[high] is too large, list[low] too small, or outside */
        const int middle = low + (high - low) / 2;
        mary_trial trial = {0};
        bool good = false;
        mary_search_progress(search, "one M for all", (uint64_t)(*step)++, search->goal.pack ? 10 : 6);
        MARY_TRY(make(search, drop ? MARY_TRIAL_OF_NETWORK : MARY_TRIAL_OF_LAYERS, levels, list[middle], ends_finer,
                      &trial, &good));
        if (good)
            mary_trial_move(best, &trial);
        mary_trial_free(&trial);
        if (good != drop)
            low = middle;
        else
            high = middle;
    }
    if (drop || best->file == NULL)
        return MARY_OK;
    /* Correcting takes far longer than converting: it comes last. One that needs bytes that there are not is left. */
    mary_trial corrected = {0};
    bool good = false;
    MARY_TRY(make(search, MARY_TRIAL_OF_NETWORK, levels, list[low], ends_finer, &corrected, &good));
    if (good)
        mary_trial_move(best, &corrected);
    mary_trial_free(&corrected);
    return MARY_OK;
}

static bool better(const mary_search *search, const mary_trial *a, const mary_trial *b)
{
    if (search->goal.kind == MARY_GOAL_DROP)
        return a->size < b->size;
    return mary_outcome_loss(&a->outcome) < mary_outcome_loss(&b->outcome);
}

mary_status mary_uniform_find(mary_search *search, mary_trial *best, bool *found)
{
    int step = 0, *levels = mary_calloc(search->table.layer_count + 1, sizeof *levels);
    mary_status status = MARY_OK;
    mary_trial other = {0};
    *found = false;
    if (levels == NULL)
        return mary_fail_memory(search->table.layer_count * sizeof *levels);
    for (int ends = 0; ends < (search->convert.first_last_levels == 0 ? 2 : 1); ends++) {
        MARY_TRY_GOTO(find(search, ends == 1, levels, &other, &step), done);
        if (other.file == NULL)
            continue;
        if (search->goal.kind != MARY_GOAL_DROP)
            MARY_TRY_GOTO(mary_trial_judge(search, &other), done);
        if (best->file == NULL || better(search, &other, best))
            mary_trial_move(best, &other);
        mary_trial_free(&other);
    }
    *found = best->file != NULL;
done:
    mary_trial_free(&other);
    mary_free(levels);
    return status;
}
