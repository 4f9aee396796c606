/* What tells one training from another, so that a checkpoint is not taken for that of a training it does not belong to.
 */
#ifndef MARY_TUNE_IDENTITY_H
#define MARY_TUNE_IDENTITY_H

#include "mary_train.h"
#include "onnx/model.h"

/* A number that differs, all but surely, when another training would come out: by the settled options, the number of
 * samples, `model` as it was given, and the options' teacher. */
mary_status mary_tune_identity(const mary_tune_options *settled, const mary_samples *samples, const mary_model *model,
                               uint64_t *identity);

#endif
