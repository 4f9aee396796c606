/* What the steps of mary_tune share. Private to tune/.
 *
 * All state of a tuning is the trainer's values and the optimiser's: a pruned weight has the value 0, and weights of
 * one level are equal to the last bit. They stay so because every weight of a level gets the same gradient, the sum
 * over all of them, and the optimiser works element by element. So a checkpoint is one of train/checkpoint.c. */
#ifndef MARY_TUNE_TUNE_H
#define MARY_TUNE_TUNE_H

#include "convert/quantize/method.h"
#include "mary_train.h"
#include "onnx/memory.h"
#include "onnx/status.h"

enum { MARY_MOST_TUNED_LEVELS = 255 }; /* besides zero; codes are bytes */

/* What a network sees of weights that are trained one by one: the level whose interval a weight lies in. */
typedef struct mary_tuned_coding {
    int parameter;            /* of the trainer: the levels, zero where there is none; shared layers have one */
    int most;                 /* levels */
    float *levels, *gradient; /* the trainer's, [most] */
    bool zeros;               /* zero is one of the levels: else what is pruned stays so */
    double worth;             /* what errors of this layer count beside those of others; 1: as parts of its energy */
    int count;                /* intervals; 0: the network sees weights as they are */
    float edges[MARY_MOST_TUNED_LEVELS + 1];   /* where they begin, ascending; edges[0] does not count */
    uint8_t codes[MARY_MOST_TUNED_LEVELS + 1]; /* of their levels */
} mary_tuned_coding;

/* The weight of one layer (or of several that share it). */
typedef struct mary_tuned_layer {
    int parameter; /* of the trainer */
    int64_t count;
    float *values;             /* the trainer's, [count] */
    uint8_t *codes;            /* [count]; 0: pruned; else 1, or 1 + the number of its level */
    int levels;                /* 0: every weight for itself */
    mary_tuned_coding *coding; /* NULL: there is none */
} mary_tuned_layer;

typedef struct mary_tuned_layers {
    mary_tuned_layer *items;
    int count;
} mary_tuned_layers;

/* The weights of all layers that mary_convert would code, hooked: pruned weights are zero for the network and get no
 * gradient, levels get the sum of those of their weights. The layers must outlive the trainer's use. */
mary_status mary_tuned_layers_create(const mary_model *model, mary_trainer *trainer, mary_tuned_layers *layers);
void mary_tuned_layers_free(mary_tuned_layers *layers);
uint64_t mary_tuned_weights(const mary_tuned_layers *layers);
uint64_t mary_tuned_kept(const mary_tuned_layers *layers);

/* Codes from values: 0 is pruned, and everything else is not. */
void mary_tuned_read_mask(mary_tuned_layers *layers);
/* Values of pruned weights become zero: momentum may have moved them. Where a coding has zero among its levels none is
 * pruned for good, and values stay. */
void mary_tuned_clear(mary_tuned_layers *layers);

/* Prunes until `keep` of the weights are left; what is pruned stays so. */
mary_status mary_tuned_prune(mary_tuned_layers *layers, double keep, bool per_layer);

/* How values are chosen for kept weights. */
typedef struct mary_tuned_choice {
    const mary_quantize_method *method; /* one that has no `code` */
    int levels;                         /* at most so many values, 1..255 */
    bool shared;                        /* the same ones for all layers */
    double entropy;                     /* as in mary_convert_options */
    float *const *importance;           /* per layer, [layer.count] what a weight's squared error counts; NULL: 1 */
} mary_tuned_choice;

/* Kept weights become one of the values that the method chooses for each layer, or for all of them. */
mary_status mary_tuned_choose_levels(mary_tuned_layers *layers, const mary_tuned_choice *choice);
/* Codes from values that have at most 255 levels a layer or, if `shared`, in all. */
mary_status mary_tuned_read_levels(mary_tuned_layers *layers, bool shared);
/* After the hooks: a level that several layers share gets the gradients of all of them. */
mary_status mary_tuned_share_gradients(const mary_tuned_layers *layers, mary_trainer *trainer);

/* Codings (coding.c): before the trainer has an optimiser. `most` levels a layer or, if `shared`, in all. */
mary_status mary_tuned_codings_create(mary_tuned_layers *layers, mary_trainer *trainer, int most, bool shared);
void mary_tuned_codings_free(mary_tuned_layers *layers);
/* Their levels become those that the method chooses for the kept weights. */
mary_status mary_tuned_choose_coding(mary_tuned_layers *layers, const mary_tuned_choice *choice);
/* Moves these levels to where codes within the budget have the least error. */
mary_status mary_tuned_fit_levels(mary_tuned_layers *layers, double budget);
/* From now on the network sees weights as levels; gradients go to both (straight through, for weights). budget > 0: all
 * codes have so many bits, and weights become zero and come back; else every kept weight is its nearest level. What
 * layers are worth is to be set before, if it is known. */
mary_status mary_tuned_code(mary_tuned_layers *layers, double budget);
/* Weights become what it sees, and codings are no longer in use. */
mary_status mary_tuned_settle(mary_tuned_layers *layers, double budget);
/* What the hook does then; the codes become those that were seen. */
void mary_tuned_see_levels(mary_tuned_layer *layer, const float *values, float *effective, int64_t count);
void mary_tuned_pass_gradients(const mary_tuned_layer *layer, float *gradient, int64_t count);

/* All values, those of levels and the others, to `bits` significant bits, 2..24. */
mary_status mary_tuned_round(mary_trainer *trainer, int bits);

/* The functions of the hook; context: mary_tuned_layer. */
mary_status mary_tuned_effective(void *context, int parameter, const float *values, float *effective, int64_t count);
mary_status mary_tuned_gradient(void *context, int parameter, const float *values, float *gradient, int64_t count);

/* Samples [0, samples) in two parts: those held out are spread evenly, since data sets are often sorted. */
typedef struct mary_split {
    mary_samples all, training;
    int64_t held_out;
} mary_split;
mary_status mary_split_create(const mary_samples *samples, double holdout, mary_split *split);
/* The number, among all samples, of held-out sample i, and of training sample i. */
int64_t mary_split_held_out(const mary_split *split, int64_t i);
int64_t mary_split_training(const mary_split *split, int64_t i);

#endif
