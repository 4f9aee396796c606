/* What validation measures. Everything accumulates; nothing is kept per sample. */
#ifndef MARY_VALIDATE_METRICS_H
#define MARY_VALIDATE_METRICS_H

#include "onnx/status.h"

/* ---- how close one array is to a reference ---- */
typedef struct mary_similarity {
    double dot, reference_squared, other_squared, error_squared;
    double max_abs;      /* largest difference of two finite elements */
    uint64_t count;      /* elements compared */
    uint64_t not_finite; /* elements where exactly one is finite, or both are not and differ: kept out of the sums */
} mary_similarity;

/* Adds all elements of two arrays of the same type and shape; else MARY_ERROR_INVALID naming both shapes. Types without
 * a numeric meaning are MARY_ERROR_UNSUPPORTED. */
mary_status mary_similarity_add(mary_similarity *similarity, const mary_array *reference, const mary_array *other);
/* 1 for two zero vectors, 0 when only one is zero. */
double mary_similarity_cosine(const mary_similarity *similarity);
/* 10 log10(signal / error); +inf without error, NaN when nothing finite was compared. */
double mary_similarity_sqnr(const mary_similarity *similarity);

/* ---- classes ---- */
typedef struct mary_scores {
    const float *values; /* [rows, classes] */
    int64_t rows, classes;
} mary_scores;

/* Views an output as class scores: [rows, classes] or [rows, classes, 1, 1], float, at least two classes. false: it is
 * not. */
bool mary_scores_view(const mary_array *output, int64_t rows, mary_scores *scores);

typedef struct mary_accuracy {
    uint64_t samples, top1, top5;
    uint64_t not_a_number; /* samples with a NaN score; counted as wrong */
} mary_accuracy;

/* Position of `label` when the row's scores are sorted: 0 is the best, equal scores rank by class number. -1: a NaN is
 * among them. */
int64_t mary_scores_rank(const mary_scores *scores, int64_t row, int64_t label);
/* The best class (the first of equals); -1: a NaN is among the scores. */
int64_t mary_scores_best(const mary_scores *scores, int64_t row);
/* Adds `size` samples. A label outside the classes is MARY_ERROR_INVALID. */
mary_status mary_accuracy_add(mary_accuracy *accuracy, const mary_scores *scores, int64_t size, const int64_t *labels);
/* Rows among the first `size` where both choose the same class (a NaN agrees with nothing). */
uint64_t mary_scores_agreement(const mary_scores *a, const mary_scores *b, int64_t size);
/* part/whole in percent; 0 of 0 is 0. */
double mary_percent(uint64_t part, uint64_t whole);

#endif
