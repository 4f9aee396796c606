/* What a validation found out: filled by validate/compare.c and validate/layers.c, shown by cli/report/. */
#ifndef MARY_VALIDATE_VALIDATION_H
#define MARY_VALIDATE_VALIDATION_H

#include "validate/metrics.h"
#include "validate/opened.h"

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
    char *path;
    uint64_t bytes;
    uint64_t peak; /* memory of a process that runs only this model; 0: unknown. Only the command finds it out */
    double create_seconds, run_seconds;
    uint64_t timed_samples; /* that run_seconds is for */
    mary_accuracy accuracy;
} mary_validated_model;

typedef struct mary_compared_output {
    char *name;
    mary_similarity similarity;
} mary_compared_output;

struct mary_validation {
    mary_validated_model models[2];
    int model_count;
    uint64_t samples, runs;
    int64_t rows;          /* samples in a run */
    bool labelled, scored; /* labels were there; an output holds class scores */
    uint64_t agreement;
    mary_compared_output *outputs; /* two models only */
    int output_count;
    mary_compared_layer *layers;
    size_t layer_count, layer_capacity;
    uint64_t layer_samples; /* fed to measure layers; 0: they were not measured */
    /* The command's own: */
    char *data;      /* what was fed, in words */
    double max_drop; /* percentage points; negative: no budget */
};

/* Points of top-1 that the second model loses; negative when it gains. */
double mary_validation_drop(const mary_validation *validation);
/* More than `max_drop` of them. */
bool mary_validation_drops_more(const mary_validation *validation, double max_drop);

/* ---- validate/compare.c: both models over the data ---- */
mary_status mary_compare_models(const mary_model_source *models, int count, const mary_validation_data *data,
                                const mary_validate_options *options, mary_validation *validation);
/* What both models take (the second may be NULL): a dimension that either fixes is fixed. Freed with mary_free; names
 * belong to the models. */
mary_status mary_compare_inputs(const mary_opened_model *a, const mary_opened_model *b, mary_array **inputs);

/* The next batch, checked; of its samples only `left` count (0: all). */
mary_status mary_compare_next(const mary_validation_data *data, int64_t left, mary_validation_batch *batch);

/* ---- validate/layers.c, validate/layer_outputs.c: layers, their bytes and levels; how far their outputs moved ---- */
/* Reads both models again; the first may be NULL (one model only). */
mary_status mary_compared_layers_list(const mary_model_source *reference, const mary_model_source *source,
                                      mary_validation *validation);
/* Feeds the first `samples` to both, unfused, and compares the layers' outputs. */
mary_status mary_compared_layers_measure(const mary_model_source models[2], const mary_validation_data *data,
                                         const mary_validate_options *options, int64_t samples,
                                         mary_validation *validation);

#endif
