/* Packing of integer weights; the layout is described in the header. */
#include "ops/mary/qkernels.h"

#include <string.h>

#include "onnx/memory.h"

enum { BLOCK_DEPTH = MARY_Q_BLOCK * MARY_Q_QUAD /* weights of a row in a block */ };

const mary_qkernels *mary_qkernels_for(mary_cpu cpu)
{
    switch (cpu) {
#if defined(__x86_64__)
    case MARY_CPU_AVX512VNNI:
        return &mary_qkernels_avx512vnni;
    case MARY_CPU_AVXVNNI:
        return &mary_qkernels_avxvnni;
    case MARY_CPU_AVX512: /* without VNNI wider registers gain little */
    case MARY_CPU_AVX2:
        return &mary_qkernels_avx2;
#elif defined(__aarch64__)
    case MARY_CPU_NEON:
        return &mary_qkernels_neon;
#endif
    default:
        return &mary_qkernels_scalar;
    }
}

/* 0, 1, 2 for 1, 2, 4 bits */
static int bits_index(int bits)
{
    return bits == 1 ? 0 : bits == 2 ? 1 : 2;
}

/* Panels as wide as the kernels want; narrower ones for rows so long that a panel would leave the second-level cache.
 */
static int panel_rows(int nr, int64_t quads)
{
    enum { MOST_BYTES = 512 * 1024 };
    while (nr > MARY_Q_STRIP && quads > MOST_BYTES / (nr * MARY_Q_QUAD))
        nr -= MARY_Q_STRIP;
    return nr;
}

static mary_status set_sizes(mary_qweights *w, const mary_qsource *source, int64_t taps, int64_t depth,
                             int64_t run_taps)
{
    size_t strips, blocks, strip_bytes, total;
    w->filters = source->rows / w->groups;
    w->bits = source->bits;
    w->runs = taps / run_taps;
    w->run_depth = run_taps * depth;
    w->run_quads = (w->run_depth + MARY_Q_QUAD - 1) / MARY_Q_QUAD;
    if (!mary_size_mul((size_t)w->runs, (size_t)w->run_quads, &total) || total > INT32_MAX / 8)
        return mary_fail_memory(SIZE_MAX);
    w->quads = (int64_t)total;
    w->nr = panel_rows(w->kernels->nr, w->quads);
    w->group_panels = (w->filters + w->nr - 1) / w->nr;
    blocks = w->bits == 8 ? (size_t)w->quads : ((size_t)w->quads + MARY_Q_BLOCK - 1) / MARY_Q_BLOCK;
    w->block_bytes = w->bits == 8 ? MARY_Q_STRIP * MARY_Q_QUAD : (size_t)(32 * w->bits);
    strips = ((size_t)w->filters + MARY_Q_STRIP - 1) / MARY_Q_STRIP;
    if (!mary_size_mul(blocks, w->block_bytes, &strip_bytes) ||
        !mary_size_mul(strip_bytes, (size_t)(w->nr / MARY_Q_STRIP), &w->panel_bytes) ||
        !mary_size_mul(strip_bytes, strips, &w->group_bytes) ||
        !mary_size_mul(w->group_bytes, (size_t)w->groups, &total) || total > PTRDIFF_MAX / 4)
        return mary_fail_memory(SIZE_MAX);
    w->level_bytes = w->bits == 8 ? 0 : w->bits == 1 ? 64 : 256;
    w->level_stride = source->level_stride == 0 ? 0 : (int64_t)w->level_bytes;
    w->bytes = total;
    return MARY_OK;
}

/* Where each weight of a padded row is in the file's row; -1: padding. */
static void fill_order(const mary_qweights *w, int64_t taps, int64_t depth, int64_t run_taps, int32_t *order)
{
    for (int64_t run = 0; run < w->runs; run++) {
        for (int64_t i = 0; i < w->run_quads * MARY_Q_QUAD; i++) {
            int64_t tap = run * run_taps + i / depth;
            *order++ = i < w->run_depth ? (int32_t)(i % depth * taps + tap) : -1;
        }
    }
}

/* One block of a strip: codes[row][k] at `codes + row * stride`, four or eight of them at a time: no code is wider than
 * the bits that it is shifted into. */
