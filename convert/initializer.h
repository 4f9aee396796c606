/* Adding constants to a graph. */
#ifndef MARY_CONVERT_INITIALIZER_H
#define MARY_CONVERT_INITIALIZER_H

#include "onnx/edit.h"

mary_status mary_initializer_add(mary_model *model, const mary_tensor *tensor, const char *name);
/* Floats as a tensor of any float type, under a name that begins with `stem` and that `index` does not know: *name, the
 * caller's to free. */
mary_status mary_initializer_add_floats(mary_model *model, mary_graph_index *index, const float *values, mary_type type,
                                        const mary_shape *shape, const char *stem, char **name);

#endif
