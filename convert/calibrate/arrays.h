/* Arrays that a session gave, as floats. */
#ifndef MARY_CONVERT_CALIBRATE_ARRAYS_H
#define MARY_CONVERT_CALIBRATE_ARRAYS_H

#include "onnx/tensor.h"

mary_shape mary_array_shape(const mary_array *array);
/* The array as floats: its own memory, or *made, which the caller frees. MARY_ERROR_INVALID, naming calibration run
 * `index` and `what` of `node`, when one is not finite. */
mary_status mary_array_floats(const mary_array *array, const char *what, const char *node, int64_t index, float **made,
                              const float **values);

#endif
