/* One tuning at work: epochs over the training samples, accuracy on those held out. */
#ifndef MARY_TUNE_RUN_H
#define MARY_TUNE_RUN_H

#include "onnx/model.h"
#include "tune/tune.h"

typedef struct mary_tuning {
    mary_tune_options options; /* settled */
    mary_split split;
    mary_trainer *trainer;
    mary_optimiser *optimiser;
    mary_session *teacher; /* options.teacher, or the model as it was given; NULL: labels are learnt */
    mary_batches *batches;
    mary_tuned_layers layers;
    /* Epochs [0, prune_epochs) prune, [coded_start, level_start) train coded weights, [level_start, ...) the levels. */
    int64_t prune_epochs, coded_start, level_start;
    double budget; /* bits of all codes while coded weights are trained; 0: any, or there are none */
    int64_t steps; /* of an epoch */
    char *input;
    int teacher_output;
    int64_t count;   /* elements of a sample */
    float *values;   /* one batch: [batch, sample...] */
    int64_t *labels; /* [batch] */
} mary_tuning;

/* Options and split are there; takes over *model. To be freed on failure, too. */
mary_status mary_tuning_create(mary_tuning *tuning, mary_model **model);
void mary_tuning_free(mary_tuning *tuning);

/* How the levels are chosen, by the options. */
mary_tuned_choice mary_tuning_choice(const mary_tuning *tuning, float *const *importance);
/* Loss, gradients and curvature of the batch of `size` samples in `values` and `labels`. `result` may be NULL. */
mary_status mary_tuning_pass(mary_tuning *tuning, int64_t size, mary_curvature curvature, mary_loss_result *result);
/* One epoch: loss and rate into *done. */
mary_status mary_tuning_epoch(mary_tuning *tuning, int64_t epoch, mary_tune_epoch *done);
/* Part of the held-out samples that the network gets right: their label, or without labels what the model as given
 * said; untouched when none are held out. */
mary_status mary_tuning_accuracy(mary_tuning *tuning, double *accuracy);
/* What the squared error of each layer's weights counts, [layers][count], by the options: *importance is NULL when all
 * count the same. What is measured is measured on samples of epoch `epoch`. */
mary_status mary_tuning_importance(mary_tuning *tuning, int64_t epoch, float ***importance);
/* What layers with codings are worth: by some samples of epoch `epoch`, or by what the optimiser has seen of their
 * gradients (before its first step, and without a budget, they stay). */
mary_status mary_tuning_measure_worth(mary_tuning *tuning, int64_t epoch);
mary_status mary_tuning_update_worth(mary_tuning *tuning);
void mary_tuning_importance_free(const mary_tuning *tuning, float **importance);

#endif
