/* Conversion with levels for each layer, for those who choose them. */
#ifndef MARY_CONVERT_MIXED_H
#define MARY_CONVERT_MIXED_H

#include "mary.h"

/* mary_convert, where layer i of the report gets levels[i] (2..256; 0, or i >= count: as the options say). A layer
 * whose levels the JSON file states keeps them, and the first and last layers do when the caller or the file states
 * theirs. */
mary_status mary_convert_mixed(mary_model *model, const mary_convert_options *options, const int *levels, size_t count,
                               mary_convert_report **report);

#endif
