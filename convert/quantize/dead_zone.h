/* Equal steps on both sides of a wider cell around zero, as video coders quantise: all cells are known once the step
 * and the width of the middle are, so the least error within an entropy is found by trying them. */
#ifndef MARY_CONVERT_QUANTIZE_DEAD_ZONE_H
#define MARY_CONVERT_QUANTIZE_DEAD_ZONE_H

#include "convert/quantize/method.h"

typedef struct mary_dead_zone {
    int count;                  /* cells that have members; 0: no step keeps the bound */
    double levels[256];         /* ascending: weighted means of the cells */
    double distortion, entropy; /* as mary_ecsq has them */
} mary_dead_zone;

/* The best of some hundred with at most `count` cells and at most input->entropy bits per weight; codes
 * [input->count]. */
mary_status mary_dead_zone_search(const mary_quantize_input *input, int count, uint8_t *codes, mary_dead_zone *best);

#endif
