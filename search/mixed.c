/* The best conversion with an M for each layer. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "search/search.h"

enum {
    MOST_TRIES = 8, /* conversions to come close to a size */
    MOST_FITS = 3,  /* and how often that is done */
    MOST_STEPS = 10 /* halvings of a range of sizes; 2^-10 of a factor of 16 is 0.3 % */
};

/* What an allocation is tried with. */
typedef struct attempt {
    mary_choices choices;
    uint64_t least, most;         /* bytes of layers */
    uint64_t target;              /* bytes of the file, when the goal is a size */
    uint8_t *picks;               /* [groups] */
    uint8_t *good, *bad;          /* [groups]: the last that kept to the goal, and the last that did not */
    uint64_t good_size, bad_size; /* of their files */
    int *levels;                  /* [layer_count] */
} attempt;

static void attempt_free(attempt *a)
{
    mary_free(a->picks);
    mary_free(a->good);
    mary_free(a->bad);
    mary_free(a->levels);
}

static mary_status attempt_create(const mary_layer_table *table, attempt *a)
{
    *a = (attempt){.target = UINT64_MAX,
                   .choices = mary_layer_table_choices(table),
                   .picks = mary_calloc(table->groups, 1),
                   .good = mary_calloc(table->groups, 1),
                   .bad = mary_calloc(table->groups, 1),
                   .levels = mary_calloc(table->layer_count + 1, sizeof *a->levels)};
    mary_allocation_range(&a->choices, &a->least, &a->most);
    if (a->picks != NULL && a->good != NULL && a->bad != NULL && a->levels != NULL) {
        memset(a->good, 0xff, table->groups); /* no candidate */
        memset(a->bad, 0xff, table->groups);
        return MARY_OK;
    }
    attempt_free(a);
    return mary_fail_memory(table->layer_count * sizeof *a->levels);
}

/* Converts with what is best for so many bytes of layers, and sees whether that keeps to the goal: into *best when it
 * does. What was converted just before is not again. *size is that of the file, and *drop what it loses when the goal
 * is a drop and it was converted now. */
static mary_status attempt_at(mary_search *search, attempt *a, uint64_t budget, mary_trial *best, uint64_t *size,
                              double *drop, bool *good)
{
    const size_t groups = search->table.groups;
    mary_trial made = {0};
    mary_status status = MARY_OK;
    bool fits;
    MARY_TRY(mary_allocate(&a->choices, budget, a->picks, &fits));
    *good = memcmp(a->picks, a->good, groups) == 0;
    if (*good || memcmp(a->picks, a->bad, groups) == 0) {
        *size = *good ? a->good_size : a->bad_size;
        return MARY_OK;
    }
    mary_layer_table_levels(&search->table, a->picks, a->levels);
    const bool drop_wanted = search->goal.kind == MARY_GOAL_DROP;
    MARY_TRY_GOTO(
        mary_trial_make(search, drop_wanted ? MARY_TRIAL_OF_NETWORK : MARY_TRIAL_OF_LAYERS, a->levels, 0, &made), done);
    if (drop_wanted)
        MARY_TRY_GOTO(mary_trial_judge(search, &made), done);
    *good = drop_wanted ? mary_search_meets(search, &made) : made.size <= a->target;
    memcpy(*good ? a->good : a->bad, a->picks, groups);
    *(*good ? &a->good_size : &a->bad_size) = *size = made.size;
    *drop = made.point.drop;
    if (*good)
        mary_trial_move(best, &made);
done:
    mary_trial_free(&made);
    return status;
}

/* ---- a size ---- */

static mary_status too_small(const mary_search *search, uint64_t smallest)
{
    return mary_fail(MARY_ERROR_BUDGET,
                     "no file of at most %" PRIu64 " bytes can be made: the smallest one has %" PRIu64
                     ", the float file is %.2f times larger than that",
                     search->result->summary.target_bytes, smallest,
                     (double)search->goal.float_bytes / (double)smallest);
}

/* The bytes of layers that leave room for the rest: that of the uniform file whose size is next. */
static uint64_t first_budget(const mary_search *search, uint64_t target)
{
    const mary_layer_table *table = &search->table;
    int next = 0;
    for (int c = 0; c < table->candidates; c++)
        next = table->uniform_bytes[c] <= target ? c : next;
    return target > table->rest_bytes[next] ? target - table->rest_bytes[next] : 0;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* The budget moves by what the last file was off, and never outside what is known to fit and not to. */
static mary_status fit_size(mary_search *search, attempt *a, mary_trial *best)
{
    const uint64_t target = a->target;
    uint64_t low = a->least, high = a->most + 1; /* `high` does not fit; `low` does, or is the last resort */
    uint64_t budget = clamp(first_budget(search, target), a->least, a->most);
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        uint64_t size;
        double drop;
        bool good;
        mary_search_progress(search, "fitting the size", (uint64_t)tries, MOST_TRIES);
        MARY_TRY(attempt_at(search, a, budget, best, &size, &drop, &good));
        const uint64_t off = size > target ? size - target : target - size;
        if (!good && budget == a->least)
            return too_small(search, size);
        if (good)
            low = budget;
        else
            high = budget;
        if (high - low <= 1 || (good && off * 1000 < target))
            break;
        uint64_t next = good ? budget + off : budget > off ? budget - off : 0;
        if (next <= low || next >= high)
            next = low + (high - low) / 2;
        budget = next;
    }
    if (best->file == NULL) {
        uint64_t size;
        double drop;
        bool good;
        MARY_TRY(attempt_at(search, a, a->least, best, &size, &drop, &good));
        if (!good)
            return too_small(search, size);
    }
    return MARY_OK;
}

