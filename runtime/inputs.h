/* The arrays that a caller gives for a program's inputs. */
#ifndef MARY_RUNTIME_INPUTS_H
#define MARY_RUNTIME_INPUTS_H

#include "runtime/program.h"

/* The caller's arrays, found by name and checked, in the program's order: type and shape in `tensors`, memory in
 * `data`. */
mary_status mary_inputs_sort(const mary_program *program, const mary_array *inputs, int input_count,
                             mary_tensor *tensors, void **data);

#endif