static void pack_block(int bits, const uint8_t *codes, int64_t stride, uint8_t *to)
{
    uint32_t quads[32] = {0};
    for (int row = 0; row < MARY_Q_STRIP; row++, codes += stride) {
        const int lane = row / 4, j = row % 4;
        uint32_t four[MARY_Q_BLOCK];
        memcpy(four, codes, sizeof four);
        for (int quad = 0; quad < MARY_Q_BLOCK; quad++) {
            if (bits == 1)
                quads[4 * (quad / 2) + j] |= four[quad] << (4 * (quad % 2) + lane);
            else if (bits == 2)
                quads[4 * lane + quad] |= four[quad] << (2 * j);
            else
                quads[16 * (j / 2) + 4 * lane + quad] |= four[quad] << (4 * (j % 2));
        }
    }
    memcpy(to, quads, (size_t)(32 * bits));
}

/* 16 rows of codes, [16][blocks * 16], as a strip of a panel that has `strips` strips. */
static void pack_strip(const mary_qweights *w, const uint8_t *codes, int64_t stride, int strips, uint8_t *to)
{
    if (w->bits == 8) {
        for (int64_t quad = 0; quad < w->quads; quad++, to += (size_t)strips * w->block_bytes) {
            for (int row = 0; row < MARY_Q_STRIP; row++)
                memcpy(to + row * MARY_Q_QUAD, codes + row * stride + quad * MARY_Q_QUAD, MARY_Q_QUAD);
        }
        return;
    }
    for (int64_t k = 0; k < stride; k += BLOCK_DEPTH, to += (size_t)strips * w->block_bytes)
        pack_block(w->bits, codes + k, stride, to);
}

static void pack_levels(const mary_qweights *w, const mary_qsource *source, int64_t row, int64_t count, int8_t *table)
{
    for (int64_t i = 0; i < count; i++) {
        const int8_t *levels = source->levels + (row + i) * source->level_stride;
        const int lane = (int)i / 4, j = (int)i % 4;
        if (w->bits == 1) {
            memcpy(table + 16 * lane + 4 * j, levels, 2);
            continue;
        }
        const int shift = w->bits == 2 ? 2 * (j % 2) : 0, mask = w->bits == 2 ? 3 : 15;
        for (int half = 0; half < 16; half++)
            table[64 * j + 16 * lane + half] = levels[half >> shift & mask];
    }
}

/* Packs the strip whose first row is `first` of its group. */
static void pack_rows(const mary_qweights *w, const mary_qsource *source, int64_t group, int64_t first,
                      const int32_t *order, uint8_t *row_codes, uint8_t *codes, int64_t stride)
{
    int64_t count = w->filters - first < MARY_Q_STRIP ? w->filters - first : MARY_Q_STRIP;
    int64_t panel = first / w->nr, padded = w->quads * MARY_Q_QUAD;
    bool in_order = true;
    for (int64_t k = 0; k < source->row_length && in_order; k++)
        in_order = order[k] == k;
    memset(codes, 0, (size_t)(MARY_Q_STRIP * stride));
    for (int64_t i = 0; i < count; i++) {
        int64_t row = group * w->filters + first + i;
        const int8_t *levels = source->levels + row * source->level_stride;
        uint8_t *to = codes + i * stride;
        mary_qsource_unpack(source, row, row_codes);
        if (w->bits == 8) { /* levels at once */
            for (int64_t k = 0; k < padded; k++)
                to[k] = order[k] >= 0 ? (uint8_t)levels[row_codes[order[k]]] : 0;
        } else if (in_order) {
            memcpy(to, row_codes, (size_t)source->row_length);
        } else {
            for (int64_t k = 0; k < padded; k++)
                to[k] = order[k] >= 0 ? row_codes[order[k]] : 0;
        }
    }
    pack_strip(w, codes, stride, mary_qweights_strips(w, panel),
               w->codes + (size_t)group * w->group_bytes + (size_t)panel * w->panel_bytes +
                   (size_t)(first % w->nr / MARY_Q_STRIP) * w->block_bytes);
    if (w->bits != 8 && (w->level_stride != 0 || first + group == 0)) {
        int64_t group_strips = (w->filters + MARY_Q_STRIP - 1) / MARY_Q_STRIP;
        pack_levels(w, source, group * w->filters + first, w->level_stride != 0 ? count : MARY_Q_STRIP,
                    w->levels + (group * group_strips + first / MARY_Q_STRIP) * w->level_stride);
    }
}

