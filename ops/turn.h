/* Transposing a block of floats, 4 x 4 at a time in the compiler's vectors. */
#ifndef MARY_OPS_TURN_H
#define MARY_OPS_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* to[j * to_stride + i] (+)= from[i * from_stride + j] for i < rows, j < columns. */
void mary_turn(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to, int64_t to_stride,
               bool accumulate);

#endif
