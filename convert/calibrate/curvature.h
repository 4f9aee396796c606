/* How much each weight matters: the diagonal of the Hessian of the loss, or of the Fisher matrix, or the root of that,
 * over calibration samples. No labels: the loss is how far the outputs are from those of the float model, at its
 * minimum. For class scores that is the divergence of the probabilities. By the scores its second derivative is that of
 * cross-entropy with any label, p (1 - p). For anything else it is the mean squared difference. */
#ifndef MARY_CONVERT_CALIBRATE_CURVATURE_H
#define MARY_CONVERT_CALIBRATE_CURVATURE_H

#include "convert/choose.h"
#include "mary_train.h"

/* Fills layer->importance [rows, row_length] of the layers for which wanted[layers->count] is true: the mean over the
 * samples of what settings->importance names ("auto": the Hessian), and a part of the row's mean (0.3 below 8 levels, 3
 * from there); non-negative and finite, zero where the outcome does not depend on a row. The loss is that of the first
 * output with class scores [N, classes >= 2], before its Softmax, else of the first float output.
 * MARY_ERROR_UNSUPPORTED naming node and operator when the network cannot be differentiated; MARY_ERROR_INVALID when
 * the result is not finite. */
mary_status mary_curvature_measure(const mary_model *model, const mary_settings *settings, const bool *wanted,
                                   mary_layers *layers);

#endif
