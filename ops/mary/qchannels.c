/* Blocked transposition of bytes: as ops/channels.c does it for floats. */
#include "ops/mary/qchannels.h"

enum { BLOCK = 64 };

typedef struct transpose {
    const uint8_t *from;
    uint8_t *to;
    int64_t from_batch, from_row, to_batch, to_row; /* strides */
    int64_t rows, columns;                          /* of the source, per image */
    int64_t bands;                                  /* of BLOCK source rows, per image */
} transpose;

static void transpose_task(void *context, int64_t begin, int64_t end, int thread)
{
    const transpose *t = context;
    (void)thread;
    for (int64_t job = begin; job < end; job++) {
        const uint8_t *from = t->from + job / t->bands * t->from_batch;
        uint8_t *to = t->to + job / t->bands * t->to_batch;
        int64_t r0 = job % t->bands * BLOCK, r1 = r0 + BLOCK < t->rows ? r0 + BLOCK : t->rows;
        for (int64_t c0 = 0; c0 < t->columns; c0 += BLOCK) {
            int64_t c1 = c0 + BLOCK < t->columns ? c0 + BLOCK : t->columns;
            for (int64_t c = c0; c < c1; c++) {
                for (int64_t r = r0; r < r1; r++)
                    to[c * t->to_row + r] = from[r * t->from_row + c];
            }
        }
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
