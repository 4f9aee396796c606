/* Which stored array feeds which input, and where the labels are. */
#ifndef MARY_CLI_DATA_CHOOSE_H
#define MARY_CLI_DATA_CHOOSE_H

#include "cli/data/data.h"

/* Opens the array for inputs[index]: the one that an option names, else the one of the input's name, else the samples
 * of the split, else the only array that does not look like labels. */
mary_status mary_choose_input(const mary_data_options *options, const mary_array *inputs, int input_count, int index,
                              mary_reader *reader);
/* `samples` is the name of the array that feeds input 0: x_train goes with y_train. *found is false when there are none
 * and none were asked for. Labels are integers, [N] or [N,1]. */
mary_status mary_choose_labels(const mary_data_options *options, const char *samples, mary_reader *reader, bool *found);

#endif
