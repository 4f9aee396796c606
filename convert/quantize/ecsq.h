/* Entropy-constrained scalar quantisation (Chou, Lookabaugh and Gray 1989; for networks Choi, El-Khamy and Lee 2017,
 * algorithm 1): least D + lambda H.
 *
 *   D = sum of h (w - level)^2 / sum of h      H = -sum of p log2 p, bits per weight; p: part of the weights in a cell
 *
 * One step: every weight goes where h (w - c_m)^2 - lambda log2 p_m is least (h relative to its mean), then levels
 * become the means of their cells. Neither half makes D + lambda H greater. Cells that lose all members are dropped. */
#ifndef MARY_CONVERT_QUANTIZE_ECSQ_H
#define MARY_CONVERT_QUANTIZE_ECSQ_H

#include "convert/quantize/method.h"

/* Where the iteration stands. */
typedef struct mary_ecsq {
    const mary_quantize_input *input;
    double scale;               /* of importance: 1 / its mean; 0: no weight counts, then all do */
    int count;                  /* cells that have members */
    double levels[256];         /* ascending */
    double bits[256];           /* -log2 p */
    uint8_t *codes;             /* [input->count], the caller's */
    double distortion, entropy; /* D and H of the present levels and codes */
} mary_ecsq;

/* The start, lambda = 0: exact k-means with `count` levels and nearest codes. */
mary_status mary_ecsq_begin(const mary_quantize_input *input, int count, uint8_t *codes, mary_ecsq *state);
/* The two halves of a step. After the first, levels are no means; after each, `distortion` and `entropy` are true. */
void mary_ecsq_assign(mary_ecsq *state, double lambda);
void mary_ecsq_update(mary_ecsq *state);
/* Steps until D + lambda H hardly falls. */
void mary_ecsq_converge(mary_ecsq *state, double lambda);

#endif
