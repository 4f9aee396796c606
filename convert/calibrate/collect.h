/* Running a float model over calibration samples. */
#ifndef MARY_CONVERT_CALIBRATE_COLLECT_H
#define MARY_CONVERT_CALIBRATE_COLLECT_H

#include "convert/calibrate/histogram.h"
#include "convert/settings.h"
#include "onnx/names.h"

/* What is known of one value of the main graph: a graph input, or what a node made when the model ran. */
typedef struct mary_statistics_value {
    char *name;
    mary_type type;
    mary_shape shape; /* in the first batch */
    bool wanted;      /* collect `histogram` */
    mary_histogram histogram;
    int channel_axis; /* collect means along this axis; 0: no */
    int64_t channels; /* set by the first batch */
    double *channel_sums;
    float *channel_most;    /* largest magnitude of each channel */
    uint64_t channel_count; /* values in each sum */
} mary_statistics_value;

typedef struct mary_statistics {
    mary_statistics_value *values;
    size_t count, capacity;
    mary_names names;
    int64_t batches;
    double *energies; /* [output_count]: sums of squares of the reference outputs */
    /* What the float model made of the first batches, to measure candidates by: [reference_batches][output_count],
     * arrays without elements for outputs that are not float. */
    mary_array *references;
    size_t reference_count, reference_capacity;
    int64_t reference_batches;
    size_t reference_bytes;
    char **outputs;
    size_t output_count;
} mary_statistics;

/* Runs the first batch and describes every value. MARY_ERROR_INVALID when there are no samples, or an input has a value
 * that is not finite (naming batch, input and position); errors of the model and of the source of samples as they come.
 */
mary_status mary_statistics_create(const mary_model *model, const mary_settings *settings, mary_statistics *statistics);
/* Runs all batches and fills what is wanted; only those of the references when no value is. `session` is made from
 * `model` anew. */
mary_status mary_statistics_collect(mary_statistics *statistics, const mary_model *model,
                                    const mary_settings *settings);
void mary_statistics_free(mary_statistics *statistics);
/* NULL: there is none of that name. */
mary_statistics_value *mary_statistics_find(const mary_statistics *statistics, const char *name);

/* How far the outputs of a candidate are from the references. */
typedef struct mary_comparison {
    double error; /* squared difference over energy, summed over the float outputs: 0 is perfect, 1 as bad as zeros */
    double
        divergence; /* mean Kullback-Leibler divergence of the class probabilities; negative: no output holds scores */
    double agreement; /* part of the samples with the same best class; negative likewise */
} mary_comparison;

/* Over the first batches. Everything is infinite (agreement 0) when a value is not finite. The model is copied. */
mary_status mary_statistics_compare(const mary_statistics *statistics, const mary_model *model,
                                    const mary_settings *settings, mary_comparison *comparison);
/* What candidates are ordered by: the divergence where there are class scores, else the error. Least squares rewards
 * outputs that shrink, which changes the best class (ResNet-32 at M = 4: half the error, 19 points less). */
double mary_comparison_loss(const mary_comparison *comparison);
/* The inputs of calibration run `index`; a value that is not finite is MARY_ERROR_INVALID. */
mary_status mary_calibration_inputs(const mary_settings *settings, int64_t index, const mary_array **inputs,
                                    int *count);

/* A session of a copy of the model, unfused when it is to be observed. */
mary_status mary_calibration_session(const mary_model *model, const mary_settings *settings, bool observed,
                                     mary_session **session);

#endif
