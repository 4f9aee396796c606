/* The weights of one M-ary layer, packed once at load for the kernels of one CPU tier.
 *
 * Row r, position k stands for levels[r][code(r,k)]. Codes stay packed at 1, 2, 4 or 8 bits; nothing here ever expands
 * a whole layer. Storage is row by row in the order in which kernels walk a row (see `depth_major` below), each row
 * padded to whole registers; the padding decodes to some level of the row, so kernels must ignore or zero it.
 */
#ifndef MARY_OPS_MARY_WEIGHTS_H
#define MARY_OPS_MARY_WEIGHTS_H

#include "ops/cpu.h"
#include "ops/op.h"

typedef struct mary_weights mary_weights;

/* codes: uint8 [rows, ceil(row_length*bits/8)]; levels: float [rows or 1, 2^bits]; both as DESIGN.md §3 /
 * docs/operators.md. A row is [depth][taps] in the file (Conv: channels, then kernel positions); the packed order is
 * [taps][depth] (channels last). taps = 1 leaves the order as it is. taps * depth == row_length. `scale` multiplies
 * every level (Gemm's alpha; 1 otherwise). Wrong shapes or types are MARY_ERROR_INVALID. The result owns its memory. */
mary_status mary_weights_create(const mary_tensor *codes, const mary_tensor *levels, int64_t rows, int64_t row_length,
                                int bits, int64_t taps, float scale, mary_weights **weights);
void mary_weights_free(mary_weights **weights);
size_t mary_weights_bytes(const mary_weights *weights);

/* Decodes rows [row, row + count) at packed positions [begin, end) into a panel: panel[(k - begin)*width + j] is row+j
 * at k; columns count..width-1 are set to 0. count <= width; width is the tile kernel's nr. */
void mary_weights_decode_panel(const mary_weights *weights, int64_t row, int count, int64_t begin, int64_t end,
                               int width, float *panel);
/* Decodes one row, packed positions [begin, end), into out[0..end-begin). */
void mary_weights_decode_row(const mary_weights *weights, int64_t row, int64_t begin, int64_t end, float *out);

/* out[i*out_stride + r] = sum_k x[i*x_stride + k] * W[r,k] for r in [row, row + count), i in [0, batch), batch small
 * (1..8): decodes inside the registers, once for up to four rows of x. */
void mary_weights_multiply(const mary_weights *weights, const float *x, int64_t x_stride, int batch, int64_t row,
                           int64_t count, float *out, int64_t out_stride);

#endif
