/* The options of a tuning, checked and with their defaults filled in. */
#ifndef MARY_TUNE_SETTINGS_H
#define MARY_TUNE_SETTINGS_H

#include "mary_train.h"
#include "onnx/status.h"

/* MARY_ERROR_USAGE naming the option that makes no sense. */
mary_status mary_tune_settle(const mary_tune_options *given, mary_tune_options *settled);
/* The schedule of settled options over epochs of so many steps each, that begin with `rate`. */
mary_status mary_tune_schedule(const mary_tune_options *settled, double rate, int64_t epochs, int64_t epoch_steps,
                               mary_schedule *schedule);
/* What a weight's squared error counts when its level is chosen. */
typedef enum mary_tune_importance {
    MARY_TUNE_IMPORTANCE_NONE = 0,
    MARY_TUNE_IMPORTANCE_HESSIAN,
    MARY_TUNE_IMPORTANCE_FISHER,
    MARY_TUNE_IMPORTANCE_ADAM
} mary_tune_importance;
#define MARY_TUNE_IMPORTANCE_FLOOR 0.3 /* times the mean of the layer's kept weights, added to each */
mary_tune_importance mary_tune_importance_of(const mary_tune_options *settled);
bool mary_tune_file_exists(const char *path);

#endif
