/* The model of the binary coder of weights: which probabilities are mixed for which decision.
 *
 * A code is one decision, is it another than the commonest code, and when it is, its index among the others, high bit
 * first. Pruned weights cost one decision each, nearly always. What DeepCABAC calls significance is that first one; it
 * sees the density of the row and of the column so far and which neighbours were significant. */
#ifndef MARY_ONNX_CODING_BINARY_MODEL_H
#define MARY_ONNX_CODING_BINARY_MODEL_H

#include <string.h>

#include "onnx/coding/logistic.h"
#include "onnx/coding/matrix.h"

enum {
    MARY_BINARY_INPUTS = 4,
    MARY_BINARY_PATTERNS = 256,
    MARY_BINARY_NEAR = 81,
    MARY_BINARY_LIMIT = 1023, /* of counts */
    MARY_BINARY_RATE = 16     /* of the mixer */
};

typedef struct mary_binary_model {
    const mary_logistic *tables;
    int common;   /* the commonest code */
    int depth;    /* bits of an index among the others */
    size_t nodes; /* 2^depth: of the tree of these bits, the first unused */
    /* significance */
    mary_bit_model row, near[MARY_BINARY_NEAR], pattern[MARY_BINARY_PATTERNS];
    mary_bit_model *column; /* [row_length] */
    uint8_t *history; /* [row_length + 1]: of each column, the last row's significance in bit 0, the one before in 1 */
    int32_t weights[MARY_BINARY_INPUTS];
    /* indices */
    mary_bit_model all[256], in_row[256];
    mary_bit_model *before, *above;               /* [alphabet + 1, nodes] */
    int32_t (*index_weights)[MARY_BINARY_INPUTS]; /* [nodes] */
    uint8_t ones[256];                            /* bits set in a byte */
    void *memory;
} mary_binary_model;

mary_status mary_binary_model_create(const mary_code_matrix *matrix, int common, mary_binary_model **model);
void mary_binary_model_free(mary_binary_model **model);

#endif
