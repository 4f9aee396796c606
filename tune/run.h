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
    mary_session *teacher; /* the model as it was given; NULL: labels are learnt */
    mary_batches *batches;
    mary_tuned_layers layers;
    int64_t prune_epochs, level_start; /* epochs [0, prune_epochs) prune, [level_start, ...) train the levels */
    int64_t steps;                     /* of an epoch */
    char *input;
    int teacher_output;
    int64_t count;   /* elements of a sample */
    float *values;   /* one batch: [batch, sample...] */
    int64_t *labels; /* [batch] */
} mary_tuning;

/* Options and split are there; takes over *model. To be freed on failure, too. */
mary_status mary_tuning_create(mary_tuning *tuning, mary_model **model);
void mary_tuning_free(mary_tuning *tuning);

/* One epoch: loss and rate into *done. */
mary_status mary_tuning_epoch(mary_tuning *tuning, int64_t epoch, mary_tune_epoch *done);
/* Part of the held-out samples that the network gets right: their label, or without labels what the model as given
 * said; untouched when none are held out. */
mary_status mary_tuning_accuracy(mary_tuning *tuning, double *accuracy);

#endif
