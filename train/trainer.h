/* What a trainer is made of. Private to train/. */
#ifndef MARY_TRAIN_TRAINER_H
#define MARY_TRAIN_TRAINER_H

#include "runtime/threads.h"
#include "train/loss.h"
#include "train/tape.h"

typedef struct mary_trained {
    int value;  /* in the program; negative: added, no node uses it */
    char *name; /* of one that was added */
    mary_shape shape;
    int64_t count;
    size_t offset; /* of its values, gradient and curvature in the trainer's arrays, in floats */
    bool hooked;
    mary_parameter_hook hook;
} mary_trained;

/* A tape for one size of batch, and a run of it for each thread that has needed one. */
typedef struct mary_prepared {
    mary_tape *tape;
    mary_tensor *inputs; /* shapes that it is for */
    bool second;
    mary_tape_run **runs; /* per thread */
    struct mary_prepared *next;
} mary_prepared;

struct mary_trainer {
    mary_model *model; /* as it was given */
    mary_program *program;
    mary_threads *threads;
    int thread_count;
    int64_t micro_batch;
    int output; /* program value */

    mary_trained *parameters;
    int parameter_count;
    size_t total;                                      /* floats of all parameters, padded */
    float *values, *effective, *gradients, *curvature; /* `total` floats each */
    float **in_use;      /* per program value: what the network computes with; NULL: no parameter */
    bool packed, second; /* nodes hold weights; those for second derivatives, too */
    mary_prepared *prepared;
    float *lane_memory; /* gradients of the lanes; kept from one batch to the next */
    size_t lane_bytes;
};

/* trainer.c */
void mary_prepared_free(mary_prepared *prepared, int threads);

const char *mary_trained_name(const mary_trainer *trainer, int index);

/* pass.c: values (through the hooks) to what the nodes compute with. */
mary_status mary_trainer_load(mary_trainer *trainer, bool second);

#endif
