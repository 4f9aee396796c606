/* The weights of one quantisation problem, cell by cell: what each level stands for. */
#ifndef MARY_CONVERT_QUANTIZE_CELLS_H
#define MARY_CONVERT_QUANTIZE_CELLS_H

#include "convert/quantize/method.h"

/* Sums over the members of up to 256 cells. Zeroed is empty. */
typedef struct mary_cells {
    int64_t members[256];
    double importance[256], sum[256], plain[256]; /* of h, h w, w */
} mary_cells;

static inline void mary_cells_add(mary_cells *cells, int cell, const mary_quantize_input *input, int64_t i)
{
    double w = (double)input->values[i], h = input->importance != NULL ? (double)input->importance[i] : 1.0;
    cells->members[cell]++;
    cells->importance[cell] += h;
    cells->sum[cell] += h * w;
    cells->plain[cell] += w;
}

/* sum(h w) / sum(h); the plain mean where no member counts. The cell has members. */
static inline double mary_cells_mean(const mary_cells *cells, int cell)
{
    return cells->importance[cell] > 0 ? cells->sum[cell] / cells->importance[cell]
                                       : cells->plain[cell] / (double)cells->members[cell];
}

#endif
