/* A data set in memory, sample by sample, for training. */
#ifndef MARY_CLI_SAMPLES_H
#define MARY_CLI_SAMPLES_H

#include "cli/data/data.h"
#include "mary_train.h"
#include "onnx/model.h"

typedef struct mary_cli_samples {
    mary_samples callback; /* points back here, so the struct must stay where it is */
    bool labelled, unscaled;
    int64_t count; /* elements of a sample */
    float *values; /* [samples, count], as the model's input takes them */
    int64_t *labels;
} mary_cli_samples;

/* All samples that the options name, fitted to the model's one input. On failure nothing needs closing. */
mary_status mary_cli_samples_open(mary_cli_samples *samples, const mary_data_options *options, const mary_model *model);
void mary_cli_samples_close(mary_cli_samples *samples); /* fine on a zeroed struct */

#endif