static mary_status fill(mary_qweights *w, const mary_qsource *source, int64_t taps, int64_t depth, int64_t run_taps)
{
    int64_t stride = (w->quads * MARY_Q_QUAD + BLOCK_DEPTH - 1) / BLOCK_DEPTH * BLOCK_DEPTH;
    size_t group_strips = ((size_t)w->filters + MARY_Q_STRIP - 1) / MARY_Q_STRIP;
    size_t level_bytes = (w->level_stride != 0 ? group_strips * (size_t)w->groups : 1) * w->level_bytes;
    size_t order_bytes = (size_t)(w->quads * MARY_Q_QUAD) * sizeof(int32_t);
    size_t temporary = (size_t)source->row_length + (size_t)(MARY_Q_STRIP * stride);
    mary_status status = MARY_OK;
    int32_t *order = mary_alloc(order_bytes);
    uint8_t *codes = mary_alloc(temporary);
    w->codes = mary_alloc_aligned(w->bytes);
    w->levels = mary_alloc_aligned(level_bytes);
    if (order == NULL || codes == NULL || w->codes == NULL || w->levels == NULL) {
        status = mary_fail_memory(w->bytes + level_bytes + order_bytes + temporary);
        goto end;
    }
    memset(w->codes, 0, w->bytes);
    memset(w->levels, 0, level_bytes);
    w->bytes += level_bytes;
    fill_order(w, taps, depth, run_taps, order);
    for (int64_t group = 0; group < w->groups; group++) {
        for (int64_t first = 0; first < w->filters; first += MARY_Q_STRIP)
            pack_rows(w, source, group, first, order, codes + MARY_Q_STRIP * stride, codes, stride);
    }
end:
    mary_free(order);
    mary_free(codes);
    return status;
}

mary_status mary_qweights_create_for(const mary_qkernels *kernels, const mary_qsource *source, int64_t groups,
                                     int64_t taps, int64_t depth, int64_t run_taps, mary_qweights **weights)
{
    *weights = NULL;
    mary_qweights *w = mary_calloc(1, sizeof *w);
    if (w == NULL)
        return mary_fail_memory(sizeof *w);
    w->kernels = kernels;
    w->groups = groups;
    mary_status status = set_sizes(w, source, taps, depth, run_taps);
    if (status == MARY_OK)
        status = fill(w, source, taps, depth, run_taps);
    if (status != MARY_OK)
        mary_qweights_free(&w);
    *weights = w;
    return status;
}

mary_status mary_qweights_create(const mary_qsource *source, int64_t groups, int64_t taps, int64_t depth,
                                 int64_t run_taps, mary_cpu cpu, mary_qweights **weights)
{
    return mary_qweights_create_for(mary_qkernels_for(cpu), source, groups, taps, depth, run_taps, weights);
}

void mary_qweights_free(mary_qweights **weights)
{
    mary_qweights *w = *weights;
    if (w == NULL)
        return;
    mary_free(w->codes);
    mary_free(w->levels);
    mary_free(w);
    *weights = NULL;
}

/* Sets the padding behind each run to zero: its codes stand for some level. */
static void clear_padding(const mary_qweights *w, int strips, int8_t *panel)
{
    const int64_t left = w->run_depth % MARY_Q_QUAD, width = (int64_t)strips * MARY_Q_STRIP;
    for (int64_t run = 0; run < w->runs && left != 0; run++) {
        int8_t *quad = panel + ((run + 1) * w->run_quads - 1) * width * MARY_Q_QUAD;
        for (int64_t row = 0; row < width; row++)
            memset(quad + row * MARY_Q_QUAD + left, 0, (size_t)(MARY_Q_QUAD - left));
    }
}

const int8_t *mary_qweights_panel(const mary_qweights *w, int64_t group, int64_t panel, int8_t *scratch)
{
    const uint8_t *codes = mary_qweights_codes(w, group, panel);
    if (w->bits == 8)
        return (const int8_t *)codes;
    int strips = mary_qweights_strips(w, panel);
    w->kernels->decode[bits_index(w->bits)](codes, mary_qweights_levels(w, group, panel), w->level_stride, strips,
                                            w->quads, scratch);
    clear_padding(w, strips, scratch);
    return scratch;
}
