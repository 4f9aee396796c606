#ifndef MARY_CLI_PEAK_H
#define MARY_CLI_PEAK_H

#include "cli/model.h"

/* Most memory that a fresh process has resident while it loads the model and runs it once with inputs of these shapes;
 * 0 when that could not be found out. Only for the `mary` program itself: it starts /proc/self/exe. */
uint64_t mary_cli_model_peak(const char *path, const mary_session_options *options, const mary_array *inputs,
                             int input_count);

#endif
