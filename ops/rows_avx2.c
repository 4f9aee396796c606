/* Folds, softmax and normalisations of rows, avx2. */
#define MARY_ROWS_TABLE mary_rows_avx2
#include "ops/rows_template.h"
