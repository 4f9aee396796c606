/* Random M-ary weights for tests: the codes and levels of a file, and the floats that they stand for. */
#ifndef MARY_TESTS_MARY_REFERENCE_H
#define MARY_TESTS_MARY_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

/* codes [rows, ceil(length*bits/8)], levels [rows or 1, 2^bits], dense [rows, length]; each freed with mary_free. */
typedef struct mary_reference {
    int64_t code_dims[2], level_dims[2];
    uint8_t *codes;
    float *levels, *dense;
} mary_reference;

void mary_reference_make(mary_reference *reference, int64_t rows, int64_t length, int bits, bool shared_levels);
void mary_reference_free(mary_reference *reference);

#endif
