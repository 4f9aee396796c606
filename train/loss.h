/* Losses: a number, and its derivatives by the output of the network. */
#ifndef MARY_TRAIN_LOSS_H
#define MARY_TRAIN_LOSS_H

#include "mary_train.h"
#include "onnx/tensor.h"

/* Some samples of a batch. */
typedef struct mary_loss_part {
    const mary_loss *loss;
    const mary_tensor *output; /* plain [samples, classes, pixels...] */
    int64_t first, total;      /* the part begins at this sample, of so many that the mean is taken over */
    float *gradient;           /* like output: of the mean */
    float *second;             /* the diagonal of the Hessian, NULL: not wanted */
    double value;              /* result: the part's share of the mean */
    int64_t correct;           /* result: positions whose largest output is the label, or the largest target */
} mary_loss_part;

/* Does the loss go with outputs of this shape (of the whole batch)? */
mary_status mary_loss_check(const mary_loss *loss, const mary_shape *output);
mary_status mary_loss_run(mary_loss_part *part);

#endif
