/* What the steps of mary_convert_to_goal share. Private to search/. */
#ifndef MARY_SEARCH_SEARCH_H
#define MARY_SEARCH_SEARCH_H

#include "search/allocate.h"
#include "search/measure.h"

/* One conversion, as a file and measured. */
typedef struct mary_trial {
    mary_model *model; /* converted, not packed; NULL once it was judged */
    void *file;        /* freed with mary_bytes_free */
    size_t size;
    mary_convert_report *report;
    mary_pack_report *packing; /* NULL: not packed */
    mary_goal_point point;     /* without bytes when not judged */
    mary_outcome outcome;
} mary_trial;

enum { MARY_MOST_CANDIDATES = 16 };

/* The layers, and what each costs and does with each M. */
typedef struct mary_layer_table {
    size_t layer_count; /* of the report of a conversion */
    size_t *group_of;   /* [layer_count]: layers that share a weight are one group; SIZE_MAX: no constant weight */
    size_t *node;       /* [layer_count]: in the graph of the float model */
    char **weight;      /* [groups] */
    size_t groups;
    int candidates, levels[MARY_MOST_CANDIDATES];
    uint64_t *bytes;                              /* [groups][candidates] */
    double *losses;                               /* [groups][candidates] */
    uint64_t uniform_bytes[MARY_MOST_CANDIDATES]; /* of the file with this M everywhere */
    uint64_t rest_bytes[MARY_MOST_CANDIDATES];    /* of these, what is no layer's */
} mary_layer_table;

typedef struct mary_search {
    const mary_model *model;
    mary_convert_options convert; /* of every conversion: calibrated with the measured part, silent */
    mary_goal goal;
    mary_sample_part part; /* that judges */
    int64_t layer_runs;    /* of the measured part, that single layers are measured with */
    mary_search_samples samples;
    mary_judge judge;
    mary_model *base; /* float, cleaned up as conversions are: the layers' nodes are in it */
    mary_layer_table table;
    mary_goal_result *result;
} mary_search;

struct mary_goal_result {
    void *file;
    size_t size;
    mary_convert_report *report;
    mary_goal_summary summary;
    mary_goal_point *points;
    size_t point_count, point_capacity;
};

/* ---- search/trial.c ---- */

/* A network is corrected layer after layer where that is possible: layers that are to be looked at one by one, in the
 * float network, are not. */
typedef enum mary_trial_kind { MARY_TRIAL_OF_NETWORK, MARY_TRIAL_OF_LAYERS } mary_trial_kind;

/* Converts with levels[i] for layer i, or, with NULL, with options.levels = uniform and the usual 256 of the first and
 * last layers. On failure nothing needs freeing. */
mary_status mary_trial_make(const mary_search *search, mary_trial_kind kind, const int *levels, int uniform,
                            mary_trial *trial);
/* Fills outcome and point, and adds the point to the result's. */
mary_status mary_trial_judge(mary_search *search, mary_trial *trial);
void mary_trial_free(mary_trial *trial);
/* *to = *from, which is left empty; what *to held is freed. */
void mary_trial_move(mary_trial *to, mary_trial *from);

/* ---- search/layers.c: the table ---- */

/* Makes search->base, too. Freed with the search. */
mary_status mary_layer_table_create(mary_search *search);
void mary_layer_table_free(mary_layer_table *table);
/* levels [layer_count] for one pick per group. */
void mary_layer_table_levels(const mary_layer_table *table, const uint8_t *picks, int *levels);
mary_choices mary_layer_table_choices(const mary_layer_table *table);

/* ---- search/swap.c ---- */

/* A copy of the float model in which the layers of one group compute with what their levels stand for. `coded` is the
 * same model converted and dequantised. */
mary_status mary_swap_group(const mary_search *search, const mary_model *coded, size_t group, mary_model **model);

/* ---- search/mixed.c and search/uniform.c: the best trial of its kind, judged ---- */

/* MARY_ERROR_BUDGET when nothing meets the goal. */
mary_status mary_mixed_find(mary_search *search, mary_trial *best);
/* More points between the smallest and the largest, for the frontier. */
mary_status mary_mixed_points(mary_search *search, int count);
/* *found is false when no single M meets the goal. */
mary_status mary_uniform_find(mary_search *search, mary_trial *best, bool *found);

/* Does it keep to the goal? */
bool mary_search_meets(const mary_search *search, const mary_trial *trial);
void mary_search_progress(const mary_search *search, const char *phase, uint64_t done, uint64_t total);

#endif
