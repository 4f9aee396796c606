/* Folds, softmax and normalisations of rows, avx512. */
#define MARY_ROWS_TABLE mary_rows_avx512
#include "ops/rows_template.h"
