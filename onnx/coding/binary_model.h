/* The model of the binary coder of weights: which probabilities are mixed for which decision.
 *
 * A code is one decision, is it another than the commonest code, and when it is, which, by a tree of decisions. Pruned
 * weights cost one decision each, nearly always. What DeepCABAC calls significance is that first one; it sees the
 * density of the row and of the channel so far, and by the place in the kernel which neighbours were significant.
 * Neighbours in a kernel are alike: which other code it is, is asked by the one above or the one to the left.
 *
 * Levels ascend, so codes next to the commonest one, zero as a rule, are more frequent than those far away. The tree
 * asks for the side, then whether it is the nearest of that side, the next, and so on for a few, then halves what is
 * left. Where levels next to zero are empty, as they are when evenly spaced ones meet weights pruned by magnitude, it
 * begins `offset` codes away. */
#ifndef MARY_ONNX_CODING_BINARY_MODEL_H
#define MARY_ONNX_CODING_BINARY_MODEL_H

#include <string.h>

#include "onnx/coding/logistic.h"
#include "onnx/coding/matrix.h"

enum {
    MARY_BINARY_INPUTS = 3,      /* that are mixed for significance */
    MARY_BINARY_NODE_INPUTS = 2, /* for a decision of the tree */
    MARY_BINARY_WEIGHT = 22000,  /* that mixing begins with, in 65536ths: a third, and two fifths */
    MARY_BINARY_NODE_WEIGHT = 26214,
    MARY_BINARY_RATE = 16,      /* of the mixers */
    MARY_BINARY_LIMIT = 1023,   /* of counts */
    MARY_BINARY_REMEMBERED = 4, /* updates of the rows before, when one begins */
    MARY_BINARY_TAPS = 49,      /* of larger kernels, those behind are like the first */
    MARY_BINARY_CHAIN = 4,      /* codes of a side that are asked for one by one */
    MARY_BINARY_OFFSETS = 4     /* of the tree */
};

typedef struct mary_binary_model {
    const mary_logistic *tables;
    int alphabet, common; /* the commonest code */
    int64_t width;        /* of a kernel; without one nothing is above: INT64_MAX */
    unsigned above;       /* how far back in `recent` the one above to the right is */
    /* significance */
    mary_bit_model row[2];                       /* by that of the code before */
    mary_bit_model *channel;                     /* [row_length / taps + 1]: of the kernels of the rows so far */
    mary_bit_model pattern[MARY_BINARY_TAPS][8]; /* by the tap, and what is to the left, above to the right, above */
    int32_t weights[MARY_BINARY_INPUTS];
    /* which other: a tree of `nodes` decisions; links are nodes, or ~code */
    int nodes, root;
    int16_t next[256][2];
    uint16_t path[256]; /* answers that lead to a code, the first in bit 0 */
    uint8_t depth[256]; /* how many */
    mary_bit_model in_row[256];
    mary_bit_model *beside;                           /* [alphabet + 1, nodes]: by the neighbour; last: there is none */
    int32_t (*node_weights)[MARY_BINARY_NODE_INPUTS]; /* [nodes] */
    void *memory;
} mary_binary_model;

mary_status mary_binary_model_create(const mary_code_matrix *matrix, int common, mary_binary_model **model);
/* The tree of `offset`, below MARY_BINARY_OFFSETS; before the walk. */
void mary_binary_model_tree(mary_binary_model *model, int offset);
/* Before every row. */
void mary_binary_model_row(mary_binary_model *model);
void mary_binary_model_free(mary_binary_model **model);

#endif
