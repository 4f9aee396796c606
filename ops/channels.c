/* Blocked transposition: a block of 16 x 16 floats is 16 cache lines on either side, and is turned in squares of 4 x 4
 * that stay in registers. */
#include "ops/channels.h"

enum { BLOCK = 16 };

typedef struct transpose {
    const float *from;
    float *to;
    int64_t from_batch, from_row, to_batch, to_row; /* strides */
    int64_t rows, columns;                          /* of the source, per image */
    int64_t bands;                                  /* of BLOCK source rows, per image */
} transpose;

typedef uint32_t quad __attribute__((vector_size(16), aligned(4), may_alias));

static inline void transpose_square(const float *from, int64_t from_row, float *to, int64_t to_row)
{
    quad a = *(const quad *)from, b = *(const quad *)(from + from_row);
    quad c = *(const quad *)(from + 2 * from_row), d = *(const quad *)(from + 3 * from_row);
    quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    *(quad *)(to + to_row) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    *(quad *)(to + 2 * to_row) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(quad *)(to + 3 * to_row) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* to[c*to_row + r] = from[r*from_row + c]; the last square of either direction overlaps the one before. */
static void transpose_block(const float *from, int64_t from_row, int64_t rows, int64_t columns, float *to,
                            int64_t to_row)
{
    if (rows < 4 || columns < 4) {
        for (int64_t c = 0; c < columns; c++) {
            for (int64_t r = 0; r < rows; r++)
                to[c * to_row + r] = from[r * from_row + c];
        }
        return;
    }
    for (int64_t c = 0; c < columns; c += 4) {
        int64_t column = c < columns - 4 ? c : columns - 4;
        for (int64_t r = 0; r < rows; r += 4) {
            int64_t row = r < rows - 4 ? r : rows - 4;
            transpose_square(from + row * from_row + column, from_row, to + column * to_row + row, to_row);
        }
    }
}

static void transpose_task(void *context, int64_t begin, int64_t end, int thread)
{
    const transpose *t = context;
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        const float *from = t->from + job / t->bands * t->from_batch;
        float *to = t->to + job / t->bands * t->to_batch;
        int64_t r = job % t->bands * BLOCK, rows = t->rows - r < BLOCK ? t->rows - r : BLOCK;
        for (int64_t c = 0; c < t->columns; c += BLOCK)
            transpose_block(from + r * t->from_row + c, t->from_row, rows,
                            t->columns - c < BLOCK ? t->columns - c : BLOCK, to + c * t->to_row + r, t->to_row);
    }
}

static void run(transpose *t, int64_t batch, const mary_parallel *parallel)
{
    t->bands = (t->rows + BLOCK - 1) / BLOCK;
    mary_parallel_for(parallel, batch * t->bands, 8, transpose_task, t);
}

void mary_channels_to_last(const float *plain, int64_t batch, int64_t channels, int64_t pixels, float *last,
                           int64_t stride, const mary_parallel *parallel)
{
    transpose t = {.from = plain,
                   .to = last,
                   .from_batch = channels * pixels,
                   .from_row = pixels,
                   .to_batch = pixels * stride,
                   .to_row = stride,
                   .rows = channels,
                   .columns = pixels};
    run(&t, batch, parallel);
}

void mary_channels_to_plain(const float *last, int64_t stride, int64_t batch, int64_t channels, int64_t pixels,
                            float *plain, const mary_parallel *parallel)
{
    transpose t = {.from = last,
                   .to = plain,
                   .from_batch = pixels * stride,
                   .from_row = stride,
                   .to_batch = channels * pixels,
                   .to_row = pixels,
                   .rows = pixels,
                   .columns = channels};
    run(&t, batch, parallel);
}
