/* Blocked transposition of bytes: as ops/channels.c does it for floats, in squares of 16 x 16 that stay in registers.
 */
#include "ops/mary/qchannels.h"

#include <string.h>

enum { BLOCK = 64 };

typedef struct transpose {
    const uint8_t *from;
    uint8_t *to;
    int64_t from_batch, from_row, to_batch, to_row; /* strides */
    int64_t rows, columns;                          /* of the source, per image */
    int64_t bands;                                  /* of BLOCK source rows, per image */
} transpose;

enum { SIDE = 16 };
typedef uint8_t bytes __attribute__((vector_size(SIDE)));

/* Four times every row is interleaved with the one half a square below it: that is a transposition. Rows are `from_row`
 * bytes apart, the first `rows` of them are read; columns become rows that are `to_row` bytes apart. */
static inline void transpose_square(const uint8_t *from, int64_t from_row, int rows, uint8_t *to, int64_t to_row)
{
    bytes a[SIDE] = {{0}}, b[SIDE];
    for (int i = 0; i < rows; i++)
        memcpy(&a[i], from + i * from_row, SIDE);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < SIDE / 2; i++) {
            b[2 * i] =
                __builtin_shufflevector(a[i], a[i + SIDE / 2], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + SIDE / 2], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                                   14, 30, 15, 31);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < SIDE; i++)
        memcpy(to + i * to_row, &a[i], SIDE);
}

static void transpose_rest(const uint8_t *from, int64_t from_row, int64_t rows, int64_t columns, uint8_t *to,
                           int64_t to_row)
{
    for (int64_t c = 0; c < columns; c++) {
        for (int64_t r = 0; r < rows; r++)
            to[c * to_row + r] = from[r * from_row + c];
    }
}

/* The last square of either direction overlaps the one before. */
static void transpose_band(const uint8_t *from, int64_t from_row, int64_t rows, int64_t columns, uint8_t *to,
                           int64_t to_row)
{
    int64_t c = 0;
    if (columns >= SIDE && rows >= SIDE) {
        for (; c < columns; c += SIDE) {
            int64_t column = c < columns - SIDE ? c : columns - SIDE;
            for (int64_t r = 0; r < rows; r += SIDE) {
                int64_t row = r < rows - SIDE ? r : rows - SIDE;
                transpose_square(from + row * from_row + column, from_row, SIDE, to + column * to_row + row, to_row);
            }
        }
        return;
    }
    /* Few channels without a gap behind them: what is stored too much is overwritten by the next columns. */
    for (; to_row == rows && c + 2 * SIDE <= columns; c += SIDE)
        transpose_square(from + c, from_row, (int)rows, to + c * to_row, to_row);
    transpose_rest(from + c, from_row, rows, columns - c, to + c * to_row, to_row);
}

static void transpose_task(void *context, int64_t begin, int64_t end, int thread)
{
    const transpose *t = context;
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        const uint8_t *from = t->from + job / t->bands * t->from_batch;
        uint8_t *to = t->to + job / t->bands * t->to_batch;
        int64_t first = job % t->bands * BLOCK, count = t->rows - first < BLOCK ? t->rows - first : BLOCK;
        transpose_band(from + first * t->from_row, t->from_row, count, t->columns, to + first, t->to_row);
    }
}

static void run(transpose *t, int64_t batch, const mary_parallel *parallel)
{
    t->bands = (t->rows + BLOCK - 1) / BLOCK;
    mary_parallel_for(parallel, batch * t->bands, 8, transpose_task, t);
}

void mary_qchannels_to_last(const uint8_t *plain, int64_t batch, int64_t channels, int64_t pixels, uint8_t *last,
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

void mary_qchannels_to_plain(const uint8_t *last, int64_t stride, int64_t batch, int64_t channels, int64_t pixels,
                             uint8_t *plain, const mary_parallel *parallel)
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
