/* Folds, softmax and normalisations of rows, scalar. */
#define MARY_ROWS_TABLE mary_rows_scalar
#include "ops/rows_template.h"
