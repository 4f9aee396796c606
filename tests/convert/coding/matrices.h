/* Code matrices for the tests of coders: of every shape of distribution that weights have, and some that they have not.
 */
#ifndef MARY_TESTS_CONVERT_CODING_MATRICES_H
#define MARY_TESTS_CONVERT_CODING_MATRICES_H

#include <math.h>
#include <string.h>

#include "convert/coding/coders.h"
#include "tests/support/suite.h"

static uint32_t random_state = 1;

static inline uint32_t random_bits(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* `skew` 0: all codes alike; 1: bell-shaped; 2: one code in twelve is not the middle one; 3: one in a thousand; 4: all
 * the same; 5: the code before, mostly. Freed with mary_free(matrix.codes). */
static inline mary_code_matrix make_matrix(int64_t rows, int64_t row_length, int64_t taps, int alphabet, int skew)
{
    mary_code_matrix matrix = {rows, row_length, taps, alphabet, mary_alloc((size_t)(rows * row_length))};
    ck_assert_ptr_nonnull(matrix.codes);
    for (int64_t i = 0; i < rows * row_length; i++) {
        uint32_t any = random_bits() % (uint32_t)alphabet, code = any;
        if (skew == 1)
            code = (any + random_bits() % (uint32_t)alphabet + random_bits() % (uint32_t)alphabet) / 3;
        else if (skew == 2 || skew == 3)
            code = random_bits() % (skew == 2 ? 12 : 1000) == 0 ? any : (uint32_t)alphabet / 2;
        else if (skew == 4)
            code = (uint32_t)alphabet - 1;
        else if (skew == 5 && i > 0 && random_bits() % 4 != 0)
            code = matrix.codes[i - 1];
        matrix.codes[i] = (uint8_t)code;
    }
    return matrix;
}

static inline double entropy_of(const uint64_t *counts)
{
    double total = 0, sum = 0;
    for (int i = 0; i < 256; i++)
        total += (double)counts[i];
    for (int i = 0; i < 256; i++)
        sum += counts[i] > 0 ? (double)counts[i] / total * log2(total / (double)counts[i]) : 0;
    return sum;
}

#endif
