/* M-ary weights of integer layers, packed once, at load, for the tile kernels: codes keep their 1, 2 or 4 bits and are
 * decoded a panel at a time; 8-bit codes are stored as the levels that they stand for, which are as small.
 *
 * A row is `runs` runs of run_depth weights, a run for each pointer to activations that a kernel follows (a tap of the
 * convolution, or the whole window on an image of few channels). Every run is padded to quads of four weights, the
 * padding decodes to 0. A strip is 16 rows. A panel is nr rows (nr / 16 strips, fewer in the last panel of a group),
 * decoded [quads][16 * strips][4] bytes: a quad of one row is a dword, the operand of a dot product instruction.
 *
 * Packed, a panel is [blocks][strips] of four quads x 16 rows, 256 codes. In a block, row 4*lane + j is row j of
 * 128-bit lane `lane` (0..3):
 *   1 bit     32 bytes: code of (row 4*lane + j, quad q, k) in byte 16*(q/2) + 4*j + k at bit 4*(q%2) + lane
 *   2 bits    64 bytes: in byte 16*lane + 4*q + k at bit 2*j
 *   4 bits   128 bytes: in byte 64*(j/2) + 16*lane + 4*q + k at bit 4*(j%2)
 * With one bit, shifting a register (by a lane's own distance) and one byte shuffle with the levels decode it. With two
 * and four bits, half a byte, whatever codes are in it, is the index of a byte shuffle: two bits have two tables for
 * each half, one for the code of each row in it. Level tables, one for each strip or a single one when levels are
 * shared: 1 bit 64 bytes [lane][j][4]; 2 and 4 bits 256 bytes [j][lane][16].
 */
#ifndef MARY_OPS_MARY_QWEIGHTS_H
#define MARY_OPS_MARY_QWEIGHTS_H

#include "ops/cpu.h"
#include "ops/mary/qlinear.h"

enum { MARY_Q_STRIP = 16, MARY_Q_QUAD = 4, MARY_Q_BLOCK = 4 /* quads */, MARY_Q_MOST_STRIPS = 4 };

typedef struct mary_qkernels mary_qkernels; /* ops/mary/qkernels.h */

typedef struct mary_qweights {
    const mary_qkernels *kernels;
    int64_t groups, filters; /* groups * filters rows */
    int64_t runs, run_depth;
    int64_t run_quads, quads; /* of a run, of a row */
    int nr;                   /* rows of a full panel, a multiple of 16 */
    int64_t group_panels;     /* panels of one group */
    int bits;
    size_t block_bytes;   /* of one strip; 8 bits: 256 */
    size_t panel_bytes;   /* of a full panel, packed */
    size_t group_bytes;   /* of all panels of a group */
    size_t level_bytes;   /* of one strip's table; 0 for 8 bits */
    int64_t level_stride; /* bytes from a strip's table to the next strip's: level_bytes or 0 */
    uint8_t *codes;       /* 8 bits: decoded panels [quads][16 * strips][4] */
    int8_t *levels;       /* [groups * strips of a group or 1][level_bytes] */
    size_t bytes;
} mary_qweights;

/* How the row of a convolution is cut: `taps` kernel positions of `depth` channels (the file's order is [depth][taps]),
 * run_taps of them to a run (a divisor of taps; 1, or all). Gemm: taps = run_taps = 1. */
mary_status mary_qweights_create(const mary_qsource *source, int64_t groups, int64_t taps, int64_t depth,
                                 int64_t run_taps, mary_cpu cpu, mary_qweights **weights);
/* With kernels of one's own choice: for tests. */
mary_status mary_qweights_create_for(const mary_qkernels *kernels, const mary_qsource *source, int64_t groups,
                                     int64_t taps, int64_t depth, int64_t run_taps, mary_qweights **weights);
void mary_qweights_free(mary_qweights **weights);

/* Strips of panel `panel` of a group, and its rows. */
static inline int mary_qweights_strips(const mary_qweights *w, int64_t panel)
{
    int64_t left = w->filters - panel * w->nr;
    return (int)((left < w->nr ? left + MARY_Q_STRIP - 1 : w->nr) / MARY_Q_STRIP);
}
/* Packed codes of a panel (8 bits: the decoded panel itself). */
static inline const uint8_t *mary_qweights_codes(const mary_qweights *w, int64_t group, int64_t panel)
{
    return w->codes + (size_t)group * w->group_bytes + (size_t)panel * w->panel_bytes;
}
static inline const int8_t *mary_qweights_levels(const mary_qweights *w, int64_t group, int64_t panel)
{
    int64_t group_strips = (w->filters + MARY_Q_STRIP - 1) / MARY_Q_STRIP;
    return w->levels + (group * group_strips + panel * (w->nr / MARY_Q_STRIP)) * w->level_stride;
}
/* Bytes of a decoded panel of `strips` strips. */
static inline int64_t mary_qweights_panel_size(const mary_qweights *w, int strips)
{
    return w->quads * strips * (MARY_Q_STRIP * MARY_Q_QUAD);
}
/* The decoded panel: `scratch` (mary_qweights_panel_size bytes, 64-byte aligned) after decoding into it, or for 8 bits
 * where it lies. */
const int8_t *mary_qweights_panel(const mary_qweights *w, int64_t group, int64_t panel, int8_t *scratch);

#endif