/* Correcting a network takes far longer than converting it, and changes its size by bytes only: it comes last. A file
 * that it makes too large is fitted again, to as much less. */
static mary_status fit_corrected(mary_search *search, attempt *a, mary_trial *best)
{
    a->target = search->result->summary.target_bytes;
    for (int fits = 0; fits < MOST_FITS; fits++) {
        mary_trial fitted = {0}, corrected = {0};
        mary_status status = fit_size(search, a, &fitted);
        if (fits > 0 && status == MARY_ERROR_BUDGET)
            return MARY_OK; /* what was fitted first stays as it is */
        if (status != MARY_OK)
            return status;
        mary_layer_table_levels(&search->table, a->good, a->levels);
        status = mary_trial_make(search, MARY_TRIAL_OF_NETWORK, a->levels, 0, &corrected);
        const uint64_t size = corrected.size;
        const bool good = status == MARY_OK && mary_search_meets(search, &corrected);
        if (good)
            mary_trial_move(best, &corrected);
        else if (fits == 0)
            mary_trial_move(best, &fitted);
        mary_trial_free(&fitted);
        mary_trial_free(&corrected);
        if (good || status != MARY_OK)
            return status;
        a->target -= size - search->result->summary.target_bytes;
        memset(a->good, 0xff, search->table.groups);
    }
    return MARY_OK;
}

/* ---- a drop ---- */

/* Sizes are halved by their logarithm until what keeps to the goal and what does not are next to each other. */
static mary_status fit_drop(mary_search *search, attempt *a, mary_trial *best)
{
    uint64_t size;
    double drop = 0;
    bool good;
    double low = log((double)a->least + 1), high = log((double)a->most + 1);
    MARY_TRY(attempt_at(search, a, a->most, best, &size, &drop, &good));
    if (!good)
        return mary_fail(MARY_ERROR_BUDGET, "no conversion keeps to a drop of %g points: the finest one loses %.2f",
                         search->goal.value, drop);
    MARY_TRY(attempt_at(search, a, a->least, best, &size, &drop, &good));
    for (int step = 0; !good && step < MOST_STEPS && high - low > 0.003; step++) {
        const double middle = (low + high) / 2;
        bool kept;
        mary_search_progress(search, "fitting the drop", (uint64_t)step, MOST_STEPS);
        MARY_TRY(attempt_at(search, a, (uint64_t)exp(middle), best, &size, &drop, &kept));
        if (kept)
            high = middle;
        else
            low = middle;
    }
    return MARY_OK;
}

mary_status mary_mixed_find(mary_search *search, mary_trial *best)
{
    attempt a;
    MARY_TRY(attempt_create(&search->table, &a));
    mary_status status =
        search->goal.kind == MARY_GOAL_DROP ? fit_drop(search, &a, best) : fit_corrected(search, &a, best);
    attempt_free(&a);
    if (status == MARY_OK && search->goal.kind != MARY_GOAL_DROP)
        status = mary_trial_judge(search, best);
    return status;
}

mary_status mary_mixed_points(mary_search *search, int count)
{
    mary_status status = MARY_OK;
    attempt a;
    MARY_TRY(attempt_create(&search->table, &a));
    for (int i = 1; i <= count && status == MARY_OK; i++) {
        const double part = (double)i / (count + 1);
        const uint64_t budget = (uint64_t)exp(log((double)a.least + 1) * (1 - part) + log((double)a.most + 1) * part);
        mary_trial trial = {0};
        bool fits;
        mary_search_progress(search, "other sizes", (uint64_t)i - 1, (uint64_t)count);
        status = mary_allocate(&a.choices, budget, a.picks, &fits);
        mary_layer_table_levels(&search->table, a.picks, a.levels);
        if (status == MARY_OK)
            status = mary_trial_make(search, MARY_TRIAL_OF_NETWORK, a.levels, 0, &trial);
        if (status == MARY_OK)
            status = mary_trial_judge(search, &trial);
        mary_trial_free(&trial);
    }
    attempt_free(&a);
    return status;
}
