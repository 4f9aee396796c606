/* What `mary validate` found out: filled by cli/compare.c and cli/layers.c, shown by cli/report/. */
#ifndef MARY_CLI_VALIDATION_H
#define MARY_CLI_VALIDATION_H

#include "cli/data/data.h"
#include "cli/metrics.h"
#include "cli/model.h"

enum { MARY_HISTOGRAM_BINS = 96, MARY_LEVELS = 256 };

/* Where a level lies in the rows of a layer. */
typedef struct mary_level_spread {
    float least, most;
    double mean;
} mary_level_spread;

/* One layer that has weights. Layers of the two models are matched by the value that they compute. */
typedef struct mary_compared_layer {
    char *node, *op, *output;
    char *stored; /* the u8 value that stands for `output` in the second model; NULL: it is `output` itself, in float */
    float scale;  /* of `stored` */
    int zero_point;
    bool mary;   /* coded in the second model (or the only one) */
    bool shared; /* its weights are those of an earlier layer: their bytes are counted there */
    int levels;  /* M: the most distinct levels that a row has; 0 when not coded */
    int bits;
    int64_t rows;
    bool per_row; /* each row has its own levels */
    uint64_t weights;
    uint64_t bytes_before, bytes_after;
    bool measured;
    mary_similarity similarity; /* of the layer's output, both models fed the same samples */
    /* float weights; no bins when they were not found in the first model */
    bool histogram;
    float least, most;
    uint32_t bins[MARY_HISTOGRAM_BINS];
    mary_level_spread *spread; /* [levels] */
    double *thresholds;        /* [levels - 1], mean over the rows of the middle between neighbouring levels */
} mary_compared_layer;

typedef struct mary_validated_model {
    const char *path;
    uint64_t bytes, peak; /* peak memory of a process that runs only this model; 0: unknown */
    double create_seconds, run_seconds;
    uint64_t timed_samples; /* that run_seconds is for */
    mary_accuracy accuracy;
} mary_validated_model;

typedef struct mary_compared_output {
    char *name;
    mary_similarity similarity;
} mary_compared_output;

typedef struct mary_validation {
    mary_validated_model models[2];
    int model_count;
    char *data; /* what was fed, in words */
    uint64_t samples, runs;
    int64_t rows; /* samples in a run */
    int threads;
    bool labelled, scored; /* labels were there; an output holds class scores */
    uint64_t agreement;
    mary_compared_output *outputs; /* two models only */
    int output_count;
    mary_compared_layer *layers;
    size_t layer_count, layer_capacity;
    uint64_t layer_samples; /* fed to measure layers; 0: they were not measured */
    double max_drop;        /* percentage points; negative: no budget */
} mary_validation;

void mary_validation_free(mary_validation *validation);

/* Points of top-1 that the second model loses; negative when it gains. */
double mary_validation_drop(const mary_validation *validation);
/* The same with its sign turned, for printing: +0.12 is a gain. */
double mary_validation_change(const mary_validation *validation);
bool mary_validation_missed(const mary_validation *validation);

/* ---- cli/compare.c: both models over the data ---- */
typedef struct mary_compare_options {
    const char *paths[2];
    int path_count;
    const char *scores; /* the output that holds class scores; NULL: the first that looks like it */
    mary_session_options session;
    mary_data_options data;
} mary_compare_options;

mary_status mary_compare_models(const mary_compare_options *options, const char *verb, mary_validation *validation);
/* Opens the data set for the inputs of both models (the second may be NULL). *inputs is freed with mary_free after the
 * data set. */
mary_status mary_compare_open_data(const mary_data_options *options, const mary_cli_model *a, const mary_cli_model *b,
                                   mary_array **inputs, mary_data **data);

/* ---- cli/layers.c: layers, their bytes and levels ---- */
/* Reads both files again; the first may be NULL (one model only). */
mary_status mary_compared_layers_list(const char *float_path, const char *path, mary_validation *validation);
/* Feeds the first `samples` to both, unfused, and compares the layers' outputs. */
mary_status mary_compared_layers_measure(const mary_compare_options *options, int64_t samples,
                                         mary_validation *validation);

/* ---- cli/report/ ---- */
mary_status mary_validation_print(const mary_validation *validation, bool layers);
mary_status mary_validation_write_json(const mary_validation *validation, const char *path);
mary_status mary_validation_write_html(const mary_validation *validation, const char *path);

#endif
