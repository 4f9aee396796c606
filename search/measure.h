/* How models do on the samples of a search, compared with the float model. */
#ifndef MARY_SEARCH_MEASURE_H
#define MARY_SEARCH_MEASURE_H

#include "onnx/model.h"
#include "search/samples.h"

/* What a model makes of some samples. */
typedef struct mary_outcome {
    int64_t samples; /* rows of the first output that holds scores; without scores, of the first input */
    bool scored, labelled;
    double divergence, error; /* as in mary_goal_point */
    int64_t agreed;           /* same best class as in float */
    int64_t right, float_right;
    int64_t lost, gained; /* right in float only, right in the model only */
} mary_outcome;

typedef struct mary_judge {
    mary_search_samples *samples;
    mary_session *session; /* of the float model */
    int threads;
    int output_count;
    mary_array *references; /* [runs of the source][output_count]: outputs of the float model that are kept */
    bool *known;            /* [runs of the source] */
    size_t bytes, limit;    /* of them */
} mary_judge;

#define MARY_REFERENCES_KEPT ((size_t)64 << 20)

/* `model` is the float model, and copied. To be freed on failure, too. */
mary_status mary_judge_create(const mary_model *model, mary_search_samples *samples, int threads, mary_judge *judge);
void mary_judge_free(mary_judge *judge);
/* Takes over *model. At most `most` runs of the part; 0: all. */
mary_status mary_judge_model(mary_judge *judge, mary_model **model, mary_sample_part part, int64_t most,
                             mary_outcome *outcome);
/* What candidates are ordered by: the divergence, or without scores the error. Never infinite. */
double mary_outcome_loss(const mary_outcome *outcome);
/* Percentage points of accuracy that are lost, or without labels of agreement, and the standard error of that. NaN
 * without scores. */
double mary_outcome_drop(const mary_outcome *outcome, double *deviation);

#endif
