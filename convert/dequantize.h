/* Parts of mary_dequantize. */
#ifndef MARY_CONVERT_DEQUANTIZE_H
#define MARY_CONVERT_DEQUANTIZE_H

#include "convert/layer.h"

/* convert/dequantize_integer.c: MaryQLinear* nodes; constants that they alone used are dropped. */
mary_status mary_dequantize_integers(mary_model *model);

#endif
