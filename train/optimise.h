/* What an optimiser method is: one file each, listed in optimise.c. */
#ifndef MARY_TRAIN_OPTIMISE_H
#define MARY_TRAIN_OPTIMISE_H

#include "train/trainer.h"

enum { MARY_OPTIMISER_STATES = 3 };

/* Elements [0, count) of one step; `states` are the method's arrays, zero at first. */
typedef struct mary_optimiser_slice {
    float *values;
    const float *gradients;
    float *states[MARY_OPTIMISER_STATES];
    int64_t count;
    int64_t step; /* 1 for the first */
    double rate;
    const mary_optimiser_options *options; /* defaults filled in */
} mary_optimiser_slice;

typedef struct mary_optimiser_kind {
    const char *name, *summary;
    int states; /* arrays that it keeps */
    int moment; /* which of them is a second moment; -1: none */
    void (*step)(const mary_optimiser_slice *slice);
} mary_optimiser_kind;

extern const mary_optimiser_kind mary_optimise_sgd, mary_optimise_adam, mary_optimise_amsgrad;

struct mary_optimiser {
    mary_trainer *trainer;
    const mary_optimiser_kind *kind;
    mary_optimiser_options options;
    int64_t steps;
    float *states[MARY_OPTIMISER_STATES]; /* trainer->total floats each */
    double *sizes;                        /* options.relative: of each parameter, what its rate is times; else NULL */
};

#endif
