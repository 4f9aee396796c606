/* Calibration data of `mary convert`: a data set behind the callback that mary_convert asks for samples. */
#ifndef MARY_CLI_CALIBRATION_H
#define MARY_CLI_CALIBRATION_H

#include "cli/data/data.h"
#include "onnx/model.h"

enum {
    MARY_CALIBRATION_SAMPLES = 500, /* --calibration-samples, when it is not given */
    MARY_GOAL_SAMPLES = 1000,       /* the same for a goal: half of them are held apart */
    MARY_CALIBRATION_BATCH = 8 /* every activation of a run is in memory at some time: 8 images of VGG-16 need 0.3 GB */
};

typedef struct mary_cli_calibration {
    mary_calibration callback; /* for mary_convert_options; points back here, so the struct must stay where it is */
    mary_data_options options;
    mary_array *inputs; /* descriptions; names belong to the model */
    int input_count;
    mary_data *data;
    int64_t next;          /* index of the batch that `data` gives next */
    const int64_t *labels; /* of the batch that was given last; NULL: none */
    int64_t size;          /* its samples */
} mary_cli_calibration;

/* The model must outlive it, its inputs unchanged. On failure nothing needs closing. */
mary_status mary_cli_calibration_open(mary_cli_calibration *calibration, const mary_data_options *options,
                                      const mary_model *model);
/* For mary_goal: labels of the batch that was given last. */
mary_status mary_cli_calibration_labels(void *calibration, const int64_t **labels, int64_t *count);
void mary_cli_calibration_close(mary_cli_calibration *calibration); /* fine on a zeroed struct */

#endif
